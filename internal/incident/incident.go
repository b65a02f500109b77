// Package incident coordinates the response to trouble: commands become events,
// and the events of an incident, folded in order, are its state. Nothing is
// edited, only added. Everything here is pure and takes the time as an argument;
// Log is what keeps the events. docs/formats/incident.md specifies them.
package incident

import (
	"encoding/json"
	"errors"
	"time"
)

// Server is the actor of what Refloat does by itself. Anyone else is a person.
const Server = "server"

// Severity says how grave an incident is; sev1 is the gravest.
type Severity string

// The severities.
const (
	Sev1 Severity = "sev1"
	Sev2 Severity = "sev2"
	Sev3 Severity = "sev3"
	Sev4 Severity = "sev4"
)

// Severities are all of them, the gravest first.
func Severities() []Severity { return []Severity{Sev1, Sev2, Sev3, Sev4} }

// Graver reports whether s is graver than o.
func (s Severity) Graver(o Severity) bool { return s < o }

// Status is how far the response is.
type Status string

// The statuses, in the order in which a response mostly goes through them.
const (
	Investigating Status = "investigating"
	Identified    Status = "identified"
	Recovering    Status = "recovering"
	Monitoring    Status = "monitoring"
	Resolved      Status = "resolved"
)

// Statuses are all of them, in order.
func Statuses() []Status {
	return []Status{Investigating, Identified, Recovering, Monitoring, Resolved}
}

// Role is what somebody does in an incident.
type Role string

// The roles.
const (
	Commander      Role = "commander"      // decides, and keeps the whole in view
	Communications Role = "communications" // tells those who must be told
	Operations     Role = "operations"     // works on the servers
	Scribe         Role = "scribe"         // writes down what happens
)

// Roles are all of them.
func Roles() []Role { return []Role{Commander, Communications, Operations, Scribe} }

// Audience is a circle of people who are told the same.
type Audience string

// The audiences. What is written for one is never shown to another.
const (
	Responders Audience = "responders"
	Teams      Audience = "teams"
	Clients    Audience = "clients"
)

// Audiences are all of them.
func Audiences() []Audience { return []Audience{Responders, Teams, Clients} }

// Event is one thing that happened in an incident, as it is kept.
type Event struct {
	Incident string          `json:"incident"` // ID
	Seq      int64           `json:"seq"`      // 0 before it is kept; then it grows from event to event
	Time     time.Time       `json:"time"`
	Actor    string          `json:"actor"` // a person's name, or Server
	Kind     string          `json:"kind"`
	Body     json.RawMessage `json:"body"`
}

// Objectives are what the target's owner promised, as it was when the incident
// was opened.
type Objectives struct {
	Detection  time.Duration `json:"detection,omitempty"`
	Resolution time.Duration `json:"resolution,omitempty"`
	DataLoss   time.Duration `json:"data_loss,omitempty"`
}

// DefaultObjectives are those of an incident that is about no target.
func DefaultObjectives() Objectives {
	return Objectives{Detection: time.Minute, Resolution: 4 * time.Hour, DataLoss: time.Minute}
}

// CauseKind says what an incident was opened from.
type CauseKind string

// The kinds of cause.
const (
	FromOutage CauseKind = "outage" // a confirmed span in which a target did not serve
	FromAlert  CauseKind = "alert"
	FromPerson CauseKind = "person"
)

// Cause is what an incident is about. Its Key is the same each time that the
// same thing is told, so that nothing opens two incidents.
type Cause struct {
	Key      string    `json:"key"`
	Kind     CauseKind `json:"kind"`
	Target   string    `json:"target,omitempty"`
	Reason   string    `json:"reason"`
	Started  time.Time `json:"started"`        // first bad observation
	Detected time.Time `json:"detected"`       // confirmed, or seen by a person
	Ended    time.Time `json:"ended,omitzero"` // of an outage: it serves again
	// Restorable is the moment up to which the target's log was stored when the
	// cause was noted; empty when that is not known.
	Restorable time.Time `json:"restorable,omitzero"`
}

// Open reports that an outage goes on.
func (c Cause) Open() bool { return c.Kind == FromOutage && c.Ended.IsZero() }

// Recipient is one contact that an update goes to. Address holds no secret.
type Recipient struct {
	Person  string `json:"person,omitempty"` // name in the configuration; empty for a team's or an audience's own contact
	Contact string `json:"contact"`          // ID of the contact
	Via     string `json:"via"`
	Address string `json:"address"`
}

// Errors that callers tell apart.
var (
	// ErrRefused means that a command cannot be done as things stand; the
	// message says why and what to do instead.
	ErrRefused = errors.New("refused")
	// ErrNone means that there is no incident of that ID.
	ErrNone = errors.New("no such incident")
	// ErrNothing means that a command changes nothing: it was done before.
	ErrNothing = errors.New("nothing to do")
	// ErrMoved means that something was added meanwhile: look again, and decide
	// again.
	ErrMoved = errors.New("something was added meanwhile")
)
