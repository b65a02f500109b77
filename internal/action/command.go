package action

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Command is what somebody wants to do. It is decided against the action as it
// stands: into events, or into a refusal.
type Command interface {
	decide(d *decision) error
}

type decision struct {
	State
	actor  string
	now    time.Time
	events []Event
	err    error
}

// Decide turns a command of an actor into the events that it causes.
func Decide(s State, c Command, actor string, now time.Time) ([]Event, error) {
	if strings.TrimSpace(actor) == "" {
		return nil, refuse("nobody is named: say who you are with --as")
	}
	d := &decision{State: s, actor: actor, now: now.UTC().Truncate(time.Microsecond)}
	if _, adding := c.(Add); s.ID == "" && !adding {
		return nil, ErrNone
	}
	if err := c.decide(d); err != nil {
		return nil, err
	}
	return d.events, d.err
}

func (d *decision) add(id, kind string, body any) {
	raw, err := json.Marshal(body)
	if err != nil && d.err == nil {
		d.err = refuse("it cannot be written down: %v", err)
	}
	d.events = append(d.events, Event{Action: id, Time: d.now, Actor: d.actor, Kind: kind, Body: raw})
}

func refuse(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrRefused, fmt.Sprintf(format, args...))
}

const maxText = 4000

func (i Item) check() error {
	switch {
	case strings.TrimSpace(i.Text) == "":
		return refuse("the action says nothing")
	case len(i.Text) > maxText || !utf8.ValidString(i.Text):
		return refuse("the action is longer than %d bytes, or no text in UTF-8", maxText)
	case i.Kind != "" && !slices.Contains(Kinds(), i.Kind):
		return refuse("%q is no kind: it is one of prevent, detect, mitigate, process", i.Kind)
	case !slices.Contains(Priorities(), i.Priority):
		return refuse("%q is no priority: it is one of p1, p2, p3", i.Priority)
	case i.Source.Of != "" && !slices.Contains(Sources(), i.Source.Of):
		return refuse("%q is no source: it is one of %s", i.Source.Of, strings.Join(Sources(), ", "))
	case len(i.Owner) > 200 || len(i.Team) > 200 || len(i.Source.Text) > maxText || !utf8.ValidString(i.Owner+i.Team+i.Source.Text+i.Source.Incident):
		return refuse("the owner, the team or the source is too long, or no text in UTF-8")
	}
	return nil
}

// Add writes an action down. The ID is given by who asks: see NextID.
type Add struct {
	ID string
	Added
}

func (c Add) decide(d *decision) error {
	if d.ID != "" {
		return refuse("there is an action %s already", c.ID)
	}
	if err := c.check(); err != nil {
		return err
	}
	c.Text = strings.TrimSpace(c.Text)
	d.add(c.ID, KindAdded, c.Added)
	return nil
}

// NextID is the ID of the next action.
func NextID(all []State) string {
	n := 0
	for _, s := range all {
		if i, err := strconv.Atoi(strings.TrimPrefix(s.ID, "act-")); err == nil {
			n = max(n, i)
		}
	}
	return "act-" + strconv.Itoa(n+1)
}

// Change says anew what an action says. A due day that is moved wants a reason:
// what slips is to be seen.
type Change struct {
	Item
	Why string
}

func (c Change) decide(d *decision) error {
	if err := c.check(); err != nil {
		return err
	}
	c.Text = strings.TrimSpace(c.Text)
	switch {
	case c.Item == d.Item:
		return fmt.Errorf("%w: it says so already", ErrNothing)
	case d.Status != Open:
		return refuse("%s is %s: reopen it first", d.ID, d.Status)
	case !d.Due.IsZero() && c.Due != d.Due && (c.Due.IsZero() || c.Due.at.After(d.Due.at)) && strings.TrimSpace(c.Why) == "":
		return refuse("%s was due on %s: say why it slips, with --why", d.ID, d.Due)
	}
	d.add(d.ID, KindChanged, Changed(c))
	return nil
}

// Bind binds a check, in place of another. From then on the check closes the
// action, and opens it again.
type Bind struct{ Check Check }

func (c Bind) decide(d *decision) error {
	if err := c.Check.valid(); err != nil {
		return err
	}
	if d.Check != nil && *d.Check == c.Check {
		return fmt.Errorf("%w: it is bound to %s already", ErrNothing, c.Check)
	}
	if d.Status == Dropped {
		return refuse("%s is dropped: reopen it first", d.ID)
	}
	d.add(d.ID, KindBound, c.Check)
	return nil
}

// Unbind takes the check away, with a reason: it is then a person's word again.
type Unbind struct{ Why string }

func (c Unbind) decide(d *decision) error {
	switch {
	case d.Check == nil:
		return fmt.Errorf("%w: no check is bound to it", ErrNothing)
	case strings.TrimSpace(c.Why) == "":
		return refuse("say why, with --why")
	}
	d.add(d.ID, KindUnbound, Noted{c.Why})
	return nil
}

// AddNote writes something down about it.
type AddNote struct{ Text string }

func (c AddNote) decide(d *decision) error {
	if t := strings.TrimSpace(c.Text); t == "" || len(t) > maxText || !utf8.ValidString(t) {
		return refuse("a note wants text in UTF-8, up to %d bytes", maxText)
	}
	d.add(d.ID, KindNoted, Noted{strings.TrimSpace(c.Text)})
	return nil
}

// AddLink joins it with an entry in an issue tracker.
type AddLink struct{ Link }

func (c AddLink) decide(d *decision) error {
	u, err := url.Parse(c.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || len(c.URL) > 2000:
		return refuse("a link wants the form https://host/path")
	case u.User != nil:
		return refuse("the link holds a user or a password: everybody who reads the action would see it")
	case slices.Contains(d.Links, c.Link):
		return fmt.Errorf("%w: it is linked already", ErrNothing)
	}
	d.add(d.ID, KindLinked, c.Link)
	return nil
}

// Close says that it is done. One that has a check is closed by the check; a
// person closes it only despite that, with a reason.
type Close struct{ Result, Despite string }

func (c Close) decide(d *decision) error {
	switch {
	case d.Status != Open:
		return fmt.Errorf("%w: it is %s already", ErrNothing, d.Status)
	case d.Check != nil && (d.Result == nil || d.Result.Outcome != Passed) && strings.TrimSpace(c.Despite) == "":
		return refuse("%s closes when %s passes, and %s: mend that, or say with --despite why it is done all the same", d.ID, d.Check, d.lastResult())
	case d.Check == nil && strings.TrimSpace(c.Result) == "":
		return refuse("say how it can be seen that it is done, with --result")
	}
	d.add(d.ID, KindClosed, Ended{Result: strings.TrimSpace(c.Result), Check: d.Result, Despite: strings.TrimSpace(c.Despite)})
	return nil
}

func (s State) lastResult() string {
	if s.Result == nil {
		return "it has not looked yet"
	}
	return fmt.Sprintf("it says %s: %s", s.Result.Outcome, s.Result.Evidence)
}

// Drop gives it up, with a reason.
type Drop struct{ Why string }

func (c Drop) decide(d *decision) error {
	switch {
	case d.Status != Open:
		return fmt.Errorf("%w: it is %s already", ErrNothing, d.Status)
	case strings.TrimSpace(c.Why) == "":
		return refuse("say why, with --why")
	}
	d.add(d.ID, KindDropped, Ended{Result: strings.TrimSpace(c.Why)})
	return nil
}

// Reopen takes it up again.
type Reopen struct{ Why string }

func (c Reopen) decide(d *decision) error {
	switch {
	case d.Status == Open:
		return fmt.Errorf("%w: it is open", ErrNothing)
	case strings.TrimSpace(c.Why) == "":
		return refuse("say why, with --why")
	}
	d.add(d.ID, KindReopened, Ended{Result: strings.TrimSpace(c.Why)})
	return nil
}
