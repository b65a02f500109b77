package incident

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Command is what somebody wants to do. It is decided against the state as it
// stands: into events, or into a refusal that says why and what to do instead.
type Command interface {
	// decide fills the events; a command whose work is done already gives
	// ErrNothing.
	decide(d *decision) error
}

// Decide turns a command of an actor into the events that it causes.
func Decide(s State, c Command, actor string, now time.Time) ([]Event, error) {
	if strings.TrimSpace(actor) == "" {
		return nil, refuse("nobody is named: say who you are with --as")
	}
	d := &decision{State: s, actor: actor, now: now.UTC().Truncate(time.Microsecond)}
	inner := c
	if once, is := c.(Once); is {
		inner = once.Command
	}
	_, opening := inner.(Open)
	switch {
	case s.ID == "" && !opening:
		return nil, ErrNone
	case s.MergedInto != "":
		if _, late := inner.(lateFact); !late {
			return nil, refuse("%s was merged into %s: use that one", s.ID, s.MergedInto)
		}
	}
	if err := c.decide(d); err != nil {
		return nil, err
	}
	return d.events, d.err
}

// lateFact marks commands that hold for an incident that was merged, too.
type lateFact interface{ late() }

// decision gathers events.
type decision struct {
	State
	actor  string
	now    time.Time
	events []Event
	err    error
}

func (d *decision) add(kind string, body any) { d.addTo(d.ID, kind, body) }

func (d *decision) addTo(id, kind string, body any) {
	e, err := event(id, d.actor, d.now, kind, body)
	if err != nil && d.err == nil {
		d.err = err
	}
	d.events = append(d.events, e)
}

func refuse(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrRefused, fmt.Sprintf(format, args...))
}

// Limits of what is written down.
const (
	maxTitle   = 200
	maxSubject = 300
	maxText    = 64 << 10
)

func wants(what, text string, limit int) error {
	switch {
	case strings.TrimSpace(text) == "":
		return refuse("%s is empty", what)
	case len(text) > limit:
		return refuse("%s has %d bytes, more than %d: attach it as a file", what, len(text), limit)
	case !utf8.ValidString(text):
		return refuse("%s is not text in UTF-8", what)
	}
	return nil
}

func (d *decision) open() error {
	if !d.Open() {
		return refuse("%s is resolved: reopen it first (refloat incident reopen %s)", d.ID, d.ID)
	}
	return nil
}

// Open begins an incident. Whether another one is open already about the same
// is for who gives the ID: see Opening.
type Open struct {
	ID string
	Opened
}

func (c Open) decide(d *decision) error {
	if d.ID != "" {
		return refuse("there is an incident %s already", c.ID)
	}
	if err := wants("the title", c.Title, maxTitle); err != nil {
		return err
	}
	switch k := c.Cause; {
	case strings.ContainsAny(c.Title, "\r\n"):
		return refuse("the title is one line")
	case !slices.Contains(Severities(), c.Severity):
		return refuse("%q is no severity: it is one of sev1, sev2, sev3, sev4", c.Severity)
	case k.Key == "" || k.Started.IsZero() || k.Detected.IsZero():
		return refuse("the cause lacks its key, its beginning or when it was noticed")
	case k.Started.After(d.now.Add(time.Minute)) || k.Started.Year() < 2000:
		return refuse("it cannot have begun at %s", k.Started.UTC().Format(time.RFC3339))
	case k.Started.After(k.Detected):
		return refuse("it cannot have been noticed before it began")
	}
	d.addTo(c.ID, KindOpened, c.Opened)
	return nil
}

// AddNote writes something down for responders. It may be added to a resolved
// incident, too: what is learnt later belongs to it.
type AddNote struct{ Text string }

func (c AddNote) decide(d *decision) error {
	if err := wants("the note", c.Text, maxText); err != nil {
		return err
	}
	d.add(KindNote, NoteAdded{strings.TrimSpace(c.Text)})
	return nil
}

// SetSeverity says how grave it is.
type SetSeverity struct {
	To   Severity
	From Severity // that the actor saw; another by now refuses. Empty for whatever it is
	Why  string
}

func (c SetSeverity) decide(d *decision) error {
	switch {
	case !slices.Contains(Severities(), c.To):
		return refuse("%q is no severity: it is one of sev1, sev2, sev3, sev4", c.To)
	case c.To == d.Severity:
		return fmt.Errorf("%w: it is %s already", ErrNothing, c.To)
	case c.From != "" && c.From != d.Severity:
		return refuse("%s made it %s meanwhile, from %s: look again", d.changedBy("severity"), d.Severity, c.From)
	}
	if err := d.open(); err != nil {
		return err
	}
	d.add(KindSeverity, SeveritySet{d.Severity, c.To, c.Why})
	return nil
}

// SetStatus says how far the response is.
type SetStatus struct {
	To   Status
	From Status // that the actor saw; another by now refuses. Empty for whatever it is
	Why  string
}

// changedBy is who changed the status or the severity last.
func (s State) changedBy(what string) string {
	for _, c := range slices.Backward(s.Changes) {
		if c.What == what {
			return c.By
		}
	}
	return s.OpenedBy
}

func (c SetStatus) decide(d *decision) error {
	switch {
	case c.To == Resolved:
		return refuse("an incident is closed with: refloat incident resolve %s", d.ID)
	case !slices.Contains(Statuses(), c.To):
		return refuse("%q is no status: it is one of investigating, identified, recovering, monitoring", c.To)
	case !d.Open():
		return d.open()
	case c.To == d.Status:
		return fmt.Errorf("%w: it is %s already", ErrNothing, c.To)
	case c.From != "" && c.From != d.Status:
		return refuse("%s made it %s meanwhile, from %s: look again", d.changedBy("status"), d.Status, c.From)
	case c.To == Monitoring && !d.Serves():
		return refuse("the watch still sees %s not serving; monitoring begins when it serves", d.down())
	}
	d.add(KindStatus, StatusSet{d.Status, c.To, c.Why})
	return nil
}

// down names the targets whose outage goes on.
func (s State) down() string {
	var names []string
	for _, c := range s.Causes {
		if c.Open() && !slices.Contains(names, c.Target) {
			names = append(names, c.Target)
		}
	}
	return strings.Join(names, ", ")
}

// TakeRole gives the actor a role. One that somebody else holds is taken only
// with a reason; else that person hands it over.
type TakeRole struct {
	Role Role
	Why  string
}

func checkRole(r Role) error {
	if !slices.Contains(Roles(), r) {
		return refuse("%q is no role: it is one of commander, communications, operations, scribe", r)
	}
	return nil
}

func (c TakeRole) decide(d *decision) error {
	if err := checkRole(c.Role); err != nil {
		return err
	}
	if err := d.open(); err != nil {
		return err
	}
	held := d.Roles[c.Role].Person
	switch {
	case held == d.actor:
		return fmt.Errorf("%w: %s is %s already", ErrNothing, held, c.Role)
	case held != "" && strings.TrimSpace(c.Why) == "":
		return refuse("%s is %s: ask for a hand-over (refloat incident role %s %s --to %s, as %s), or take it with --why", held, c.Role, d.ID, c.Role, d.actor, held)
	}
	d.add(KindTaken, RoleTaken{Role: c.Role, From: held, To: d.actor, Why: c.Why})
	return nil
}

// HandOver gives a role on. Its holder does, or the commander.
type HandOver struct {
	Role Role
	To   string
}

func (c HandOver) decide(d *decision) error {
	if err := checkRole(c.Role); err != nil {
		return err
	}
	if err := d.open(); err != nil {
		return err
	}
	held := d.Roles[c.Role].Person
	switch {
	case strings.TrimSpace(c.To) == "":
		return refuse("say to whom")
	case held == c.To:
		return fmt.Errorf("%w: %s is %s already", ErrNothing, held, c.Role)
	case held == "" && d.Roles[Commander].Person != d.actor:
		return refuse("nobody is %s: %s takes it with refloat incident role %s %s --take, or the commander gives it", c.Role, c.To, d.ID, c.Role)
	case held != "" && held != d.actor && d.Roles[Commander].Person != d.actor:
		return refuse("%s is %s: only they or the commander can hand it over", held, c.Role)
	}
	d.add(KindHanded, RoleTaken{Role: c.Role, From: held, To: c.To})
	return nil
}

// ReleaseRole lays the actor's role down.
type ReleaseRole struct{ Role Role }

func (c ReleaseRole) decide(d *decision) error {
	if err := checkRole(c.Role); err != nil {
		return err
	}
	if err := d.open(); err != nil {
		return err
	}
	if held := d.Roles[c.Role].Person; held != d.actor {
		return refuse("you are not %s: %s", c.Role, orNobody(held))
	}
	d.add(KindReleased, RoleTaken{Role: c.Role, From: d.actor})
	return nil
}

func orNobody(name string) string {
	if name == "" {
		return "nobody is"
	}
	return name + " is"
}
