package monitor

import (
	"fmt"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/target"
)

// Reason says in one plain sentence what a bad look saw, and since when. Times
// are UTC, to the second.
func Reason(l target.Look, since time.Time) string {
	at := since.UTC().Format("15:04:05 UTC")
	detail := ""
	if d := strings.TrimSpace(l.Detail); d != "" {
		detail = ": " + d
	}
	switch l.Sees {
	case target.Refused:
		return "refuses connections since " + at + detail
	case target.Broken:
		return "closes connections without a word since " + at + detail
	case target.Unreachable:
		return "cannot be reached since " + at + detail
	case target.Silent:
		return "accepts connections but does not answer since " + at + detail
	case target.Stalled:
		return "lives, but no session answers since " + at + detail
	case target.Starting, target.Stopping:
		return "refuses sessions since " + at + detail
	case target.Full:
		if l.Room > 0 && l.Used > 0 {
			return fmt.Sprintf("no connection is free since %s, %d places for %d%s", at, l.Room, l.Used, detail)
		}
		return "no connection is free since " + at + detail
	case target.Denied:
		return "does not let Refloat in since " + at + detail
	case target.ReadOnly:
		if l.Standby {
			return "takes no writes since " + at + ": it is in recovery, a standby"
		}
		return "takes no writes since " + at + detail
	case target.DiskFull:
		return "its disk is full since " + at + detail
	case target.WriteHangs:
		return "answers reads, but a write does not end since " + at + detail
	default:
		return "fails since " + at + detail
	}
}
