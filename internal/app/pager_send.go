package app

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/server"
)

// send begins every attempt that is due, each in a goroutine of its own: one
// slow service holds up no other. It says when the next is due.
func (p *pager) send(ctx context.Context, now time.Time) (next time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, d := range p.deliveries {
		if d.State != alert.Waiting || d.flying {
			continue
		}
		if d.NotBefore.After(now) {
			if next.IsZero() || d.NotBefore.Before(next) {
				next = d.NotBefore
			}
			continue
		}
		a := p.alerts[d.AlertID]
		if a == nil || d.Kind == alert.Page && a.HeldBy != "" {
			continue // a silence holds back what was to be tried again, too
		}
		d.flying = true
		m := p.message(*a, d.Delivery, now)
		p.sends.Go(func() { p.attempt(ctx, d, m) })
	}
	return next
}

// message is what a delivery says now. Call with mu held.
func (p *pager) message(a alert.Alert, d alert.Delivery, now time.Time) alert.Message {
	zone := time.UTC
	if who, ok := p.o.Roster.People[d.Person]; ok && who.Zone != nil {
		zone = who.Zone
	}
	m := alert.Message{ID: "refloat." + d.ID, Kind: d.Kind, To: d.Contact, Person: d.Person, Alert: a, At: now}
	m.Subject, m.Body = alert.Text(a, d.Kind, zone)
	if d.Kind == alert.Page || d.Kind == alert.TestPage {
		m.AckCommand = "refloat ack " + a.ID
		if p.o.AckURL != nil {
			m.AckURL = p.o.AckURL(a.ID, d.Person, now)
		}
		if p.o.ReplyTo != nil && d.Contact.Via == alert.Email {
			m.ReplyTo = p.o.ReplyTo(a.ID, d.Person)
		}
	}
	return m
}

// count is what metrics show.
func (p *pager) count() server.Paging {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := server.Paging{Open: map[string]int{}, Unacknowledged: map[string]int{}, Deliveries: map[string]int{}}
	for _, a := range p.alerts {
		if a.State != alert.Firing {
			continue
		}
		out.Open[string(a.Signal.Severity)]++
		if c, has := p.chains[a.ID]; has && c.Policy.Pages(a.Signal.Severity) && !a.Settled() {
			out.Unacknowledged[string(a.Signal.Severity)]++
		}
	}
	for _, d := range p.deliveries {
		state := string(d.State)
		if d.State == alert.Waiting && d.Failing() {
			state = "failing"
		}
		out.Deliveries[state]++
	}
	return out
}

// attempt tries once and keeps what came of it.
func (p *pager) attempt(ctx context.Context, d *onItsWay, m alert.Message) {
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), sendWithin)
	defer cancel()
	began := time.Now()
	receipt, err := p.o.Sender.Send(limited, m)
	try := alert.Attempt{At: time.Now(), Said: receipt.Said}
	if err != nil {
		try.Error, try.Refused = err.Error(), errors.Is(err, alert.ErrRefused)
	}
	p.mu.Lock()
	d.flying = false
	d.All = append(d.All, try)
	before := d.State
	d.Delivery = d.After(d.All)
	if err == nil && before == alert.Cancelled {
		d.State, d.SentAt = alert.Sent, try.At // it was on its way when it was cancelled
	}
	p.keepDelivery(d)
	p.noteChannel(d.Delivery, try)
	x := d.Delivery
	first := x.State == alert.Sent && x.Kind == alert.Page && !slices.ContainsFunc(p.of(x.AlertID), func(o alert.Delivery) bool {
		return o.ID != x.ID && o.Kind == alert.Page && o.State == alert.Sent
	})
	p.mu.Unlock()
	p.traceAttempt(m.Alert, x, began, try, first)
	p.wake()
	log := p.o.Logger.With("alert", x.AlertID, "contact", x.Contact.ID, "kind", string(x.Kind), "attempt", x.Attempts)
	switch {
	case err == nil:
		log.Info("sent", "took", time.Since(began).Round(time.Millisecond), "said", x.Said)
		p.record(ctx, "alert/"+x.AlertID, "page.sent", map[string]any{"delivery": x.ID, "person": x.Person, "contact": x.Contact.ID, "kind": x.Kind, "said": x.Said})
	case x.State == alert.Failed:
		log.Error("could not be sent, and is given up", "error", err)
		p.record(ctx, "alert/"+x.AlertID, "page.failed", map[string]any{"delivery": x.ID, "person": x.Person, "contact": x.Contact.ID, "error": x.Error})
	default:
		log.Warn("could not be sent; trying again", "error", err, "at", x.NotBefore)
	}
}
