package alert

import (
	"fmt"
	"regexp"
	"strconv"
	"time"
	_ "time/tzdata" // so that a machine without zone files is right too
)

// Clock is a time of day in minutes after midnight.
type Clock int

var clockPattern = regexp.MustCompile(`^([01][0-9]|2[0-3]):([0-5][0-9])$`)

// ParseClock reads 09:00.
func ParseClock(s string) (Clock, error) {
	m := clockPattern.FindStringSubmatch(s)
	if m == nil {
		return 0, fmt.Errorf("%q is not a time of day: write it like 09:00", s)
	}
	h, _ := strconv.Atoi(m[1]) // the pattern has checked them
	min, _ := strconv.Atoi(m[2])
	return Clock(h*60 + min), nil
}

func (c Clock) String() string { return fmt.Sprintf("%02d:%02d", c/60, c%60) }

// Day is a day of the calendar in no zone, counted from 1970-01-01.
type Day int

const secondsADay = 24 * 60 * 60

// ParseDay reads 2026-01-05.
func ParseDay(s string) (Day, error) {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return 0, fmt.Errorf("%q is not a day: write it like 2026-01-05", s)
	}
	return Day(floorDiv(int(t.Unix()), secondsADay)), nil
}

func (d Day) String() string { return d.utc().Format(time.DateOnly) }

// Weekday of the day.
func (d Day) Weekday() time.Weekday { return d.utc().Weekday() }

func (d Day) utc() time.Time { return time.Unix(int64(d)*secondsADay, 0).UTC() }

// dayOf is the day that the calendar shows at t in a zone.
func dayOf(t time.Time, zone *time.Location) Day {
	return Day(floorDiv(int(wallSeconds(t.In(zone))), secondsADay))
}

// wallSeconds is what the clock shows at t, as seconds after 1970-01-01 00:00.
func wallSeconds(t time.Time) int64 {
	_, offset := t.Zone()
	return t.Unix() + int64(offset)
}

// Instant is the first moment at which the clock in a zone shows that day and
// time, or is past it. So a time that exists twice is its first, and one that
// does not exist is the moment at which the clock jumps over it.
func (d Day) Instant(c Clock, zone *time.Location) time.Time {
	return firstAt(int64(d)*secondsADay+int64(c)*60, zone)
}

// firstAt is the first moment at which the clock shows wall or is past it.
func firstAt(wall int64, zone *time.Location) time.Time {
	// No zone is more than a day from UTC, so that before this moment the clock
	// cannot have shown it.
	t := time.Unix(wall-26*60*60, 0).In(zone)
	for {
		_, offset := t.Zone()
		at := time.Unix(wall-int64(offset), 0).In(zone)
		if at.Before(t) {
			return t // the clock jumped over it
		}
		_, end := t.ZoneBounds()
		if end.IsZero() || at.Before(end) {
			return at
		}
		t = end
	}
}

func floorDiv(a, b int) int {
	q := a / b
	if a%b != 0 && (a < 0) != (b < 0) {
		q--
	}
	return q
}
