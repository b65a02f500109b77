package app

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/alert"
)

// What on-call commands speak of.
type (
	Shift         = alert.Shift
	CoverGap      = alert.Gap
	AlertSeverity = alert.Severity
)

// TeamOnCall is who is on call in a team.
type TeamOnCall struct {
	Team    string   `json:"team"`
	Now     []Shift  `json:"now"`
	Next    []Shift  `json:"next"` // those that begin in the days asked for
	Members []string `json:"members"`
	// Rotating is false for a team in which nobody is on call at any time: its
	// alerts go to all members.
	Rotating bool       `json:"rotating"`
	GapNow   bool       `json:"gap_now"`
	Gaps     []CoverGap `json:"gaps"` // in the days asked for
	Policy   string     `json:"policy"`
}

// OnCallReport says who is on call.
type OnCallReport struct {
	At     time.Time              `json:"at"`
	Until  time.Time              `json:"until"` // gaps were looked for up to here
	Teams  []TeamOnCall           `json:"teams"`
	People map[string]PersonShown `json:"people"` // by name in the configuration
}

// PersonShown is how a person is shown.
type PersonShown struct {
	Name string `json:"name"` // as people write it
	Zone string `json:"zone"` // time zone
	// Contacts are the IDs of the ways to reach them.
	Contacts []string `json:"contacts"`
}

func (a *App) people() map[string]PersonShown {
	all := map[string]PersonShown{}
	for name, p := range a.cfg.Roster.People {
		x := PersonShown{Name: p.Shown(), Zone: p.Zone.String(), Contacts: []string{}}
		for _, c := range p.Contacts {
			x.Contacts = append(x.Contacts, c.ID)
		}
		all[name] = x
	}
	return all
}

// Uncovered reports whether a team has a gap at the moment asked for.
func (r OnCallReport) Uncovered() bool {
	return slices.ContainsFunc(r.Teams, func(t TeamOnCall) bool { return t.GapNow })
}

// OnCall says who is on call at a moment, in one team or, for an empty name, in
// all; and which gaps there are in the days after it.
func (a *App) OnCall(team string, at time.Time, days int) (OnCallReport, error) {
	teams, err := a.teams(team)
	if err != nil {
		return OnCallReport{}, err
	}
	if days < 0 || days > 1000 {
		return OnCallReport{}, fmt.Errorf("%w: days wants 0 to 1000, not %d", ErrUsage, days)
	}
	r := a.cfg.Roster
	horizon := at.AddDate(0, 0, days).Add(1) // so that 0 days ask about the moment itself
	out := OnCallReport{At: at, Until: at.AddDate(0, 0, days), People: a.people()}
	for _, name := range teams {
		t := r.Teams[name]
		x := TeamOnCall{
			Team: name, Members: t.Members, Rotating: len(t.Rotations)+len(t.Overrides) > 0, Policy: r.PolicyOf(name).Name,
			Now: append([]Shift{}, r.OnCall(name, at)...), Next: []Shift{}, Gaps: []CoverGap{},
		}
		if x.Rotating {
			x.GapNow = len(x.Now) == 0
			x.Gaps = append(x.Gaps, r.Gaps(name, at, horizon)...)
			for _, s := range r.Shifts(name, at, out.Until) {
				if s.Since.After(at) {
					x.Next = append(x.Next, s)
				}
			}
		}
		out.Teams = append(out.Teams, x)
	}
	return out, nil
}

// teams are the team named, or all.
func (a *App) teams(name string) ([]string, error) {
	all := a.Teams()
	switch {
	case len(all) == 0:
		return nil, fmt.Errorf("%w: %s has no teams; docs/on-call.md says how to write them", ErrUsage, a.cfg.Path)
	case name == "":
		return all, nil
	case !slices.Contains(all, name):
		return nil, fmt.Errorf("%w: there is no team %s in %s; it has %s", ErrUsage, name, a.cfg.Path, strings.Join(all, ", "))
	}
	return []string{name}, nil
}

// Teams lists the names in the configuration.
func (a *App) Teams() []string { return slices.Sorted(maps.Keys(a.cfg.Roster.Teams)) }

// People lists the names in the configuration.
func (a *App) People() []string { return slices.Sorted(maps.Keys(a.cfg.Roster.People)) }

// OnCallCalendar is the iCalendar feed of a team, of a person, or of all teams,
// for so many days from a moment on.
func (a *App) OnCallCalendar(team, person string, at, made time.Time, days int) ([]byte, error) {
	if err := a.calendarOf(team, person); err != nil {
		return nil, err
	}
	return calendarFeed(a.cfg.Roster, alert.CalendarLink{Team: team, Person: person}, at, at.AddDate(0, 0, days), made), nil
}

// calendarOf refuses names that the configuration does not have.
func (a *App) calendarOf(team, person string) error {
	if _, ok := a.cfg.Roster.People[person]; person != "" && !ok {
		return fmt.Errorf("%w: there is no person %s in %s; it has %s", ErrUsage, person, a.cfg.Path, join(a.People()))
	}
	_, err := a.teams(team)
	return err
}

// OnCallAddress is where calendar programs subscribe to the shifts of a team, a
// person, or all: a running server serves them there. Whoever has the address
// can read them.
func (a *App) OnCallAddress(team, person string) (string, error) {
	if err := a.calendarOf(team, person); err != nil {
		return "", err
	}
	base := a.cfg.Server.PublicURL
	switch {
	case base == "" && a.cfg.Server.Listen == "off":
		return "", fmt.Errorf("%w: server.listen is off: nothing serves a calendar", ErrUsage)
	case base == "":
		base = "http://" + a.cfg.Server.Listen
	}
	key, err := a.linkKey()
	if err != nil {
		return "", err
	}
	return strings.TrimSuffix(base, "/") + "/calendar/" + alert.CalendarLink{Team: team, Person: person}.Sign(key) + ".ics", nil
}

// linkKey signs links that a server takes: nodes on one store take each other's.
func (a *App) linkKey() ([]byte, error) {
	if a.cfg.Store.URL != "" {
		return sharedKey(a.cfg.Repository.Passphrase, "links")
	}
	if err := os.MkdirAll(a.cfg.StateDir, 0o700); err != nil {
		return nil, fmt.Errorf("make state directory: %w", err)
	}
	return linkKey(filepath.Join(a.cfg.StateDir, "link.key"))
}

// calendarFeed is the iCalendar text of the shifts that a link is for.
func calendarFeed(r alert.Roster, l alert.CalendarLink, from, until, made time.Time) []byte {
	if l.Person != "" {
		shifts := r.PersonShifts(l.Person, from, until)
		if l.Team != "" {
			shifts = slices.DeleteFunc(shifts, func(s Shift) bool { return s.Team != l.Team })
		}
		return alert.Feed("On call: "+r.People[l.Person].Shown(), shifts, r.People, made)
	}
	teams := slices.Sorted(maps.Keys(r.Teams))
	if l.Team != "" {
		teams = []string{l.Team}
	}
	var shifts []Shift
	for _, t := range teams {
		shifts = append(shifts, r.Shifts(t, from, until)...)
	}
	return alert.Feed("On call: "+strings.Join(teams, ", "), shifts, r.People, made)
}

// PageRequest says which alert to simulate.
type PageRequest struct {
	Alert    io.Reader // an alert or a signal as JSON; nil for one made of the rest
	Target   string
	Team     string
	Severity string
	At       time.Time
}

// PageSimulation is who would be paged when, and through what.
type PageSimulation struct {
	At       time.Time     `json:"at"`
	Target   string        `json:"target,omitempty"`
	Team     string        `json:"team,omitempty"`
	Severity AlertSeverity `json:"severity"` // after the target's tier was taken into account
	alert.Simulation
	People map[string]PersonShown `json:"people"`
}

// SimulatePage says who would be paged for an alert, as nobody acknowledges it.
func (a *App) SimulatePage(r PageRequest) (PageSimulation, error) {
	al := alert.Alert{ID: "simulated", State: alert.Firing, StartedAt: r.At}
	if r.Alert != nil {
		s, err := readSignal(r.Alert)
		if err != nil {
			return PageSimulation{}, err
		}
		al.Signal = s
	}
	s := &al.Signal
	if r.Target != "" {
		s.Target = r.Target
	}
	if r.Team != "" {
		s.Team = r.Team
	}
	if r.Severity != "" {
		if alert.Severity(r.Severity).Rank() == 0 {
			return PageSimulation{}, fmt.Errorf("%w: the severity is critical, high, medium or low, not %q", ErrUsage, r.Severity)
		}
		s.Severity = alert.Severity(r.Severity)
	}
	if s.Target != "" {
		_, t, err := a.target(s.Target)
		if err != nil {
			return PageSimulation{}, err
		}
		if s.Severity == "" {
			s.Severity = alert.SeverityFor(alert.Severity(t.Tier), alert.Critical)
		}
		if s.Team == "" {
			s.Team = t.Team
		}
	}
	if s.Team != "" {
		if _, err := a.teams(s.Team); err != nil {
			return PageSimulation{}, err
		}
	}
	roster := a.cfg.Roster
	out := PageSimulation{At: r.At, Target: s.Target, Team: s.Team, Severity: s.Severity, People: a.people()}
	out.Simulation = alert.Simulate(al, roster.PolicyOf(s.Team), roster, r.At)
	return out, nil
}

// readSignal reads an alert, or a signal alone.
func readSignal(in io.Reader) (alert.Signal, error) {
	text, err := io.ReadAll(io.LimitReader(in, 1<<20))
	if err != nil {
		return alert.Signal{}, fmt.Errorf("read the alert: %w", err)
	}
	var whole struct {
		Signal *alert.Signal `json:"signal"`
	}
	var s alert.Signal
	if err := json.Unmarshal(text, &whole); err == nil && whole.Signal != nil {
		return *whole.Signal, nil
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return s, fmt.Errorf("%w: not an alert or a signal as JSON: %w", ErrUsage, err)
	}
	return s, nil
}
