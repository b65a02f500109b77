package action

import (
	"fmt"
	"time"
)

// Day is a calendar day in UTC; the zero Day is none.
type Day struct{ at time.Time }

// DayOf is the day on which t falls in its own zone.
func DayOf(t time.Time) Day {
	if t.IsZero() {
		return Day{}
	}
	y, m, d := t.Date()
	return Day{time.Date(y, m, d, 0, 0, 0, 0, time.UTC)}
}

// ParseDay reads YYYY-MM-DD; an empty text is no day.
func ParseDay(s string) (Day, error) {
	if s == "" {
		return Day{}, nil
	}
	t, err := time.Parse(time.DateOnly, s)
	if err != nil || t.Year() < 2000 || t.Year() > 2200 {
		return Day{}, fmt.Errorf("%w: %q is no day: write it as 2026-12-31", ErrRefused, s)
	}
	return Day{t}, nil
}

// IsZero reports that it is no day.
func (d Day) IsZero() bool { return d.at.IsZero() }

// String is the day as YYYY-MM-DD.
func (d Day) String() string {
	if d.IsZero() {
		return ""
	}
	return d.at.Format(time.DateOnly)
}

// Begin is its first moment, End the first moment of the next day, in UTC.
func (d Day) Begin() time.Time { return d.at }

// End is the first moment of the next day.
func (d Day) End() time.Time { return d.at.AddDate(0, 0, 1) }

// Add is the day n days later.
func (d Day) Add(n int) Day { return Day{d.at.AddDate(0, 0, n)} }

// MarshalText implements encoding.TextMarshaler.
func (d Day) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Day) UnmarshalText(b []byte) error {
	v, err := ParseDay(string(b))
	if err == nil {
		*d = v
	}
	return err
}
