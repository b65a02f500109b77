package alert

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// Channel is what is known of one contact: whether messages get through, and
// whether somebody at the other end answers.
type Channel struct {
	Contact Contact `json:"contact"`
	Person  string  `json:"person,omitempty"`

	Sent     time.Time `json:"sent,omitzero"`     // a message was last taken over
	Failed   time.Time `json:"failed,omitzero"`   // a message was last not taken over
	Error    string    `json:"error,omitempty"`   // of that
	Tested   time.Time `json:"tested,omitzero"`   // a test page was last begun
	Test     string    `json:"test,omitempty"`    // its alert
	Answered time.Time `json:"answered,omitzero"` // a test page was last acknowledged
}

// KindChannel is the kind of a channel's record.
const KindChannel = "channel"

// TestRules say how often channels are tested.
type TestRules struct {
	Every  time.Duration // 0 for never
	Answer time.Duration // time to answer a test page
}

// DueTests are the contacts that a test page is due for: those of people who are
// on call now, in their working hours; one that is long overdue at any waking
// hour, since some are on call at night only.
func DueTests(r Roster, known map[string]Channel, rules TestRules, now time.Time) []Reached {
	if rules.Every <= 0 {
		return nil
	}
	people := map[string]bool{}
	for name, t := range r.Teams {
		if len(t.Rotations)+len(t.Overrides) == 0 {
			for _, m := range t.Members {
				people[m] = true // they are paged as a whole
			}
		}
		for _, s := range r.OnCall(name, now) {
			people[s.Person] = true
		}
	}
	var out []Reached
	for _, name := range slices.Sorted(maps.Keys(people)) {
		p := r.People[name]
		for _, c := range p.Contacts {
			age := now.Sub(known[c.ID].Tested)
			if age >= rules.Every && awake(p, now, age >= 2*rules.Every && !known[c.ID].Tested.IsZero()) {
				out = append(out, Reached{Person: name, Contact: c})
			}
		}
	}
	return out
}

func awake(p Person, now time.Time, overdue bool) bool {
	if p.Zone != nil {
		now = now.In(p.Zone)
	}
	h, day := now.Hour(), now.Weekday()
	if overdue {
		return h >= 8 && h < 21
	}
	return h >= 9 && h < 17 && day != time.Saturday && day != time.Sunday
}

// TestSignal is the alert that a test page is about. It pages nobody but the one
// contact that is tested.
func TestSignal(x Reached, now time.Time) Signal {
	return Signal{
		Key: "page-test/" + x.Contact.ID, At: now, Firing: true, Code: "page-test", Source: "refloat", Severity: Low,
		Summary: "a test page: nothing is wrong; acknowledge it, so that it is known that pages reach you",
		Next:    "acknowledge it",
	}
}

// Judge says what is wrong with a channel: a signal for each thing that could
// be, so that what is mended ends.
func (c Channel) Judge(rules TestRules, now time.Time) []Signal {
	failing := c.Failed.After(c.Sent)
	silent := !c.Tested.IsZero() && c.Answered.Before(c.Tested) && rules.Answer > 0 && now.Sub(c.Tested) >= rules.Answer
	who, _, _ := strings.Cut(c.Contact.ID, ".") // the person's or the team's name
	out := []Signal{
		{Key: "channel-failing/" + c.Contact.ID, Code: "channel-failing", Firing: failing, At: c.Failed, Severity: Medium,
			Summary: "messages to " + who + " through " + c.Contact.ID + " are not taken over", Detail: c.Error, Next: "run: refloat page --test " + who},
		{Key: "channel-silent/" + c.Contact.ID, Code: "channel-silent", Firing: silent, At: c.Tested, Severity: Medium,
			Summary: "a test page to " + who + " through " + c.Contact.ID + " was not acknowledged", Next: "ask " + who + " whether it arrived, and run: refloat page --test " + who},
	}
	for i := range out {
		out[i].Source = "refloat"
		if !out[i].Firing {
			out[i].At = now
		}
	}
	return out
}
