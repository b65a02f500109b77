package app

import (
	"fmt"
	"time"

	"github.com/refloat-db/refloat/internal/store/pgstore"
)

// How the lead goes from one node to another.
const (
	leadEvery = 250 * time.Millisecond // the lease is renewed, or looked at, so often
	// leadLasts is for how long after a renewal a leader is sure that nobody else
	// leads; leadExpires is for how long a lease must stand still before another
	// takes it. The first is shorter, and each is measured by a clock of its own.
	leadLasts   = 2 * time.Second
	leadExpires = 2500 * time.Millisecond
	// leadFreed is for how long the leader's session must be gone: a leader that
	// lives has made a new one by then.
	leadFreed = time.Second
)

// heir decides when a node that stands by takes the lead. It goes by what it saw
// change itself, on one session: a database that was away for a while has kept
// everybody from renewing, and that is no reason to take over.
type heir struct {
	instance string // our own

	seen    pgstore.Lease
	session int
	still   time.Time // since when the lease has not changed, as this session saw it
	held    bool      // this session saw the leader's session
	freed   time.Time // since when it is gone
}

// sees takes a look into account, and says why to take the lead; "" not to.
func (h *heir) sees(l pgstore.Lease, session int, now time.Time) (why string) {
	moved := l.Fence != h.seen.Fence || l.Beat != h.seen.Beat
	if session != h.session || moved || h.still.IsZero() {
		h.still, h.freed = now, time.Time{}
	}
	if session != h.session || l.Fence != h.seen.Fence {
		h.held = false
	}
	h.seen, h.session = l, session
	switch {
	case l.Held:
		h.held, h.freed = true, time.Time{}
	case h.held && h.freed.IsZero():
		h.freed = now
	}
	switch {
	case l.Node == "":
		return "nobody leads"
	case l.Instance == h.instance:
		return "it is this node's already"
	case !h.freed.IsZero() && now.Sub(h.freed) >= leadFreed:
		return fmt.Sprintf("the session of %s ended", l.Node)
	case now.Sub(h.still) >= leadExpires:
		return fmt.Sprintf("%s has not renewed its lease for %s", l.Node, leadExpires)
	}
	return ""
}

// tenure is a time of leading.
type tenure struct {
	fence int64
	good  time.Time // when the last renewal that was taken was sent
}

// sure reports that nobody else can lead at now. The wall clock counts as well:
// the other one stands still while a machine is suspended.
func (t tenure) sure(now time.Time) bool {
	wall := now.Round(0).Sub(t.good.Round(0))
	return max(now.Sub(t.good), wall, -wall) < leadLasts
}
