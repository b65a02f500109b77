package alert

import (
	"testing"
	"time"
)

// daily begins each day at an hour UTC.
type daily int

func (d daily) Next(t time.Time) time.Time {
	at := time.Date(t.Year(), t.Month(), t.Day(), int(d), 0, 0, 0, time.UTC)
	if !at.After(t) {
		at = at.AddDate(0, 0, 1)
	}
	return at
}

func TestWindow(t *testing.T) {
	at := func(day, hour, minute int) time.Time { return time.Date(2026, 11, day, hour, minute, 0, 0, time.UTC) }
	again := Window{Target: "shop", Owner: "ada", Reason: "kernel", Begins: daily(3), Lasts: 2 * time.Hour}
	once := Window{Target: "shop", Owner: "ada", Reason: "move", From: at(5, 22, 0), Until: at(6, 1, 0)}
	for name, c := range map[string]struct {
		w           Window
		now         time.Time
		from, until time.Time
		holds       bool
	}{
		"before":           {again, at(4, 2, 59), at(4, 3, 0), at(4, 5, 0), false},
		"at its beginning": {again, at(4, 3, 0), at(4, 3, 0), at(4, 5, 0), true},
		"within":           {again, at(4, 4, 59), at(4, 3, 0), at(4, 5, 0), true},
		"at its end":       {again, at(4, 5, 0), at(5, 3, 0), at(5, 5, 0), false},
		"once, before":     {once, at(5, 0, 0), at(5, 22, 0), at(6, 1, 0), false},
		"once, within":     {once, at(6, 0, 59), at(5, 22, 0), at(6, 1, 0), true},
	} {
		s, comes := c.w.Silence(c.now)
		if !comes || !s.From.Equal(c.from) || !s.Until.Equal(c.until) || !s.Planned {
			t.Errorf("%s: %+v, %t", name, s, comes)
		}
		if got := s.Covers(Signal{Target: "shop"}, c.now); got != c.holds {
			t.Errorf("%s: holds %t", name, got)
		}
		if s.Covers(Signal{Target: "other"}, c.now) || s.Covers(Signal{}, c.now) {
			t.Errorf("%s: it covers others", name)
		}
	}
	if s, comes := once.Silence(at(6, 1, 0)); comes {
		t.Errorf("it comes again: %+v", s)
	}
}
