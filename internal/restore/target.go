// Package restore makes a cluster from a repository: a pure plan (which
// backup, which log, to which point), then its execution into a directory. It
// never starts a server over what it delivers.
package restore

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/target"
)

// Kind says how a restore's end is given.
type Kind string

// The kinds of restore target.
const (
	ToLatest Kind = "latest" // the end of the log
	ToTime   Kind = "time"   // the last commit not after a time
	ToLSN    Kind = "lsn"    // the record at a position, included
	ToName   Kind = "name"   // a point made with pg_create_restore_point
	ToXID    Kind = "xid"    // the commit of a transaction, included
	ToBackup Kind = "backup" // the end of a base backup: no log beyond its own
)

// Target is the point that a restore is to reach.
type Target struct {
	Kind Kind       `json:"kind"`
	Time time.Time  `json:"time,omitzero"`
	LSN  target.LSN `json:"lsn,omitempty"`
	Name string     `json:"name,omitempty"`
	XID  uint64     `json:"xid,omitempty"`
}

// String renders the target as ParseTarget reads it.
func (t Target) String() string {
	switch t.Kind {
	case ToTime:
		return t.Time.Format("2006-01-02 15:04:05.999999Z07:00")
	case ToLSN:
		return t.LSN.String()
	case ToName:
		return "name:" + t.Name
	case ToXID:
		return "xid:" + strconv.FormatUint(t.XID, 10)
	default:
		return string(t.Kind)
	}
}

var (
	digits    = regexp.MustCompile(`^[0-9]+$`)
	looksTime = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}`)
	looksLSN  = regexp.MustCompile(`^[0-9A-Fa-f]+/[0-9A-Fa-f]+$`)
)

// ParseTarget reads the value of --to: latest, backup, a time with its zone,
// an LSN, name:POINT or xid:NUMBER.
func ParseTarget(s string) (Target, error) {
	s = strings.TrimSpace(s)
	prefix, rest, found := strings.Cut(s, ":")
	switch {
	case s == string(ToLatest), s == string(ToBackup):
		return Target{Kind: Kind(s)}, nil
	case found && prefix == "name":
		// pg_create_restore_point allows 63 bytes.
		if rest == "" || len(rest) > 63 || strings.ContainsAny(rest, "\x00\n\r") {
			return Target{}, fmt.Errorf("restore target %q: a restore point's name has 1 to 63 bytes", s)
		}
		return Target{Kind: ToName, Name: rest}, nil
	case found && prefix == "xid":
		n, err := strconv.ParseUint(rest, 10, 64)
		if err != nil || !digits.MatchString(rest) || n < 3 {
			return Target{}, fmt.Errorf("restore target %q: a transaction's number is a decimal from 3 on", s)
		}
		return Target{Kind: ToXID, XID: n}, nil
	case looksLSN.MatchString(s):
		l, err := target.ParseLSN(s)
		if err != nil {
			return Target{}, fmt.Errorf("restore target: %w", err)
		}
		return Target{Kind: ToLSN, LSN: l}, nil
	case looksTime.MatchString(s):
		t, err := parseTime(s)
		if err != nil {
			return Target{}, err
		}
		return Target{Kind: ToTime, Time: t}, nil
	}
	return Target{}, fmt.Errorf("restore target %q: use latest, backup, a time with its zone (2026-11-23T11:43:00Z), an LSN (16/B374D848), name:POINT or xid:NUMBER", s)
}

var zoned = []string{
	time.RFC3339Nano,
	"2006-01-02 15:04:05.999999999Z07:00",
	"2006-01-02 15:04:05.999999999 Z07:00",
	"2006-01-02 15:04:05.999999999-07",
	"2006-01-02 15:04:05.999999999 -07",
	"2006-01-02 15:04:05.999999999 -0700",
	"2006-01-02T15:04:05.999999999-0700",
	"2006-01-02 15:04Z07:00",
	"2006-01-02T15:04Z07:00",
}

// parseTime reads a time that names its zone. One without is refused: the
// incident is not the moment to find out that UTC was meant.
func parseTime(s string) (time.Time, error) {
	text := s
	if cut, ok := strings.CutSuffix(text, " UTC"); ok {
		text = cut + "Z"
	}
	for _, layout := range zoned {
		if t, err := time.Parse(layout, text); err == nil {
			// PostgreSQL keeps microseconds; a finer target would be rounded.
			return t.Truncate(time.Microsecond), nil
		}
	}
	for _, layout := range []string{"2006-01-02 15:04:05.999999999", "2006-01-02T15:04:05.999999999", "2006-01-02 15:04", "2006-01-02T15:04"} {
		if t, err := time.Parse(layout, text); err == nil {
			local := time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.Local)
			return time.Time{}, fmt.Errorf("restore target %q has no time zone: say %q for UTC or %q for this host's zone",
				s, t.Format("2006-01-02 15:04:05Z07:00"), local.Format("2006-01-02 15:04:05Z07:00"))
		}
	}
	return time.Time{}, fmt.Errorf("restore target %q: %w", s, errors.New("not a time; write it as 2026-11-23T11:43:00Z or 2026-11-23 12:43:00+01:00"))
}
