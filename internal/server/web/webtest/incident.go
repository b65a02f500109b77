package webtest

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/refloat-db/refloat/internal/access"
	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/recovery"
	"github.com/refloat-db/refloat/internal/server"
)

// Events implements incident.Log.
func (d *Desk) Events(_ context.Context, id string) ([]incident.Event, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []incident.Event
	for _, e := range d.events {
		if id == "" || e.Incident == id {
			out = append(out, e)
		}
	}
	return out, nil
}

// Append implements incident.Log.
func (d *Desk) Append(_ context.Context, id string, last int64, events []incident.Event) ([]incident.Event, error) {
	for _, e := range events {
		d.Add(e.Time, e.Actor, "incident/"+e.Incident, e.Kind, e.Body)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	first := len(d.Written) - len(events)
	for i := range events {
		events[i].Seq = d.Written[first+i].Seq
	}
	d.events = append(d.events, events...)
	return events, nil
}

func (d *Desk) states() []incident.State {
	d.mu.Lock()
	defer d.mu.Unlock()
	return incident.FoldAll(d.events)
}

func (d *Desk) incidents(who access.Principal, q server.IncidentQuery) []server.IncidentView {
	var out []server.IncidentView
	for _, s := range slices.Backward(d.states()) {
		if (q.All || s.Open()) && (q.Target == "" || s.About(q.Target)) && who.Has(access.View, s.Team) {
			out = append(out, d.view(who, s))
		}
	}
	return out
}

func (d *Desk) view(who access.Principal, s incident.State) server.IncidentView {
	v := server.IncidentView{State: s, At: d.Now, Clocks: s.Clocks(d.Now, []int{50, 75, 90}), Summary: s.Summary(d.Now, incident.DefaultCadence(), []int{50, 75, 90}, nil), Can: can(who, s.Team)}
	for _, a := range incident.Audiences() {
		if p, ok := s.NextUpdate(a, incident.DefaultCadence()); ok {
			v.Promises = append(v.Promises, p)
		}
	}
	return v
}

// Incidents implements server.Desk.
func (d *Desk) Incidents(_ context.Context, who access.Principal, q server.IncidentQuery) ([]server.IncidentView, error) {
	return d.incidents(who, q), d.Err
}

// Incident implements server.Desk.
func (d *Desk) Incident(_ context.Context, who access.Principal, id string) (server.IncidentView, error) {
	for _, v := range d.incidents(who, server.IncidentQuery{All: true}) {
		if v.ID == id {
			return v, d.Err
		}
	}
	return server.IncidentView{}, fmt.Errorf("%w: incident %s", server.ErrNotFound, id)
}

// Attachment implements server.Desk.
func (d *Desk) Attachment(ctx context.Context, who access.Principal, id, sum string) (incident.Attached, []byte, error) {
	v, err := d.Incident(ctx, who, id)
	if err != nil {
		return incident.Attached{}, nil, err
	}
	for _, a := range v.Attachments {
		if a.SHA256 == sum {
			return a.Attached, d.files[sum], nil
		}
	}
	return incident.Attached{}, nil, server.ErrNotFound
}

// Draft implements server.Desk.
func (d *Desk) Draft(ctx context.Context, who access.Principal, id string, a incident.Audience) (server.Draft, error) {
	v, err := d.Incident(ctx, who, id)
	if err != nil {
		return server.Draft{}, err
	}
	return server.Draft{Audience: a, Subject: v.Title, Text: "Since " + v.Started.UTC().Format("15:04 UTC") + " " + strings.Join(v.Targets, ", ") + " does not serve. We are restoring it.\n"}, nil
}

// OpenIncident implements server.Desk.
func (d *Desk) OpenIncident(ctx context.Context, who access.Principal, q server.NewIncident) (server.IncidentView, error) {
	if !who.Somewhere(access.Respond) {
		return server.IncidentView{}, server.ErrForbidden
	}
	id := fmt.Sprintf("inc-%d", len(d.states())+1)
	o := incident.Opened{Title: q.Title, Severity: q.Severity, Objectives: incident.DefaultObjectives(), Cause: incident.Cause{Key: id, Kind: incident.FromPerson, Target: q.Target, Reason: q.Title, Started: d.Now, Detected: d.Now}}
	if o.Severity == "" {
		o.Severity = incident.Sev3
	}
	if q.Target != "" {
		o.Targets = []string{q.Target}
	}
	if !q.Since.IsZero() {
		o.Cause.Started = q.Since
	}
	events, err := incident.Decide(incident.Fold(nil), incident.Open{ID: id, Opened: o}, who.Name, d.Now)
	if err != nil {
		return server.IncidentView{}, err
	}
	if _, err := d.Append(ctx, "", 0, events); err != nil {
		return server.IncidentView{}, err
	}
	return d.Incident(ctx, who, id)
}

// Act implements server.Desk.
func (d *Desk) Act(ctx context.Context, who access.Principal, id string, c incident.Command) (server.IncidentView, error) {
	v, err := d.Incident(ctx, who, id)
	if err != nil {
		return v, err
	}
	if !who.Has(access.Respond, v.Team) {
		return v, server.ErrForbidden
	}
	if _, _, err := incident.Act(ctx, d, id, c, who.Name, d.Now); err != nil {
		return v, err
	}
	return d.Incident(ctx, who, id)
}

// Merge implements server.Desk.
func (d *Desk) Merge(context.Context, access.Principal, string, string, string) (server.IncidentView, error) {
	return server.IncidentView{}, errOnlyShown
}

// WaysBack implements server.Recoverer.
func (d *Desk) WaysBack(ctx context.Context, who access.Principal, id string, q server.RecoveryAsk) (server.RecoveryOffer, error) {
	v, err := d.Incident(ctx, who, id)
	if err != nil {
		return server.RecoveryOffer{}, err
	}
	return offer(d.Now, v, q), d.Err
}

// ChooseWay implements server.Recoverer.
func (d *Desk) ChooseWay(context.Context, access.Principal, string, server.RecoveryAsk, recovery.Name) (server.IncidentView, error) {
	return server.IncidentView{}, errOnlyShown
}

// ConfirmWay implements server.Recoverer.
func (d *Desk) ConfirmWay(context.Context, access.Principal, string, string, string) (server.IncidentView, error) {
	return server.IncidentView{}, errOnlyShown
}

// StepDone implements server.Recoverer.
func (d *Desk) StepDone(context.Context, access.Principal, string, string, string, string) (server.IncidentView, error) {
	return server.IncidentView{}, errOnlyShown
}

// GoOn implements server.Recoverer.
func (d *Desk) GoOn(context.Context, access.Principal, string, string) (server.IncidentView, error) {
	return server.IncidentView{}, errOnlyShown
}

// GiveUp implements server.Recoverer.
func (d *Desk) GiveUp(context.Context, access.Principal, string, string, string) (server.IncidentView, error) {
	return server.IncidentView{}, errOnlyShown
}

// Attach implements server.Desk.
func (d *Desk) Attach(context.Context, access.Principal, string, string, []byte) (server.IncidentView, error) {
	return server.IncidentView{}, errOnlyShown
}

// Publish implements server.Desk.
func (d *Desk) Publish(context.Context, access.Principal, string, server.Draft) (server.IncidentView, error) {
	return server.IncidentView{}, errOnlyShown
}
