package alert

import (
	"maps"
	"slices"
	"sort"
	"time"
)

// Person is somebody who can be paged.
type Person struct {
	Name     string         `json:"name"`
	Display  string         `json:"display,omitempty"` // as people write it; empty for Name
	Zone     *time.Location `json:"-"`                 // nil for UTC
	Contacts []Contact      `json:"contacts"`          // in the order in which they are used
}

// Shown is the name as people write it.
func (p Person) Shown() string {
	if p.Display != "" {
		return p.Display
	}
	return p.Name
}

// Team answers for targets.
type Team struct {
	Name      string
	Members   []string
	Rotations []Rotation
	Overrides []Override
	Contacts  []Contact // the team's own, such as a chat room
	Policy    string    // empty for the default
}

// Override puts somebody on call for a while. A later one in the list wins over
// an earlier.
type Override struct {
	Person    string
	From, To  time.Time
	Rotation  string // which rotation; empty for the first
	InsteadOf string // only where this person would be on call, in any rotation unless one is named
}

// Roster is everybody who can be paged, and who is on call when.
type Roster struct {
	People   map[string]Person
	Teams    map[string]Team
	Policies map[string]Policy
}

// Shift is one span in which a person is on call.
type Shift struct {
	Team     string    `json:"team"`
	Rotation string    `json:"rotation"`
	Person   string    `json:"person"`
	Since    time.Time `json:"since"`
	Until    time.Time `json:"until"` // no longer on call from this moment on
	// Source says where it is from: rotation, calendar or override.
	Source string `json:"source"`
}

// Where a shift comes from.
const (
	FromRotation = "rotation"
	FromCalendar = "calendar"
	FromOverride = "override"
)

// Gap is a span in which nobody of a team is on call.
type Gap struct {
	Team  string    `json:"team"`
	Since time.Time `json:"since"`
	Until time.Time `json:"until"`
}

// OnCall says who is on call in a team: at most one shift for each rotation, in
// the order of the rotations.
func (r Roster) OnCall(team string, at time.Time) []Shift {
	return r.Shifts(team, at, at.Add(1))
}

// Shifts are those of a team that overlap the span from to to, whole, ordered
// by rotation and then by time. Those of one rotation never overlap.
func (r Roster) Shifts(team string, from, to time.Time) []Shift {
	t, ok := r.Teams[team]
	if !ok || !from.Before(to) {
		return nil
	}
	rotations := t.Rotations
	if len(rotations) == 0 && len(t.Overrides) > 0 {
		rotations = []Rotation{{}} // only overrides say who is on call
	}
	var all []Shift
	for i, rot := range rotations {
		shifts := rot.shifts(from, to)
		for _, o := range t.Overrides {
			switch {
			case o.Rotation != "" && o.Rotation != rot.Name, o.Rotation == "" && o.InsteadOf == "" && i > 0:
				continue
			case o.InsteadOf != "":
				shifts = replace(shifts, o)
			default:
				shifts = overlay(shifts, o.shift(rot.Name))
			}
		}
		for _, s := range within(shifts, from, to) {
			s.Team, s.Rotation = t.Name, rot.Name
			all = append(all, s)
		}
	}
	return all
}

// PersonShifts are a person's in all teams, by time.
func (r Roster) PersonShifts(person string, from, to time.Time) []Shift {
	var all []Shift
	for _, team := range slices.Sorted(maps.Keys(r.Teams)) {
		for _, s := range r.Shifts(team, from, to) {
			if s.Person == person {
				all = append(all, s)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b Shift) int { return a.Since.Compare(b.Since) })
	return all
}

// Gaps are the spans between from and to in which no rotation of the team has
// anybody on call.
func (r Roster) Gaps(team string, from, to time.Time) []Gap {
	shifts := r.Shifts(team, from, to)
	slices.SortStableFunc(shifts, func(a, b Shift) int { return a.Since.Compare(b.Since) })
	var gaps []Gap
	covered := from
	for _, s := range shifts {
		if s.Since.After(covered) {
			gaps = append(gaps, Gap{Team: team, Since: covered, Until: s.Since})
		}
		if s.Until.After(covered) {
			covered = s.Until
		}
	}
	if covered.Before(to) {
		gaps = append(gaps, Gap{Team: team, Since: covered, Until: to})
	}
	return gaps
}

func (o Override) shift(rotation string) Shift {
	return Shift{Rotation: rotation, Person: o.Person, Since: o.From, Until: o.To, Source: FromOverride}
}

// within keeps what overlaps the span from to to.
func within(shifts []Shift, from, to time.Time) []Shift {
	return slices.DeleteFunc(shifts, func(s Shift) bool { return !s.Since.Before(to) || !s.Until.After(from) })
}

// overlay puts top over shifts, which are ordered and do not overlap, and which
// it may change.
func overlay(shifts []Shift, top Shift) []Shift {
	if !top.Since.Before(top.Until) {
		return shifts
	}
	first := sort.Search(len(shifts), func(i int) bool { return shifts[i].Until.After(top.Since) })
	last := sort.Search(len(shifts), func(i int) bool { return !shifts[i].Since.Before(top.Until) })
	var put []Shift
	if first < last && shifts[first].Since.Before(top.Since) {
		before := shifts[first]
		before.Until = top.Since
		put = append(put, before)
	}
	put = append(put, top)
	if first < last && shifts[last-1].Until.After(top.Until) {
		after := shifts[last-1]
		after.Since = top.Until
		put = append(put, after)
	}
	return slices.Replace(shifts, first, last, put...)
}

// replace puts an override's person where the one that it replaces is on call.
func replace(shifts []Shift, o Override) []Shift {
	out := slices.Clone(shifts)
	for _, s := range shifts {
		if s.Person == o.InsteadOf {
			top := o.shift(s.Rotation)
			top.Since, top.Until = later(s.Since, o.From), earlier(s.Until, o.To)
			out = overlay(out, top)
		}
	}
	return out
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
