// Package action carries through what was decided after an incident: action
// items with an owner, a due day and, where possible, a check that closes them.
// Commands become events in the journal, and the events of an action, folded in
// order, are its state. Everything here is pure and takes the time as an argument.
// docs/formats/action.md specifies the events.
package action

import (
	"encoding/json"
	"errors"
	"slices"
	"time"
)

// Server is the actor of what Refloat does by itself. Anyone else is a person.
const Server = "server"

// Kind says what an action does about trouble.
type Kind string

// The kinds.
const (
	Prevent  Kind = "prevent"  // it does not happen again
	Detect   Kind = "detect"   // it is noticed sooner
	Mitigate Kind = "mitigate" // it does less harm, or is over sooner
	Process  Kind = "process"  // people work together better
)

// Kinds are all of them.
func Kinds() []Kind { return []Kind{Prevent, Detect, Mitigate, Process} }

// Priority says which to do first; p1 is the first.
type Priority string

// The priorities.
const (
	P1 Priority = "p1"
	P2 Priority = "p2"
	P3 Priority = "p3"
)

// Priorities are all of them, the first first.
func Priorities() []Priority { return []Priority{P1, P2, P3} }

// Source says what of an incident an action mends.
type Source struct {
	Incident string `json:"incident,omitempty"` // ID; empty for an action of its own
	Of       string `json:"of,omitempty"`       // cause, factor, challenge, lesson, recommendation or finding
	Text     string `json:"text,omitempty"`     // it, in the words of the report
}

// Sources are what an action may come from.
func Sources() []string {
	return []string{"cause", "factor", "challenge", "lesson", "recommendation", "finding"}
}

// CheckKind says what a check looks at.
type CheckKind string

// The kinds of check.
const (
	CheckRule  CheckKind = "rule"  // a rule of the audit finds nothing at a target
	CheckDrill CheckKind = "drill" // a target is proven, and the proof is not stale
	CheckProbe CheckKind = "probe" // the watch sees a target serve
	CheckPage  CheckKind = "page"  // a test page to a person was acknowledged
)

// CheckKinds are all of them.
func CheckKinds() []CheckKind { return []CheckKind{CheckRule, CheckDrill, CheckProbe, CheckPage} }

// Check closes an action when it passes, and opens it again when it fails.
type Check struct {
	Kind   CheckKind `json:"kind"`
	Target string    `json:"target,omitempty"` // of rule, drill and probe
	Rule   string    `json:"rule,omitempty"`   // ID of the rule
	Person string    `json:"person,omitempty"` // of page
}

// String is the check as it is written on the command line: rule:ID@TARGET,
// drill@TARGET, probe@TARGET or page:PERSON.
func (c Check) String() string {
	switch c.Kind {
	case CheckRule:
		return "rule:" + c.Rule + "@" + c.Target
	case CheckPage:
		return "page:" + c.Person
	}
	return string(c.Kind) + "@" + c.Target
}

// Outcome is what a check found.
type Outcome string

// The outcomes.
const (
	Passed  Outcome = "passed"
	Failed  Outcome = "failed"
	Unknown Outcome = "unknown" // it could not look, or not since it was bound: closes nothing
)

// Result is what a check found at a moment.
type Result struct {
	Outcome  Outcome   `json:"outcome"`
	Evidence string    `json:"evidence"`
	At       time.Time `json:"at"` // of what was seen, not of the looking
}

// Status is how far an action is.
type Status string

// The statuses.
const (
	Open    Status = "open"
	Done    Status = "done"
	Dropped Status = "dropped" // with a reason
)

// Event is one thing that happened to an action, as it is kept.
type Event struct {
	Action string          `json:"action"` // ID
	Seq    int64           `json:"seq"`
	Time   time.Time       `json:"time"`
	Actor  string          `json:"actor"`
	Kind   string          `json:"kind"`
	Body   json.RawMessage `json:"body"`
}

// The kinds of event.
const (
	KindAdded    = "action.added"
	KindChanged  = "action.changed"
	KindBound    = "action.check.bound"
	KindUnbound  = "action.check.unbound"
	KindChecked  = "action.checked"
	KindNoted    = "action.noted"
	KindLinked   = "action.linked"
	KindClosed   = "action.closed"
	KindDropped  = "action.dropped"
	KindReopened = "action.reopened"
	KindReminded = "action.reminded"
	KindLate     = "action.late"
)

// Item is what an action says.
type Item struct {
	Text     string   `json:"text"`
	Owner    string   `json:"owner,omitempty"` // a person's name in the configuration where there is one
	Team     string   `json:"team,omitempty"`  // that is told when it is late
	Due      Day      `json:"due,omitzero"`
	Kind     Kind     `json:"kind,omitempty"`
	Priority Priority `json:"priority"`
	Source   Source   `json:"source"`
}

// The bodies of events. Fields are only ever added.
type (
	// Added is the body of action.added.
	Added struct {
		Item
		// Key tells that the same was added before; an import of the same file
		// adds nothing twice.
		Key string `json:"key,omitempty"`
	}
	// Changed is the body of action.changed: what it says now.
	Changed struct {
		Item
		Why string `json:"why,omitempty"`
	}
	// Noted is the body of action.noted.
	Noted struct {
		Text string `json:"text"`
	}
	// Link is the body of action.linked: an entry in an issue tracker.
	Link struct {
		Tracker string `json:"tracker,omitempty"` // name in the configuration; empty for an address alone
		Key     string `json:"key,omitempty"`     // in the tracker
		URL     string `json:"url"`
	}
	// Ended is the body of action.closed, action.dropped and action.reopened.
	Ended struct {
		Result string `json:"result,omitempty"`
		// Check is the result that closed or reopened it; nil when a person did.
		Check *Result `json:"check,omitempty"`
		// Despite says why a person closed it although its check does not pass.
		Despite string `json:"despite,omitempty"`
	}
	// Reminded is the body of action.reminded and action.late.
	Reminded struct {
		Due Day    `json:"due"`
		To  string `json:"to,omitempty"` // owner or team
	}
)

// State is an action as its events make it.
type State struct {
	ID string `json:"id"`
	Item
	Status   Status     `json:"status"`
	AddedAt  time.Time  `json:"added_at"`
	AddedBy  string     `json:"added_by"`
	Key      string     `json:"key,omitempty"`
	Check    *Check     `json:"check,omitempty"`
	BoundAt  time.Time  `json:"bound_at,omitzero"`
	Result   *Result    `json:"result,omitempty"` // of the check, last
	ClosedAt time.Time  `json:"closed_at,omitzero"`
	ClosedBy string     `json:"closed_by,omitempty"`
	Outcome  string     `json:"outcome,omitempty"`  // as it was closed or dropped
	Despite  string     `json:"despite,omitempty"`  // closed by a person although the check did not pass
	Reopened int        `json:"reopened,omitempty"` // how often
	Links    []Link     `json:"links"`
	Notes    []Note     `json:"notes"`
	Told     []Reminder `json:"reminders"`
	Timeline []Event    `json:"timeline"`
	Last     int64      `json:"last"`
	Unread   []int64    `json:"unread,omitempty"` // events that this program does not understand
}

// Note is what somebody wrote down.
type Note struct {
	At   time.Time `json:"at"`
	By   string    `json:"by"`
	Text string    `json:"text"`
}

// Reminder is a reminder that was sent.
type Reminder struct {
	Reminded
	Late bool      `json:"late"`
	At   time.Time `json:"at"`
}

// Late reports whether it is open past its due day.
func (s State) Late(now time.Time) bool {
	return s.Status == Open && !s.Due.IsZero() && !now.Before(s.Due.End())
}

// Age is for how long it has been open, or was until it was closed.
func (s State) Age(now time.Time) time.Duration {
	if !s.ClosedAt.IsZero() {
		now = s.ClosedAt
	}
	return now.Sub(s.AddedAt)
}

// OnTime reports whether it was closed by its due day.
func (s State) OnTime() bool {
	return s.Status == Done && (s.Due.IsZero() || s.ClosedAt.Before(s.Due.End()))
}

// Risk orders actions by what happens while they are not done: late before
// others, what prevents before what helps, then by priority. Greater is worse.
func (s State) Risk(now time.Time) int {
	if s.Status != Open {
		return 0
	}
	n := 1 + 10*(len(Priorities())-max(slices.Index(Priorities(), s.Priority), 0))
	switch s.Kind {
	case Prevent:
		n += 6
	case Detect, Mitigate:
		n += 4
	}
	if s.Source.Of == "cause" {
		n += 5
	}
	if s.Late(now) {
		n += 40
	}
	if s.Owner == "" || s.Due.IsZero() {
		n += 8
	}
	if s.Result != nil && s.Result.Outcome == Failed {
		n += 5
	}
	return n
}

// Errors that callers tell apart.
var (
	// ErrRefused means that a command cannot be done as things stand; the message
	// says why and what to do instead.
	ErrRefused = errors.New("refused")
	// ErrNone means that there is no action of that ID.
	ErrNone = errors.New("no such action")
	// ErrNothing means that a command changes nothing.
	ErrNothing = errors.New("nothing to do")
)
