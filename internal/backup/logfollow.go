package backup

import (
	"errors"
	"fmt"
	"time"

	"github.com/refloat-db/refloat/internal/target"
)

// Errors of the receiver that callers tell apart.
var (
	// ErrDiverged means that the server's log differs from what was received
	// from it before, on the same timeline: it was put back to an older state.
	ErrDiverged = errors.New("the server's log is not the one that was streamed before: the server was put back to an older state without a new timeline")
	// ErrServerBehind means that the server is at an older timeline or position
	// than the log held. It may be a former primary, or a standby.
	ErrServerBehind = errors.New("the server is behind the log that is held")
)

// follow decides from where to go on streaming. have is how far the log is
// held; server, line (the history of the server's timeline) and held (that of
// have's timeline) say which timelines there are. It returns the position that
// is shared and held, on the timeline to stream; the stream begins at the
// start of the segment that contains it. forked reports that the log held is
// no ancestor of the server's.
func follow(have target.Position, server target.LogIdentity, line, held []target.Switch) (at target.Position, forked bool, err error) {
	switch {
	case server.Timeline < have.Timeline:
		return at, false, fmt.Errorf("it is on timeline %d, the log held on %d: %w", server.Timeline, have.Timeline, ErrServerBehind)
	case server.Timeline == have.Timeline && server.Flushed < have.LSN:
		return at, false, fmt.Errorf("its log ends at %s, the log held at %s: %w", server.Flushed, have, ErrServerBehind)
	case server.Timeline == have.Timeline:
		return have, false, nil
	}
	next := func(i int) target.Timeline {
		if i+1 < len(line) {
			return line[i+1].Timeline
		}
		return server.Timeline
	}
	for i, s := range line {
		if s.Timeline != have.Timeline {
			continue
		}
		if have.LSN < s.LSN {
			return have, false, nil // the rest of the old timeline comes first
		}
		return target.Position{Timeline: next(i), LSN: s.LSN}, have.LSN > s.LSN, nil
	}
	// The server left our line earlier: go on from where both were one.
	for i := len(line) - 1; i >= 0; i-- {
		for _, h := range held {
			if h.Timeline == line[i].Timeline {
				return target.Position{Timeline: next(i), LSN: line[i].LSN}, true, nil
			}
		}
	}
	return at, false, fmt.Errorf("timeline %d shares no history with the log held on timeline %d: %w", server.Timeline, have.Timeline, ErrWrongCluster)
}

// serverClock knows which position contains everything that was committed
// before a moment on the server's clock. The server tells the end of its log
// and its time with what it sends.
type serverClock struct {
	seen []moment // both ascending
}

type moment struct {
	end target.LSN
	at  time.Time
}

const clockGrain = 50 * time.Millisecond // moments closer than this replace each other

func (c *serverClock) observe(end target.LSN, at time.Time) {
	n := len(c.seen)
	if n > 0 && (end < c.seen[n-1].end || !at.After(c.seen[n-1].at)) {
		return
	}
	if n > 0 && (c.seen[n-1].end == end || n > 1 && c.seen[n-1].at.Sub(c.seen[n-2].at) < clockGrain) {
		c.seen[n-1] = moment{end, at}
		return
	}
	c.seen = append(c.seen, moment{end, at})
}

// at returns the latest moment up to which the log before p is complete; zero
// when unknown.
func (c *serverClock) at(p target.LSN) time.Time {
	var t time.Time
	for _, m := range c.seen {
		if m.end > p {
			break
		}
		t = m.at
	}
	return t
}

// forget drops moments that at(p) no longer needs.
func (c *serverClock) forget(p target.LSN) {
	for len(c.seen) > 1 && c.seen[1].end <= p {
		c.seen = c.seen[1:]
	}
}

func (c *serverClock) reset() { c.seen = nil }
