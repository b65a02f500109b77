package web

import (
	"cmp"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/server"
	"github.com/refloat-db/refloat/internal/server/web/component"
)

// calendar is who is on call, as its page shows it.
type calendar struct {
	server.OnCall
	month     bool
	zone      *time.Location
	now       time.Time
	me        string
	days      []time.Time // the beginning of each
	colours   map[string]int
	simulated *server.PageSimulation
	asked     simulation
	targets   []string
	wrong     string
}

// simulation is what is asked of the escalation.
type simulation struct{ target, team, severity, at string }

func (s *Site) onCall(q asked) (view, error) {
	form := q.URL.Query()
	c := calendar{month: form.Get("view") == "month", zone: cmp.Or(component.ViewerOf(q.Context()).Zone, time.UTC), now: q.now, me: q.who.Name, colours: map[string]int{}}
	from := monday(q.now.In(c.zone))
	if t, err := time.ParseInLocation(time.DateOnly, form.Get("from"), c.zone); err == nil {
		from = monday(t)
	}
	n := 7
	if c.month {
		n = 35
	}
	for i := range n {
		c.days = append(c.days, from.AddDate(0, 0, i))
	}
	var err error
	if c.OnCall, err = s.desk.OnCall(q.Context(), q.who, from, from.AddDate(0, 0, n)); err != nil {
		return view{}, err
	}
	for _, t := range c.Teams {
		for _, x := range t.Shifts {
			if _, has := c.colours[x.Person]; !has {
				c.colours[x.Person] = len(c.colours) % 6
			}
		}
	}
	if err := s.simulate(q, &c); err != nil {
		return view{}, err
	}
	return view{title: "On call", here: "/oncall", about: "none", body: onCallPage(c)}, nil
}

func (s *Site) simulate(q asked, c *calendar) error {
	b, err := s.desk.Board(q.Context(), q.who)
	if err != nil {
		return err
	}
	for _, t := range b.Targets {
		c.targets = append(c.targets, string(t.Target))
	}
	form := q.URL.Query()
	c.asked = simulation{target: form.Get("target"), team: form.Get("team"), severity: form.Get("severity"), at: form.Get("at")}
	if c.asked.target == "" && c.asked.team == "" {
		return nil
	}
	ask := server.PageQuery{Target: c.asked.target, Team: c.asked.team, Severity: alert.Severity(c.asked.severity)}
	if c.asked.at != "" {
		if ask.At, err = readMoment(c.asked.at, q.now); err != nil {
			c.wrong = sentence(err)
			return nil
		}
	}
	out, err := s.desk.Simulate(q.Context(), q.who, ask)
	switch {
	case errors.Is(err, server.ErrNotFound), errors.Is(err, server.ErrRefused):
		c.wrong = sentence(err)
	case err != nil:
		return err
	default:
		c.simulated = &out
	}
	return nil
}

// monday is the beginning of a week.
func monday(t time.Time) time.Time {
	y, m, d := t.Date()
	back := (int(t.Weekday()) + 6) % 7
	return time.Date(y, m, d-back, 0, 0, 0, 0, t.Location())
}

// path is the calendar from another day on.
func (c calendar) path(from time.Time, month bool) string {
	v := url.Values{"from": {from.Format(time.DateOnly)}}
	if month {
		v.Set("view", "month")
	}
	return "/oncall?" + v.Encode()
}

func (c calendar) step(n int) time.Time {
	if c.month {
		return c.days[0].AddDate(0, 0, 28*n)
	}
	return c.days[0].AddDate(0, 0, 7*n)
}

func (c calendar) until() time.Time { return c.days[len(c.days)-1].AddDate(0, 0, 1) }

// place is a moment on the axis of the picture, from 0 to 1000.
func (c calendar) place(t time.Time) float64 {
	whole := c.until().Sub(c.days[0]).Seconds()
	return min(max(t.Sub(c.days[0]).Seconds()/whole, 0), 1) * 1000
}

// rotations are the names of a team's, in their order.
func rotations(t server.TeamOnCall) []string {
	var out []string
	for _, s := range t.Shifts {
		if !slices.Contains(out, s.Rotation) {
			out = append(out, s.Rotation)
		}
	}
	return out
}

func shiftsOf(t server.TeamOnCall, rotation string) []alert.Shift {
	return slices.DeleteFunc(slices.Clone(t.Shifts), func(s alert.Shift) bool { return s.Rotation != rotation })
}

// part is a stretch of a day: who is on call, or that nobody is.
type part struct {
	person string
	from   time.Time // zero for the day's beginning
	until  time.Time // zero for its end
	gap    bool
}

// partsOf are the stretches of a day in one rotation.
func (c calendar) partsOf(t server.TeamOnCall, rotation string, day time.Time) []part {
	end := day.AddDate(0, 0, 1)
	var out []part
	clip := func(person string, since, until time.Time, gap bool) {
		if !since.Before(end) || !until.After(day) {
			return
		}
		p := part{person: person, gap: gap}
		if since.After(day) {
			p.from = since.In(c.zone)
		}
		if until.Before(end) {
			p.until = until.In(c.zone)
		}
		out = append(out, p)
	}
	for _, s := range shiftsOf(t, rotation) {
		clip(s.Person, s.Since, s.Until, false)
	}
	for _, g := range t.Gaps {
		clip("", g.Since, g.Until, true)
	}
	slices.SortStableFunc(out, func(a, b part) int { return a.from.Compare(b.from) })
	return out
}

func (c calendar) name(person string) string { return cmp.Or(c.Names[person], person) }

func (c calendar) partWords(p part) string {
	who := "Nobody"
	if !p.gap {
		who = c.name(p.person)
	}
	var when []string
	if !p.from.IsZero() {
		when = append(when, "from "+p.from.Format("15:04"))
	}
	if !p.until.IsZero() {
		when = append(when, "until "+p.until.Format("15:04"))
	}
	if len(when) == 0 {
		return who
	}
	return who + " " + strings.Join(when, " ")
}

// people are those of a team who have a shift, in the order of their first.
func peopleOf(t server.TeamOnCall) []string {
	var out []string
	for _, s := range t.Shifts {
		if !slices.Contains(out, s.Person) {
			out = append(out, s.Person)
		}
	}
	return out
}
