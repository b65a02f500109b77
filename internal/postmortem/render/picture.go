// Package render writes postmortems as HTML and as PDF, with a picture of their
// timeline. It knows documents, and nothing of where they come from.
package render

import (
	"fmt"
	"time"

	"github.com/refloat-db/refloat/internal/postmortem"
	"github.com/refloat-db/refloat/internal/postmortem/prose"
)

// picture is a timeline that can be drawn: places are shares of its width.
type picture struct {
	bars  []bar
	marks []mark
	ticks []tick
	zone  string
}

// bar is a clock from its beginning to its end.
type bar struct {
	name     string
	value    string // the length of time
	from, to float64
	limit    float64 // where the objective ends; 0 for none, beyond 1 where it lies outside
	missed   bool
	open     bool // it had no end when the report was made
}

// mark is an event.
type mark struct {
	at     float64
	number int // of its line in the timeline, from 1
	clock  bool
}

// tick is a time on the axis.
type tick struct {
	at   float64
	text string
}

// pictureOf lays a document's timeline out. Nothing comes of one whose beginning is
// not known or that has no length.
func pictureOf(d postmortem.Document) (picture, bool) {
	c := d.Clocks
	if c.Started.IsZero() {
		return picture{}, false
	}
	from, to := c.Started, c.Started
	for _, t := range []time.Time{c.Detected, c.Acknowledged, c.Mitigated, c.Resolved} {
		if t.After(to) {
			to = t
		}
	}
	if c.Resolved.IsZero() {
		for _, e := range d.Timeline {
			if e.At.After(to) {
				to = e.At
			}
		}
	}
	span := to.Sub(from)
	if span <= 0 {
		return picture{}, false
	}
	p := picture{zone: d.Zone}
	at := func(t time.Time) float64 { return min(1, max(0, float64(t.Sub(from))/float64(span))) }
	limit := func(kind postmortem.ObjectiveKind) time.Duration {
		for _, g := range d.Objectives {
			if g.Kind == kind {
				return g.Limit
			}
		}
		return 0
	}
	add := func(name string, a, b time.Time, promised time.Duration) {
		if a.IsZero() {
			return
		}
		x := bar{name: name, from: at(a), to: 1, open: b.IsZero()}
		if !x.open {
			x.to, x.value, x.missed = at(b), postmortem.Span(b.Sub(a)), promised > 0 && b.Sub(a) > promised
		} else {
			x.value = "no end recorded"
		}
		if promised > 0 {
			x.limit = float64(a.Add(promised).Sub(from)) / float64(span)
		}
		p.bars = append(p.bars, x)
	}
	add("Detection", c.Started, c.Detected, limit(postmortem.DetectObjective))
	add("Acknowledgement", c.Detected, c.Acknowledged, 0)
	add("Not serving", c.Started, c.Mitigated, limit(postmortem.ResolveObjective))
	if !c.Mitigated.IsZero() {
		add("Until it was closed", c.Mitigated, c.Resolved, 0)
	}
	known := map[time.Time]bool{c.Started: true, c.Detected: true, c.Acknowledged: true, c.Mitigated: true, c.Resolved: true}
	for i, e := range d.Timeline {
		if !e.At.Before(from) && !e.At.After(to) {
			p.marks = append(p.marks, mark{at: at(e.At), number: i + 1, clock: known[e.At]})
		}
	}
	p.ticks = ticks(d, from, to)
	return p, true
}

// ticks are four to eight round times of day between two times.
func ticks(d postmortem.Document, from, to time.Time) []tick {
	steps := []time.Duration{time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour}
	span := to.Sub(from)
	step := steps[len(steps)-1]
	for _, s := range steps {
		if span/s <= 7 {
			step = s
			break
		}
	}
	for span/step > 7 {
		step *= 2
	}
	off, _ := prose.Offset(d.Zone)
	zone := time.FixedZone(d.Zone, int(off/time.Second))
	format := "15:04"
	switch {
	case step < time.Minute:
		format = "15:04:05"
	case step >= 12*time.Hour:
		format = "2 Jan 15:04"
	}
	var out []tick
	first := from.In(zone)
	midnight := time.Date(first.Year(), first.Month(), first.Day(), 0, 0, 0, 0, zone)
	for t := midnight; !t.After(to); t = t.Add(step) {
		if t.Before(from) {
			if skip := from.Sub(t) / step; skip > 1 {
				t = t.Add((skip - 1) * step)
			}
			continue
		}
		out = append(out, tick{at: float64(t.Sub(from)) / float64(span), text: t.Format(format)})
	}
	return out
}

// describe is the picture in words, for those who do not see it.
func (p picture) describe() string {
	s := "Clocks on one axis."
	for _, b := range p.bars {
		verdict := ""
		if b.limit > 0 {
			verdict = ", within its objective"
			if b.missed {
				verdict = ", beyond its objective"
			}
		}
		s += fmt.Sprintf(" %s: %s%s.", b.name, b.value, verdict)
	}
	return s + fmt.Sprintf(" %d events are marked.", len(p.marks))
}
