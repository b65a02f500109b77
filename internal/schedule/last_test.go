package schedule

import (
	"testing"
	"time"
)

func TestLast(t *testing.T) {
	now := time.Date(2026, 3, 4, 12, 30, 0, 0, time.UTC) // a Wednesday
	for expression, want := range map[string]struct {
		last  time.Time
		every time.Duration
	}{
		"0 2 * * *":     {time.Date(2026, 3, 4, 2, 0, 0, 0, time.UTC), 24 * time.Hour},
		"30 12 * * *":   {now, 24 * time.Hour},
		"31 12 * * *":   {time.Date(2026, 3, 3, 12, 31, 0, 0, time.UTC), 24 * time.Hour},
		"0 4 * * 0":     {time.Date(2026, 3, 1, 4, 0, 0, 0, time.UTC), 7 * 24 * time.Hour},
		"*/5 * * * *":   {now, 5 * time.Minute},
		"0 0 1 * *":     {time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), 31 * 24 * time.Hour},
		"0 0 1 2 *":     {time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC), 365 * 24 * time.Hour},
		"@every 6h0m0s": {now.Add(-7*time.Hour - 30*time.Minute), 6 * time.Hour},
	} {
		w, err := Cron(expression, time.UTC)
		if err != nil {
			t.Fatal(err)
		}
		if last, every := Last(w, now); !last.Equal(want.last) || every != want.every {
			t.Errorf("%s: %s, every %s; want %s, every %s", expression, last, every, want.last, want.every)
		}
	}
}
