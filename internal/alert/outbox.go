package alert

import (
	"strconv"
	"strings"
	"time"
)

// DeliveryState is where a delivery stands.
type DeliveryState string

// The states. Only a waiting delivery is ever sent.
const (
	Waiting   DeliveryState = "waiting"   // not sent yet; NotBefore says when it is tried
	Sent      DeliveryState = "sent"      // the other side took it over
	Failed    DeliveryState = "failed"    // given up
	Cancelled DeliveryState = "cancelled" // not sent: acknowledged or resolved before, or overtaken by a later page
)

// Delivery is one message on its way to one contact. It is stored before it is
// sent.
type Delivery struct {
	// ID is made from the alert, the round, the step and the contact, so that
	// the same delivery is never made twice.
	ID      string      `json:"id"`
	AlertID string      `json:"alert_id"`
	Kind    MessageKind `json:"kind"`
	Round   int         `json:"round"` // from 0
	Step    int         `json:"step"`  // from 0
	Person  string      `json:"person,omitempty"`
	Contact Contact     `json:"contact"`

	State     DeliveryState `json:"state"`
	CreatedAt time.Time     `json:"created_at"`
	NotBefore time.Time     `json:"not_before"`
	Attempts  int           `json:"attempts"`
	SentAt    time.Time     `json:"sent_at,omitzero"`
	Said      string        `json:"said,omitempty"`  // the other side's answer
	Error     string        `json:"error,omitempty"` // of the last attempt that failed
}

// Failing reports that an alert should not wait for this delivery: it was given
// up, or it failed more than once. It is tried on all the same, until a later
// page to the same contact takes its place.
func (d Delivery) Failing() bool {
	return d.State == Failed || d.State != Sent && d.Attempts >= failingAttempts
}

// failingAttempts forgives one lost packet, which costs a second.
const failingAttempts = 2

// Attempt is one try to send.
type Attempt struct {
	At      time.Time `json:"at"`
	Error   string    `json:"error,omitempty"`   // empty when it was taken over
	Refused bool      `json:"refused,omitempty"` // the same again is of no use (ErrRefused)
	Said    string    `json:"said,omitempty"`
}

// How the outbox tries again.
const (
	firstRetry = time.Second
	slowRetry  = 2 * time.Minute
	keepTrying = 24 * time.Hour
)

// Retry says when a delivery with these attempts is tried next, the zero time
// for never: it was sent, or it was given up because it was refused for good or
// a day has passed. The pauses double from a second to two minutes.
func Retry(attempts []Attempt, now time.Time) (next time.Time, givenUp bool) {
	if len(attempts) == 0 {
		return now, false
	}
	first, last := attempts[0], attempts[len(attempts)-1]
	switch {
	case last.Error == "":
		return time.Time{}, false
	case last.Refused:
		return time.Time{}, true
	}
	pause := slowRetry
	if n := len(attempts) - 1; n < 8 {
		pause = min(firstRetry<<n, slowRetry)
	}
	next = last.At.Add(pause)
	if next.After(first.At.Add(keepTrying)) {
		return time.Time{}, true
	}
	return next, false
}

// After is the delivery after one more attempt; all are its attempts so far,
// that one included.
func (d Delivery) After(all []Attempt) Delivery {
	if len(all) == 0 || d.State != Waiting {
		return d
	}
	last := all[len(all)-1]
	d.Attempts, d.Error, d.Said = len(all), last.Error, last.Said
	next, givenUp := Retry(all, last.At)
	switch {
	case last.Error == "":
		d.State, d.SentAt = Sent, last.At
	case givenUp:
		d.State = Failed
	default:
		d.NotBefore = next
	}
	return d
}

// deliveryID is unique, and the same each time that it is made.
func deliveryID(alert string, round, step int, contact string) string {
	return strings.Join([]string{alert, strconv.Itoa(round), strconv.Itoa(step), contact}, ".")
}
