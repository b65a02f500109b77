// Package access says who may do what: roles for each team, what a request needs,
// and whether who asks has it. What is here decides; the server asks.
package access

import "slices"

// Role is what somebody may do for a team.
type Role string

// The roles, each with all that the one before it may.
const (
	Viewer    Role = "viewer"    // sees
	Responder Role = "responder" // works in incidents, acknowledges, drills, recovers
	Admin     Role = "admin"     // gives access, and changes what is configured at run time
)

// Roles are all of them, the one with the fewest rights first.
func Roles() []Role { return []Role{Viewer, Responder, Admin} }

// includes reports whether r may all that o may. A role that is unknown may
// nothing, and nothing may what is unknown.
func (r Role) includes(o Role) bool {
	have, want := slices.Index(Roles(), r), slices.Index(Roles(), o)
	return want >= 0 && have >= want
}

// Need is what a request asks of who makes it.
type Need string

// The needs.
const (
	Nobody     Need = "nobody" // open to anybody, or asks for a token of its own
	SignedIn   Need = "signed-in"
	View       Need = Need(Viewer)
	Respond    Need = Need(Responder)
	Administer Need = Need(Admin)
)

// Kind says how somebody is known.
type Kind string

// The kinds.
const (
	Session Kind = "session" // a browser
	Token   Kind = "token"   // a program
	Local   Kind = "local"   // the command line on this machine
	Link    Kind = "link"    // good once, to set a password
	Device  Kind = "device"  // a browser from which somebody signed in before; lets nobody in by itself
)

// Principal is who asks. The zero Principal is a stranger, who may nothing.
type Principal struct {
	Kind Kind   `json:"kind"`
	ID   string `json:"id"`   // of the session or token
	Name string `json:"name"` // of the account, as it is journalled; the person's name in the configuration where there is one
	// Everywhere is the role for every team; Teams are those for single teams.
	Everywhere Role            `json:"everywhere,omitempty"`
	Teams      map[string]Role `json:"teams,omitempty"`
	// Limit is the most that a token may, whatever its account may; empty for
	// no limit.
	Limit Role `json:"limit,omitempty"`
}

// Known reports that it is no stranger.
func (p Principal) Known() bool { return p.Kind != "" && p.Name != "" }

// Has reports whether the need is met for a team. An empty team is what belongs
// to none: that takes a role for every team, but to see it one for any.
func (p Principal) Has(n Need, team string) bool {
	switch {
	case n == Nobody:
		return true
	case !p.Known():
		return false
	case n == SignedIn:
		return true
	}
	want := Role(n)
	if p.Limit != "" && !p.Limit.includes(want) {
		return false
	}
	if p.Everywhere.includes(want) {
		return true
	}
	if team == "" {
		return want == Viewer && p.Somewhere(n)
	}
	return p.Teams[team].includes(want)
}

// Somewhere reports whether the need is met for any team: whether a page is
// worth showing to them at all.
func (p Principal) Somewhere(n Need) bool {
	if n == Nobody || n == SignedIn {
		return p.Has(n, "")
	}
	want := Role(n)
	if !p.Known() || p.Limit != "" && !p.Limit.includes(want) {
		return false
	}
	if p.Everywhere.includes(want) {
		return true
	}
	for _, r := range p.Teams {
		if r.includes(want) {
			return true
		}
	}
	return false
}
