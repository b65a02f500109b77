package alert

import "time"

// Recurring says at which moments something begins; schedule.When is one.
type Recurring interface {
	// Next is the first moment after t; the zero time when there is none.
	Next(t time.Time) time.Time
}

// Window is a time of planned work on a target: once, or again and again.
type Window struct {
	Target, Owner, Reason string

	From, Until time.Time // once
	Begins      Recurring // again and again; nil for once
	Lasts       time.Duration
}

// Silence is what the window silences now, or next when it does not hold now;
// false when it never comes again.
func (w Window) Silence(now time.Time) (Silence, bool) {
	from, until := w.From, w.Until
	if w.Begins != nil {
		from = w.Begins.Next(now.Add(-w.Lasts))
		until = from.Add(w.Lasts)
	}
	if from.IsZero() || !now.Before(until) {
		return Silence{}, false
	}
	return Silence{
		ID: "planned-" + w.Target + "-" + from.UTC().Format("20060102T1504Z"), Target: w.Target, Owner: w.Owner, Reason: w.Reason,
		From: from, Until: until, Planned: true,
	}, true
}
