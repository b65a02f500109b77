package schedule

import (
	"fmt"
	"time"

	"github.com/robfig/cron/v3"
)

// When says at which moments work is due.
type When interface {
	// Next is the first moment after t; the zero time when there is none.
	Next(t time.Time) time.Time
}

// Cron reads a cron expression of five fields, or @daily and the like, or
// @every 6h, for a place's wall clock. Work due at a wall-clock time that the
// change to summer time skips is due when the clocks have moved; a time that
// the change back repeats may be due twice, never not at all.
func Cron(expression string, place *time.Location) (When, error) {
	parsed, err := cron.ParseStandard(expression)
	if err != nil {
		return nil, fmt.Errorf("schedule %q: %w (five fields: minute hour day month weekday, for example \"15 2 * * *\")", expression, err)
	}
	spec, wall := parsed.(*cron.SpecSchedule)
	if !wall {
		return parsed, nil // @every
	}
	if spec.Location != time.Local { // given as CRON_TZ=… in the expression
		place = spec.Location
	}
	if place == nil {
		place = time.Local
	}
	absolute, plain := *spec, *spec
	absolute.Location, plain.Location = place, time.UTC
	w := wallClock{absolute: &absolute, plain: &plain, place: place}
	if w.Next(time.Unix(0, 0)).IsZero() {
		return nil, fmt.Errorf("schedule %q: no day matches it", expression)
	}
	return w, nil
}

// Every is due each d, counted from the last time that it was.
func Every(d time.Duration) When { return cron.ConstantDelaySchedule{Delay: d} }

// wallClock asks twice: the library steps over moments that exist, and so
// misses a wall-clock time that a change of the clocks skips; counting on a
// clock that never changes finds it.
type wallClock struct {
	absolute, plain *cron.SpecSchedule
	place           *time.Location
}

func (w wallClock) Next(t time.Time) time.Time {
	a := w.absolute.Next(t.In(w.place))
	p := t.In(w.place)
	p = time.Date(p.Year(), p.Month(), p.Day(), p.Hour(), p.Minute(), p.Second(), 0, time.UTC)
	p = w.plain.Next(p)
	if p.IsZero() {
		return a
	}
	// time.Date moves a skipped time on by what was skipped.
	p = time.Date(p.Year(), p.Month(), p.Day(), p.Hour(), p.Minute(), p.Second(), 0, w.place)
	if p.After(t) && (a.IsZero() || p.Before(a)) {
		return p
	}
	return a
}

// Due is what a schedule asks for at a moment.
type Due struct {
	Slot   time.Time // the latest moment that has come and was not handled; zero when none
	Missed int       // earlier moments that came meanwhile and are made up by this one run
	Next   time.Time // the next moment to come
}

// Slots are not counted one by one beyond this many.
const maxMissed = 1000

// Clocks are set back by less than this without losing a schedule's place.
const clockSlack = time.Hour

// DueAt works out what is due at now when the slot handled last was last.
// However many moments passed, as after a time when no server ran, one run
// makes up for all.
func DueAt(w When, last, now time.Time) Due {
	if last.After(now.Add(clockSlack)) {
		last = now // the clock was far ahead when last was recorded
	}
	d := Due{Next: w.Next(last)}
	for n := 0; !d.Next.IsZero() && !d.Next.After(now); n++ {
		if n >= maxMissed {
			d.Slot, d.Next = now, w.Next(now)
			break
		}
		if !d.Slot.IsZero() {
			d.Missed++
		}
		d.Slot, d.Next = d.Next, w.Next(d.Next)
	}
	return d
}
