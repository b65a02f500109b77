package alert

import (
	"testing"
	"time"
)

func TestASignOfLifeThatDoesNotCome(t *testing.T) {
	x := Expected{Name: "nightly", Every: 24 * time.Hour, Grace: time.Hour, Severity: High}
	for _, c := range []struct {
		h      Heard
		at     time.Duration
		firing bool
	}{
		{Heard{Since: night}, 25 * time.Hour, false},
		{Heard{Since: night}, 25*time.Hour + 1, true},
		{Heard{Since: night, Last: night.Add(20 * time.Hour)}, 45 * time.Hour, false},
		{Heard{Since: night, Last: night.Add(20 * time.Hour)}, 45*time.Hour + 1, true},
		{Heard{Since: night, Last: night.Add(-20 * time.Hour)}, 24 * time.Hour, false},
	} {
		if s := x.Judge(c.h, night.Add(c.at)); s.Firing != c.firing || s.Firing && s.Summary == "" {
			t.Errorf("%+v at %s: %+v", c.h, c.at, s)
		}
	}
}
