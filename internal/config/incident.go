package config

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/incident"
)

// Incidents says when an incident is opened by itself, and who is told of one.
type Incidents struct {
	Open      IncidentOpen                   `yaml:"open" jsonschema_description:"What opens an incident by itself."`
	WarnAt    []int                          `yaml:"warn_at" jsonschema_description:"Percentages of an objective at which its clock warns. Default: [50, 80]."`
	Audiences map[string]IncidentAudience    `yaml:"audiences" jsonschema_description:"Who belongs to responders, teams and clients. Responders are whoever is on call unless said otherwise, and whoever has a role."`
	Updates   map[string]map[string]Duration `yaml:"updates" jsonschema_description:"How often each audience is told, by severity, like sev1: {teams: 30m, clients: 30m}; 0s for never. A severity that is named replaces its default: sev1 teams and clients 30m, sev2 teams and clients 1h, sev3 teams 4h."`
	Names     map[string]string              `yaml:"names" jsonschema_description:"What people know targets by, for updates, like shop: The web shop."`

	// Rules are what all of this says, read and checked.
	Rules IncidentRules `yaml:"-"`
}

// IncidentOpen says what opens an incident.
type IncidentOpen struct {
	Outages string `yaml:"outages" jsonschema:"enum=critical,enum=high,enum=medium,enum=low,enum=never" jsonschema_description:"Least tier of a target whose outage opens one. Default: low, which is every target's."`
	Alerts  string `yaml:"alerts" jsonschema:"enum=critical,enum=high,enum=medium,enum=low,enum=never" jsonschema_description:"Least severity of an alert that opens one. Default: critical."`
}

// IncidentAudience is a circle of people who are told the same.
type IncidentAudience struct {
	To       []string  `yaml:"to" jsonschema_description:"oncall:TEAM, oncall:TEAM/ROTATION, oncall, team:TEAM, channel:TEAM, person:NAME or everybody."`
	Contacts []Contact `yaml:"contacts" jsonschema_description:"Addresses of those who are in no team, such as clients; each wants a name."`
}

// IncidentRules are the section, read and checked.
type IncidentRules struct {
	Outages, Alerts alert.Severity // least that opens an incident; empty for never
	WarnAt          []int
	Cadence         incident.Cadence
	Circles         map[incident.Audience]Circle
	Names           map[string]string
}

// Circle is who belongs to an audience.
type Circle struct {
	Refs     []alert.Ref
	Contacts []alert.Contact
}

const never = "never"

func defaultIncidents() Incidents {
	return Incidents{Open: IncidentOpen{Outages: string(alert.Low), Alerts: string(alert.Critical)}}
}

func (l *loader) incidents(c *Config) {
	in := &c.Incidents
	r := IncidentRules{WarnAt: in.WarnAt, Cadence: incident.DefaultCadence(), Circles: map[incident.Audience]Circle{}, Names: in.Names}
	r.Outages = l.least("outages", in.Open.Outages)
	r.Alerts = l.least("alerts", in.Open.Alerts)
	if len(r.WarnAt) == 0 {
		r.WarnAt = incident.DefaultWarnAt()
	}
	for i, p := range r.WarnAt {
		if p < 1 || p > 99 || i > 0 && p <= r.WarnAt[i-1] {
			l.fail("$.incidents.warn_at", "warn_at wants percentages from 1 to 99 that grow, like [50, 80]")
			break
		}
	}
	for _, name := range slices.Sorted(maps.Keys(in.Audiences)) {
		l.audience(c, name, &r)
	}
	for _, sev := range slices.Sorted(maps.Keys(in.Updates)) {
		l.cadence(sev, in.Updates[sev], &r)
	}
	for _, name := range slices.Sorted(maps.Keys(in.Names)) {
		known(l, "$.incidents.names."+name, "target", name, c.Targets)
	}
	in.Rules = r
}

func (l *loader) least(key, text string) alert.Severity {
	s := alert.Severity(text)
	if text == never {
		return ""
	}
	if s.Rank() == 0 {
		l.fail("$.incidents.open."+key, "%s wants critical, high, medium, low or never, not %q", key, text)
	}
	return s
}

func (l *loader) audience(c *Config, name string, r *IncidentRules) {
	at, a := "$.incidents.audiences."+name, c.Incidents.Audiences[name]
	if !slices.Contains(incident.Audiences(), incident.Audience(name)) {
		l.fail(at, "there is no audience %q: there are responders, teams and clients", name)
		return
	}
	var circle Circle
	for i, ref := range a.To {
		if err := c.Roster.CheckRef(alert.Ref(ref)); err != nil {
			l.fail(fmt.Sprintf("%s.to[%d]", at, i), "%v", err)
		}
		circle.Refs = append(circle.Refs, alert.Ref(ref))
	}
	circle.Contacts = l.contacts(at, "audience."+name, a.Contacts)
	c.Incidents.Audiences[name] = a
	r.Circles[incident.Audience(name)] = circle
}

func (l *loader) cadence(sev string, by map[string]Duration, r *IncidentRules) {
	at := "$.incidents.updates." + sev
	if !slices.Contains(incident.Severities(), incident.Severity(sev)) {
		l.fail(at, "there is no severity %q: there are sev1, sev2, sev3 and sev4", sev)
		return
	}
	out := map[incident.Audience]time.Duration{}
	for _, name := range slices.Sorted(maps.Keys(by)) {
		switch d := by[name]; {
		case !slices.Contains(incident.Audiences(), incident.Audience(name)):
			l.fail(at+"."+name, "there is no audience %q: there are responders, teams and clients", name)
		case d != 0 && d < Duration(time.Minute) || d > Duration(7*24*time.Hour):
			l.fail(at+"."+name, "an audience is told every 1m to 7d, or 0s for never")
		default:
			out[incident.Audience(name)] = d.Std()
		}
	}
	r.Cadence[incident.Severity(sev)] = out
}
