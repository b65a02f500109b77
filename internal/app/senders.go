package app

import (
	"context"
	"fmt"

	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/alert/chat"
	"github.com/refloat-db/refloat/internal/alert/webhook"
	"github.com/refloat-db/refloat/internal/config"
	"github.com/refloat-db/refloat/internal/schedule"
)

// senders route a message by its contact.
type senders struct {
	byContact map[string]alert.Sender
}

var _ alert.Sender = senders{}

// newSenders makes a sender for every contact of the configuration; a contact
// that cannot be used is an error now, not at 02:00.
func newSenders(c config.Config) (senders, error) {
	out := senders{byContact: map[string]alert.Sender{}}
	var mail alert.Sender
	for id, x := range c.Contacts() {
		var err error
		switch alert.Via(x.Via) {
		case alert.Email:
			if mail == nil {
				mail, err = mailSender(c.Email)
			}
			out.byContact[id] = mail
		case alert.Webhook:
			out.byContact[id], err = webhook.New(webhook.Options{URL: x.URL, Secret: x.Secret, Version: Version})
		case alert.Chat:
			out.byContact[id], err = chat.New(x.URL)
		default:
			err = fmt.Errorf("there is no way called %s", x.Via)
		}
		if err != nil {
			return senders{}, fmt.Errorf("contact %s: %w", id, err)
		}
	}
	return out, nil
}

// Send implements alert.Sender.
func (s senders) Send(ctx context.Context, m alert.Message) (alert.Receipt, error) {
	to := s.byContact[m.To.ID]
	if to == nil {
		return alert.Receipt{}, fmt.Errorf("%w: contact %s is no longer in the configuration", alert.ErrRefused, m.To.ID)
	}
	return to.Send(ctx, m)
}

// windows are a target's times of planned work.
func windows(name string, t config.Target) ([]alert.Window, error) {
	var out []alert.Window
	for _, m := range t.Maintenance {
		w := alert.Window{Target: name, Owner: m.Owner, Reason: m.Reason, From: m.Begin, Until: m.End, Lasts: m.For.Std()}
		if m.Schedule != "" {
			when, err := schedule.Cron(string(m.Schedule), m.Place)
			if err != nil {
				return nil, fmt.Errorf("planned work on %s: %w", name, err)
			}
			w.Begins = when
		}
		out = append(out, w)
	}
	return out, nil
}

// paging is what the server's pager is given.
func (a *App) paging() (PagerOptions, error) {
	s, err := newSenders(a.cfg)
	if err != nil {
		return PagerOptions{}, err
	}
	o := PagerOptions{Roster: a.cfg.Roster, Sender: s, Tests: alert.TestRules{Every: a.cfg.PageTests.Every.Std(), Answer: a.cfg.PageTests.AnswerWithin.Std()}, Charges: map[string]Charge{}}
	for name, t := range a.cfg.Targets {
		planned, err := windows(name, t)
		if err != nil {
			return PagerOptions{}, err
		}
		o.Charges[name] = Charge{Team: t.Team, Tier: alert.Severity(t.Tier), Planned: planned}
	}
	return o, nil
}
