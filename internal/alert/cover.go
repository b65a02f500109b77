package alert

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// CoverAhead is how far ahead the server looks for gaps in cover.
const CoverAhead = 7 * 24 * time.Hour

// Codes of what is wrong with the roster itself.
const (
	CodeOnCallGap = "oncall-gap"    // nobody of a team is, or will be, on call
	CodeNoContact = "oncall-nobody" // there is nobody who could be paged
)

// Cover says what is wrong with the roster: a gap in each team's cover now or
// within CoverAhead, and that there is nobody to page at all. There is a signal
// for each thing that could be wrong, so that what is mended ends. A gap pages
// nobody by itself: what happens in it goes to the policy's next step.
func (r Roster) Cover(now time.Time) []Signal {
	var all []Signal
	for _, name := range slices.Sorted(maps.Keys(r.Teams)) {
		if t := r.Teams[name]; len(t.Rotations)+len(t.Overrides) > 0 {
			all = append(all, r.coverOf(name, now))
		}
	}
	nobody := Signal{
		Key: CodeNoContact, Code: CodeNoContact, Source: "oncall", At: now, Severity: High,
		Firing: len(r.Reach(Step{Page: []Ref{Everybody}}, now)) == 0, Summary: "there is nobody whom Refloat could page",
		Next: "add people with contacts to refloat.yaml (docs/on-call.md)",
	}
	return append(all, nobody)
}

func (r Roster) coverOf(team string, now time.Time) Signal {
	s := Signal{Key: CodeOnCallGap + "/" + team, Code: CodeOnCallGap, Source: "oncall", Team: team, At: now, Severity: Medium}
	gaps := r.Gaps(team, now, now.Add(CoverAhead))
	if len(gaps) == 0 {
		s.Summary = "team " + team + " has somebody on call"
		return s
	}
	const layout = "2006-01-02 15:04 UTC"
	g := gaps[0]
	s.Firing = true
	s.Next = "see: refloat oncall " + team + "; then add an override or mend the rotation in refloat.yaml"
	s.Summary = fmt.Sprintf("nobody of team %s will be on call from %s to %s", team, g.Since.UTC().Format(layout), g.Until.UTC().Format(layout))
	if !g.Since.After(now) {
		s.Summary = fmt.Sprintf("nobody of team %s is on call until %s: pages go to the next step of its policy", team, g.Until.UTC().Format(layout))
	}
	if len(gaps) > 1 {
		s.Detail = fmt.Sprintf("%d gaps in the next %d days", len(gaps), int(CoverAhead/(24*time.Hour)))
	}
	return s
}
