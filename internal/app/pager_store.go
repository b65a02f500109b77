package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/refloat-db/refloat/internal/alert"
)

// pagingStore is what the pager needs of the store.
type pagingStore interface {
	Save(ctx context.Context, all ...alert.Record) error
	OpenRecords(ctx context.Context, kind string) ([]alert.Record, error)
	OneRecord(ctx context.Context, kind, id string) (alert.Record, error)
}

// load takes up what the server before this one left.
func (p *pager) load(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for kind, take := range map[string]func(alert.Record) error{
		alert.KindAlert: func(r alert.Record) error {
			a := &alert.Alert{}
			p.alerts[r.ID] = a
			return r.Read(a)
		},
		alert.KindChain: func(r alert.Record) error {
			var c alert.Chain
			err := r.Read(&c)
			p.chains[r.ID] = c
			return err
		},
		alert.KindDelivery: func(r alert.Record) error {
			d := &onItsWay{}
			p.deliveries[r.ID] = d
			err := r.Read(d)
			d.Perhaps = d.Perhaps || d.State == alert.Waiting
			return err
		},
		alert.KindChannel: func(r alert.Record) error {
			var c alert.Channel
			err := r.Read(&c)
			p.channels[r.ID] = c
			return err
		},
		alert.KindSilence: func(r alert.Record) error {
			var s alert.Silence
			err := r.Read(&s)
			p.silences[r.ID] = s
			return err
		},
	} {
		all, err := p.store.OpenRecords(ctx, kind)
		if err != nil {
			return fmt.Errorf("take up alerts: %w", err)
		}
		for _, r := range all {
			if err := take(r); err != nil {
				p.unreadable(kind, r.ID, err)
			}
		}
	}
	p.loadEnded(ctx)
	return nil
}

// unreadable leaves out a record that cannot be read, and says so: a server that
// did not start for it would watch and page for nothing at all. Call with mu held.
func (p *pager) unreadable(kind, id string, err error) {
	p.o.Logger.Error("a record of the pager cannot be read, and is left out", "kind", kind, "id", id, "error", err)
	switch kind {
	case alert.KindAlert:
		delete(p.alerts, id)
	case alert.KindChain:
		delete(p.chains, id)
	case alert.KindDelivery:
		delete(p.deliveries, id)
	case alert.KindSilence:
		delete(p.silences, id)
	case alert.KindChannel:
		delete(p.channels, id)
	}
}

// loadEnded loads ended alerts of which something is still to be sent. Call with
// mu held.
func (p *pager) loadEnded(ctx context.Context) {
	for id, d := range p.deliveries {
		if p.alerts[d.AlertID] != nil {
			continue
		}
		a := &alert.Alert{}
		r, err := p.store.OneRecord(ctx, alert.KindAlert, d.AlertID)
		if err == nil {
			err = r.Read(a)
		}
		if err != nil {
			p.unreadable(alert.KindDelivery, id, err)
			continue
		}
		p.alerts[a.ID] = a
	}
}

// keepDelivery notes that a delivery is to be stored. It stays open, and is
// loaded again after a restart, as long as its alert is: the chain decides from
// all of them. Call with mu held.
func (p *pager) keepDelivery(d *onItsWay) {
	a := p.alerts[d.AlertID]
	open := d.State == alert.Waiting || a != nil && a.State == alert.Firing
	p.keep(alert.KindDelivery, d.ID, "", open, d.CreatedAt, d)
}

// keep notes that a value is to be stored. Call with mu held.
func (p *pager) keep(kind, id, target string, open bool, at time.Time, value any) {
	r, err := alert.NewRecord(kind, id, target, open, at, value)
	if err != nil {
		p.o.Logger.Error("record what pages", "error", err)
		return
	}
	p.dirty[kind+"/"+id] = r
}

// errNotKept means that the store does not take what was told.
var errNotKept = errors.New("it could not be kept")

// kept waits until everything told so far is stored.
func (p *pager) kept(ctx context.Context) error {
	p.settle(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.storeFails || p.saving != nil || len(p.dirty) > 0 {
		return errNotKept
	}
	return nil
}

// find is an alert that is open or ended lately.
func (p *pager) find(id string) (alert.Alert, error) {
	p.mu.Lock()
	if a := p.alerts[id]; a != nil {
		defer p.mu.Unlock()
		return *a, nil
	}
	p.mu.Unlock()
	r, err := p.store.OneRecord(context.Background(), alert.KindAlert, id)
	if err != nil {
		return alert.Alert{}, err
	}
	var a alert.Alert
	return a, r.Read(&a)
}

// settle stores what is not stored yet, and waits for a save that is under way;
// for at most saveWithin.
func (p *pager) settle(ctx context.Context) {
	deadline := time.Now().Add(saveWithin)
	for {
		p.save(ctx)
		p.mu.Lock()
		under, done := p.saving, p.saving == nil && len(p.dirty) == 0 || p.storeFails
		p.mu.Unlock()
		if done || time.Now().After(deadline) {
			return
		}
		if under != nil {
			select {
			case <-under:
			case <-time.After(time.Until(deadline)):
				return
			}
		}
	}
}

// save stores what is not stored yet. A store that fails or hangs does not hold
// up what has to be sent: it is tried again at each step.
func (p *pager) save(ctx context.Context) {
	p.mu.Lock()
	if p.saving != nil || len(p.dirty) == 0 {
		p.mu.Unlock()
		return
	}
	batch, done := p.dirty, make(chan struct{})
	p.dirty, p.saving = map[string]alert.Record{}, done
	p.mu.Unlock()
	go func() {
		records := make([]alert.Record, 0, len(batch))
		for _, r := range batch {
			records = append(records, r)
		}
		p.saved(batch, p.store.Save(context.WithoutCancel(ctx), records...))
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(saveWithin):
		p.o.Logger.Error("the store hangs; paging goes on from memory")
	}
}

// saved takes the outcome of a save into account.
func (p *pager) saved(batch map[string]alert.Record, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.saving = nil
	if err != nil && !p.storeFails {
		p.o.Logger.Error("the store does not take what pages; going on from memory", "error", err)
	}
	p.storeFails = err != nil
	if err == nil {
		return
	}
	for key, r := range batch {
		if _, newer := p.dirty[key]; !newer {
			p.dirty[key] = r
		}
	}
}
