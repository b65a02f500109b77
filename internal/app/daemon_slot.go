package app

import (
	"context"
	"fmt"
	"time"

	"github.com/refloat-db/refloat/internal/status"
	"github.com/refloat-db/refloat/internal/target"
)

// slotOnce looks at the slot, and gives it up past its bound.
func (w *watch) slotOnce(ctx context.Context) {
	w.mu.Lock()
	drops := w.drops
	w.mu.Unlock()
	limited, cancel := context.WithTimeout(ctx, slotTimeout)
	defer cancel()
	v, err := w.Slot(limited)
	if ctx.Err() != nil {
		return
	}
	w.watchLog(ctx, err)
	if err != nil {
		return
	}
	w.mu.Lock()
	w.slot = status.Slot{Slot: v.Slot, Bound: w.SlotBound, SeenAt: time.Now().UTC()}
	w.server = v.Server
	seen, restart := w.slot, w.restart
	over := w.GiveUp != nil && PastBound(v.Slot, w.SlotBound) && drops == w.drops
	if over {
		w.giveUp = &v.Slot
	}
	w.mu.Unlock()
	if err := w.mem.Keep(ctx, w.Target, status.FactSlot, seen.SeenAt, seen); err != nil {
		w.complain(ctx, "record the slot", err)
	}
	if over && restart != nil {
		restart() // the receiver lets go of the slot, then it is dropped
	}
}

// PastBound decides whether a slot is given up: rather lose the log than fill
// the disk of the server that people work with.
func PastBound(s target.Slot, bound int64) bool {
	return bound > 0 && s.Exists && s.Retained > bound
}

// dropSlot gives the slot up if that was decided, and reports whether it was.
func (w *watch) dropSlot(ctx context.Context) bool {
	w.mu.Lock()
	s := w.giveUp
	w.mu.Unlock()
	if s == nil {
		return false
	}
	limited, cancel := context.WithTimeout(ctx, giveUpWithin)
	defer cancel()
	err := w.GiveUp(limited, *s)
	w.mu.Lock()
	w.giveUp = nil // after a failure it is decided anew at the next look
	w.drops++
	w.mu.Unlock()
	if err != nil {
		w.complain(ctx, "give up the slot", err)
		return false
	}
	w.record(ctx, "target/"+string(w.Target), "slot.given-up", s)
	w.raise(ctx, status.Alarm{
		Code: status.AlarmSlotGone, Key: s.RestartLSN.String(),
		Detail: fmt.Sprintf("the slot %s held %d MiB of log on the server, more than %d MiB, and was given up so that the server's disk does not fill", s.Name, s.Retained>>20, w.SlotBound>>20),
		Next:   "a new slot and base backup are made by themselves; find out why log did not reach the repository",
	})
	w.enqueue(ctx, w.Target, JobBackup, "slot given up at "+s.RestartLSN.String())
	return true
}
