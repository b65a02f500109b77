package app

import (
	"strings"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/store/pgstore"
)

// look is one look of a standby: after how long, and what it saw.
type look struct {
	after   time.Duration
	session int
	lease   pgstore.Lease
	why     string // a part of why it takes the lead; empty when it does not
}

func TestWhoTakesTheLead(t *testing.T) {
	beats := func(n int64, held bool) pgstore.Lease {
		return pgstore.Lease{Fence: 4, Beat: n, Node: "ams", Instance: "a", Held: held}
	}
	const q = 250 * time.Millisecond
	for name, looks := range map[string][]look{
		"nobody leads":                {{0, 1, pgstore.Lease{Fence: 4}, "nobody"}},
		"ours":                        {{0, 1, pgstore.Lease{Fence: 4, Node: "fra", Instance: "us"}, "this node's"}},
		"a leader that renews":        {{0, 1, beats(1, true), ""}, {2 * time.Second, 1, beats(2, true), ""}, {2 * time.Second, 1, beats(3, true), ""}, {2 * time.Second, 1, beats(4, true), ""}},
		"a leader that hangs":         {{0, 1, beats(1, true), ""}, {time.Second, 1, beats(2, true), ""}, {leadExpires - 1, 1, beats(2, true), ""}, {1, 1, beats(2, true), "not renewed"}},
		"a leader that is killed":     {{0, 1, beats(1, true), ""}, {q, 1, beats(1, false), ""}, {q, 1, beats(1, false), ""}, {leadFreed - q, 1, beats(1, false), "session of ams ended"}},
		"a new session of the leader": {{0, 1, beats(1, true), ""}, {q, 1, beats(1, false), ""}, {q, 1, beats(2, true), ""}, {time.Second, 1, beats(3, true), ""}},
		"a session that comes late":   {{0, 1, beats(1, true), ""}, {q, 1, beats(1, false), ""}, {q, 1, beats(2, false), ""}, {leadFreed - q, 1, beats(3, false), ""}},
		// The database was restarted: everybody's sessions ended, and nobody could renew.
		"a database that was away":           {{0, 1, beats(1, true), ""}, {20 * time.Second, 2, beats(1, false), ""}, {q, 2, beats(1, false), ""}, {q, 2, beats(2, true), ""}, {2 * time.Second, 2, beats(3, true), ""}},
		"away, and the leader with it":       {{0, 1, beats(1, true), ""}, {20 * time.Second, 2, beats(1, false), ""}, {leadFreed, 2, beats(1, false), ""}, {leadExpires - leadFreed, 2, beats(1, false), "not renewed"}},
		"a lock never seen says nothing":     {{0, 1, beats(1, false), ""}, {leadFreed, 1, beats(1, false), ""}, {leadFreed, 1, beats(2, false), ""}},
		"the lead went to a third meanwhile": {{0, 1, beats(1, true), ""}, {2 * time.Second, 1, pgstore.Lease{Fence: 5, Beat: 0, Node: "lon", Instance: "b"}, ""}, {leadFreed, 1, pgstore.Lease{Fence: 5, Beat: 0, Node: "lon", Instance: "b"}, ""}},
	} {
		h := heir{instance: "us"}
		now := time.Date(2026, 11, 27, 2, 0, 0, 0, time.UTC)
		for i, l := range looks {
			now = now.Add(l.after)
			if why := h.sees(l.lease, l.session, now); (why == "") != (l.why == "") || !strings.Contains(why, l.why) {
				t.Errorf("%s: look %d: %q, want %q", name, i+1, why, l.why)
			}
		}
	}
}

// A leader is sure for less time than a standby waits, whichever clock stood
// still.
func TestALeaderIsSureForLessThanAStandbyWaits(t *testing.T) {
	if leadLasts >= leadExpires {
		t.Errorf("%s, and another takes over after %s", leadLasts, leadExpires)
	}
	now := time.Now()
	if x := (tenure{good: now}); !x.sure(now.Add(leadLasts-1)) || x.sure(now.Add(leadLasts)) {
		t.Error("at its limit")
	}
	// Without the monotonic part, as after a machine was suspended.
	if x := (tenure{good: now.Round(0)}); x.sure(now.Round(0).Add(time.Minute)) || x.sure(now.Round(0).Add(-time.Minute)) {
		t.Error("the wall clock jumped")
	}
}
