package schedule

import (
	"time"

	"github.com/robfig/cron/v3"
)

// Last is the last moment at or before now at which work was due, and how long
// after it the next one comes. Both are zero when work was never due, or not
// within the year before. What is due each so often is counted from its last
// run, which is not known here: the moment returned is one and a quarter of that
// ago, by when a run must have come.
func Last(w When, now time.Time) (last time.Time, every time.Duration) {
	if d, is := w.(cron.ConstantDelaySchedule); is {
		return now.Add(-d.Delay - d.Delay/4), d.Delay
	}
	const most = 10_000
	for _, back := range []time.Duration{time.Hour, 26 * time.Hour, 9 * 24 * time.Hour, 63 * 24 * time.Hour, 400 * 24 * time.Hour} {
		at := w.Next(now.Add(-back))
		for range most {
			if at.IsZero() || at.After(now) {
				break
			}
			last, at = at, w.Next(at)
		}
		if !last.IsZero() {
			return last, at.Sub(last)
		}
	}
	return time.Time{}, 0
}
