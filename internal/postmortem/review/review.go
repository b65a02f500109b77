// Package review carries a postmortem from draft to accepted: commands become
// events, and the events of a review, folded in order, are its state. The report
// itself stays in its team's files; the review knows it by the hash of its bytes.
// Everything here is pure and takes the time as an argument.
// docs/formats/postmortem.md specifies the events.
package review

import (
	"encoding/json"
	"errors"
	"slices"
	"time"
)

// Server is the actor of what Refloat does by itself.
const Server = "server"

// Status is how far a review is.
type Status string

// The statuses. What nobody has submitted is a draft.
const (
	Draft    Status = "draft"
	InReview Status = "in review"
	Accepted Status = "accepted"
)

// Event is one thing that happened in a review, as it is kept.
type Event struct {
	Incident string          `json:"incident"` // ID of the incident that it is about
	Seq      int64           `json:"seq"`      // 0 before it is kept
	Time     time.Time       `json:"time"`
	Actor    string          `json:"actor"`
	Kind     string          `json:"kind"`
	Body     json.RawMessage `json:"body"`
}

// The kinds of event.
const (
	KindSubmitted = "postmortem.submitted"
	KindCommented = "postmortem.commented"
	KindAnswered  = "postmortem.comment.closed"
	KindApproved  = "postmortem.approved"
	KindAccepted  = "postmortem.accepted"
	KindPublished = "postmortem.published"
	KindReminded  = "postmortem.review.reminded"
	KindLate      = "postmortem.review.late"
)

// The bodies of events. Fields are only ever added.
type (
	// Submitted is the body of postmortem.submitted.
	Submitted struct {
		File      string   `json:"file"` // as it was given
		SHA256    string   `json:"sha256"`
		Lines     int      `json:"lines"`
		Errors    int      `json:"errors"` // that the lint found
		Reviewers []string `json:"reviewers"`
		Due       string   `json:"due,omitempty"` // a day, 2026-11-20
	}
	// Commented is the body of postmortem.commented.
	Commented struct {
		ID     string `json:"id"` // c1, c2, …
		Line   int    `json:"line"`
		Quote  string `json:"quote,omitempty"` // the line, as it was
		Text   string `json:"text"`
		SHA256 string `json:"sha256"` // of the text whose line it is
	}
	// Answered is the body of postmortem.comment.closed.
	Answered struct {
		ID     string `json:"id"`
		Result string `json:"result,omitempty"`
	}
	// Approved is the body of postmortem.approved and of postmortem.accepted: of
	// one reviewer, and of the last of them.
	Approved struct {
		SHA256 string `json:"sha256"`
	}
	// Published is the body of postmortem.published.
	Published struct {
		Accepted string `json:"accepted"` // hash of the text that it was made of
		SHA256   string `json:"sha256"`   // of what clients are given
		File     string `json:"file,omitempty"`
		Dropped  int    `json:"dropped"` // passages that were left out
	}
	// Reminded is the body of postmortem.review.reminded and
	// postmortem.review.late.
	Reminded struct {
		Due string   `json:"due"`
		To  []string `json:"to"` // empty when nobody could be reached
	}
)

// State is a review as its events make it.
type State struct {
	Incident    string         `json:"incident"`
	Status      Status         `json:"status"`
	Submitted   Submitted      `json:"submitted"` // the last text
	SubmittedBy string         `json:"submitted_by,omitempty"`
	SubmittedAt time.Time      `json:"submitted_at,omitzero"`
	Comments    []Comment      `json:"comments"`
	Approvals   []Approval     `json:"approvals"` // of the last text
	AcceptedAt  time.Time      `json:"accepted_at,omitzero"`
	AcceptedSHA string         `json:"accepted_sha256,omitempty"` // of the last that was accepted
	Published   []Publication  `json:"published"`
	Told        []ReminderSent `json:"told"`
	Last        int64          `json:"last"`
	// Unread are the events that this program does not understand.
	Unread []int64 `json:"unread,omitempty"`
}

// The parts of a state that have a time and an author.
type (
	// Comment is what somebody said of a line.
	Comment struct {
		Commented
		By       string    `json:"by"`
		At       time.Time `json:"at"`
		ClosedBy string    `json:"closed_by,omitempty"`
		ClosedAt time.Time `json:"closed_at,omitzero"`
		Result   string    `json:"result,omitempty"`
	}
	// Approval is that of one reviewer.
	Approval struct {
		By string    `json:"by"`
		At time.Time `json:"at"`
	}
	// Publication is what clients were given.
	Publication struct {
		Published
		By string    `json:"by"`
		At time.Time `json:"at"`
	}
	// ReminderSent is a reminder.
	ReminderSent struct {
		Reminded
		Late bool      `json:"late"`
		At   time.Time `json:"at"`
	}
)

// Errors that callers tell apart.
var (
	ErrRefused = errors.New("refused")
	ErrNothing = errors.New("nothing to do")
)

// OpenComments are those that nobody has closed.
func (s State) OpenComments() []Comment {
	return slices.DeleteFunc(slices.Clone(s.Comments), func(c Comment) bool { return !c.ClosedAt.IsZero() })
}

// Missing are the reviewers who have not approved the last text.
func (s State) Missing() []string {
	return slices.DeleteFunc(slices.Clone(s.Submitted.Reviewers), func(name string) bool {
		return slices.ContainsFunc(s.Approvals, func(a Approval) bool { return a.By == name })
	})
}

// New is the review of an incident's report before anything was done.
func New(id string) State {
	return State{Incident: id, Status: Draft, Comments: []Comment{}, Approvals: []Approval{}, Published: []Publication{}, Told: []ReminderSent{}}
}

// Fold makes the states of all reviews from their events, in the order in which
// they began. It never fails.
func Fold(events []Event) []State {
	at := map[string]int{}
	var out []State
	for _, e := range events {
		i, known := at[e.Incident]
		if !known {
			i = len(out)
			at[e.Incident], out = i, append(out, New(e.Incident))
		}
		out[i] = out[i].With(e)
	}
	return out
}

// With is the state after one more event. Slices are shared with s: use s no more.
func (s State) With(e Event) State {
	s.Last = e.Seq
	if !s.apply(e) {
		s.Unread = append(s.Unread, e.Seq)
	}
	return s
}

func read[T any](e Event, f func(T)) bool {
	var b T
	if json.Unmarshal(e.Body, &b) != nil {
		return false
	}
	f(b)
	return true
}

func (s *State) apply(e Event) bool {
	switch e.Kind {
	case KindSubmitted:
		return read(e, func(b Submitted) {
			s.Approvals = []Approval{} // everyone is asked anew
			s.Submitted, s.SubmittedBy, s.SubmittedAt, s.Status, s.AcceptedAt = b, e.Actor, e.Time, InReview, time.Time{}
		})
	case KindCommented:
		return read(e, func(b Commented) { s.Comments = append(s.Comments, Comment{Commented: b, By: e.Actor, At: e.Time}) })
	case KindAnswered:
		return read(e, func(b Answered) {
			for i := range s.Comments {
				if c := &s.Comments[i]; c.ID == b.ID && c.ClosedAt.IsZero() {
					c.ClosedBy, c.ClosedAt, c.Result = e.Actor, e.Time, b.Result
				}
			}
		})
	case KindApproved:
		return read(e, func(b Approved) {
			if b.SHA256 == s.Submitted.SHA256 {
				s.Approvals = append(s.Approvals, Approval{e.Actor, e.Time})
			}
		})
	case KindAccepted:
		return read(e, func(b Approved) { s.Status, s.AcceptedAt, s.AcceptedSHA = Accepted, e.Time, b.SHA256 })
	case KindPublished:
		return read(e, func(b Published) { s.Published = append(s.Published, Publication{b, e.Actor, e.Time}) })
	case KindReminded, KindLate:
		return read(e, func(b Reminded) { s.Told = append(s.Told, ReminderSent{b, e.Kind == KindLate, e.Time}) })
	}
	return false
}
