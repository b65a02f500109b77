package alert

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Ref names whom a step pages: "oncall:TEAM" (everybody on call in it),
// "oncall:TEAM/ROTATION", "oncall" (everybody on call in any team),
// "team:TEAM" (its members and its own contacts), "channel:TEAM" (only its own
// contacts), "person:NAME", or "everybody".
type Ref string

// Kinds of Ref.
const (
	refOnCall    = "oncall"
	refTeam      = "team"
	refChannel   = "channel"
	refPerson    = "person"
	refEverybody = "everybody"
)

// Everybody pages all people of the roster.
const Everybody = Ref(refEverybody)

func (r Ref) split() (kind, name, rotation string) {
	kind, name, _ = strings.Cut(string(r), ":")
	if kind == refOnCall {
		name, rotation, _ = strings.Cut(name, "/")
	}
	return kind, name, rotation
}

// CheckRef says what is wrong with a reference, nil for nothing.
func (r Roster) CheckRef(ref Ref) error {
	kind, name, rotation := ref.split()
	switch {
	case ref == Everybody, ref == refOnCall:
		return nil
	case kind == refPerson:
		if _, ok := r.People[name]; !ok {
			return fmt.Errorf("%q: there is no person %q", ref, name)
		}
		return nil
	case kind != refOnCall && kind != refTeam && kind != refChannel:
		return fmt.Errorf("%q is nobody: write oncall:TEAM, oncall:TEAM/ROTATION, oncall, team:TEAM, channel:TEAM, person:NAME or everybody", ref)
	}
	t, ok := r.Teams[name]
	switch {
	case !ok:
		return fmt.Errorf("%q: there is no team %q", ref, name)
	case kind == refChannel && len(t.Contacts) == 0:
		return fmt.Errorf("%q: team %s has no contacts of its own", ref, name)
	case kind == refOnCall && rotation == "" && len(t.Rotations) == 0 && len(t.Overrides) == 0:
		return fmt.Errorf("%q: team %s has no rotation; page team:%s", ref, name, name)
	case rotation != "" && !slices.ContainsFunc(t.Rotations, func(x Rotation) bool { return x.Name == rotation }):
		return fmt.Errorf("%q: team %s has no rotation %q", ref, name, rotation)
	}
	return nil
}

// Step is one step of an escalation policy.
type Step struct {
	After time.Duration `json:"after"` // counted from the step before; for the first from the beginning
	Page  []Ref         `json:"page"`
	Via   []Via         `json:"via,omitempty"` // only contacts of these kinds; empty for all
}

// Policy says who is paged and when, until somebody acknowledges.
type Policy struct {
	Name  string `json:"name"`
	Steps []Step `json:"steps"`
	// Repeat is how often all steps are gone through again, each round Every
	// after the last step of the round before.
	Repeat int           `json:"repeat"`
	Every  time.Duration `json:"every"`
	// Slow is the pace at which the last step is repeated after the last round:
	// an alert that nobody acknowledges is never silent for good.
	Slow time.Duration `json:"slow"`
	// Least is the least severity that pages; alerts below it are only shown.
	Least Severity `json:"least"`
}

// Pages reports whether alerts of a severity page anybody. One that is none
// does: what an outside source meant is not known.
func (p Policy) Pages(s Severity) bool { return s.Rank() == 0 || s.Rank() >= p.Least.Rank() }

// What a policy that does not say it means.
const (
	DefaultEvery = 10 * time.Minute
	DefaultSlow  = 30 * time.Minute
	DefaultLeast = High
)

// DefaultPolicyName is the name of the policy of those who configured none.
const DefaultPolicyName = "default"

// whole fills in what a policy does not say.
func (p Policy) whole() Policy {
	if len(p.Steps) == 0 {
		p.Steps = []Step{{Page: []Ref{Everybody}}}
	}
	if p.Every <= 0 {
		p.Every = DefaultEvery
	}
	if p.Slow <= 0 {
		p.Slow = DefaultSlow
	}
	if p.Least == "" {
		p.Least = DefaultLeast
	}
	p.Repeat = max(p.Repeat, 0)
	return p
}

// DefaultPolicy pages whoever is on call in the team, then the team, then
// everybody. Without a team, or for one that the roster does not know, it is
// whoever is on call anywhere, then everybody.
func (r Roster) DefaultPolicy(team string) Policy {
	const wait = 5 * time.Minute
	p := Policy{Name: DefaultPolicyName, Repeat: 2}
	t, ok := r.Teams[team]
	switch {
	case ok && len(t.Rotations)+len(t.Overrides) == 0:
		p.Steps = []Step{{Page: []Ref{Ref(refTeam + ":" + team)}}, {After: wait, Page: []Ref{Everybody}}}
	case ok:
		p.Steps = []Step{{Page: []Ref{Ref(refOnCall + ":" + team)}}, {After: wait, Page: []Ref{Ref(refTeam + ":" + team)}}, {After: wait, Page: []Ref{Everybody}}}
	default:
		p.Steps = []Step{{Page: []Ref{refOnCall}}, {After: wait, Page: []Ref{Everybody}}}
	}
	return p.whole()
}

// PolicyOf is the one that an alert for a team follows: the team's, else the
// configured policy named default, else DefaultPolicy. An alert for no team is
// the only team's, where there is only one.
func (r Roster) PolicyOf(team string) Policy {
	if team == "" && len(r.Teams) == 1 {
		for only := range r.Teams {
			team = only
		}
	}
	if name := r.Teams[team].Policy; name != "" {
		if p, ok := r.Policies[name]; ok {
			return p.whole()
		}
	}
	if p, ok := r.Policies[DefaultPolicyName]; ok {
		return p.whole()
	}
	return r.DefaultPolicy(team)
}

// Reached is one contact that a step pages.
type Reached struct {
	Person  string // empty for a team's own contact
	Contact Contact
}

// Reach resolves a step at a moment: each contact once, and each email address,
// in the order of the references, of rotations or members, and of each one's
// contacts.
func (r Roster) Reach(step Step, at time.Time) []Reached {
	var out []Reached
	seen := map[string]bool{}
	add := func(person string, contacts []Contact) {
		for _, c := range contacts {
			key := c.ID
			if c.Via == Email {
				key = strings.ToLower(c.Address) // a mailbox may be shared
			}
			if seen[key] || len(step.Via) > 0 && !slices.Contains(step.Via, c.Via) {
				continue
			}
			seen[key] = true
			out = append(out, Reached{Person: person, Contact: c})
		}
	}
	people := func(names ...string) {
		for _, n := range names {
			add(n, r.People[n].Contacts)
		}
	}
	for _, ref := range step.Page {
		kind, name, rotation := ref.split()
		switch {
		case kind == refOnCall:
			teams := []string{name}
			if name == "" {
				teams = slices.Sorted(maps.Keys(r.Teams))
			}
			for _, t := range teams {
				for _, s := range r.OnCall(t, at) {
					if rotation == "" || s.Rotation == rotation {
						people(s.Person)
					}
				}
			}
		case kind == refTeam:
			people(r.Teams[name].Members...)
			add("", r.Teams[name].Contacts)
		case kind == refChannel:
			add("", r.Teams[name].Contacts)
		case kind == refPerson:
			people(name)
		case kind == refEverybody:
			people(slices.Sorted(maps.Keys(r.People))...)
		}
	}
	return out
}
