package schedule

import (
	"testing"
	"time"
	_ "time/tzdata" // the tests need places whatever the machine has
)

func place(t *testing.T, name string) *time.Location {
	t.Helper()
	l, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func when(t *testing.T, expr string, l *time.Location) When {
	t.Helper()
	w, err := Cron(expr, l)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestCronErrors(t *testing.T) {
	for _, e := range []string{"", "* * * *", "61 * * * *", "0 0 30 2 *", "@sometimes", "@every soon"} {
		if _, err := Cron(e, time.UTC); err == nil {
			t.Errorf("%q was taken", e)
		}
	}
}

func TestCronOverClockChanges(t *testing.T) {
	berlin := place(t, "Europe/Berlin") // 29 March 2026 02:00→03:00, 25 October 2026 03:00→02:00
	cases := []struct {
		expr, from string
		want       []string
	}{
		{"30 2 * * *", "2026-03-28T12:00:00+01:00", []string{"2026-03-29T03:30:00+02:00", "2026-03-30T02:30:00+02:00"}},
		{"0 2 * * *", "2026-03-28T12:00:00+01:00", []string{"2026-03-29T03:00:00+02:00", "2026-03-30T02:00:00+02:00"}},
		{"0 * * * *", "2026-03-29T00:30:00+01:00", []string{"2026-03-29T01:00:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-29T04:00:00+02:00"}},
		{"15 2 * * *", "2026-10-24T12:00:00+02:00", []string{"2026-10-25T02:15:00+02:00", "2026-10-25T02:15:00+01:00", "2026-10-26T02:15:00+01:00"}},
		{"0 * * * *", "2026-10-25T01:30:00+02:00", []string{"2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00", "2026-10-25T03:00:00+01:00"}},
		{"0 3 * * *", "2026-10-24T12:00:00+02:00", []string{"2026-10-25T03:00:00+01:00", "2026-10-26T03:00:00+01:00"}},
		{"CRON_TZ=UTC 0 3 * * *", "2026-10-24T12:00:00+02:00", []string{"2026-10-25T03:00:00Z"}},
		{"@daily", "2026-11-23T13:00:00+01:00", []string{"2026-11-24T00:00:00+01:00"}},
		{"@every 90m", "2026-11-23T13:00:00+01:00", []string{"2026-11-23T14:30:00+01:00"}},
	}
	for _, c := range cases {
		w := when(t, c.expr, berlin)
		at := mustTime(t, c.from)
		for _, want := range c.want {
			if at = w.Next(at); !at.Equal(mustTime(t, want)) {
				t.Errorf("%s from %s: %s, want %s", c.expr, c.from, at.In(berlin).Format(time.RFC3339), want)
			}
		}
	}
}

// Whatever the place, a daily schedule has a moment on each day of the year.
func TestDailyIsDueEveryDay(t *testing.T) {
	for _, name := range []string{"Europe/Berlin", "America/Sao_Paulo", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "UTC"} {
		l := place(t, name)
		for _, expr := range []string{"0 0 * * *", "30 2 * * *", "59 1 * * *"} {
			w := when(t, expr, l)
			at := time.Date(2017, 1, 1, 12, 0, 0, 0, l)
			for at.Year() < 2019 {
				next := w.Next(at)
				if gap := next.Sub(at); gap > 26*time.Hour || gap <= 0 {
					t.Fatalf("%s in %s: nothing from %s to %s", expr, name, at, next)
				}
				at = next
			}
		}
	}
}

func mustTime(t *testing.T, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestDueAt(t *testing.T) {
	daily := when(t, "0 2 * * *", time.UTC)
	day := func(d, h int) time.Time { return time.Date(2026, 11, d, h, 0, 0, 0, time.UTC) }
	cases := map[string]struct {
		last, now time.Time
		want      Due
	}{
		"not yet":             {day(10, 2), day(10, 20), Due{Next: day(11, 2)}},
		"due":                 {day(10, 2), day(11, 2), Due{Slot: day(11, 2), Next: day(12, 2)}},
		"late":                {day(10, 2), day(11, 9), Due{Slot: day(11, 2), Next: day(12, 2)}},
		"three days down":     {day(10, 2), day(14, 1), Due{Slot: day(13, 2), Missed: 2, Next: day(14, 2)}},
		"clock set back":      {day(20, 2), day(11, 9), Due{Next: day(12, 2)}},
		"clock back a little": {day(11, 2), day(11, 2).Add(-time.Minute), Due{Next: day(12, 2)}},
	}
	for name, c := range cases {
		if got := DueAt(daily, c.last, c.now); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
	if got := DueAt(Every(time.Second), day(1, 0), day(20, 0)); !got.Slot.Equal(day(20, 0)) || got.Missed < 900 {
		t.Errorf("a million moments: %+v", got)
	}
}
