package incident

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// PublishUpdate tells an audience something. What is published is sent to To,
// and is never changed.
type PublishUpdate struct {
	Audience Audience
	Subject  string // one line; empty for what the status says
	Text     string
	Next     time.Time // when the next update is promised; empty for none
	To       []Recipient
	Names    map[string]string // that people know targets by
	// After is the last update to the audience that its author has seen, empty for
	// none; another one since then refuses this one. Nil for whatever there is.
	After *string
}

func (c PublishUpdate) decide(d *decision) error {
	if !slices.Contains(Audiences(), c.Audience) {
		return refuse("%q is no audience: it is one of responders, teams, clients", c.Audience)
	}
	if err := wants("the update", c.Text, maxText); err != nil {
		return err
	}
	if last := d.LastUpdate(c.Audience); c.After != nil && last != nil && last.ID != *c.After {
		return refuse("%s has told %s something at %s, after this was written (%s): read it, and send this if it is still needed", last.By, c.Audience, last.At.UTC().Format("15:04:05 UTC"), last.ID)
	}
	subject := strings.TrimSpace(c.Subject)
	if subject == "" {
		subject = d.View(c.Audience).Named(c.Names).Subject()
	}
	if len(subject) > maxSubject || strings.ContainsAny(subject, "\r\n") {
		return refuse("the subject is one line of at most %d bytes", maxSubject)
	}
	if !c.Next.IsZero() && !c.Next.After(d.now) {
		return refuse("the next update was promised for a time that has passed")
	}
	if by, at := d.holdsNote(c); by != "" {
		return refuse("it holds the note of %s of %s word for word, which is for responders: say it in other words", by, at.UTC().Format("15:04:05 UTC"))
	}
	to := c.To
	if to == nil {
		to = []Recipient{}
	}
	d.add(KindPublished, Published{
		ID: "u" + strconv.Itoa(len(d.Updates)+1), Audience: c.Audience, Status: d.Status, Subject: subject, Text: strings.TrimSpace(c.Text), Next: c.Next, To: to,
	})
	return nil
}

// quotable is how long a note is for its words to be told from chance.
const quotable = 16

// holdsNote finds a note of responders in what others are to be told.
func (d *decision) holdsNote(c PublishUpdate) (by string, at time.Time) {
	if c.Audience == Responders {
		return "", time.Time{}
	}
	text := plainWords(c.Subject + " " + c.Text)
	for _, n := range d.Notes {
		if words := plainWords(n.Text); len(words) >= quotable && strings.Contains(text, words) {
			return n.By, n.At
		}
	}
	return "", time.Time{}
}

func plainWords(s string) string { return strings.ToLower(strings.Join(strings.Fields(s), " ")) }

// AcknowledgeUpdate says that the actor has read an update.
type AcknowledgeUpdate struct{ Update string }

func (c AcknowledgeUpdate) late() {}

func (c AcknowledgeUpdate) decide(d *decision) error {
	u := d.State.Update(c.Update)
	switch {
	case u == nil:
		return refuse("there is no update %s in %s: refloat incident show %s lists them", c.Update, d.ID, d.ID)
	case slices.ContainsFunc(u.Acks, func(a Ack) bool { return a.By == d.actor }):
		return ErrNothing
	}
	d.add(KindAcknowledged, Acked(c))
	return nil
}

// View is all that a draft for an audience is made of. It has no notes, no
// tasks, no names of responders, and for clients no reasons: what is not here
// cannot get out.
type View struct {
	Audience Audience
	Names    []string // of what is affected, as the audience knows it
	Severity Severity
	Status   Status
	Started  time.Time
	Back     time.Time // service is back since
	Reasons  []string  // empty for clients
	Title    string    // empty for clients
	First    bool      // they were told nothing yet
}

// View is what an audience may know. Names that the audience knows targets by
// are put in with Named.
func (s State) View(a Audience) View {
	v := View{Audience: a, Names: slices.Clone(s.Targets), Severity: s.Severity, Status: s.Status, Started: s.Started, Back: s.Mitigated, First: s.LastUpdate(a) == nil}
	if a != Clients {
		v.Title = s.Title
		for _, c := range s.Causes {
			v.Reasons = append(v.Reasons, c.Reason)
		}
	}
	return v
}

// Named puts in the names that people know targets by.
func (v View) Named(names map[string]string) View {
	for i, n := range v.Names {
		if known := names[n]; known != "" {
			v.Names[i] = known
		}
	}
	return v
}

func (v View) affected() string {
	if len(v.Names) == 0 {
		return "the service"
	}
	return strings.Join(v.Names, ", ")
}

// Subject is the one line that an update begins with.
func (v View) Subject() string {
	mark := strings.ToUpper(string(v.Status))
	if v.Audience == Clients || v.Title == "" {
		return "[" + mark + "] Disruption: " + v.affected()
	}
	return "[" + mark + "] " + v.Title
}

// Draft is the text of an update, made of the facts: what is affected, since
// when, what is being done, and when the next update comes. A person reads it,
// changes it and sends it.
func (v View) Draft(now, next time.Time, zone *time.Location) string {
	if zone == nil {
		zone = time.UTC
	}
	at := func(t time.Time) string {
		local := t.In(zone)
		if y, m, day := local.Date(); now.In(zone).Year() == y && now.In(zone).Month() == m && now.In(zone).Day() == day {
			return local.Format("15:04 MST")
		}
		return local.Format("2006-01-02 15:04 MST")
	}
	var b strings.Builder
	switch {
	case v.Status == Resolved && !v.Back.IsZero():
		fmt.Fprintf(&b, "%s: working normally again since %s. It was disrupted from %s on, for %s.\n", v.affected(), at(v.Back), at(v.Started), span(v.Back.Sub(v.Started)))
	case v.Status == Resolved:
		fmt.Fprintf(&b, "%s: the disruption that began at %s is over.\n", v.affected(), at(v.Started))
	default:
		fmt.Fprintf(&b, "%s: disrupted since %s (%s so far).\n", v.affected(), at(v.Started), span(now.Sub(v.Started)))
	}
	if len(v.Reasons) > 0 && v.Status != Resolved {
		fmt.Fprintf(&b, "What is seen: %s.\n", strings.TrimRight(v.Reasons[len(v.Reasons)-1], "."))
	}
	b.WriteString(v.doing() + "\n")
	if !next.IsZero() {
		fmt.Fprintf(&b, "The next update comes by %s.\n", at(next))
	}
	return b.String()
}

func (v View) doing() string {
	switch v.Status {
	case Identified:
		return "We know what is wrong, and are preparing the way back."
	case Recovering:
		return "We know what is wrong, and are bringing it back."
	case Monitoring:
		return "It serves again; we are watching that it stays so."
	case Resolved:
		return "We will look into how it came about, and what prevents it."
	}
	return "We are finding out what is wrong."
}

// Cadence says how often each audience is told, by severity. Zero is never.
type Cadence map[Severity]map[Audience]time.Duration

// DefaultCadence is what a configuration that says nothing means.
func DefaultCadence() Cadence {
	return Cadence{
		Sev1: {Teams: 30 * time.Minute, Clients: 30 * time.Minute},
		Sev2: {Teams: time.Hour, Clients: time.Hour},
		Sev3: {Teams: 4 * time.Hour},
	}
}

// remindBefore is how long before an update is due somebody is reminded; of
// short intervals it is a quarter.
const remindBefore = 5 * time.Minute

// Promise is an update that an audience waits for.
type Promise struct {
	Audience Audience  `json:"audience"`
	Due      time.Time `json:"due"`
	Remind   time.Time `json:"remind"` // somebody is reminded from then on
	First    bool      `json:"first,omitempty"`
	Final    bool      `json:"final,omitempty"` // it says that all is well
}

// NextUpdate is the next update that an audience waits for; none when nothing is
// promised. What was promised in the last update counts; without it, the pace of
// the severity. One that was told of trouble is told of its end, too.
func (s State) NextUpdate(a Audience, c Cadence) (Promise, bool) {
	every, last := c[s.Severity][a], s.LastUpdate(a)
	p := Promise{Audience: a, First: last == nil}
	switch {
	case s.MergedInto != "" || s.ID == "":
		return p, false
	case s.Status == Resolved:
		if last == nil || last.Status == Resolved {
			return p, false
		}
		if every <= 0 {
			every = time.Hour
		}
		every = min(every, 30*time.Minute)
		p.Due, p.Final = s.Resolved.Add(every), true
	case last != nil && !last.Next.IsZero():
		p.Due = last.Next
		every = last.Next.Sub(last.At)
	case every <= 0:
		return p, false
	default:
		p.Due = s.since(last).Add(every)
	}
	p.Remind = p.Due.Add(-min(remindBefore, every/4))
	return p, true
}

// since is from when on the pace of the severity counts: from the last update,
// or from what changed the pace.
func (s State) since(last *Update) time.Time {
	from := s.OpenedAt
	if last != nil {
		from = last.At
	}
	for _, c := range s.Changes {
		if (c.What == "severity" || c.From == string(Resolved)) && c.At.After(from) {
			from = c.At
		}
	}
	return from
}
