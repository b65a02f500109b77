package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/access"
	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/server"
	"github.com/refloat-db/refloat/internal/status"
)

// find is an incident that somebody asks for, if they may.
func (d *desk) find(who access.Principal, name string, n access.Need) (*incident.State, error) {
	s := d.follow.incident(name)
	if s == nil {
		return nil, fmt.Errorf("%w: there is no incident %s", server.ErrNotFound, name)
	}
	return s, allowed(d.roleAt(who, s), n, "incident", name)
}

// waiting are the deliveries of updates that have not come to an end, by
// incident.
func (d *desk) waiting(ctx context.Context) (map[string][]server.UpdateDelivery, error) {
	records, err := d.state.OpenRecords(ctx, kindAnnouncement)
	if err != nil {
		return nil, err
	}
	out := map[string][]server.UpdateDelivery{}
	for _, r := range records {
		var x UpdateDelivery
		if err := r.Read(&x); err != nil {
			continue // the room says so
		}
		if !x.Notice {
			out[x.Incident] = append(out[x.Incident], server.UpdateDelivery{Update: x.Update, D: x.AlertDelivery})
		}
	}
	return out, nil
}

// view is an incident as somebody sees it; its timeline is left out of lists.
func (d *desk) view(who access.Principal, s *incident.State, waiting map[string][]server.UpdateDelivery, now time.Time, whole bool) server.IncidentView {
	o := d.o.Incidents
	cadence := o.cadence()
	v := server.IncidentView{State: *s, At: now, Clocks: s.Clocks(now, o.Rules.WarnAt), Promises: []incident.Promise{}, Summary: []string{}, Waiting: orEmpty(waiting[s.ID]), Can: d.roleAt(who, s)}
	for _, a := range incident.Audiences() {
		if p, ok := s.NextUpdate(a, cadence); ok {
			v.Promises = append(v.Promises, p)
		}
	}
	if whole {
		v.Summary = s.Summary(now, cadence, o.Rules.WarnAt, o.Roster.People[who.Name].Zone)
	} else {
		v.Timeline = []incident.Event{}
	}
	return v
}

// Incidents implements server.Reader.
func (d *desk) Incidents(ctx context.Context, who access.Principal, q server.IncidentQuery) ([]server.IncidentView, error) {
	if q.Target != "" {
		if err := allowed(d.roleOn(who, q.Target), access.View, "target", q.Target); err != nil {
			return nil, err
		}
	}
	d.follow.catchUp(ctx)
	waiting, err := d.waiting(ctx)
	if err != nil {
		return nil, err
	}
	limit, now := q.Limit, time.Now().UTC()
	if limit <= 0 {
		limit = 50
	}
	out := []server.IncidentView{}
	reached := q.Before == ""
	for _, s := range slices.Backward(d.follow.all()) {
		if !reached {
			reached = s.ID == q.Before
			continue
		}
		if !q.All && !s.Open() || q.Target != "" && !s.About(q.Target) || d.roleAt(who, s) == "" {
			continue
		}
		out = append(out, d.view(who, s, waiting, now, false))
		if len(out) == limit {
			break
		}
	}
	return out, nil
}

// Incident implements server.Reader.
func (d *desk) Incident(ctx context.Context, who access.Principal, id string) (server.IncidentView, error) {
	d.follow.catchUp(ctx)
	s, err := d.find(who, id, access.View)
	if err != nil {
		return server.IncidentView{}, err
	}
	waiting, err := d.waiting(ctx)
	if err != nil {
		return server.IncidentView{}, err
	}
	return d.view(who, s, waiting, time.Now().UTC(), true), nil
}

// Attachment implements server.Reader.
func (d *desk) Attachment(ctx context.Context, who access.Principal, id, sha256 string) (incident.Attached, []byte, error) {
	d.follow.catchUp(ctx)
	s, err := d.find(who, id, access.View)
	if err != nil {
		return incident.Attached{}, nil, err
	}
	i := slices.IndexFunc(s.Attachments, func(a incident.Attachment) bool { return a.SHA256 == sha256 })
	if i < 0 {
		return incident.Attached{}, nil, fmt.Errorf("%w: %s has no such attachment", server.ErrNotFound, s.ID)
	}
	data, err := d.state.Attachment(ctx, sha256)
	if errors.Is(err, status.ErrNothing) {
		err = fmt.Errorf("%w: the bytes of %s are not in this state", server.ErrNotFound, s.Attachments[i].Name)
	}
	return s.Attachments[i].Attached, data, err
}

// Draft implements server.Reader.
func (d *desk) Draft(ctx context.Context, who access.Principal, id string, a incident.Audience) (server.Draft, error) {
	d.follow.catchUp(ctx)
	s, err := d.find(who, id, access.Respond)
	if err != nil {
		return server.Draft{}, err
	}
	if !slices.Contains(incident.Audiences(), a) {
		return server.Draft{}, fmt.Errorf("%w: %q is no audience: it is one of responders, teams, clients", server.ErrRefused, a)
	}
	o, now := d.o.Incidents, time.Now().UTC()
	out := server.Draft{Audience: a, To: o.of(*s, a, now)}
	if every := o.cadence()[s.Severity][a]; every > 0 && s.Open() {
		out.Next = now.Add(every).Truncate(time.Minute)
		if !out.Next.After(now) {
			out.Next = out.Next.Add(time.Minute)
		}
	}
	v := s.View(a).Named(o.Rules.Names)
	out.Subject, out.Text = v.Subject(), v.Draft(now, out.Next, nil)
	if last := s.LastUpdate(a); last != nil {
		out.After = last.ID
	}
	return out, nil
}

// acted is an incident after somebody did something in it. That it was done
// before, or changed nothing, is said with how it stands.
func (d *desk) acted(ctx context.Context, who access.Principal, id string, err error) (server.IncidentView, error) {
	if err != nil && !errors.Is(err, incident.ErrNothing) {
		return server.IncidentView{}, errOfIncident(err)
	}
	v, lookErr := d.Incident(ctx, who, id)
	if lookErr != nil {
		return v, lookErr
	}
	return v, err
}

// do decides a command against an incident and keeps what follows from it.
func (d *desk) do(ctx context.Context, who access.Principal, id string, c incident.Command) (server.IncidentView, error) {
	_, _, err := incident.Act(ctx, incidentLog{d.state}, id, incident.Once{Command: c, Key: server.Once(ctx)}, who.Name, time.Now())
	return d.acted(ctx, who, id, err)
}

// Act implements server.Actor.
func (d *desk) Act(ctx context.Context, who access.Principal, id string, c incident.Command) (server.IncidentView, error) {
	d.follow.catchUp(ctx)
	s, err := d.find(who, id, access.Respond)
	if err != nil {
		return server.IncidentView{}, err
	}
	switch c := c.(type) {
	case incident.AddNote, incident.AddTask, incident.CloseTask, incident.AddLink, incident.SetSeverity, incident.SetStatus, incident.TakeRole, incident.ReleaseRole,
		incident.AcknowledgeUpdate, incident.MeasureDataLoss, incident.Resolve, incident.Reopen:
	case incident.HandOver:
		if err := d.knownPerson(c.To); err != nil {
			return server.IncidentView{}, err
		}
	default: // it is asked for by name, or is for the server to tell
		return server.IncidentView{}, fmt.Errorf("%w: this is not done by an act", server.ErrRefused)
	}
	return d.do(ctx, who, s.ID, c)
}

func (d *desk) knownPerson(name string) error {
	people := d.o.Paging.Roster.People
	if _, ok := people[name]; ok || len(people) == 0 || name == "" {
		return nil
	}
	return fmt.Errorf("%w: %s is not among the people of the configuration; there are %s", server.ErrRefused, name, strings.Join(slices.Sorted(maps.Keys(people)), ", "))
}

// Merge implements server.Actor.
func (d *desk) Merge(ctx context.Context, who access.Principal, id, into, why string) (server.IncidentView, error) {
	d.follow.catchUp(ctx)
	from, err := d.find(who, id, access.Respond)
	if err != nil {
		return server.IncidentView{}, err
	}
	to, err := d.find(who, into, access.Respond)
	if err != nil {
		return server.IncidentView{}, err
	}
	_, err = incident.ActOnAll(ctx, incidentLog{d.state}, func(all []incident.State) ([]incident.Event, error) {
		at := func(id string) incident.State {
			return all[slices.IndexFunc(all, func(x incident.State) bool { return x.ID == id })] // it is there: none goes away
		}
		if at(from.ID).MergedInto == to.ID {
			return nil, fmt.Errorf("%w: it was merged before", incident.ErrNothing)
		}
		return incident.Decide(at(from.ID), incident.Merge{Into: at(to.ID), Why: why}, who.Name, time.Now())
	})
	return d.acted(ctx, who, to.ID, err)
}

// Attach implements server.Actor.
func (d *desk) Attach(ctx context.Context, who access.Principal, id, name string, data []byte) (server.IncidentView, error) {
	d.follow.catchUp(ctx)
	s, err := d.find(who, id, access.Respond)
	if err != nil {
		return server.IncidentView{}, err
	}
	if _, err := incident.Sniff(data); err != nil {
		return server.IncidentView{}, err
	}
	if _, err := d.state.PutAttachment(ctx, data); err != nil { // before the entry that says so
		return server.IncidentView{}, err
	}
	return d.do(ctx, who, s.ID, incident.Attach{Name: name, Data: data})
}

// Publish implements server.Actor.
func (d *desk) Publish(ctx context.Context, who access.Principal, id string, q server.Draft) (server.IncidentView, error) {
	d.follow.catchUp(ctx)
	s, err := d.find(who, id, access.Respond)
	if err != nil {
		return server.IncidentView{}, err
	}
	o, now := d.o.Incidents, time.Now()
	// Whom it goes to is not for who writes it to say.
	c := incident.PublishUpdate{Audience: q.Audience, Subject: q.Subject, Text: q.Text, Next: q.Next, To: o.of(*s, q.Audience, now), Names: o.Rules.Names}
	if q.After != "*" {
		c.After = &q.After
	}
	return d.do(ctx, who, s.ID, c)
}

// teamOfNew is the team that answers for a new incident.
func (d *desk) teamOfNew(who access.Principal, q server.NewIncident) (string, error) {
	team := q.Team
	if q.Target != "" {
		if err := allowed(d.roleOn(who, q.Target), access.Respond, "target", q.Target); err != nil {
			return "", err
		}
		if team == "" {
			return d.teamOf(q.Target), nil
		}
	}
	if _, known := d.o.Paging.Roster.Teams[team]; team != "" && !known {
		return "", fmt.Errorf("%w: there is no team %s", server.ErrRefused, team)
	}
	if who.Has(access.Respond, team) {
		return team, nil
	}
	if team != "" || !who.Somewhere(access.Respond) {
		return "", fmt.Errorf("%w: to open an incident of a team needs the role %s there", server.ErrForbidden, access.Respond)
	}
	var theirs []string
	for _, t := range slices.Sorted(maps.Keys(who.Teams)) {
		if who.Has(access.Respond, t) {
			theirs = append(theirs, t)
		}
	}
	if len(theirs) > 1 {
		return "", fmt.Errorf("%w: say which team answers for it: %s", server.ErrRefused, strings.Join(theirs, ", "))
	}
	return theirs[0], nil
}

// OpenIncident implements server.Actor.
func (d *desk) OpenIncident(ctx context.Context, who access.Principal, q server.NewIncident) (server.IncidentView, error) {
	team, err := d.teamOfNew(who, q)
	if err != nil {
		return server.IncidentView{}, err
	}
	d.follow.catchUp(ctx)
	now := time.Now()
	o := incident.Opened{Title: strings.TrimSpace(q.Title), Severity: q.Severity, Team: team, Objectives: incident.DefaultObjectives()}
	o.Cause = incident.Cause{Key: "person/" + who.Name + "/" + cmp.Or(server.Once(ctx), newID()+newID()), Kind: incident.FromPerson, Target: q.Target, Reason: o.Title, Started: q.Since, Detected: now}
	if q.Since.IsZero() {
		o.Cause.Started = now
	}
	if c := d.careOf(q.Target); c != nil {
		o.Targets, o.Objectives = []string{q.Target}, incidentObjectives(c.Objectives)
		if o.Severity == "" {
			o.Severity = severityOf(alert.SeverityFor(d.o.Paging.Charges[q.Target].Tier, alert.Critical))
		}
	}
	if o.Severity == "" {
		o.Severity = incident.Sev2
	}
	id := ""
	_, err = incident.ActOnAll(ctx, incidentLog{d.state}, func(all []incident.State) ([]incident.Event, error) {
		same, seen := incident.Opening(all, o.Cause)
		switch {
		case seen:
			id = same.ID
			return nil, fmt.Errorf("%w: it was opened when it was asked for before", incident.ErrNothing)
		case same.ID != "" && !q.Another:
			return nil, fmt.Errorf("%w: %s is open about %s: work there, or open another beside it", incident.ErrRefused, same.ID, q.Target)
		}
		id = incident.NextID(all)
		return incident.Decide(incident.State{}, incident.Open{ID: id, Opened: o}, who.Name, now)
	})
	return d.acted(ctx, who, id, err)
}
