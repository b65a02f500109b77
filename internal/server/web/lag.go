package web

import (
	"time"

	"github.com/refloat-db/refloat/internal/server"
	"github.com/refloat-db/refloat/internal/server/web/chart"
	"github.com/refloat-db/refloat/internal/status"
)

// lagChart is how far the stored log was behind, drawn along time.
type lagChart struct {
	axis     chart.Time
	ticks    []chart.Tick
	levels   []level
	lines    []string // paths; broken where nobody looked
	areas    []string
	promised *level // nil where it is off the picture or nothing is promised
	promise  time.Duration

	newest, highest, middle server.LagPoint
	bars                    []server.LagPoint // for the table: the highest in each of some stretches
}

// level is a mark on the upright axis; y is from the top, in percent.
type level struct {
	y    float64
	text string
}

// silent is how long no look at the log breaks the line.
const silent = 30 * time.Minute

func lagOf(v server.TargetView) lagChart {
	var c lagChart
	if len(v.Lag) == 0 {
		return c
	}
	c.axis = chart.Time{From: v.Lag[0].At, To: v.Lag[len(v.Lag)-1].At}
	if c.axis.To.Sub(c.axis.From) < time.Minute {
		c.axis.From = c.axis.To.Add(-time.Minute)
	}
	c.ticks = c.axis.Ticks(7)
	all := make([]chart.Sample, 0, len(v.Lag))
	c.highest, c.newest = v.Lag[0], v.Lag[len(v.Lag)-1]
	for _, p := range v.Lag {
		all = append(all, chart.Sample{At: p.At, Value: float64(p.Lag)})
		if p.Lag > c.highest.Lag {
			c.highest = p
		}
	}
	c.middle = median(v.Lag)
	longest := c.highest.Lag
	c.promise = v.Objectives.DataLoss
	if c.promise > 0 && c.promise <= 3*longest {
		longest = max(longest, c.promise+c.promise/10)
	}
	top, marks := chart.Durations(longest)
	at := func(d float64) float64 { return 100 * d / float64(top) }
	for _, m := range marks[1:] {
		c.levels = append(c.levels, level{100 - at(float64(m)), status.Age(m)})
	}
	if c.promise > 0 && c.promise <= top {
		c.promised = &level{100 - at(float64(c.promise)), status.Age(c.promise) + " promised"}
	}
	var run []chart.Point
	var last time.Time
	flush := func() {
		if len(run) > 0 {
			c.lines, c.areas = append(c.lines, chart.Line(run)), append(c.areas, chart.Area(run))
		}
		run = nil
	}
	for _, s := range chart.Peaks(all, c.axis, 240) {
		if !last.IsZero() && s.At.Sub(last) > silent {
			flush()
		}
		run, last = append(run, chart.Point{X: 10 * c.axis.At(s.At), Y: at(s.Value)}), s.At
	}
	flush()
	c.bars = highest(v.Lag, c.axis, 12)
	return c
}

func median(all []server.LagPoint) server.LagPoint {
	sorted := sortedLag(all)
	return sorted[len(sorted)/2]
}

// highest is the highest point in each of n stretches, newest first.
func highest(all []server.LagPoint, a chart.Time, n int) []server.LagPoint {
	best := make([]*server.LagPoint, n)
	for i := range all {
		b := min(n-1, int(a.At(all[i].At)/100*float64(n)))
		if best[b] == nil || all[i].Lag > best[b].Lag {
			best[b] = &all[i]
		}
	}
	var out []server.LagPoint
	for i := n - 1; i >= 0; i-- {
		if best[i] != nil {
			out = append(out, *best[i])
		}
	}
	return out
}
