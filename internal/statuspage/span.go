package statuspage

import (
	"slices"
	"time"
)

// stretch is a span with both ends.
type stretch struct{ from, until time.Time }

// closed gives open spans an end, and drops what is empty or lies outside.
func closed(spans []Span, from, until time.Time) []stretch {
	var out []stretch
	for _, s := range spans {
		x := stretch{s.From, s.Until}
		if x.until.IsZero() || x.until.After(until) {
			x.until = until
		}
		if x.from.Before(from) {
			x.from = from
		}
		if x.from.Before(x.until) {
			out = append(out, x)
		}
	}
	return union(out)
}

// union joins stretches that touch, the earliest first.
func union(all ...[]stretch) []stretch {
	sorted := slices.Concat(all...)
	slices.SortFunc(sorted, func(a, b stretch) int { return a.from.Compare(b.from) })
	var out []stretch
	for _, x := range sorted {
		if n := len(out); n > 0 && !x.from.After(out[n-1].until) {
			if x.until.After(out[n-1].until) {
				out[n-1].until = x.until
			}
			continue
		}
		out = append(out, x)
	}
	return out
}

// both is where two sets of stretches overlap.
func both(a, b []stretch) []stretch {
	var out []stretch
	for i, j := 0, 0; i < len(a) && j < len(b); {
		x := stretch{later(a[i].from, b[j].from), earlier(a[i].until, b[j].until)}
		if x.from.Before(x.until) {
			out = append(out, x)
		}
		if a[i].until.Before(b[j].until) {
			i++
		} else {
			j++
		}
	}
	return out
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// within is how much of a day stretches cover.
func within(all []stretch, from, until time.Time) time.Duration {
	var sum time.Duration
	for _, x := range both(all, []stretch{{from, until}}) {
		sum += x.until.Sub(x.from)
	}
	return sum
}

// HistoryDays is how many days of uptime are shown, today included.
const HistoryDays = 90

// dayStarts are the beginnings of the last days and the end of today, in a zone.
// They follow each other without gap, also where a clock is put forward over
// midnight. dates are what these days are called.
func dayStarts(now time.Time, zone *time.Location) (starts []time.Time, dates []string) {
	y, m, d := now.In(zone).Date()
	for i := HistoryDays - 1; i >= -1; i-- {
		starts = append(starts, midnight(y, m, d-i, zone))
		dates = append(dates, time.Date(y, m, d-i, 12, 0, 0, 0, time.UTC).Format(time.DateOnly))
	}
	return starts, dates[:HistoryDays]
}

// midnight is the first moment of a day. Where the clock is put forward over
// midnight there is no 00:00, and the day begins with the change.
func midnight(y int, m time.Month, d int, zone *time.Location) time.Time {
	t := time.Date(y, m, d, 0, 0, 0, 0, zone)
	if t.Hour() == 23 {
		if _, end := t.ZoneBounds(); !end.IsZero() {
			return end
		}
	}
	return t
}

// history is what is known of each of the last days. What was down was seen, so
// it counts as watched; but nothing before the first look does.
func history(down, watched []stretch, now time.Time, zone *time.Location) []Day {
	if len(watched) > 0 {
		down = both(down, []stretch{{watched[0].from, now}})
	} else {
		down = nil
	}
	known := union(watched, down)
	starts, dates := dayStarts(now, zone)
	out := make([]Day, 0, HistoryDays)
	for i, date := range dates {
		from, until := starts[i], earlier(starts[i+1], now)
		if until.Before(from) {
			until = from
		}
		d := Day{Date: date, Seconds: seconds(until.Sub(from)), Watched: seconds(within(known, from, until))}
		if sum := within(down, from, until); sum > 0 {
			d.Down = max(seconds(sum), 1) // a disruption is never rounded away
			d.Watched = max(d.Watched, d.Down)
		}
		out = append(out, d)
	}
	return out
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }

// Uptime is the share of the watched time that a service was up, and the number
// of days of which something is known; nothing is known of what was not watched.
func Uptime(days []Day) (share float64, known int) {
	var watched, down int64
	for _, d := range days {
		watched, down = watched+d.Watched, down+d.Down
		if d.Watched > 0 {
			known++
		}
	}
	if watched == 0 {
		return 0, 0
	}
	return 1 - float64(down)/float64(watched), known
}
