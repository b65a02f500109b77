// Package alert holds what a person must know and how they get to know it:
// signals become alerts, an escalation policy decides who is paged and when,
// senders deliver, and an acknowledgement stops the chain. Everything here that
// decides is pure and takes the time as an argument; the senders below this
// folder are the edge.
package alert

import (
	"context"
	"errors"
	"time"
)

// Severity orders alerts; a higher one is graver.
type Severity string

// The severities, as in findings and problems.
const (
	Critical Severity = "critical"
	High     Severity = "high"
	Medium   Severity = "medium"
	Low      Severity = "low"
)

// Rank is 4 for critical down to 1 for low, and 0 for anything else.
func (s Severity) Rank() int {
	switch s {
	case Critical:
		return 4
	case High:
		return 3
	case Medium:
		return 2
	case Low:
		return 1
	}
	return 0
}

// Signal says that something which a person must know holds, or holds no more.
type Signal struct {
	// Key is stable: the same thing has the same key for as long as it holds,
	// and again when it comes back.
	Key string `json:"key"`
	// At is when it began to hold, or ended.
	At     time.Time `json:"at"`
	Firing bool      `json:"firing"`
	Code   string    `json:"code"`             // kind of thing: outage, finding, log-gap, …
	Target string    `json:"target,omitempty"` // the target it is about; empty for Refloat itself
	Source string    `json:"source"`           // who says so: monitor, audit, alertmanager, …

	Severity Severity          `json:"severity"`
	Summary  string            `json:"summary"` // one line, made to be read at 02:00
	Detail   string            `json:"detail,omitempty"`
	Next     string            `json:"next,omitempty"`   // what to do
	Team     string            `json:"team,omitempty"`   // who answers for it; empty for the target's
	Labels   map[string]string `json:"labels,omitempty"` // as an outside source gave them
	// Opens asks that an incident be opened for it, however grave it is.
	Opens bool `json:"opens,omitempty"`
}

// State is where an alert stands.
type State string

// The states. A resolved alert never fires again: what comes back is a new one.
const (
	Firing   State = "firing"
	Resolved State = "resolved"
)

// Alert is one span in which a signal held.
type Alert struct {
	ID     string `json:"id"`
	Signal Signal `json:"signal"` // as it was last told
	State  State  `json:"state"`
	Count  int    `json:"count"` // how often it was told

	StartedAt      time.Time `json:"started_at"`
	AcknowledgedAt time.Time `json:"acknowledged_at,omitzero"`
	AcknowledgedBy string    `json:"acknowledged_by,omitempty"` // a person's name in the configuration, or how it came
	ResolvedAt     time.Time `json:"resolved_at,omitzero"`

	// PagedFrom is when escalation began: later than StartedAt when a silence or
	// another alert held it back. Zero while none has begun.
	PagedFrom time.Time `json:"paged_from,omitzero"`
	// HeldBy says what keeps it from paging: a silence, a maintenance window, or
	// the alert that explains it. Empty when nothing does.
	HeldBy string `json:"held_by,omitempty"`
	Policy string `json:"policy,omitempty"` // the escalation policy that it follows
}

// Settled reports that nobody needs to be paged any more.
func (a Alert) Settled() bool { return a.State == Resolved || !a.AcknowledgedAt.IsZero() }

// Via is a way to reach a person.
type Via string

// The ways.
const (
	Email   Via = "email"
	Webhook Via = "webhook"
	Chat    Via = "chat" // any service that shoutrrr knows
)

// Contact is one way to one person or team. Address holds no secret: for a
// webhook or chat service it is a label, and the sender holds the URL.
type Contact struct {
	ID      string `json:"id"` // unique in the configuration, for example ada.email
	Via     Via    `json:"via"`
	Address string `json:"address"`
}

// MessageKind says why a message is sent.
type MessageKind string

// The kinds.
const (
	Page         MessageKind = "page"         // act now
	TestPage     MessageKind = "test"         // acknowledge, nothing is wrong
	Notice       MessageKind = "notice"       // to know, not to act: resolved, acknowledged by somebody
	Announcement MessageKind = "announcement" // an update on an incident, to an audience
)

// Message is what one contact is sent. It holds no secret but AckURL.
type Message struct {
	// ID is the same at each attempt, so that a receiver can drop repeats.
	ID      string      `json:"id"`
	Kind    MessageKind `json:"kind"`
	To      Contact     `json:"to"`
	Person  string      `json:"person,omitempty"` // name in the configuration
	Alert   Alert       `json:"alert"`
	Subject string      `json:"subject"` // one line
	Body    string      `json:"body"`    // plain text
	// AckURL acknowledges when it is opened and confirmed; empty when there is
	// nothing to acknowledge or no address of ours to link to.
	AckURL string `json:"ack_url,omitempty"`
	// ReplyTo is an address that acknowledges when mail that begins with "ack"
	// comes to it; empty for none.
	ReplyTo string `json:"-"`
	// Unsubscribe is an address that ends all further messages when it is posted
	// to (RFC 8058), for who asked for them; empty for none.
	Unsubscribe string `json:"-"`
	// AckCommand does the same on the command line.
	AckCommand string    `json:"ack_command,omitempty"`
	At         time.Time `json:"at"`
}

// Receipt is what the other side said when it took a message over.
type Receipt struct {
	// Said is the other side's answer in its own words, for example the SMTP
	// reply to the message. It holds no secret.
	Said string `json:"said"`
}

// ErrRefused marks an error of a sender after which trying the same again is of
// no use: an unknown address, a bad token, a template that cannot be filled.
var ErrRefused = errors.New("refused for good")

// Sender hands messages to one kind of service. Send returns nil only when the
// other side has taken the message over; it obeys ctx, may be called from many
// goroutines and may be called again with the same message. Its errors hold no
// secret and no URL that is one.
type Sender interface {
	Send(ctx context.Context, m Message) (Receipt, error)
}
