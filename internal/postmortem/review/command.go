package review

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Command is what somebody wants to do in a review.
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

// Decide turns a command of an actor into the events that it causes, or into a
// refusal that says why and what to do instead.
func Decide(s State, c Command, actor string, now time.Time) ([]Event, error) {
	if strings.TrimSpace(actor) == "" {
		return nil, refuse("nobody is named: say who you are with --as")
	}
	d := &decision{State: s, actor: actor, now: now.UTC().Truncate(time.Microsecond)}
	if err := c.decide(d); err != nil {
		return nil, err
	}
	return d.events, d.err
}

func (d *decision) add(kind string, body any) {
	raw, err := json.Marshal(body)
	if err != nil && d.err == nil {
		d.err = fmt.Errorf("%w: it cannot be written down: %w", ErrRefused, err)
	}
	d.events = append(d.events, Event{Incident: d.Incident, Time: d.now, Actor: d.actor, Kind: kind, Body: raw})
}

func refuse(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrRefused, fmt.Sprintf(format, args...))
}

// Submit gives a text to its reviewers. Another text takes the place of the one
// before, also of one that was accepted; what was said of lines stays.
type Submit struct{ Submitted }

func (c Submit) decide(d *decision) error {
	var who []string
	for _, r := range c.Reviewers {
		if r = strings.TrimSpace(r); r != "" && !slices.Contains(who, r) {
			who = append(who, r)
		}
	}
	if len(who) == 0 {
		who = d.Submitted.Reviewers
	}
	if c.Due == "" {
		c.Due = d.Submitted.Due
	}
	switch day, err := time.Parse(time.DateOnly, c.Due); {
	case c.SHA256 == "" || c.Lines < 1:
		return refuse("the report holds no text")
	case len(who) == 0:
		return refuse("name who reviews it: --reviewer NAME, as often as there are reviewers")
	case slices.Contains(who, d.actor):
		return refuse("%s submits it and cannot review it, too: name somebody else", d.actor)
	case c.Due != "" && err != nil:
		return refuse("%q is no day: write it as 2026-11-20", c.Due)
	case c.Due != "" && c.Due != d.Submitted.Due && !d.now.Before(day.AddDate(0, 0, 1)):
		return refuse("the review would be due on %s, which has passed", c.Due)
	}
	c.Reviewers = who
	if s := d.Submitted; d.Status != Draft && s.SHA256 == c.SHA256 && slices.Equal(s.Reviewers, who) && s.Due == c.Due {
		return fmt.Errorf("%w: this text was submitted before", ErrNothing)
	}
	d.add(KindSubmitted, c.Submitted)
	return nil
}

// Say comments on a line of the text in review.
type Say struct {
	Line   int
	Quote  string // the line
	Text   string
	SHA256 string // of the text whose line it is
}

const mostText = 16 << 10

func (c Say) decide(d *decision) error {
	switch {
	case d.Status == Draft:
		return refuse("nothing was submitted: refloat postmortem submit %s FILE --reviewer NAME", d.Incident)
	case c.SHA256 != d.Submitted.SHA256:
		return refuse("this is not the text in review: submit it first, or comment on %s as it was submitted", d.Submitted.File)
	case c.Line < 1 || c.Line > d.Submitted.Lines:
		return refuse("there is no line %d: the report has %d", c.Line, d.Submitted.Lines)
	case strings.TrimSpace(c.Text) == "":
		return refuse("the comment is empty")
	case len(c.Text) > mostText || !utf8.ValidString(c.Text):
		return refuse("the comment is longer than %d bytes, or no text in UTF-8", mostText)
	}
	quote := strings.ToValidUTF8(strings.TrimSpace(c.Quote), "?")
	if r := []rune(quote); len(r) > 200 {
		quote = string(r[:199]) + "…"
	}
	d.add(KindCommented, Commented{ID: "c" + strconv.Itoa(len(d.Comments)+1), Line: c.Line, Quote: quote, Text: strings.TrimSpace(c.Text), SHA256: c.SHA256})
	return nil
}

// Answer closes a comment.
type Answer struct{ ID, Result string }

func (c Answer) decide(d *decision) error {
	i := slices.IndexFunc(d.Comments, func(x Comment) bool { return x.ID == c.ID })
	switch {
	case i < 0:
		return refuse("there is no comment %s: refloat postmortem list %s shows them", c.ID, d.Incident)
	case !d.Comments[i].ClosedAt.IsZero():
		return fmt.Errorf("%w: %s closed it before", ErrNothing, d.Comments[i].ClosedBy)
	}
	d.add(KindAnswered, Answered{c.ID, strings.TrimSpace(c.Result)})
	return nil
}

// Accept says that the actor, a reviewer, finds the text good. With the last of
// them it is accepted.
type Accept struct {
	SHA256 string // of the text as it lies before the reviewer
	Errors int    // that the lint finds in it
}

func (c Accept) decide(d *decision) error {
	open := len(d.OpenComments())
	switch {
	case d.Status == Draft:
		return refuse("nothing was submitted: refloat postmortem submit %s FILE --reviewer NAME", d.Incident)
	case c.SHA256 != d.Submitted.SHA256:
		return refuse("the text is not the one that was submitted: submit it as it is now")
	case !slices.Contains(d.Submitted.Reviewers, d.actor):
		return refuse("%s is no reviewer of it; %s are", d.actor, strings.Join(d.Submitted.Reviewers, ", "))
	case d.Status == Accepted, slices.ContainsFunc(d.Approvals, func(a Approval) bool { return a.By == d.actor }):
		return fmt.Errorf("%w: %s accepted this text before", ErrNothing, d.actor)
	case c.Errors > 0:
		return refuse("the lint finds %d errors in it: refloat postmortem lint %s", c.Errors, d.Submitted.File)
	case open > 0:
		return refuse("%d comments are open: refloat postmortem list %s shows them; they are closed with refloat postmortem comment %s --close ID", open, d.Incident, d.Incident)
	}
	d.add(KindApproved, Approved{c.SHA256})
	if missing := d.Missing(); len(missing) == 1 && missing[0] == d.actor {
		d.add(KindAccepted, Approved{c.SHA256})
	}
	return nil
}

// Publish writes down that clients are given a version that was made of the
// accepted text.
type Publish struct{ Published }

func (c Publish) decide(d *decision) error {
	switch {
	case d.Status != Accepted:
		return refuse("the report of %s is %s: only an accepted one is published", d.Incident, d.Status)
	case c.Accepted != d.AcceptedSHA:
		return refuse("the text is not the one that was accepted: publish that one, or submit this one")
	case slices.ContainsFunc(d.Published, func(p Publication) bool { return p.SHA256 == c.SHA256 && p.File == c.File }):
		return fmt.Errorf("%w: this version was published before", ErrNothing)
	}
	d.add(KindPublished, c.Published)
	return nil
}

// Remind writes down that reviewers were reminded.
type Remind struct {
	Reminded
	Late bool
}

func (c Remind) decide(d *decision) error {
	kind := KindReminded
	if c.Late {
		kind = KindLate
	}
	if w, due := d.DueWord(d.now); !due || w.Late != c.Late {
		return ErrNothing // another node has
	}
	if c.To == nil {
		c.To = []string{}
	}
	d.add(kind, c.Reminded)
	return nil
}

// When reviewers are reminded before the due day, days; how often a late review is
// told again; and at what o'clock UTC: nobody is woken for it.
const (
	lateAgain = 7 * 24 * time.Hour
	remindAt  = 7 * time.Hour
)

var remindDays = [...]int{3, 1}

// Word is a reminder that is due.
type Word struct {
	Due  string
	Late bool     // to who submitted it, too
	To   []string // who has not answered
	Name string   // the same each time that the same reminder is told
}

// DueWord is the reminder that is due at now and was not sent. Of several that were
// missed the last is sent.
func (s State) DueWord(now time.Time) (Word, bool) {
	day, err := time.Parse(time.DateOnly, s.Submitted.Due)
	if s.Status != InReview || err != nil {
		return Word{}, false
	}
	told := func(late bool) time.Time {
		var last time.Time
		for _, t := range s.Told {
			if t.Late == late && t.Due == s.Submitted.Due {
				last = t.At
			}
		}
		return last
	}
	w := Word{Due: s.Submitted.Due, To: s.Missing()}
	if over := day.AddDate(0, 0, 1).Add(remindAt); !now.Before(over) {
		if last := told(true); !last.IsZero() && now.Sub(last) < lateAgain {
			return Word{}, false
		}
		w.Late, w.Name = true, fmt.Sprintf("review.%s.late.%s.%d", s.Incident, w.Due, now.Sub(over)/lateAgain)
		return w, true
	}
	for i := len(remindDays) - 1; i >= 0; i-- {
		at := day.AddDate(0, 0, -remindDays[i]).Add(remindAt)
		if now.Before(at) || s.SubmittedAt.After(at) {
			continue
		}
		w.Name = fmt.Sprintf("review.%s.due.%s.%d", s.Incident, w.Due, remindDays[i])
		return w, told(false).Before(at)
	}
	return Word{}, false
}
