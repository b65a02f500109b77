// Package webtest is a desk over fixed data, and the pages to look at with it.
// The storybook serves them, and tests of pages draw them; no server uses it.
package webtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/refloat-db/refloat/internal/access"
	"github.com/refloat-db/refloat/internal/action"
	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/journal"
	"github.com/refloat-db/refloat/internal/proof"
	"github.com/refloat-db/refloat/internal/server"
)

// Desk answers from what it is given. Incidents are folded from events, so that
// what is done in them shows; everything else stays as it is.
type Desk struct {
	Now   time.Time
	Rows  []server.TargetRow // of the board
	Views map[string]server.TargetView
	Found []server.TargetFindings
	// Bells are alerts with their deliveries, newest first.
	Bells  []server.AlertView
	Quiet  []alert.Silence
	Roster server.OnCall
	Conf   server.Settings
	// Written is the journal, oldest first. Entry makes those of a journal that is
	// too long to be held; it has Length of them.
	Written []journal.Entry
	Entry   func(seq int64) journal.Entry
	Length  int64
	Pages   server.PageSimulation
	Err     error // of everything

	mu     sync.Mutex
	events []incident.Event
	todo   []action.Event
	added  chan struct{} // closed when something is added to the journal
	files  map[string][]byte
}

var _ server.Desk = (*Desk)(nil)
var _ server.Recoverer = (*Desk)(nil)

// Board implements server.Desk.
func (d *Desk) Board(ctx context.Context, who access.Principal) (server.Board, error) {
	if d.Err != nil {
		return server.Board{}, d.Err
	}
	b := server.Board{At: d.Now, Seq: d.last(), Node: "refloat-1", Leads: true, Incidents: d.incidents(who, server.IncidentQuery{})}
	for _, r := range d.Rows {
		if who.Has(access.View, r.Team) {
			b.Targets = append(b.Targets, r)
		}
	}
	for _, a := range d.Bells {
		if a.State == alert.Firing && a.AcknowledgedAt.IsZero() && who.Has(access.View, a.Signal.Team) {
			b.Alerts = append(b.Alerts, d.bell(who, a))
		}
	}
	for _, t := range d.Roster.Teams {
		b.OnCall = append(b.OnCall, t.Now...)
	}
	return b, nil
}

// Target implements server.Desk.
func (d *Desk) Target(_ context.Context, who access.Principal, name string) (server.TargetView, error) {
	if d.Err != nil {
		return server.TargetView{}, d.Err
	}
	v, ok := d.Views[name]
	if !ok || !who.Has(access.View, v.Team) {
		return server.TargetView{}, fmt.Errorf("%w: target %s", server.ErrNotFound, name)
	}
	v.Incidents = d.incidents(who, server.IncidentQuery{All: true, Target: name})
	return v, nil
}

// Proof implements server.Desk.
func (d *Desk) Proof(_ context.Context, who access.Principal, id string) (proof.Proof, error) {
	for _, v := range d.Views {
		for _, p := range v.Proofs {
			if p.ID == id && who.Has(access.View, v.Team) {
				return p, d.Err
			}
		}
	}
	return proof.Proof{}, fmt.Errorf("%w: proof %s", server.ErrNotFound, id)
}

// Alerts implements server.Desk.
func (d *Desk) Alerts(_ context.Context, who access.Principal, q server.AlertQuery) ([]server.AlertView, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []server.AlertView
	for _, a := range d.Bells {
		if (q.All || q.ID != "" || a.State == alert.Firing) && (q.Target == "" || a.Signal.Target == q.Target) && (q.ID == "" || a.ID == q.ID) && who.Has(access.View, a.Signal.Team) {
			out = append(out, d.bell(who, a))
		}
	}
	if q.ID != "" && len(out) == 0 {
		return nil, fmt.Errorf("%w: alert %s", server.ErrNotFound, q.ID)
	}
	return out, d.Err
}

func (d *Desk) bell(who access.Principal, a server.AlertView) server.AlertView {
	a.Can = can(who, a.Signal.Team)
	return a
}

func can(who access.Principal, team string) access.Role {
	for _, r := range slices.Backward(access.Roles()) {
		if who.Has(access.Need(r), team) {
			return r
		}
	}
	return ""
}

// Silences implements server.Desk.
func (d *Desk) Silences(context.Context, access.Principal) ([]alert.Silence, error) {
	return d.Quiet, d.Err
}

// OnCall implements server.Desk.
func (d *Desk) OnCall(_ context.Context, _ access.Principal, from, until time.Time) (server.OnCall, error) {
	out := d.Roster
	out.From, out.Until = from, until
	return out, d.Err
}

// Simulate implements server.Desk.
func (d *Desk) Simulate(context.Context, access.Principal, server.PageQuery) (server.PageSimulation, error) {
	return d.Pages, d.Err
}

// Findings implements server.Desk.
func (d *Desk) Findings(_ context.Context, who access.Principal) ([]server.TargetFindings, error) {
	var out []server.TargetFindings
	for _, f := range d.Found {
		if who.Has(access.View, f.Team) {
			out = append(out, f)
		}
	}
	return out, d.Err
}

// Settings implements server.Desk.
func (d *Desk) Settings(_ context.Context, who access.Principal) (server.Settings, error) {
	if !who.Has(access.Administer, "") {
		return server.Settings{}, fmt.Errorf("%w: the settings name every target", server.ErrForbidden)
	}
	return d.Conf, d.Err
}

// Journal implements server.Desk.
func (d *Desk) Journal(_ context.Context, _ access.Principal, q server.JournalQuery) (server.JournalPage, error) {
	if d.Err != nil {
		return server.JournalPage{}, d.Err
	}
	limit := q.Limit
	if limit == 0 {
		limit = 100
	}
	var p server.JournalPage
	take := func(seq int64) bool {
		e := d.at(seq)
		scoped := q.Scope == "" || e.Subject == q.Scope || strings.HasSuffix(q.Scope, "/") && strings.HasPrefix(e.Subject, q.Scope)
		if scoped && strings.HasPrefix(e.Kind, q.Kind) {
			p.Entries = append(p.Entries, e)
		}
		return len(p.Entries) < limit
	}
	last := d.last()
	if q.Forward {
		for seq := q.After + 1; seq <= last && take(seq); seq++ {
		}
		return p, nil
	}
	seq := last
	if q.Before > 0 {
		seq = min(seq, q.Before-1)
	}
	for ; seq > 0; seq-- {
		if !take(seq) {
			p.Older = seq
			if seq == 1 {
				p.Older = 0
			}
			break
		}
	}
	return p, nil
}

func (d *Desk) at(seq int64) journal.Entry {
	if d.Entry != nil {
		return d.Entry(seq)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.Written[seq-1]
}

func (d *Desk) last() int64 {
	if d.Entry != nil {
		return d.Length
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return int64(len(d.Written))
}

// Last implements server.Desk.
func (d *Desk) Last(context.Context) (int64, error) { return d.last(), d.Err }

// Stream implements server.Desk.
func (d *Desk) Stream(ctx context.Context, _ access.Principal, after int64, tell func(journal.Entry) error) error {
	for {
		d.mu.Lock()
		if d.added == nil {
			d.added = make(chan struct{})
		}
		more := d.added
		d.mu.Unlock()
		for last := d.last(); after < last; after++ {
			if err := tell(d.at(after + 1)); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-more:
		}
	}
}

// Add appends to the journal.
func (d *Desk) Add(at time.Time, actor, subject, kind string, body any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var head journal.Head
	if n := len(d.Written); n > 0 {
		head = journal.Head{Seq: d.Written[n-1].Seq, Hash: d.Written[n-1].Hash}
	}
	e, err := journal.Chain(head, journal.Event{Time: at, Actor: actor, Subject: subject, Kind: kind, Body: body})
	if err != nil {
		panic(fmt.Sprintf("fixed data: %v", err))
	}
	d.Written = append(d.Written, e)
	if d.added != nil {
		close(d.added)
		d.added = nil
	}
}

var errOnlyShown = fmt.Errorf("%w: the storybook only shows", server.ErrRefused)

// Acknowledge implements server.Desk.
func (d *Desk) Acknowledge(_ context.Context, who access.Principal, id string) (server.AlertView, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, a := range d.Bells {
		if a.ID == id {
			if !who.Has(access.Respond, a.Signal.Team) {
				return server.AlertView{}, server.ErrForbidden
			}
			d.Bells[i].AcknowledgedAt, d.Bells[i].AcknowledgedBy = d.Now, who.Name
			return d.bell(who, d.Bells[i]), nil
		}
	}
	return server.AlertView{}, server.ErrNotFound
}

// Silence implements server.Desk.
func (d *Desk) Silence(context.Context, access.Principal, alert.Silence) (alert.Silence, error) {
	return alert.Silence{}, errOnlyShown
}

// EndSilence implements server.Desk.
func (d *Desk) EndSilence(context.Context, access.Principal, string) error { return errOnlyShown }

// Ask implements server.Desk.
func (d *Desk) Ask(_ context.Context, who access.Principal, target, work string) (bool, error) {
	if v, ok := d.Views[target]; !ok {
		return false, server.ErrNotFound
	} else if !who.Has(access.Respond, v.Team) {
		return false, server.ErrForbidden
	}
	d.Add(d.Now, who.Name, "target/"+target, work+".asked", map[string]string{"reason": "asked for on the console"})
	return true, nil
}

// TestPage implements server.Desk.
func (d *Desk) TestPage(context.Context, access.Principal, string) error { return errOnlyShown }

func body(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic(errors.Join(errors.New("fixed data"), err))
	}
	return b
}
