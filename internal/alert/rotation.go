package alert

import (
	"slices"
	"time"
)

// Rotation hands over from one person to the next. Without hours one of People
// is always on call; with hours those of whoever's day it is; turns of an
// imported calendar lie over both.
type Rotation struct {
	Name   string
	People []string // in the order of their turns
	// Days is how long a turn is: 1 for daily, 7 for weekly.
	Days int
	// Start is a day on which the first of People takes over.
	Start    Day
	Handover Clock
	Zone     *time.Location // nil for UTC

	Hours    []Hours // follow the sun; empty for the whole day
	Calendar []Turn  // in order of their beginning
}

// Hours is the part of a day in which some people are on call. At any moment
// the part that began last, and has not ended, is the one that counts; so that
// parts without an end follow each other without a gap, whatever the clocks of
// their zones do.
type Hours struct {
	From     Clock
	To       Clock // equal to From: until another part begins
	Weekdays []time.Weekday
	Zone     *time.Location // nil for the rotation's
	People   []string       // empty for the rotation's
}

// Turn is one person's in an imported calendar.
type Turn struct {
	Person   string
	From, To time.Time
}

// longestPart is more than the longest span between two beginnings of the same
// hours, a week, and the clock changes in it.
const longestPart = 9 * 24 * time.Hour

// shifts are those that overlap the span, and possibly their neighbours.
func (r Rotation) shifts(from, to time.Time) []Shift {
	var base []Shift
	if len(r.Hours) > 0 {
		base = r.byHours(from, to)
	} else {
		base = r.byTurn(from, to)
	}
	base = within(base, from, to)
	first, last := from, to // the calendar matters for as long as a shift that counts may last
	for _, s := range base {
		first, last = earlier(first, s.Since), later(last, s.Until)
	}
	for _, c := range r.Calendar {
		if c.From.Before(to) && c.To.After(from) {
			first, last = earlier(first, c.From), later(last, c.To)
		}
	}
	for _, c := range r.Calendar {
		if c.From.Before(last) && c.To.After(first) {
			base = overlay(base, Shift{Person: c.Person, Since: c.From, Until: c.To, Source: FromCalendar})
		}
	}
	return base
}

func (r Rotation) byTurn(from, to time.Time) []Shift {
	zone, days := orUTC(r.Zone), max(r.Days, 1)
	if len(r.People) == 0 {
		return nil
	}
	var out []Shift
	first := floorDiv(int(dayOf(from, zone)-2-r.Start), days)
	last := floorDiv(int(dayOf(to, zone)+2-r.Start), days)
	for n := first; n <= last; n++ {
		s := Shift{Person: r.turn(r.People, r.Start+Day(n*days)), Source: FromRotation}
		s.Since = (r.Start + Day(n*days)).Instant(r.Handover, zone)
		s.Until = (r.Start + Day((n+1)*days)).Instant(r.Handover, zone)
		if s.Since.Before(s.Until) { // there are days that a zone skipped
			out = append(out, s)
		}
	}
	return out
}

// turn is whose turn it is on a day.
func (r Rotation) turn(people []string, d Day) string {
	n := floorDiv(int(d-r.Start), max(r.Days, 1)) % len(people)
	return people[(n+len(people))%len(people)]
}

func (r Rotation) byHours(from, to time.Time) []Shift {
	var parts []Shift
	for _, h := range r.Hours {
		parts = append(parts, r.part(h, from.Add(-longestPart), to.Add(longestPart))...)
	}
	slices.SortStableFunc(parts, func(a, b Shift) int { return a.Since.Compare(b.Since) })
	var out []Shift
	for i, p := range parts {
		if i > 0 && p.Since.Equal(parts[i-1].Since) {
			continue // of two that begin at once the first in the list counts
		}
		out = overlay(out, p)
	}
	return out
}

// part is each day's of some hours.
func (r Rotation) part(h Hours, from, to time.Time) []Shift {
	zone, people := orUTC(r.Zone), r.People
	if h.Zone != nil {
		zone = h.Zone
	}
	if len(h.People) > 0 {
		people = h.People
	}
	if len(people) == 0 {
		return nil
	}
	on := func(d Day) bool { return len(h.Weekdays) == 0 || slices.Contains(h.Weekdays, d.Weekday()) }
	var out []Shift
	for d := dayOf(from, zone); d <= dayOf(to, zone); d++ {
		if !on(d) {
			continue
		}
		end, clock := d+1, h.To
		switch {
		case h.To == h.From:
			for !on(end) {
				end++
			}
		case h.To > h.From:
			end = d
		}
		s := Shift{Person: r.turn(people, d), Since: d.Instant(h.From, zone), Until: end.Instant(clock, zone), Source: FromRotation}
		if s.Since.Before(s.Until) {
			out = append(out, s)
		}
	}
	return out
}

func orUTC(z *time.Location) *time.Location {
	if z == nil {
		return time.UTC
	}
	return z
}
