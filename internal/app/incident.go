package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/config"
	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/journal"
	"github.com/refloat-db/refloat/internal/status"
)

// What the incident commands speak of.
type (
	Incident         = incident.State
	IncidentClock    = incident.Clock
	IncidentEvent    = incident.Event
	IncidentCommand  = incident.Command
	IncidentSeverity = incident.Severity
	IncidentStatus   = incident.Status
	IncidentRole     = incident.Role
	IncidentAudience = incident.Audience
	IncidentPromise  = incident.Promise

	IncidentNote     = incident.AddNote
	IncidentTask     = incident.AddTask
	IncidentTaskDone = incident.CloseTask
	IncidentLink     = incident.AddLink
	SetSeverity      = incident.SetSeverity
	SetStatus        = incident.SetStatus
	TakeRole         = incident.TakeRole
	HandOver         = incident.HandOver
	ReleaseRole      = incident.ReleaseRole
	ResolveIncident  = incident.Resolve
	ReopenIncident   = incident.Reopen
	MeasureLoss      = incident.MeasureDataLoss
	LossMeasured     = incident.Measured
	AckUpdate        = incident.AcknowledgeUpdate
)

// Words that can be completed.
var (
	IncidentSeverities = incident.Severities
	IncidentStatuses   = incident.Statuses
	IncidentRoles      = incident.Roles
	IncidentAudiences  = incident.Audiences
)

// ErrNoIncident means that there is no incident of that name.
var ErrNoIncident = incident.ErrNone

// IncidentView is an incident as it is shown at a moment.
type IncidentView struct {
	Incident
	Clocks   []IncidentClock   `json:"clocks"`
	Promises []IncidentPromise `json:"promises"` // updates that audiences wait for
	// Deliveries are those of updates, with every attempt.
	Deliveries []UpdateDelivery `json:"deliveries"`
	// Runs is how each recovery stands, by its name; one of which whoever ran it on
	// this machine is gone is interrupted at once.
	Runs map[string]incident.RecoveryStanding `json:"runs"`
}

func incidentView(s Incident, r config.IncidentRules, cadence incident.Cadence, now time.Time) IncidentView {
	v := IncidentView{Incident: s, Clocks: s.Clocks(now, r.WarnAt), Promises: []IncidentPromise{}, Deliveries: []UpdateDelivery{}, Runs: map[string]incident.RecoveryStanding{}}
	for _, r := range s.Recoveries {
		v.Runs[r.Run] = r.Standing(now)
	}
	for _, a := range incident.Audiences() {
		if p, ok := s.NextUpdate(a, cadence); ok {
			v.Promises = append(v.Promises, p)
		}
	}
	return v
}

// IncidentOptions say what opens incidents, and who is told of them.
type IncidentOptions struct {
	Rules   config.IncidentRules
	Roster  alert.Roster
	Mirrors []config.Mirror // rooms that are told what happens
}

func (a *App) circles() IncidentOptions {
	return IncidentOptions{a.cfg.Incidents.Rules, a.cfg.Roster, a.cfg.Chat.Mirror}
}

// of is who an audience is now. Responders are whoever is on call unless the
// configuration says otherwise, and whoever has a role.
func (c IncidentOptions) of(s Incident, a incident.Audience, now time.Time) []incident.Recipient {
	circle, configured := c.Rules.Circles[a]
	step := alert.Step{Page: slices.Clone(circle.Refs)}
	if a == incident.Responders {
		if !configured {
			step.Page = c.Roster.DefaultPolicy(s.Team).Steps[0].Page
		}
		for _, r := range incident.Roles() {
			if h, has := s.Roles[r]; has {
				step.Page = append(step.Page, alert.Ref("person:"+h.Person))
			}
		}
	}
	reached := c.Roster.Reach(step, now)
	for _, x := range circle.Contacts {
		reached = append(reached, alert.Reached{Contact: x})
	}
	out := []incident.Recipient{}
	for _, x := range reached {
		out = append(out, incident.Recipient{Person: x.Person, Contact: x.Contact.ID, Via: string(x.Contact.Via), Address: x.Contact.Address})
	}
	return out
}

// cadence is how often each audience is told that has anybody in it.
func (c IncidentOptions) cadence() incident.Cadence {
	out := incident.Cadence{}
	for sev, by := range c.Rules.Cadence {
		out[sev] = maps.Clone(by)
		for a := range by {
			x, configured := c.Rules.Circles[a]
			if len(x.Refs)+len(x.Contacts) == 0 && (configured || a != incident.Responders || len(c.Roster.People) == 0) {
				delete(out[sev], a)
			}
		}
	}
	return out
}

// incidentID takes 3 for inc-3.
func incidentID(name string) string {
	if _, err := strconv.Atoi(name); err == nil {
		return "inc-" + name
	}
	return name
}

// Incidents lists incidents, newest first: those that are open, or all.
func (a *App) Incidents(ctx context.Context, all bool) (out []IncidentView, err error) {
	s, err := a.state(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	events, err := incidentLog{s}.Events(ctx, "")
	if err != nil {
		return nil, err
	}
	now, c := time.Now(), a.circles()
	out = []IncidentView{}
	for _, x := range slices.Backward(incident.FoldAll(events)) {
		if all || x.Open() {
			x.Timeline = []incident.Event{} // of one incident it is shown
			out = append(out, incidentView(x, c.Rules, c.cadence(), now))
		}
	}
	return out, nil
}

// Incident shows one incident with all that belongs to it.
func (a *App) Incident(ctx context.Context, name string) (v IncidentView, err error) {
	s, err := a.state(ctx)
	if err != nil {
		return v, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	x, err := loadIncident(ctx, s, name)
	if err != nil {
		return v, err
	}
	c := a.circles()
	v = incidentView(x, c.Rules, c.cadence(), time.Now())
	for _, r := range x.Recoveries {
		v.Runs[r.Run] = a.standing(x.ID, r, time.Now())
	}
	v.Deliveries, err = updateDeliveries(ctx, s, x.ID)
	return v, err
}

func loadIncident(ctx context.Context, j journal.Log, name string) (Incident, error) {
	id := incidentID(name)
	events, err := incidentLog{j}.Events(ctx, id)
	if err != nil {
		return Incident{}, err
	}
	if len(events) == 0 {
		return Incident{}, fmt.Errorf("%w: %s", ErrNoIncident, name)
	}
	return incident.Fold(events), nil
}

// IncidentSummary is the hand-over for who joins late.
func (a *App) IncidentSummary(ctx context.Context, name, person string) ([]string, error) {
	v, err := a.Incident(ctx, name)
	if err != nil {
		return nil, err
	}
	c := a.circles()
	return v.Summary(time.Now(), c.cadence(), c.Rules.WarnAt, c.Roster.People[person].Zone), nil
}

// ActOnIncident does one thing in an incident, as a person. It is kept when it
// returns, whether or not a server runs.
func (a *App) ActOnIncident(ctx context.Context, name string, c IncidentCommand, by string) (_ Incident, err error) {
	if h, is := c.(HandOver); is {
		if err := a.knownPerson(h.To); err != nil {
			return Incident{}, err
		}
	}
	if by, err = actor(by); err != nil {
		return Incident{}, err
	}
	s, err := a.writable(ctx)
	if err != nil {
		return Incident{}, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	x, _, err := incident.Act(ctx, incidentLog{s}, incidentID(name), c, by, time.Now())
	return x, err
}

// actor is who acts: a person, and never the server.
func actor(by string) (string, error) {
	if by = caller(by); by == incident.Server {
		return "", fmt.Errorf("%w: %s is what Refloat does by itself: say who you are with --as", ErrUsage, incident.Server)
	}
	return by, nil
}

// knownPerson refuses to give something to somebody whom nobody could reach.
func (a *App) knownPerson(name string) error {
	if _, ok := a.cfg.People[name]; ok || len(a.cfg.People) == 0 || name == "" {
		return nil
	}
	hint := "there are " + strings.Join(slices.Sorted(maps.Keys(a.cfg.People)), ", ")
	if near := config.Nearest(name, slices.Sorted(maps.Keys(a.cfg.People))); near != "" {
		hint = "did you mean " + near + "?"
	}
	return fmt.Errorf("%w: %s is not among the people of %s; %s", ErrUsage, name, a.cfg.Path, hint)
}

// IncidentRequest opens an incident by hand.
type IncidentRequest struct {
	Title, Severity, Target, By string
	Since                       time.Time // empty for now
	Another                     bool      // although one about the target is open
}

// OpenIncident opens an incident.
func (a *App) OpenIncident(ctx context.Context, q IncidentRequest) (_ Incident, err error) {
	now := time.Now()
	o := incident.Opened{Title: strings.TrimSpace(q.Title), Severity: incident.Severity(q.Severity), Objectives: incident.DefaultObjectives()}
	by, err := actor(q.By)
	if err != nil {
		return Incident{}, err
	}
	o.Cause = incident.Cause{Key: "person/" + by + "/" + newID() + newID(), Kind: incident.FromPerson, Target: q.Target, Reason: o.Title, Started: q.Since, Detected: now}
	if q.Since.IsZero() {
		o.Cause.Started = now
	}
	if q.Target != "" {
		_, t, err := a.target(q.Target)
		if err != nil {
			return Incident{}, err
		}
		o.Targets, o.Team, o.Objectives = []string{q.Target}, t.Team, incidentObjectives(objectives(t))
		if o.Severity == "" {
			o.Severity = severityOf(alert.SeverityFor(alert.Severity(t.Tier), alert.Critical))
		}
	}
	if o.Severity == "" {
		o.Severity = incident.Sev2
	}
	s, err := a.writable(ctx)
	if err != nil {
		return Incident{}, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	kept, err := incident.ActOnAll(ctx, incidentLog{s}, func(all []incident.State) ([]incident.Event, error) {
		if same, _ := incident.Opening(all, o.Cause); same.ID != "" && !q.Another {
			return nil, fmt.Errorf("%w: %s is open about %s: work there (refloat incident show %s), or open another with --another", incident.ErrRefused, same.ID, q.Target, same.ID)
		}
		return incident.Decide(incident.State{}, incident.Open{ID: incident.NextID(all), Opened: o}, by, now)
	})
	if err != nil {
		return Incident{}, err
	}
	return incident.Fold(kept), nil
}

// MergeIncidents ends one incident as a part of another.
func (a *App) MergeIncidents(ctx context.Context, name, into, why, by string) (_ Incident, err error) {
	if by, err = actor(by); err != nil {
		return Incident{}, err
	}
	s, err := a.writable(ctx)
	if err != nil {
		return Incident{}, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	find := func(all []incident.State, name string) (incident.State, error) {
		i := slices.IndexFunc(all, func(x incident.State) bool { return x.ID == incidentID(name) })
		if i < 0 {
			return incident.State{}, fmt.Errorf("%w: %s", ErrNoIncident, name)
		}
		return all[i], nil
	}
	if _, err := (incident.ActOnAll(ctx, incidentLog{s}, func(all []incident.State) ([]incident.Event, error) {
		from, err := find(all, name)
		if err != nil {
			return nil, err
		}
		to, err := find(all, into)
		if err != nil {
			return nil, err
		}
		return incident.Decide(from, incident.Merge{Into: to, Why: why}, by, time.Now())
	})); err != nil {
		return Incident{}, err
	}
	return loadIncident(ctx, s, into)
}

// AttachToIncident keeps a file with an incident.
func (a *App) AttachToIncident(ctx context.Context, name, file string, data []byte, by string) (_ Incident, err error) {
	if _, err := incident.Sniff(data); err != nil {
		return Incident{}, err
	}
	if by, err = actor(by); err != nil {
		return Incident{}, err
	}
	s, err := a.writable(ctx)
	if err != nil {
		return Incident{}, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if _, err := s.PutAttachment(ctx, data); err != nil { // before the entry that says so
		return Incident{}, err
	}
	x, _, err := incident.Act(ctx, incidentLog{s}, incidentID(name), incident.Attach{Name: file, Data: data}, by, time.Now())
	return x, err
}

// IncidentAttachment reads a file of an incident by its name, the last of that
// name.
func (a *App) IncidentAttachment(ctx context.Context, name, file string) (_ []byte, err error) {
	s, err := a.state(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	x, err := loadIncident(ctx, s, name)
	if err != nil {
		return nil, err
	}
	for _, f := range slices.Backward(x.Attachments) {
		if f.Name == file {
			data, err := s.Attachment(ctx, f.SHA256)
			if errors.Is(err, status.ErrNothing) {
				err = fmt.Errorf("the bytes of %s are not in this state: %w", file, err)
			}
			return data, err
		}
	}
	return nil, fmt.Errorf("%w: %s has no attachment %s; refloat incident show %s lists them", ErrUsage, x.ID, file, x.ID)
}
