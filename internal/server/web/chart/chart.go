// Package chart works out where things stand in a picture: moments from left to
// right, sizes from bottom to top. It is pure, and draws nothing: pages write the
// SVG. Places across are in percent of the width, so that a picture fits any
// screen while its letters keep their size.
package chart

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// Percent is a place across as SVG takes it.
func Percent(x float64) string {
	return strings.TrimSuffix(strings.TrimRight(strconv.FormatFloat(x, 'f', 2, 64), "0"), ".") + "%"
}

// Time is a span of time that is drawn from left to right.
type Time struct{ From, To time.Time }

// At is the place of a moment, 0 to 100; one outside is at the nearer end.
func (a Time) At(t time.Time) float64 {
	whole := a.To.Sub(a.From)
	if whole <= 0 {
		return 0
	}
	return min(100, max(0, 100*float64(t.Sub(a.From))/float64(whole)))
}

// Has reports whether a moment is within.
func (a Time) Has(t time.Time) bool { return !t.Before(a.From) && !t.After(a.To) }

// Bar is where a span begins and how wide it is, at least least percent. It
// reports whether any of it is within.
func (a Time) Bar(from, to time.Time, least float64) (x, width float64, ok bool) {
	if to.Before(a.From) || from.After(a.To) || to.Before(from) {
		return 0, 0, false
	}
	x = a.At(from)
	width = max(least, a.At(to)-x)
	return min(x, 100-width), width, true
}

// Tick is a mark on an axis.
type Tick struct {
	At    float64
	Text  string
	Minor bool // left out where there is little room
}

// Ticks marks round moments, in UTC, at most most of them.
func (a Time) Ticks(most int) []Tick {
	whole := a.To.Sub(a.From)
	if whole <= 0 || most < 1 {
		return nil
	}
	step := timeStep(whole, most)
	var out []Tick
	for t := a.From.UTC().Truncate(step); !t.After(a.To); t = t.Add(step) {
		if t.Before(a.From) {
			continue
		}
		text := t.Format("15:04")
		if step >= day || t.Equal(t.Truncate(day)) {
			text = t.Format("2 Jan")
		}
		out = append(out, Tick{At: a.At(t), Text: text})
	}
	for i := range out {
		out[i].Minor = i%2 == 1
	}
	return out
}

const day = 24 * time.Hour

func timeStep(whole time.Duration, most int) time.Duration {
	for _, s := range []time.Duration{time.Second, 5 * time.Second, 15 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour, day, 2 * day, 4 * day} {
		if whole/s <= time.Duration(most) {
			return s
		}
	}
	weeks := int64(math.Ceil(float64(whole) / float64(7*day) / float64(most)))
	return time.Duration(weeks) * 7 * day
}

// Durations is an upright axis for spans up to longest: its top, and round marks
// from nothing on, at most five.
func Durations(longest time.Duration) (top time.Duration, marks []time.Duration) {
	steps := []time.Duration{
		time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond,
		time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
		time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour, day, 2 * day, 7 * day, 14 * day, 28 * day,
	}
	step := steps[len(steps)-1]
	for _, s := range steps {
		if longest <= 4*s {
			step = s
			break
		}
	}
	for longest > 4*step {
		step *= 2
	}
	top = max(step, (longest+step-1)/step*step)
	for m := time.Duration(0); m <= top; m += step {
		marks = append(marks, m)
	}
	return top, marks
}

// Point is a place in a picture that is 1000 wide and 100 high; Y grows upwards.
type Point struct{ X, Y float64 }

// Line is the path of an SVG through points.
func Line(points []Point) string {
	var b strings.Builder
	for i, p := range points {
		if i == 0 {
			b.WriteByte('M')
		} else {
			b.WriteByte('L')
		}
		b.WriteString(digits(p.X))
		b.WriteByte(' ')
		b.WriteString(digits(100 - p.Y))
	}
	return b.String()
}

// Area is the path of what is below a line.
func Area(points []Point) string {
	if len(points) == 0 {
		return ""
	}
	return Line(points) + "L" + digits(points[len(points)-1].X) + " 100L" + digits(points[0].X) + " 100Z"
}

func digits(f float64) string {
	return strings.TrimSuffix(strconv.FormatFloat(f, 'f', 1, 64), ".0")
}

// Sample is a value at a moment.
type Sample struct {
	At    time.Time
	Value float64
}

// Peaks thins samples out, in order of time, to at most two in each of n equal
// stretches: the lowest and the highest, so that no peak is lost.
func Peaks(all []Sample, a Time, n int) []Sample {
	if len(all) <= 2*n || n < 1 {
		return all
	}
	var out []Sample
	bucket := func(s Sample) int { return min(n-1, int(a.At(s.At)/100*float64(n))) }
	for i := 0; i < len(all); {
		j, low, high := i, i, i
		for ; j < len(all) && bucket(all[j]) == bucket(all[i]); j++ {
			if all[j].Value < all[low].Value {
				low = j
			}
			if all[j].Value > all[high].Value {
				high = j
			}
		}
		first, second := min(low, high), max(low, high)
		out = append(out, all[first])
		if second != first {
			out = append(out, all[second])
		}
		i = j
	}
	return out
}

// Part is a piece of a whole.
type Part struct{ X, Width float64 }

// Stack lays pieces side by side over width percent. A piece that is not nothing
// is at least a fifth of a percent wide.
func Stack(sizes []float64, width float64) []Part {
	var sum float64
	for _, s := range sizes {
		sum += s
	}
	out := make([]Part, len(sizes))
	x := 0.0
	for i, s := range sizes {
		w := 0.0
		if s > 0 && sum > 0 {
			w = max(0.2, width*s/sum)
		}
		out[i] = Part{x, min(w, max(0, width-x))}
		x += out[i].Width
	}
	return out
}
