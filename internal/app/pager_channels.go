package app

import (
	"context"
	"time"

	"github.com/refloat-db/refloat/internal/alert"
)

// noteChannel keeps what an attempt says of its channel. Call with mu held.
func (p *pager) noteChannel(d alert.Delivery, try alert.Attempt) {
	c := p.channels[d.Contact.ID]
	c.Contact, c.Person = d.Contact, d.Person
	if try.Error == "" {
		c.Sent = try.At
	} else {
		c.Failed, c.Error = try.At, try.Error
	}
	p.keepChannel(c)
}

func (p *pager) keepChannel(c alert.Channel) {
	p.channels[c.Contact.ID] = c
	p.keep(alert.KindChannel, c.Contact.ID, "", true, c.Tested, c)
}

// noteAnswer keeps that a test page was answered, and ends it. Call with mu
// held.
func (p *pager) noteAnswer(a *alert.Alert, at time.Time) {
	for _, c := range p.channels {
		if c.Test == a.ID && a.Signal.Code == "page-test" {
			c.Answered = at
			p.keepChannel(c)
			a.State, a.ResolvedAt = alert.Resolved, at
			return
		}
	}
}

// testChannels begins the test pages that are due, and tells of channels that
// do not work.
func (p *pager) testChannels(ctx context.Context, now time.Time) {
	p.mu.Lock()
	due := alert.DueTests(p.o.Roster, p.channels, p.o.Tests, now)
	for _, x := range due {
		p.beginTest(x, now)
	}
	var all []alert.Signal
	for id, c := range p.channels {
		if !p.known(id) {
			c.Failed, c.Tested = time.Time{}, time.Time{} // it is no longer in the configuration
		}
		all = append(all, c.Judge(p.o.Tests, now)...)
	}
	p.mu.Unlock()
	for _, s := range all {
		p.Signal(ctx, s)
	}
	if len(due) > 0 {
		p.wake()
	}
}

// known reports whether a contact is in the configuration.
func (p *pager) known(id string) bool {
	for _, x := range p.o.Roster.People {
		for _, c := range x.Contacts {
			if c.ID == id {
				return true
			}
		}
	}
	for _, x := range p.o.Roster.Teams {
		for _, c := range x.Contacts {
			if c.ID == id {
				return true
			}
		}
	}
	return false
}

// beginTest sends one test page; a test before it that nobody answered ends.
// Call with mu held.
func (p *pager) beginTest(x alert.Reached, now time.Time) {
	s := alert.TestSignal(x, now)
	if old := p.open(s.Key); old != nil {
		old.State, old.ResolvedAt = alert.Resolved, now
		p.keep(alert.KindAlert, old.ID, "", false, old.StartedAt, *old)
	}
	a, _ := alert.Take(nil, s, newID)
	p.alerts[a.ID] = &a
	p.keep(alert.KindAlert, a.ID, "", true, a.StartedAt, a)
	p.put(&onItsWay{Delivery: alert.Delivery{ID: a.ID + ".test." + x.Contact.ID, AlertID: a.ID, Kind: alert.TestPage, Person: x.Person, Contact: x.Contact, State: alert.Waiting, CreatedAt: now, NotBefore: now}})
	c := p.channels[x.Contact.ID]
	c.Contact, c.Person, c.Tested, c.Test = x.Contact, x.Person, now, a.ID
	p.keepChannel(c)
}

// watchChannels tests channels and tells of those that do not work.
func (p *pager) watchChannels(ctx context.Context) {
	every(ctx, coverEvery, func(ctx context.Context) { p.testChannels(ctx, time.Now()) })
}
