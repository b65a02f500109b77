package alert

import (
	"slices"
	"time"
)

// Chain is how far one alert has been escalated. It is a value that is stored,
// as JSON, whenever it changed; together with the deliveries of its alert it
// says all. Which of the two is stored first does not matter: from either one
// the other is made whole.
type Chain struct {
	AlertID string `json:"alert_id"`
	// Policy is as it was when the chain began, so that a change of the
	// configuration does not move a chain that is under way.
	Policy  Policy    `json:"policy"`
	BeganAt time.Time `json:"began_at"`

	First  int       `json:"first"` // its first round: 0, or later when the alert paged before
	Round  int       `json:"round"` // Policy.Repeat rounds past First only the last step is repeated
	Step   int       `json:"step"`  // begun last; -1 before the first, len(Policy.Steps) for the last resort
	StepAt time.Time `json:"step_at"`
	// Pages are the deliveries that were made when the chain last moved on, as
	// they were made.
	Pages []Delivery `json:"pages,omitempty"`

	StoppedAt time.Time `json:"stopped_at,omitzero"`
	StoppedBy string    `json:"stopped_by,omitempty"`
}

// Decision is what has to be done now.
type Decision struct {
	Chain Chain // to be stored
	// Create are deliveries to be stored, in this order; what is stored is sent.
	Create []Delivery
	// Cancel are the IDs of waiting deliveries that must not be sent any more.
	Cancel []string
	// Next is when to ask again if nothing changes; the zero time for never. Ask
	// at once when the alert changed, or when a delivery failed.
	Next time.Time
	// Nobody reports that a whole round reached no contact at all.
	Nobody bool
}

// Begin makes the chain of an alert that is to be escalated from at on.
func Begin(a Alert, p Policy, at time.Time) Chain {
	return Chain{AlertID: a.ID, Policy: p.whole(), BeganAt: at, Step: -1, StepAt: at}
}

// again is the chain of an alert that pages once more after it was acknowledged,
// since it became graver. Its rounds come after those of before.
func (c Chain) again(at time.Time) Chain {
	first := c.Round + 1
	return Chain{AlertID: c.AlertID, Policy: c.Policy, BeganAt: at, First: first, Round: first, Step: -1, StepAt: at}
}

// Stopped reports that nobody is paged any more.
func (c Chain) Stopped() bool { return !c.StoppedAt.IsZero() }

// Due says what has to be done at now. known are the deliveries of the chain's
// alert as they stand; sent ones of rounds before the chain's may be left out.
//
// A step begins After the one before it, or at once when all deliveries of that
// one fail or it reached nobody. When a whole round reached nobody or has
// nothing but failures, everybody is paged as a last resort. A chain that was
// not asked for a while goes on where it is, with the people who are on call
// now; it does not make up for lost steps all at once. A chain that stopped
// begins again when its alert is no longer acknowledged, as one that became
// graver is. An alert that is held, or not grave enough for the policy, pages
// nobody until that changes.
func (c Chain) Due(now time.Time, a Alert, r Roster, known []Delivery) Decision {
	known = slices.DeleteFunc(slices.Clone(known), func(d Delivery) bool { return d.AlertID != c.AlertID || d.Kind != Page })
	switch {
	case a.Settled():
		return c.stop(now, a, known)
	case c.Stopped():
		c = c.again(now)
	}
	known = slices.DeleteFunc(known, func(d Delivery) bool { return d.Round < c.First })
	if a.HeldBy != "" || c.Step < 0 && !c.Policy.Pages(a.Signal.Severity) {
		return Decision{Chain: c}
	}
	d := Decision{Chain: c.catchUp(r, known)}
	for moved := false; ; {
		for _, p := range d.Chain.Pages {
			if !slices.ContainsFunc(known, func(k Delivery) bool { return k.ID == p.ID }) {
				known, d.Create = append(known, p), append(d.Create, p)
			}
		}
		round, step, at := d.Chain.next(known)
		if now.Before(at) && moved {
			d.Chain.Pages = d.Create // the chain may be stored before any of them
		}
		if now.Before(at) {
			d.Next, d.Nobody, d.Cancel = at, d.Chain.nobody(known), overtaken(known)
			return d
		}
		d.Chain, moved = d.Chain.begin(round, step, now, r), true
	}
}

// next is the step that follows, and when it begins.
func (c Chain) next(known []Delivery) (round, step int, at time.Time) {
	p, last := c.Policy, len(c.Policy.Steps)-1
	switch {
	case c.Step < 0:
		return c.First, 0, c.BeganAt.Add(p.Steps[0].After)
	case c.Step < last && failing(known, c.Round, c.Step):
		return c.Round, c.Step + 1, c.StepAt
	case c.Step < last:
		return c.Round, c.Step + 1, c.StepAt.Add(p.Steps[c.Step+1].After)
	case c.Step == last && failing(known, c.Round, -1):
		return c.Round, last + 1, c.StepAt // the last resort
	case c.Round-c.First < p.Repeat:
		return c.Round + 1, 0, c.StepAt.Add(p.Every)
	}
	return c.Round + 1, last, c.StepAt.Add(p.Slow)
}

// failing reports that no delivery of a step, of the whole round for step -1,
// gets through. So it does when there is none.
func failing(known []Delivery, round, step int) bool {
	return !slices.ContainsFunc(known, func(d Delivery) bool {
		return d.Round == round && (step < 0 || d.Step == step) && !d.Failing()
	})
}

// overtaken are deliveries that keep failing and to whose contact there is a
// later page: a channel that comes back brings one page, not all of a night.
func overtaken(known []Delivery) []string {
	var ids []string
	for _, d := range known {
		if d.State == Waiting && d.Failing() && slices.ContainsFunc(known, func(k Delivery) bool {
			return k.Contact.ID == d.Contact.ID && (k.Round > d.Round || k.Round == d.Round && k.Step > d.Step)
		}) {
			ids = append(ids, d.ID)
		}
	}
	return ids
}

// nobody reports that the last resort reached no one: nobody has a contact.
func (c Chain) nobody(known []Delivery) bool {
	return c.Step == len(c.Policy.Steps) && !slices.ContainsFunc(known, func(d Delivery) bool { return d.Round == c.Round })
}

func (c Chain) begin(round, step int, at time.Time, r Roster) Chain {
	c.Round, c.Step, c.StepAt, c.Pages = round, step, at, nil
	s := Step{Page: []Ref{Everybody}}
	if step < len(c.Policy.Steps) {
		s = c.Policy.Steps[step]
	}
	for _, x := range r.Reach(s, at) {
		c.Pages = append(c.Pages, Delivery{
			ID: deliveryID(c.AlertID, round, step, x.Contact.ID), AlertID: c.AlertID, Kind: Page, Round: round, Step: step,
			Person: x.Person, Contact: x.Contact, State: Waiting, CreatedAt: at, NotBefore: at,
		})
	}
	return c
}

// catchUp brings a chain that was stored before its last step to the step that
// its deliveries show to have begun.
func (c Chain) catchUp(r Roster, known []Delivery) Chain {
	var ahead []Delivery
	for _, d := range known {
		round, step := c.Round, c.Step
		if len(ahead) > 0 {
			round, step = ahead[0].Round, ahead[0].Step
		}
		switch {
		case d.Round > round, d.Round == round && d.Step > step:
			ahead = []Delivery{d}
		case len(ahead) > 0 && d.Round == round && d.Step == step:
			ahead = append(ahead, d)
		}
	}
	if len(ahead) == 0 {
		return c
	}
	return c.begin(ahead[0].Round, ahead[0].Step, ahead[0].CreatedAt, r)
}

func (c Chain) stop(now time.Time, a Alert, known []Delivery) Decision {
	if !c.Stopped() {
		switch {
		case !a.AcknowledgedAt.IsZero():
			c.StoppedAt, c.StoppedBy = a.AcknowledgedAt, a.AcknowledgedBy
		case !a.ResolvedAt.IsZero():
			c.StoppedAt = a.ResolvedAt
		default:
			c.StoppedAt = now
		}
	}
	d := Decision{Chain: c}
	for _, x := range known {
		if x.State == Waiting {
			d.Cancel = append(d.Cancel, x.ID)
		}
	}
	return d
}
