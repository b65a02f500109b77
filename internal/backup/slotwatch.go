package backup

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/refloat-db/refloat/internal/target"
)

// errSlotBound cuts a stream whose slot is given up.
var errSlotBound = errors.New("the replication slot held more log on the server than log.max_retained allows, and was given up")

// slotAction is what to do about what the slot holds.
type slotAction int

const (
	slotFine    slotAction = iota
	slotWarn               // more than half of the bound
	slotRelieve            // past the bound: let go of what the spool has
	slotGiveUp             // past it though relieved, and not getting less
)

// judgeSlot decides about a slot. relieved says that the spool has been
// reported as flushed for a whole watch period; before is what the slot held
// at the start of that.
func judgeSlot(s target.Slot, bound int64, relieved bool, before int64) slotAction {
	switch {
	case bound < 0 || !s.Exists || s.Retained <= bound/2:
		return slotFine
	case s.Retained <= bound:
		return slotWarn
	case !relieved, s.Retained < before:
		return slotRelieve
	default:
		return slotGiveUp
	}
}

// watchSlot bounds what our slot keeps the server from removing.
func (r *Receiver) watchSlot(ctx context.Context) error {
	tick := time.NewTicker(r.o.WatchEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := r.watchOnce(ctx); err != nil && ctx.Err() == nil {
			r.fail(err)
			r.o.Logger.Warn("the replication slot could not be looked at", "error", err)
		}
	}
}

func (r *Receiver) watchOnce(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, max(r.o.WatchEvery, time.Second))
	defer cancel()
	slot, err := r.o.Source.Slot(ctx, r.o.Slot)
	if err != nil {
		return err
	}
	r.mu.Lock()
	before := r.st.Slot.Retained
	r.st.Slot = slot
	relieved := r.relieve || r.o.Synchronous
	action := judgeSlot(slot, r.o.MaxRetained, relieved, before)
	switch action {
	case slotFine:
		r.setAlarm("slot", "")
		if r.relieve && r.stored.Timeline == r.have.Timeline && int64(r.have.LSN-min(r.stored.LSN, r.have.LSN)) <= r.o.MaxRetained/2 {
			r.relieve = false // the repository caught up
		}
	case slotWarn:
		r.setAlarm("slot", fmt.Sprintf("the replication slot holds %d MiB of log on the server; at %d MiB it is given up", slot.Retained>>20, r.o.MaxRetained>>20))
	case slotRelieve:
		r.relieve = true
		r.setAlarm("slot", fmt.Sprintf("the replication slot holds %d MiB of log on the server: what the spool has is let go there, before the repository has it", slot.Retained>>20))
	case slotGiveUp:
		r.givenUp = true
		r.setAlarm("slot", fmt.Sprintf("the replication slot was given up: it held %d MiB of log on the server", slot.Retained>>20))
	}
	cut, up := r.cut, r.up
	r.mu.Unlock()
	switch action {
	case slotRelieve:
		signal(r.syncWake)
		signal(r.wake)
	case slotGiveUp:
		if up == nil {
			return nil
		}
		if cut != nil {
			cut(errSlotBound)
		}
		return r.dropSlot(ctx)
	}
	return nil
}

// dropSlot drops our slot, waiting for the server to notice that the stream
// that used it has ended.
func (r *Receiver) dropSlot(ctx context.Context) error {
	for {
		err := r.o.Source.DropSlot(ctx, r.o.Slot)
		if err == nil {
			r.o.Logger.Error("the replication slot was given up", "slot", r.o.Slot)
			return nil
		}
		if !pause(ctx, 100*time.Millisecond) {
			return fmt.Errorf("give up replication slot %s: %w", r.o.Slot, err)
		}
	}
}
