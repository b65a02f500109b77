package alert

import (
	"slices"
	"time"
)

// SimulatedPage is one page that would be sent.
type SimulatedPage struct {
	At      time.Time `json:"at"`
	Round   int       `json:"round"` // from 1
	Step    int       `json:"step"`  // from 1
	Person  string    `json:"person,omitempty"`
	Contact Contact   `json:"contact"`
	// LastResort marks a page to everybody because the steps reached no one.
	LastResort bool `json:"last_resort,omitempty"`
}

// Simulation is a chain that nobody acknowledges, and in which every delivery
// is taken over.
type Simulation struct {
	Policy Policy          `json:"policy"`
	Pages  []SimulatedPage `json:"pages"`
	// SlowFrom is when the last step is repeated for the first time at the
	// policy's slow pace; so it goes on until somebody acknowledges.
	SlowFrom time.Time `json:"slow_from,omitzero"`
	// Nobody is set when no one at all can be paged.
	Nobody bool `json:"nobody"`
	// Quiet is set when the policy pages nobody for alerts of this severity.
	Quiet bool `json:"quiet"`
}

// Simulate says who would be paged when, and through what, for an alert whose
// escalation begins at at: all rounds, and the first of the slow repeats.
func Simulate(a Alert, p Policy, r Roster, at time.Time) Simulation {
	a.State, a.AcknowledgedAt, a.HeldBy = Firing, time.Time{}, ""
	c := Begin(a, p, at)
	out := Simulation{Policy: c.Policy, Quiet: !c.Policy.Pages(a.Signal.Severity)}
	if out.Quiet {
		return out
	}
	var known []Delivery
	for now := at; c.Round <= c.Policy.Repeat; {
		d := c.Due(now, a, r, known)
		for _, x := range d.Create {
			out.Pages = append(out.Pages, SimulatedPage{
				At: x.CreatedAt, Round: x.Round + 1, Step: x.Step + 1, Person: x.Person, Contact: x.Contact,
				LastResort: x.Step == len(c.Policy.Steps),
			})
			x.State, x.SentAt = Sent, now
			known = append(known, x)
		}
		c, now = d.Chain, d.Next
		out.Nobody = d.Nobody
	}
	if c.Round > c.Policy.Repeat {
		out.SlowFrom = c.StepAt
	}
	out.Pages = slices.Clip(out.Pages)
	return out
}
