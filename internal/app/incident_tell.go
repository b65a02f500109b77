package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/incident"
)

// tellClocks writes down each warning of a clock once, and tells the commander.
func (m *incidentRoom) tellClocks(ctx context.Context, id string, now time.Time) error {
	s := m.all[id]
	if s.MergedInto != "" {
		return nil
	}
	var errs []error
	for _, c := range s.DueWarnings(now, m.Rules.WarnAt) {
		if t, is := c.(incident.TellClock); is && t.Clock == incident.Resolution {
			text := fmt.Sprintf("%d %% of the %s in which %s was to be restored are used.", t.Percent, spanWords(t.Objective), id)
			if t.Missed {
				text = fmt.Sprintf("The objective of %s for %s is missed.", spanWords(t.Objective), id)
			}
			name := fmt.Sprintf("%s.clock.%s.%d", id, t.Clock, t.Percent)
			if t.Missed {
				name = fmt.Sprintf("%s.clock.%s.missed", id, t.Clock)
			}
			errs = append(errs, m.tell(ctx, s, name, incident.Commander, text, "refloat incident summary "+id, now))
		}
		errs = append(errs, m.act(ctx, id, c, now))
	}
	return errors.Join(errs...)
}

// tell sends a word to who has a role; name is the same each time that the same
// is told, so that it is sent once.
func (m *incidentRoom) tell(ctx context.Context, s *incident.State, name string, role incident.Role, text, next string, now time.Time) error {
	h, has := s.Roles[role]
	if !has || m.said[name] {
		return nil
	}
	var errs []error
	for _, c := range m.Roster.People[h.Person].Contacts {
		errs = append(errs, m.box.put(ctx, &UpdateDelivery{
			AlertDelivery: alert.Delivery{ID: name + "." + c.ID, AlertID: s.ID, Kind: alert.Notice, Person: h.Person, Contact: c, State: alert.Waiting, CreatedAt: now, NotBefore: now},
			Incident:      s.ID, Audience: incident.Responders, Subject: "[" + s.ID + "] " + text, Text: text + "\n\n" + s.Title + "\nNext: " + next + "\n", Notice: true,
		}))
	}
	err := errors.Join(errs...)
	m.said[name] = err == nil
	return err
}

// tellRoles tells who was handed a role.
func (m *incidentRoom) tellRoles(ctx context.Context, s *incident.State, now time.Time) error {
	var errs []error
	for _, r := range incident.Roles() {
		if h, has := s.Roles[r]; has && h.By != h.Person && s.Open() {
			text := fmt.Sprintf("%s has handed %s to you.", h.By, r)
			errs = append(errs, m.tell(ctx, s, fmt.Sprintf("%s.role.%s.%d", s.ID, r, h.Since.UnixMicro()), r, text, "refloat incident summary "+s.ID, now))
		}
	}
	return errors.Join(errs...)
}

// teller is who sends updates: the one who has that role, else the commander;
// empty when nobody has either, or cannot be reached.
func (m *incidentRoom) teller(s *incident.State) (incident.Role, string) {
	for _, r := range []incident.Role{incident.Communications, incident.Commander} {
		if h, has := s.Roles[r]; has && len(m.Roster.People[h.Person].Contacts) > 0 {
			return r, h.Person
		}
	}
	return "", ""
}

// remind tells who sends updates that one is due, and writes down that it is
// late.
func (m *incidentRoom) remind(ctx context.Context, id string, now time.Time) error {
	s := m.all[id]
	var errs []error
	for _, a := range incident.Audiences() {
		p, waits := s.NextUpdate(a, m.cadence())
		if !waits || now.Before(p.Remind) {
			continue
		}
		role, who := m.teller(s)
		c := incident.Remind{Reminded: incident.Reminded{Audience: a, Due: p.Due, To: who}, Late: !now.Before(p.Due)}
		if who != "" && !c.Late {
			text := fmt.Sprintf("The next update to %s is due at %s.", a, p.Due.UTC().Format("15:04 UTC"))
			next := fmt.Sprintf("refloat incident update %s --audience %s --draft", id, a)
			errs = append(errs, m.tell(ctx, s, fmt.Sprintf("%s.due.%s.%d", id, a, p.Due.Unix()), role, text, next, now))
		}
		errs = append(errs, m.act(ctx, id, c, now))
	}
	return errors.Join(errs...)
}

// signal tells the pager what holds of incidents, and that the rest has ended.
func (m *incidentRoom) signal(ctx context.Context, now time.Time) {
	holds := map[string]alert.Signal{}
	for _, s := range m.order {
		if s.MergedInto != "" {
			continue
		}
		for _, x := range slices.Concat(m.clockSignals(s, now), m.updateSignals(s, now), m.box.signals(s, now), unresolved(s, now)) {
			x.Source, x.Firing, x.Team, x.Labels = "incident", true, s.Team, map[string]string{"incident": s.ID}
			if len(s.Targets) > 0 {
				x.Target = s.Targets[0]
			}
			holds[x.Key] = x
			m.pager.Signal(ctx, x)
		}
	}
	alerts, _ := m.pager.snapshot()
	for _, a := range alerts {
		if _, still := holds[a.Signal.Key]; !still && a.State == alert.Firing && a.Signal.Source == "incident" && ofIncidents(a.Signal) {
			over := a.Signal
			over.Firing, over.At = false, now
			m.pager.Signal(ctx, over)
		}
	}
}

// unresolved is an incident that nobody closes although service is back for
// long: what comes after is another.
func unresolved(s *incident.State, now time.Time) []alert.Signal {
	if !s.Open() || s.Mitigated.IsZero() || now.Sub(s.Mitigated) < incident.Aftermath {
		return nil
	}
	return []alert.Signal{{
		Key: "incident-unresolved/" + s.ID, Code: "incident-unresolved", Severity: alert.Medium, At: s.Mitigated.Add(incident.Aftermath),
		Summary: fmt.Sprintf("%s: nobody has resolved it, though service is back since %s", s.ID, s.Mitigated.UTC().Format("2006-01-02 15:04 UTC")), Next: "refloat incident resolve " + s.ID,
	}}
}

// clockSignals are the warnings of a clock that runs: the last threshold that
// was passed. The first is for the eye; the last, and a miss, page.
func (m *incidentRoom) clockSignals(s *incident.State, now time.Time) []alert.Signal {
	var out []alert.Signal
	for _, c := range s.Clocks(now, m.Rules.WarnAt) {
		if c.Name == incident.Loss && c.State == incident.Unknown && c.Objective > 0 && c.Risk > c.Objective && s.Open() {
			out = append(out, alert.Signal{
				Key: "incident-clock/" + s.ID + "/data-loss", Code: "incident-clock", Severity: alert.Medium, At: s.OpenedAt, Next: "refloat coverage shows what can be restored",
				Summary: fmt.Sprintf("%s: a restore would lose %s of work; %s are allowed", s.ID, c.Risk.Round(time.Second), spanWords(c.Objective)),
			})
		}
		if c.Name != incident.Resolution || !c.Runs() || !s.Open() || c.State != incident.Warned && c.State != incident.Missed {
			continue
		}
		due := c.From.Add(c.Objective)
		x := alert.Signal{Code: "incident-clock", Next: "refloat incident summary " + s.ID}
		if c.State == incident.Missed {
			x.Key, x.Severity, x.At = "incident-clock/"+s.ID+"/missed", alert.High, due
			x.Summary = fmt.Sprintf("%s: the objective of %s is missed: it was to be restored by %s", s.ID, spanWords(c.Objective), due.UTC().Format("15:04 UTC"))
			out = append(out, x)
			continue
		}
		for i, p := range m.Rules.WarnAt {
			at := c.From.Add(time.Duration(float64(c.Objective) * float64(p) / 100))
			if now.Before(at) {
				break
			}
			x.Key, x.Severity, x.At = fmt.Sprintf("incident-clock/%s/%d", s.ID, p), alert.Medium, at
			if i == len(m.Rules.WarnAt)-1 {
				x.Severity = alert.High
			}
			x.Summary = fmt.Sprintf("%s: %d %% of %s are used; it is to be restored by %s", s.ID, p, spanWords(c.Objective), due.UTC().Format("15:04 UTC"))
		}
		out = append(out, x)
	}
	return out
}

// updateSignals are updates that are due or late. One that nobody was reminded
// of, since nobody has the role, pages at once; one that is late does whoever
// was reminded.
func (m *incidentRoom) updateSignals(s *incident.State, now time.Time) []alert.Signal {
	var out []alert.Signal
	for _, a := range incident.Audiences() {
		p, waits := s.NextUpdate(a, m.cadence())
		if !waits || now.Before(p.Remind) {
			continue
		}
		x := alert.Signal{
			Key: fmt.Sprintf("incident-update/%s/%s/%d", s.ID, a, p.Due.Unix()), Code: "incident-update", At: p.Remind, Severity: alert.Medium,
			Summary: fmt.Sprintf("%s: the next update to %s is due at %s", s.ID, a, p.Due.UTC().Format("15:04 UTC")),
			Next:    fmt.Sprintf("refloat incident update %s --audience %s --draft", s.ID, a),
		}
		_, who := m.teller(s)
		switch {
		case !now.Before(p.Due):
			x.Severity, x.Summary = alert.High, fmt.Sprintf("%s: the update to %s is LATE: it was due at %s", s.ID, a, p.Due.UTC().Format("15:04 UTC"))
		case who == "":
			x.Severity, x.Summary = alert.High, x.Summary+", and nobody has taken communications or command"
		}
		out = append(out, x)
	}
	return out
}

// spanWords renders a promised span.
func spanWords(d time.Duration) string {
	switch {
	case d%time.Hour == 0 && d > 0:
		return fmt.Sprintf("%d h", d/time.Hour)
	case d%time.Minute == 0 && d > 0:
		return fmt.Sprintf("%d min", d/time.Minute)
	}
	return d.String()
}
