package app

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/journal"
	"github.com/refloat-db/refloat/internal/monitor"
	"github.com/refloat-db/refloat/internal/status"
)

const (
	incidentsEvery = 500 * time.Millisecond // what people and the watch did is looked at
	recentOutages  = 50                     // that may have been missed while no server ran
	outageForgiven = time.Hour              // one that ended longer ago opens nothing
	kindSince      = "incident-since"       // since when incidents are opened
)

// incidentStore is what incidents need of the store.
type incidentStore interface {
	journal.Log
	pagingStore
	RecentRecords(ctx context.Context, kind string, limit int) ([]alert.Record, error)
}

// incidentRoom joins the rooms around an incident in a running server: outages
// and alerts open one and are gathered in it, its clocks warn, updates are sent,
// and who forgets one is reminded. It looks at how things stand, not at what
// changed: whatever was cut off is done at the next look, and nothing twice.
type incidentRoom struct {
	IncidentOptions
	objectives map[string]incident.Objectives // by target
	store      incidentStore
	pager      *pager
	log        *slog.Logger
	restorable func(target string) time.Time // up to which the log is stored; nil for unknown
	box        *updateBox

	all      map[string]*incident.State
	order    []*incident.State // as they were opened
	said     map[string]bool   // words to who has a role, by name
	mirrored map[string]int64  // sequence number up to which rooms were told, by incident
	redact   func(string) string
	last     int64 // sequence number of the last event that was read
	since    time.Time
	failed   bool
}

// startIncidents begins to look, and returns what sends words to people.
func (r *running) startIncidents(ctx context.Context) *updateBox {
	m := newIncidentRoom(r.o.Incidents, r.state, r.pager, r.log)
	m.redact = redactor(r.o.Secrets)
	m.box.link = r.doors.updateLink
	m.restorable = func(id string) time.Time {
		for _, w := range r.targets {
			if string(w.Target) == id {
				w.mu.Lock()
				defer w.mu.Unlock()
				return w.mark.ServerTime
			}
		}
		return time.Time{}
	}
	for _, w := range r.targets {
		m.objectives[string(w.Target)] = incidentObjectives(w.Objectives)
	}
	ctx, end := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		every(ctx, incidentsEvery, func(ctx context.Context) { m.step(ctx, time.Now()) })
		m.box.sends.Wait()
	}()
	r.later(func(context.Context) error {
		end()
		<-done
		return nil
	})
	return m.box
}

func newIncidentRoom(o IncidentOptions, store incidentStore, p *pager, log *slog.Logger) *incidentRoom {
	return &incidentRoom{
		IncidentOptions: o, objectives: map[string]incident.Objectives{}, store: store, pager: p, log: log,
		box: newUpdateBox(store, p, log), all: map[string]*incident.State{}, said: map[string]bool{}, mirrored: map[string]int64{}, redact: redactor(nil),
	}
}

// step does all that is due at now. A store that fails is asked again at the
// next step.
func (m *incidentRoom) step(ctx context.Context, now time.Time) {
	err := m.look(ctx, now)
	if err != nil && !m.failed && ctx.Err() == nil {
		m.log.ErrorContext(ctx, "look after incidents; trying again", "error", err)
	}
	m.failed = err != nil
}

func (m *incidentRoom) look(ctx context.Context, now time.Time) error {
	if m.since.IsZero() {
		if err := m.begin(ctx, now); err != nil {
			return err
		}
	}
	if err := m.read(ctx); err != nil {
		return err
	}
	var errs []error
	// What ended is seen before clocks are read, so that none is told missed that
	// was met while no server ran.
	errs = append(errs, m.seeOutages(ctx, now), m.seeAlerts(ctx, now))
	for _, s := range m.order {
		errs = append(errs, m.offer(ctx, s, now), m.tellRoles(ctx, s, now), m.tellClocks(ctx, s.ID, now), m.remind(ctx, s.ID, now), m.mirror(ctx, s, now))
	}
	m.signal(ctx, now)
	for id, results := range m.box.work(ctx, m.order, now) {
		for _, c := range results {
			errs = append(errs, m.act(ctx, id, c, now))
		}
	}
	return errors.Join(errs...)
}

// begin notes since when incidents are opened: what was over before opens none.
func (m *incidentRoom) begin(ctx context.Context, now time.Time) error {
	if err := m.box.load(ctx); err != nil {
		return err
	}
	r, err := m.store.OneRecord(ctx, kindSince, "since")
	if err == nil {
		m.since = r.At
		return nil
	}
	if !errors.Is(err, status.ErrNothing) {
		return err
	}
	if r, err = alert.NewRecord(kindSince, "since", "", false, now, nil); err == nil {
		err = m.store.Save(ctx, r)
	}
	if err == nil {
		m.since = now
	}
	return err
}

// read takes in what was added since the last look, by anyone.
func (m *incidentRoom) read(ctx context.Context) error {
	entries, err := m.store.ReadScope(ctx, incidentScope, m.last)
	if err != nil {
		return err
	}
	for _, e := range incidentEvents(entries) {
		s := m.all[e.Incident]
		if s == nil {
			s = &incident.State{}
			m.all[e.Incident], m.order = s, append(m.order, s)
		}
		if e.Seq > s.Last {
			*s = s.With(e)
		}
		m.last = e.Seq
	}
	return nil
}

// act does one thing as the server. What is done already, or is refused since
// people did something meanwhile, is no error.
func (m *incidentRoom) act(ctx context.Context, id string, c incident.Command, now time.Time) error {
	if _, err := incident.Decide(*m.all[id], c, incident.Server, now); err != nil {
		return passed(err)
	}
	s, _, err := incident.Act(ctx, incidentLog{m.store}, id, c, incident.Server, now)
	if err == nil {
		*m.all[id] = s
	}
	return passed(err)
}

func passed(err error) error {
	if errors.Is(err, incident.ErrNothing) || errors.Is(err, incident.ErrRefused) {
		return nil
	}
	return err
}

// open opens an incident about a cause, or adds the cause to the one that is
// open about the same target. Whoever else does so at the same moment, it
// happens once.
func (m *incidentRoom) open(ctx context.Context, title string, sev incident.Severity, team string, c incident.Cause, now time.Time) error {
	if m.restorable != nil {
		c.Restorable = m.restorable(c.Target)
	}
	kept, err := incident.ActOnAll(ctx, incidentLog{m.store}, func(all []incident.State) ([]incident.Event, error) {
		same, seen := incident.Opening(all, c)
		switch {
		case seen:
			return nil, nil
		case same.ID != "":
			return incident.Decide(same, incident.Join{Cause: c, Severity: sev}, incident.Server, now)
		}
		o := incident.Opened{Title: title, Severity: sev, Team: team, Cause: c, Objectives: incident.DefaultObjectives()}
		if c.Target != "" {
			o.Targets = []string{c.Target}
		}
		if x, known := m.objectives[c.Target]; known {
			o.Objectives = x
		}
		return incident.Decide(incident.State{}, incident.Open{ID: incident.NextID(all), Opened: o}, incident.Server, now)
	})
	for _, e := range kept {
		if e.Kind == incident.KindOpened {
			m.log.Warn("an incident is open", "incident", e.Incident, "title", title, "severity", string(sev))
		}
	}
	return errors.Join(passed(err), m.read(ctx))
}

// outageCause is an outage as the cause of an incident.
func outageCause(o monitor.Outage) incident.Cause {
	return incident.Cause{
		Key: "outage/" + string(o.Target) + "/" + o.FirstBad.UTC().Format("20060102T150405.000Z"), Kind: incident.FromOutage, Target: string(o.Target),
		Reason: string(o.Target) + " " + o.Reason, Started: o.FirstBad, Detected: o.Confirmed, Ended: o.Recovered,
	}
}

// seeOutages opens incidents for outages, and says in them what became of each.
func (m *incidentRoom) seeOutages(ctx context.Context, now time.Time) error {
	known, err := m.knownOutages(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, o := range known {
		c := outageCause(o)
		i := slices.IndexFunc(m.order, func(s *incident.State) bool { return s.HasCause(c.Key) && s.MergedInto == "" })
		if i < 0 {
			errs = append(errs, m.openOutage(ctx, o, c, now))
			continue
		}
		s := m.order[i]
		if !s.Open() {
			continue
		}
		errs = append(errs, m.act(ctx, s.ID, incident.ChangeCause{Key: c.Key, Reason: c.Reason}, now))
		if !o.Recovered.IsZero() {
			errs = append(errs, m.act(ctx, s.ID, incident.EndCause{Key: c.Key, At: o.Recovered}, now))
		}
	}
	return errors.Join(errs...)
}

// knownOutages are those that are open and the last that were, the oldest first.
// They are those that were told: what one node alone sees is not among them.
func (m *incidentRoom) knownOutages(ctx context.Context) ([]monitor.Outage, error) {
	open, err := m.store.OpenRecords(ctx, alert.KindOutage)
	if err != nil {
		return nil, err
	}
	recent, err := m.store.RecentRecords(ctx, alert.KindOutage, recentOutages)
	if err != nil {
		return nil, err
	}
	var out []monitor.Outage
	for _, r := range append(recent, open...) {
		var o monitor.Outage
		if err := r.Read(&o); err != nil {
			m.log.ErrorContext(ctx, "read an outage", "outage", r.ID, "error", err)
			continue
		}
		if !slices.ContainsFunc(out, func(x monitor.Outage) bool { return outageCause(x).Key == outageCause(o).Key }) {
			out = append(out, o)
		}
	}
	slices.SortFunc(out, func(a, b monitor.Outage) int { return a.FirstBad.Compare(b.FirstBad) })
	return out, nil
}

// openOutage opens an incident for an outage if the policy says so.
func (m *incidentRoom) openOutage(ctx context.Context, o monitor.Outage, c incident.Cause, now time.Time) error {
	charge := m.pager.o.Charges[string(o.Target)]
	if charge.Tier == "" {
		charge.Tier = alert.High
	}
	at := now
	if !o.Recovered.IsZero() {
		at = o.Recovered.Add(-1)
	}
	switch {
	case m.Rules.Outages == "" || charge.Tier.Rank() < m.Rules.Outages.Rank(),
		!o.Recovered.IsZero() && (o.Confirmed.Before(m.since) || now.Sub(o.Recovered) > outageForgiven),
		slices.ContainsFunc(m.order, func(s *incident.State) bool { return s.HasCause(c.Key) }): // in one that was merged
		return nil
	}
	silent, err := m.silenced(ctx, alarmSignal(o.Target, status.Alarm{Code: status.AlarmOutage}), at)
	if err != nil || silent {
		return err
	}
	return m.open(ctx, string(o.Target)+" does not serve", severityOf(alert.SeverityFor(charge.Tier, alert.Critical)), charge.Team, c, now)
}

// silenced reports whether a silence, also one that has ended since, covers a
// signal at a moment.
func (m *incidentRoom) silenced(ctx context.Context, s alert.Signal, at time.Time) (bool, error) {
	records, err := m.store.RecentRecords(ctx, alert.KindSilence, recentAlerts)
	if err != nil {
		return false, err
	}
	for _, r := range records {
		var x alert.Silence
		if err := r.Read(&x); err == nil && x.Covers(s, at) {
			return true, nil
		}
	}
	return false, nil
}

// offer offers roles to whoever is on call.
func (m *incidentRoom) offer(ctx context.Context, s *incident.State, now time.Time) error {
	if !s.Open() || len(s.Offers)+len(s.Roles) >= len(incident.Roles()) {
		return nil
	}
	var people []string
	for name := range m.Roster.Teams {
		if s.Team != "" && name != s.Team {
			continue
		}
		for _, shift := range m.Roster.OnCall(name, now) {
			if !slices.Contains(people, shift.Person) {
				people = append(people, shift.Person)
			}
		}
	}
	slices.Sort(people)
	return m.act(ctx, s.ID, incident.OfferRoles{To: people}, now)
}

// ofIncidents reports whether an alert comes from an incident itself.
func ofIncidents(s alert.Signal) bool { return strings.HasPrefix(s.Code, "incident-") }
