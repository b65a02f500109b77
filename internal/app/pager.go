package app

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/tracing"
)

// How the pager works.
const (
	sendWithin   = 12 * time.Second // one attempt; two that hang, and the chain moves on
	saveWithin   = 2 * time.Second  // longer, and the pager goes on from memory
	pagerAtLeast = time.Second      // it looks at everything so often whatever happens
	keepEnded    = 10 * time.Minute // ended alerts stay in memory: they may explain others
)

// Charge is who answers for a target, and how grave its trouble is.
type Charge struct {
	Team    string
	Tier    alert.Severity
	Planned []alert.Window // work during which nobody is paged about it
}

// PagerOptions are what a pager is given.
type PagerOptions struct {
	Roster  alert.Roster
	Charges map[string]Charge // by target
	Sender  alert.Sender      // routes by the message's contact
	Tests   alert.TestRules
	// AckURL makes the link that acknowledges an alert; nil, or an empty answer,
	// for none.
	AckURL func(alertID, person string, now time.Time) string
	Trace  *tracing.Tracer // nil for none
	// ReplyTo is the address that acknowledges it by mail; nil for none.
	ReplyTo func(alertID, person string) string
	Logger  *slog.Logger
}

// pager turns signals into alerts and alerts into deliveries, and sees every
// delivery through. What it decides is stored before it is sent; when the store
// fails it goes on from memory and stores later.
type pager struct {
	o      PagerOptions
	store  pagingStore
	record recordFunc
	woken  chan struct{}
	sends  sync.WaitGroup

	mu         sync.Mutex
	alerts     map[string]*alert.Alert // open, and lately ended
	chains     map[string]alert.Chain  // by alert
	deliveries map[string]*onItsWay
	silences   map[string]alert.Silence
	channels   map[string]alert.Channel // by contact
	lookedAt   time.Time                // everything was last looked at
	dirty      map[string]alert.Record  // by kind and ID: not stored yet
	saving     chan struct{}            // closed when the save that is under way has ended; nil for none
	storeFails bool
}

// onItsWay is a delivery with its attempts, as it is stored.
type onItsWay struct {
	alert.Delivery
	All []alert.Attempt `json:"all"`
	// Perhaps marks one that was on its way when a server ended: it may have
	// arrived.
	Perhaps bool `json:"perhaps,omitempty"`

	flying bool
}

func newPager(o PagerOptions, store pagingStore, record recordFunc) *pager {
	return &pager{
		o: o, store: store, record: record, woken: make(chan struct{}, 1), alerts: map[string]*alert.Alert{}, chains: map[string]alert.Chain{},
		deliveries: map[string]*onItsWay{}, silences: map[string]alert.Silence{}, channels: map[string]alert.Channel{}, dirty: map[string]alert.Record{},
	}
}

// looked is how long ago the pager last looked at everything.
func (p *pager) looked(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return now.Sub(p.lookedAt)
}

func (p *pager) wake() {
	select {
	case p.woken <- struct{}{}:
	default:
	}
}

// run works until ctx ends and every attempt under way has ended.
func (p *pager) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			p.sends.Wait()
			p.settle(ctx)
			return
		case <-p.woken:
		case <-timer.C:
		}
		now := time.Now()
		next := p.step(ctx, now)
		timer.Reset(min(max(next.Sub(now), 0), pagerAtLeast))
	}
}

// Signal takes a signal into account and wakes the pager.
func (p *pager) Signal(ctx context.Context, s alert.Signal) {
	p.mu.Lock()
	if c, ok := p.o.Charges[s.Target]; ok {
		s.Severity = alert.SeverityFor(c.Tier, s.Severity)
		if s.Team == "" {
			s.Team = c.Team
		}
	}
	before := p.open(s.Key)
	a, change := alert.Take(before, s, newID)
	told := change == alert.Repeated && before.Signal.Summary == s.Summary && before.Signal.Detail == s.Detail
	if told {
		before.Count++ // kept with the next change: it is told every second
	} else if change != alert.Nothing {
		kept := a // a itself goes to the journal, outside the lock
		p.alerts[a.ID] = &kept
		p.keep(alert.KindAlert, a.ID, a.Signal.Target, a.State == alert.Firing, a.StartedAt, a)
		if change == alert.Ended {
			p.notify(a, "resolved", a.ResolvedAt)
		}
	}
	p.mu.Unlock()
	if change == alert.Nothing || told {
		return
	}
	p.wake()
	if change == alert.Opened {
		p.traceOpened(a, time.Now())
	}
	if change != alert.Repeated {
		p.record(ctx, "alert/"+a.ID, "alert."+string(change), a)
	}
}

// open is the open alert with a key; nil when there is none. Call with mu held.
func (p *pager) open(key string) *alert.Alert {
	for _, a := range p.alerts {
		if a.State == alert.Firing && a.Signal.Key == key {
			return a
		}
	}
	return nil
}

// openAlert is the open alert with a key.
func (p *pager) openAlert(key string) (alert.Alert, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if a := p.open(key); a != nil {
		return *a, true
	}
	return alert.Alert{}, false
}

func newID() string {
	var b [6]byte          // of years of alerts no two are the same
	_, _ = rand.Read(b[:]) // never fails, crypto/rand
	return hex.EncodeToString(b[:])
}

// errNoAlert means that an alert is unknown or has ended.
var errNoAlert = errors.New("no such open alert")

// Acknowledge stops an alert's chain. It waits until that is stored, but no
// longer than a store that fails or hangs is waited for.
func (p *pager) Acknowledge(ctx context.Context, id, by string, at time.Time) (alert.Alert, error) {
	p.mu.Lock()
	a := p.alerts[id]
	if a == nil || a.State != alert.Firing {
		p.mu.Unlock()
		return alert.Alert{}, fmt.Errorf("%w: %s; refloat alerts lists them", errNoAlert, id)
	}
	fresh := a.AcknowledgedAt.IsZero()
	if fresh {
		a.AcknowledgedAt, a.AcknowledgedBy = at, by
		p.noteAnswer(a, at)
		p.keep(alert.KindAlert, a.ID, a.Signal.Target, a.State == alert.Firing, a.StartedAt, *a)
		p.notify(*a, "acknowledged", at)
	}
	out := *a
	p.mu.Unlock()
	if fresh {
		p.traceAnswered(out)
		p.settle(ctx)
		p.wake()
		p.record(ctx, "alert/"+id, "alert.acknowledged", map[string]any{"by": by, "at": at, "after": at.Sub(out.StartedAt).String()})
	}
	return out, nil
}

// Silence begins or replaces a silence; one whose time is over ends it.
func (p *pager) Silence(ctx context.Context, s alert.Silence) {
	p.mu.Lock()
	p.silences[s.ID] = s
	p.keep(alert.KindSilence, s.ID, s.Target, time.Now().Before(s.Until), s.From, s)
	p.mu.Unlock()
	p.settle(ctx)
	p.wake()
	p.record(ctx, "silence/"+s.ID, "silence.set", s)
}

// notify tells those who were paged that there is nothing more to do. Call with
// mu held.
func (p *pager) notify(a alert.Alert, why string, at time.Time) {
	told := map[string]bool{}
	for _, d := range p.of(a.ID) {
		reached := d.State == alert.Sent || d.State == alert.Cancelled && p.deliveries[d.ID].Perhaps
		if d.Kind != alert.Page || !reached || told[d.Contact.ID] || why == "acknowledged" && d.Person == a.AcknowledgedBy {
			continue
		}
		told[d.Contact.ID] = true
		n := alert.Delivery{ID: a.ID + "." + why + "." + d.Contact.ID, AlertID: a.ID, Kind: alert.Notice, Person: d.Person, Contact: d.Contact, State: alert.Waiting, CreatedAt: at, NotBefore: at}
		p.put(&onItsWay{Delivery: n})
	}
}

// of lists the deliveries of an alert. Call with mu held.
func (p *pager) of(alertID string) []alert.Delivery {
	var out []alert.Delivery
	for _, d := range p.deliveries {
		if d.AlertID == alertID {
			out = append(out, d.Delivery)
		}
	}
	slices.SortFunc(out, func(a, b alert.Delivery) int { return a.CreatedAt.Compare(b.CreatedAt) })
	return out
}

func (p *pager) put(d *onItsWay) {
	p.deliveries[d.ID] = d
	p.keepDelivery(d)
}

// step does all that is due now and says when to look again.
func (p *pager) step(ctx context.Context, now time.Time) time.Time {
	p.mu.Lock()
	p.lookedAt = now
	next := now.Add(pagerAtLeast)
	sooner := func(t time.Time) {
		if !t.IsZero() && t.Before(next) {
			next = t
		}
	}
	all := make([]alert.Alert, 0, len(p.alerts))
	for _, a := range p.alerts {
		all = append(all, *a)
	}
	silences := make([]alert.Silence, 0, len(p.silences))
	for id, s := range p.silences {
		silences = append(silences, s)
		if !now.Before(s.Until) {
			delete(p.silences, id)
			p.keep(alert.KindSilence, id, s.Target, false, s.From, s)
		}
	}
	for _, c := range p.o.Charges {
		silences = append(silences, planned(c.Planned, now)...)
	}
	slices.SortFunc(all, func(a, b alert.Alert) int { return a.StartedAt.Compare(b.StartedAt) })
	for _, x := range all {
		a := p.alerts[x.ID]
		if alert.Release(a, all, silences, now) {
			p.keep(alert.KindAlert, a.ID, a.Signal.Target, true, a.StartedAt, *a)
		}
		sooner(p.escalate(a, now))
		p.forget(a, now)
	}
	p.mu.Unlock()
	p.save(ctx)
	sooner(p.send(ctx, now))
	return next
}

// planned are the silences of windows, those that hold and the next of each.
func planned(all []alert.Window, now time.Time) []alert.Silence {
	var out []alert.Silence
	for _, w := range all {
		if s, comes := w.Silence(now); comes {
			out = append(out, s)
		}
	}
	return out
}

// escalate moves an alert's chain on. Call with mu held.
func (p *pager) escalate(a *alert.Alert, now time.Time) time.Time {
	chain, has := p.chains[a.ID]
	switch {
	case !has && (a.PagedFrom.IsZero() || a.Settled() || len(p.o.Roster.People)+len(p.o.Roster.Teams) == 0):
		return time.Time{}
	case !has:
		chain = alert.Begin(*a, p.o.Roster.PolicyOf(a.Signal.Team), a.PagedFrom)
		a.Policy = chain.Policy.Name
		p.keep(alert.KindAlert, a.ID, a.Signal.Target, true, a.StartedAt, *a)
	}
	d := chain.Due(now, *a, p.o.Roster, p.of(a.ID))
	for _, n := range d.Create {
		p.put(&onItsWay{Delivery: n})
	}
	for _, id := range d.Cancel {
		if x := p.deliveries[id]; x != nil {
			x.State = alert.Cancelled
			p.keepDelivery(x)
		}
	}
	if len(d.Create) > 0 || !has || d.Chain.Stopped() != chain.Stopped() || d.Chain.Round != chain.Round || d.Chain.Step != chain.Step {
		p.keep(alert.KindChain, a.ID, a.Signal.Target, a.State == alert.Firing, d.Chain.BeganAt, d.Chain)
	}
	if d.Nobody {
		p.o.Logger.Error("an alert reaches nobody", "alert", a.ID, "summary", a.Signal.Summary)
	}
	p.chains[a.ID] = d.Chain
	return d.Next
}

// forget drops from memory what ended a while ago and is seen through. Call with
// mu held.
func (p *pager) forget(a *alert.Alert, now time.Time) {
	if a.State == alert.Firing || now.Sub(a.ResolvedAt) < keepEnded {
		return
	}
	for _, d := range p.of(a.ID) {
		if d.State == alert.Waiting {
			return
		}
	}
	for _, d := range p.of(a.ID) {
		p.keepDelivery(p.deliveries[d.ID])
		delete(p.deliveries, d.ID)
	}
	delete(p.chains, a.ID)
	delete(p.alerts, a.ID)
}
