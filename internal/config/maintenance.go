package config

import (
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// Maintenance is planned work on a target, during which nobody is paged about it.
type Maintenance struct {
	Schedule Schedule `yaml:"schedule" jsonschema_description:"When it begins, again and again, like weekly sun 03:00."`
	For      Duration `yaml:"for" jsonschema_description:"How long it lasts, with schedule; at most 1d."`
	From     Moment   `yaml:"from" jsonschema_description:"When it begins, once, like 2026-12-24 22:00 in its zone."`
	Until    Moment   `yaml:"until" jsonschema_description:"When it ends, with from; at most 7d later."`
	Zone     string   `yaml:"zone" jsonschema_description:"Time zone of its times, such as Europe/Berlin. Default: UTC."`
	Owner    string   `yaml:"owner" jsonschema:"required" jsonschema_description:"Who answers for it."`
	Reason   string   `yaml:"reason" jsonschema:"required" jsonschema_description:"What is done."`

	Announce string `yaml:"announce" jsonschema_description:"What clients are told of it on the status page; nothing for not at all."`

	// Begin and End are from and until; Place is zone.
	Begin, End time.Time      `yaml:"-"`
	Place      *time.Location `yaml:"-"`
}

// The longest that planned work may keep people from being paged.
const (
	longestWindow = Duration(24 * time.Hour)
	longestOnce   = 7 * 24 * time.Hour
)

// maintenance reads the planned work of a target.
func (l *loader) maintenance(at string, t *Target) {
	for i := range t.Maintenance {
		m, at := &t.Maintenance[i], fmt.Sprintf("%s.maintenance[%d]", at, i)
		m.Place = l.zone(at+".zone", m.Zone, time.UTC)
		once, again := m.From != "" || m.Until != "", m.Schedule != "" || m.For != 0
		switch {
		case strings.TrimSpace(m.Owner) == "" || strings.TrimSpace(m.Reason) == "":
			l.fail(at, "planned work needs owner and reason: others will ask")
		case once == again:
			l.fail(at, "planned work needs either schedule and for, or from and until")
		case once:
			l.once(at, m)
		case m.Schedule == "" || m.For <= 0 || m.For > longestWindow:
			l.fail(at, "planned work that comes back needs schedule, and for of at most 1d")
		case strings.HasPrefix(string(m.Schedule), "@every"):
			l.fail(at+".schedule", "planned work needs times of the day that others can know: daily 03:00, weekly sun 03:00 or five cron fields")
		default:
			l.alwaysSilent(at, *m)
		}
	}
}

func (l *loader) once(at string, m *Maintenance) {
	if m.From == "" || m.Until == "" {
		l.fail(at, "planned work that comes once needs from and until")
		return
	}
	m.Begin, _ = m.From.in(m.Place) // UnmarshalText has seen them
	m.End, _ = m.Until.in(m.Place)
	if !m.Begin.Before(m.End) || m.End.Sub(m.Begin) > longestOnce {
		l.fail(at+".until", "planned work ends after it begins, and within 7d")
	}
}

// alwaysSilent refuses windows that leave less than half of the time awake.
func (l *loader) alwaysSilent(at string, m Maintenance) {
	when, err := cron.ParseStandard(string(m.Schedule))
	if err != nil {
		return // ParseSchedule has said so
	}
	from := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) // any span of four weeks shows it
	var silent time.Duration
	end := from
	for t := when.Next(from); !t.IsZero() && t.Before(from.Add(28*24*time.Hour)); t = when.Next(t) {
		if begin := t; begin.After(end) {
			end = begin
		}
		if until := t.Add(m.For.Std()); until.After(end) {
			silent += until.Sub(end)
			end = until
		}
	}
	if silent > 14*24*time.Hour {
		l.fail(at, "this window would keep people from being paged for more than half of the time")
	}
}
