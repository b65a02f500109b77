package config

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/alert"
)

var (
	personName  = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	turnPattern = regexp.MustCompile(`^([1-9][0-9]{0,2})d$`)
	vias        = []alert.Via{alert.Email, alert.Webhook, alert.Chat}
	weekdays    = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}
)

// onCall reads people, teams and policies into the roster.
func (l *loader) onCall(c *Config) {
	r := alert.Roster{People: map[string]alert.Person{}, Teams: map[string]alert.Team{}, Policies: map[string]alert.Policy{}}
	for _, name := range slices.Sorted(maps.Keys(c.People)) {
		r.People[name] = l.person(name, c.People[name])
	}
	for _, name := range slices.Sorted(maps.Keys(c.Teams)) {
		if _, both := c.People[name]; both {
			l.fail("$.teams."+name, "%s is the name of a person too: give the team another", name)
		}
		r.Teams[name] = l.team(name, c.Teams[name], r)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Policies)) {
		r.Policies[name] = l.policy(name, c.Policies[name], r)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Teams)) {
		if p := c.Teams[name].Policy; p != "" && p != alert.DefaultPolicyName {
			known(l, "$.teams."+name+".policy", "policy", p, r.Policies)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Targets)) {
		t := c.Targets[name]
		if t.Team != "" {
			known(l, "$.targets."+name+".team", "team", t.Team, r.Teams)
		}
		if alert.Severity(t.Tier).Rank() == 0 {
			l.fail("$.targets."+name+".tier", "tier wants critical, high, medium or low, not %q", t.Tier)
		}
	}
	c.Roster = r
}

// known wants a name to be in a section of the file.
func known[T any](l *loader, at, what, name string, all map[string]T) {
	if _, ok := all[name]; ok {
		return
	}
	hint := ""
	if near := Nearest(name, slices.Sorted(maps.Keys(all))); near != "" {
		hint = fmt.Sprintf("; did you mean %q?", near)
	}
	l.fail(at, "there is no %s %q in this file%s", what, name, hint)
}

func (l *loader) name(section, name string) {
	if !personName.MatchString(name) {
		l.fail("$."+section, "%q cannot be a name in %s: use lower-case letters, digits and inner hyphens, at most 63", name, section)
	}
}

func (l *loader) zone(at, name string, otherwise *time.Location) *time.Location {
	if name == "" {
		return otherwise
	}
	z, err := time.LoadLocation(name)
	if err != nil || name == "Local" {
		l.fail(at, "there is no time zone %q: write one like Europe/Berlin", name)
		return otherwise
	}
	return z
}

func (l *loader) person(name string, p Person) alert.Person {
	at := "$.people." + name
	l.name("people", name)
	if len(p.Contacts) == 0 {
		l.fail(at, "%s has no contacts: nobody could page them", name)
	}
	return alert.Person{Name: name, Display: p.Name, Zone: l.zone(at+".zone", p.Zone, time.UTC), Contacts: l.contacts(at, name, p.Contacts)}
}

// contacts checks and completes them where they are.
func (l *loader) contacts(at, owner string, all []Contact) []alert.Contact {
	var out []alert.Contact
	seen := map[string]bool{}
	for i := range all {
		c, at := &all[i], fmt.Sprintf("%s.contacts[%d]", at, i)
		label := c.Name
		if label == "" {
			label = c.Via
		}
		c.ID = owner + "." + label
		switch {
		case c.Via == "":
			l.fail(at, "a contact needs via: email, webhook or chat")
		case !slices.Contains(vias, alert.Via(c.Via)):
			l.fail(at+".via", "via wants email, webhook or chat, not %q", c.Via)
		case c.Name != "" && !personName.MatchString(c.Name):
			l.fail(at+".name", "%q cannot be a contact's name: use lower-case letters, digits and inner hyphens, at most 63", c.Name)
		case seen[label]:
			l.fail(at, "%s has two contacts that are called %s: give this one another name", owner, label)
		}
		seen[label] = true
		address := c.To
		if c.Via != string(alert.Email) {
			address = label
		}
		l.contact(at, c)
		out = append(out, alert.Contact{ID: c.ID, Via: alert.Via(c.Via), Address: address})
	}
	return out
}

func (l *loader) contact(at string, c *Contact) {
	c.URL = l.either(at, "url", &c.URLFile, c.URLEnv)
	c.Secret = l.either(at, "secret", &c.SecretFile, c.SecretEnv)
	hasURL, hasSecret := c.URLFile+c.URLEnv != "", c.SecretFile+c.SecretEnv != ""
	switch {
	case c.Via == string(alert.Email) && c.To == "":
		l.fail(at, "a contact via email needs to: its address")
	case c.Via == string(alert.Email) && !strings.Contains(c.To, "@"):
		l.fail(at+".to", "%q is not an address", c.To)
	case c.Via == string(alert.Email) && (hasURL || hasSecret):
		l.fail(at, "a contact via email has neither url nor secret")
	case c.Via != string(alert.Email) && c.To != "":
		l.fail(at+".to", "to is for email; give url_file or url_env")
	case c.Via != string(alert.Email) && !hasURL:
		l.fail(at, "a contact via %s needs url_file or url_env: its URL is a secret", c.Via)
	case c.Via == string(alert.Chat) && hasSecret:
		l.fail(at, "a contact via chat has no secret but its URL")
	}
}

func (l *loader) people(at string, names []string, r alert.Roster) []string {
	for i, n := range names {
		known(l, fmt.Sprintf("%s[%d]", at, i), "person", n, r.People)
	}
	return names
}

func (l *loader) team(name string, t Team, r alert.Roster) alert.Team {
	at := "$.teams." + name
	l.name("teams", name)
	if len(t.Members) == 0 {
		l.fail(at, "team %s has no members", name)
	}
	out := alert.Team{Name: name, Policy: t.Policy, Members: l.people(at+".members", t.Members, r), Contacts: l.contacts(at, name, t.Contacts)}
	seen := map[string]bool{}
	for i, x := range t.Rotations {
		at := fmt.Sprintf("%s.rotations[%d]", at, i)
		if x.Name == "" {
			x.Name = append([]string{"primary", "secondary"}, make([]string, i)...)[i]
		}
		switch {
		case !personName.MatchString(x.Name):
			l.fail(at, "%q cannot be the name of a rotation: give it one of lower-case letters, digits and inner hyphens", x.Name)
		case seen[x.Name]:
			l.fail(at+".name", "team %s has two rotations %s", name, x.Name)
		}
		seen[x.Name] = true
		out.Rotations = append(out.Rotations, l.rotation(at, x, t, r))
	}
	for i, o := range t.Overrides {
		out.Overrides = append(out.Overrides, l.override(fmt.Sprintf("%s.overrides[%d]", at, i), o, out, r))
	}
	return out
}

func (l *loader) override(at string, o Override, t alert.Team, r alert.Roster) alert.Override {
	zone := time.UTC
	found := o.Rotation == ""
	for i, x := range t.Rotations {
		if i == 0 && o.Rotation == "" || x.Name == o.Rotation {
			zone, found = x.Zone, true
		}
	}
	if !found {
		l.fail(at+".rotation", "team %s has no rotation %q", t.Name, o.Rotation)
	}
	if o.Person == "" || o.From == "" || o.To == "" {
		l.fail(at, "an override needs person, from and to")
		return alert.Override{}
	}
	known(l, at+".person", "person", o.Person, r.People)
	if o.InsteadOf != "" {
		known(l, at+".instead_of", "person", o.InsteadOf, r.People)
	}
	from, _ := o.From.in(zone) // UnmarshalText has seen them
	to, _ := o.To.in(zone)
	if !from.Before(to) {
		l.fail(at+".to", "an override ends after it begins")
	}
	return alert.Override{Person: o.Person, From: from, To: to, Rotation: o.Rotation, InsteadOf: o.InsteadOf}
}

func (l *loader) rotation(at string, x Rotation, t Team, r alert.Roster) alert.Rotation {
	out := alert.Rotation{Name: x.Name, People: l.people(at+".people", x.People, r), Zone: l.zone(at+".zone", x.Zone, time.UTC)}
	if len(x.People) == 0 && x.CalendarFile == "" {
		out.People = t.Members
	}
	l.turns(at, x, &out)
	for i, h := range x.Hours {
		out.Hours = append(out.Hours, l.hours(fmt.Sprintf("%s.hours[%d]", at, i), h, out.Zone, r))
	}
	if x.CalendarFile == "" {
		return out
	}
	l.place(&x.CalendarFile)
	text, err := calendarFile(x.CalendarFile)
	if err == nil {
		out.Calendar, err = alert.ReadCalendar(text, out.Zone, r.People)
	}
	if err != nil {
		l.fail(at+".calendar_file", "%v", err)
	}
	return out
}

// calendarFile reads a plain file; the calendar itself says how large it may be.
func calendarFile(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a plain file", name)
	}
	return os.ReadFile(name)
}

// turns reads turn, handover and start.
func (l *loader) turns(at string, x Rotation, out *alert.Rotation) {
	turn := x.Turn
	if turn == "" {
		turn = "weekly"
		if len(x.Hours) > 0 {
			turn = "daily"
		}
	}
	m := turnPattern.FindStringSubmatch(turn)
	switch {
	case turn == "daily":
		out.Days = 1
	case turn == "weekly":
		out.Days = 7
	case m != nil:
		out.Days, _ = strconv.Atoi(m[1]) // the pattern has checked it
	default:
		l.fail(at+".turn", "%q is not the length of a turn: write daily, weekly, or a number of days like 3d", turn)
	}
	start := cmp.Or(x.Start, "2024-01-01") // a Monday
	out.Start, _ = alert.ParseDay(string(start))
	weekday, clock, named := strings.Cut(cmp.Or(x.Handover, "09:00"), " ")
	if !named {
		weekday, clock = "", weekday
	}
	c, err := alert.ParseClock(clock)
	if err != nil {
		l.fail(at+".handover", "%q is not a handover: write it like 09:00 or mon 09:00", x.Handover)
	}
	out.Handover = c
	if weekday == "" {
		return
	}
	w := slices.Index(weekdays, weekday)
	switch ahead := (w - int(out.Start.Weekday()) + 7) % 7; {
	case w < 0:
		l.fail(at+".handover", "%q is not a handover: write it like 09:00 or mon 09:00", x.Handover)
	case out.Days%7 != 0:
		l.fail(at+".handover", "a handover on a weekday goes with turns of weeks, not %s", turn)
	case x.Start != "" && ahead != 0:
		l.fail(at+".start", "start is a %s, and the handover on %s: they have to agree", weekdays[out.Start.Weekday()], weekday)
	default:
		out.Start += alert.Day(ahead)
	}
}

func (l *loader) hours(at string, h Hours, zone *time.Location, r alert.Roster) alert.Hours {
	out := alert.Hours{Zone: l.zone(at+".zone", h.Zone, zone), People: l.people(at+".people", h.People, r)}
	read := func(key, text string) alert.Clock {
		c, err := alert.ParseClock(text)
		if err != nil {
			l.fail(at+"."+key, "%v", err)
		}
		return c
	}
	out.From = read("from", h.From)
	if out.To = out.From; h.To != "" {
		if out.To = read("to", h.To); out.To == out.From {
			l.fail(at+".to", "these hours end when they begin; leave to out for the whole day")
		}
	}
	for i, d := range h.Days {
		w := slices.Index(weekdays, d)
		if w < 0 {
			l.fail(fmt.Sprintf("%s.days[%d]", at, i), "%q is not a day: write mon, tue, wed, thu, fri, sat or sun", d)
		}
		out.Weekdays = append(out.Weekdays, time.Weekday(max(w, 0)))
	}
	return out
}

func (l *loader) policy(name string, p Policy, r alert.Roster) alert.Policy {
	at := "$.policies." + name
	l.name("policies", name)
	out := alert.Policy{Name: name, Repeat: p.Repeat, Every: p.Every.Std(), Slow: p.Slow.Std(), Least: alert.Severity(p.Least)}
	switch {
	case len(p.Steps) == 0:
		l.fail(at, "policy %s has no steps", name)
	case p.Repeat < 0 || p.Repeat > 100:
		l.fail(at+".repeat", "repeat wants 0 to 100")
	case out.Every < time.Minute:
		l.fail(at+".every", "every wants at least 1m")
	case out.Slow < time.Minute || out.Slow > 24*time.Hour:
		l.fail(at+".slow", "slow wants 1m to 1d: an alert that nobody acknowledges must not fall silent")
	}
	if out.Least.Rank() == 0 {
		l.fail(at+".least_severity", "least_severity wants critical, high, medium or low, not %q", p.Least)
	}
	for i, s := range p.Steps {
		at := fmt.Sprintf("%s.steps[%d]", at, i)
		step := alert.Step{After: s.After.Std()}
		if len(s.Page) == 0 {
			l.fail(at, "a step needs page: whom it pages")
		}
		if step.After > 24*time.Hour {
			l.fail(at+".after", "after wants at most 1d")
		}
		for j, ref := range s.Page {
			if err := r.CheckRef(alert.Ref(ref)); err != nil {
				l.fail(fmt.Sprintf("%s.page[%d]", at, j), "%v", err)
			}
			step.Page = append(step.Page, alert.Ref(ref))
		}
		for j, v := range s.Via {
			if !slices.Contains(vias, alert.Via(v)) {
				l.fail(fmt.Sprintf("%s.via[%d]", at, j), "via wants email, webhook or chat, not %q", v)
			}
			step.Via = append(step.Via, alert.Via(v))
		}
		out.Steps = append(out.Steps, step)
	}
	return out
}
