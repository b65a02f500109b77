package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/status"
)

// updateFresh is how old an update may be that is sent for the first time.
const updateFresh = 24 * time.Hour

// updateBox sees updates through to each contact, by the same senders, pauses
// and limits as pages. What is to be sent follows from what was published, so
// that none is lost; every attempt is stored.
type updateBox struct {
	store pagingStore
	pager *pager
	log   *slog.Logger
	sends sync.WaitGroup
	// link makes the address that acknowledges an update; nil, or an empty answer,
	// for none.
	link func(incident, update, reader string, now time.Time) string

	mu  sync.Mutex
	all map[string]*UpdateDelivery // by ID: not ended, or ended and not written down
}

func newUpdateBox(store pagingStore, p *pager, log *slog.Logger) *updateBox {
	return &updateBox{store: store, pager: p, log: log, all: map[string]*UpdateDelivery{}}
}

// load takes up what was on its way.
func (b *updateBox) load(ctx context.Context) error {
	records, err := b.store.OpenRecords(ctx, kindAnnouncement)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range records {
		var d UpdateDelivery
		if err := r.Read(&d); err != nil { // the others go out all the same
			b.log.ErrorContext(ctx, "take up an update's delivery", "delivery", r.ID, "error", err)
			continue
		}
		b.all[d.ID] = &d
	}
	return nil
}

func (b *updateBox) keep(ctx context.Context, d UpdateDelivery) error {
	r, err := alert.NewRecord(kindAnnouncement, d.ID, "", d.State == alert.Waiting, d.CreatedAt, d)
	if err != nil {
		return err
	}
	return b.store.Save(ctx, r)
}

// put stores a delivery to be sent, unless there is one of that ID already.
func (b *updateBox) put(ctx context.Context, d *UpdateDelivery) error {
	b.mu.Lock()
	_, here := b.all[d.ID]
	b.mu.Unlock()
	if here {
		return nil
	}
	r, err := b.store.OneRecord(ctx, kindAnnouncement, d.ID)
	switch {
	case err == nil:
		old := UpdateDelivery{}
		if err := r.Read(&old); err != nil {
			return err
		}
		d = &old // what came of it was not written down
	case !errors.Is(err, status.ErrNothing):
		return err
	default:
		if err := b.keep(ctx, *d); err != nil {
			return err
		}
	}
	b.mu.Lock()
	b.all[d.ID] = d
	b.mu.Unlock()
	return nil
}

// work begins all attempts that are due, and returns what ended, to be written
// down in the incidents.
func (b *updateBox) work(ctx context.Context, incidents []*incident.State, now time.Time) map[string][]incident.Command {
	for _, s := range incidents {
		if err := b.fill(ctx, s, now); err != nil && ctx.Err() == nil {
			b.log.ErrorContext(ctx, "prepare an update's deliveries; trying again", "incident", s.ID, "error", err)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	out := map[string][]incident.Command{}
	first := b.first()
	for id, d := range b.all {
		switch {
		case d.flying, d.State == alert.Waiting && d.Order > first[d.Contact.ID] && first[d.Contact.ID] > 0:
		case d.State == alert.Waiting && !d.NotBefore.After(now):
			d.flying = true
			m := d.message(now)
			if b.link != nil && d.acknowledged() {
				m.AckURL = b.link(d.Incident, d.Update, d.reader(), now)
			}
			b.sends.Go(func() { b.attempt(ctx, d, m) })
		case d.State != alert.Waiting:
			if b.told(incidents, d) {
				delete(b.all, id)
			} else {
				out[d.Incident] = append(out[d.Incident], d.result())
			}
		}
	}
	return out
}

// first is, for each contact that is told something in order, what comes next.
func (b *updateBox) first() map[string]int64 {
	out := map[string]int64{}
	for _, d := range b.all {
		if c := d.Contact.ID; d.Order > 0 && d.State == alert.Waiting && (out[c] == 0 || d.Order < out[c]) {
			out[c] = d.Order
		}
	}
	return out
}

// told reports that what came of a delivery is written down in its incident.
func (b *updateBox) told(incidents []*incident.State, d *UpdateDelivery) bool {
	if d.Notice {
		return true
	}
	i := slices.IndexFunc(incidents, func(s *incident.State) bool { return s.ID == d.Incident })
	if i < 0 {
		return true
	}
	u := incidents[i].Update(d.Update)
	return u == nil || slices.ContainsFunc(u.Deliveries, func(x incident.DeliveryResult) bool { return x.Contact == d.Contact.ID })
}

// fill makes the deliveries of what was published and has not come to an end.
func (b *updateBox) fill(ctx context.Context, s *incident.State, now time.Time) error {
	for _, u := range s.Updates {
		for _, r := range u.To {
			if len(u.Deliveries) == len(u.To) || slices.ContainsFunc(u.Deliveries, func(x incident.DeliveryResult) bool { return x.Contact == r.Contact }) {
				continue
			}
			contact := alert.Contact{ID: r.Contact, Via: alert.Via(r.Via), Address: r.Address}
			d := &UpdateDelivery{
				AlertDelivery: alert.Delivery{ID: strings.Join([]string{s.ID, u.ID, r.Contact}, "."), AlertID: s.ID, Kind: alert.Announcement, Person: r.Person, Contact: contact, State: alert.Waiting, CreatedAt: u.At, NotBefore: u.At},
				Incident:      s.ID, Update: u.ID, Audience: u.Audience, Subject: u.Subject, Text: u.Text, Over: u.Status == incident.Resolved,
			}
			if now.Sub(u.At) > updateFresh {
				d.State, d.Error = alert.Failed, fmt.Sprintf("not sent: no server ran for %s after it was published", spanWords(updateFresh))
			}
			if err := b.put(ctx, d); err != nil {
				return err
			}
		}
	}
	return nil
}

// result is what came of a delivery.
func (d *UpdateDelivery) result() incident.Command {
	at := d.SentAt
	if at.IsZero() && len(d.All) > 0 {
		at = d.All[len(d.All)-1].At
	}
	if at.IsZero() {
		at = d.CreatedAt
	}
	return incident.RecordDelivery{OK: d.State == alert.Sent, Delivered: incident.Delivered{
		Update: d.Update, Contact: d.Contact.ID, Person: d.Person, At: at, Attempts: len(d.All), Said: d.Said, Error: d.Error,
	}}
}

// message holds what was published and nothing else of the incident.
func (d *UpdateDelivery) message(now time.Time) alert.Message {
	state := alert.Firing
	if d.Over {
		state = alert.Resolved
	}
	m := alert.Message{ID: "refloat." + d.ID, Kind: d.Kind, To: d.Contact, Person: d.Person, Subject: d.Subject, Body: d.Text + "\n", At: now}
	m.Alert = alert.Alert{ID: d.Incident, State: state, StartedAt: d.CreatedAt, Count: 1, Signal: alert.Signal{
		Key: "incident/" + d.Incident, Code: "incident-update", At: d.CreatedAt, Firing: state == alert.Firing, Source: "refloat", Summary: d.Subject,
	}}
	if d.Audience == incident.Responders && !d.Notice {
		m.AckCommand = "refloat incident update " + d.Incident + " --ack " + d.Update
	}
	return m
}

// acknowledged reports that its reader is asked to say that they have read it.
// Clients are not.
func (d *UpdateDelivery) acknowledged() bool {
	return !d.Notice && d.Update != "" && (d.Audience == incident.Responders || d.Audience == incident.Teams)
}

// reader is who it is sent to: a person, or a contact that is nobody's own.
func (d *UpdateDelivery) reader() string { return cmp.Or(d.Person, d.Contact.ID) }

// attempt tries once and stores what came of it.
func (b *updateBox) attempt(ctx context.Context, d *UpdateDelivery, m alert.Message) {
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), sendWithin)
	defer cancel()
	receipt, err := b.pager.o.Sender.Send(limited, m)
	try := alert.Attempt{At: time.Now(), Said: receipt.Said}
	if err != nil {
		try.Error, try.Refused = err.Error(), errors.Is(err, alert.ErrRefused)
	}
	b.pager.mu.Lock()
	if b.pager.known(d.Contact.ID) {
		b.pager.noteChannel(d.AlertDelivery, try)
	}
	b.pager.mu.Unlock()
	b.mu.Lock()
	d.All = append(d.All, try)
	d.AlertDelivery = d.After(d.All)
	x := *d
	x.All = slices.Clone(d.All)
	b.mu.Unlock()
	if err := b.keep(context.WithoutCancel(ctx), x); err != nil {
		b.log.ErrorContext(ctx, "store an attempt to send an update", "update", d.ID, "error", err)
	}
	log := b.log.With("incident", d.Incident, "update", d.Update, "contact", d.Contact.ID, "attempt", len(x.All))
	switch {
	case err == nil:
		log.Info("sent", "said", receipt.Said)
	case x.State == alert.Failed:
		log.Error("an update could not be sent, and is given up", "error", err)
	default:
		log.Warn("an update could not be sent; trying again", "error", err, "at", x.NotBefore)
	}
	b.mu.Lock()
	d.flying = false
	b.mu.Unlock()
}

// signals are updates that do not reach somebody, while that matters.
func (b *updateBox) signals(s *incident.State, now time.Time) []alert.Signal {
	missing := map[string][]string{}
	b.mu.Lock()
	for _, d := range b.all {
		if d.Incident == s.ID && !d.Notice && d.Failing() {
			missing[d.Update] = append(missing[d.Update], d.Contact.ID)
		}
	}
	b.mu.Unlock()
	var out []alert.Signal
	for _, u := range s.Updates {
		for _, x := range u.Deliveries {
			if !x.OK && !slices.Contains(missing[u.ID], x.Contact) && s.Open() && s.LastUpdate(u.Audience).ID == u.ID {
				missing[u.ID] = append(missing[u.ID], x.Contact)
			}
		}
		if names := missing[u.ID]; len(names) > 0 && now.Sub(u.At) < updateFresh {
			slices.Sort(names)
			out = append(out, alert.Signal{
				Key: "incident-unheard/" + s.ID + "/" + u.ID, Code: "incident-unheard", At: u.At, Severity: alert.High,
				Summary: fmt.Sprintf("%s: update %s to %s does not reach %s", s.ID, u.ID, u.Audience, strings.Join(names, ", ")),
				Next:    "tell them another way; refloat incident show " + s.ID + " has each attempt",
			})
		}
	}
	return out
}
