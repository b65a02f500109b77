package web

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/backup"
	"github.com/refloat-db/refloat/internal/proof"
	"github.com/refloat-db/refloat/internal/server"
	"github.com/refloat-db/refloat/internal/server/web/chart"
	"github.com/refloat-db/refloat/internal/server/web/component"
)

// history is what happened to a target, drawn along time: a lane for each kind.
type history struct {
	axis  chart.Time
	ticks []chart.Tick
	lanes []lane
}

type lane struct {
	name  string
	says  string // what is drawn, for those who do not see it
	marks []mark
}

// mark is one thing in a lane. Its kind says how it is drawn; the tone of a drill
// how it ended.
type mark struct {
	kind  string // span, gap, full, delta, drill, outage, planned
	tone  component.Tone
	x, w  float64
	title string
}

// windows are the spans that can be looked at, by their name in the address.
func windows() []window {
	return []window{{"1d", "Day", 24 * time.Hour}, {"7d", "Week", 7 * 24 * time.Hour}, {"30d", "Month", 30 * 24 * time.Hour}, {"1y", "Year", 365 * 24 * time.Hour}}
}

type window struct {
	name, text string
	long       time.Duration
}

// windowOf is the one that was asked for, or the shortest in which all that can be
// restored has its place.
func windowOf(asked string, v server.TargetView, now time.Time) window {
	all := windows()
	if i := slices.IndexFunc(all, func(w window) bool { return w.name == asked }); i >= 0 {
		return all[i]
	}
	since := now
	if v.Coverage != nil {
		for _, s := range v.Coverage.Spans {
			if s.FromTime.Before(since) {
				since = s.FromTime
			}
		}
	}
	for _, w := range all {
		if now.Sub(since) <= w.long {
			return w
		}
	}
	return all[len(all)-1]
}

func historyOf(v server.TargetView, w window, now time.Time) history {
	h := history{axis: chart.Time{From: now.Add(-w.long), To: now}}
	h.ticks = h.axis.Ticks(7)
	h.lanes = []lane{h.restorable(v), h.backups(v), h.drills(v), h.outages(v)}
	if l := h.planned(v); len(l.marks) > 0 {
		h.lanes = append(h.lanes, l)
	}
	return h
}

// hole is a span of time that cannot be restored to.
type hole struct {
	from, to time.Time
	reason   string
}

// holes are the gaps between spans that can be restored to, with the reasons that
// were recorded in or just after them.
func holes(c *backup.CoverageReport) []hole {
	if c == nil {
		return nil
	}
	var spans []backup.Span
	for _, s := range c.Spans {
		if !s.Abandoned {
			spans = append(spans, s)
		}
	}
	slices.SortFunc(spans, func(a, b backup.Span) int { return a.FromTime.Compare(b.FromTime) })
	var out []hole
	var end time.Time
	for _, s := range spans {
		if !end.IsZero() && s.FromTime.Sub(end) > time.Second {
			out = append(out, hole{from: end, to: s.FromTime})
		}
		if s.ToTime.After(end) {
			end = s.ToTime
		}
	}
	for i := range out {
		for _, g := range c.Gaps {
			if !g.At.IsZero() && !g.At.Before(out[i].from) && g.At.Sub(out[i].to) <= time.Hour {
				out[i].reason = cmp.Or(out[i].reason, g.Reason)
			}
		}
		if out[i].reason == "" && len(c.Gaps) == 1 && len(out) == 1 {
			out[i].reason = c.Gaps[0].Reason
		}
	}
	return out
}

func (h history) restorable(v server.TargetView) lane {
	l := lane{name: "Restorable"}
	if v.Coverage == nil || len(v.Coverage.Spans) == 0 {
		l.says = "No moment can be restored, as far as is known."
		return l
	}
	for _, s := range v.Coverage.Spans {
		if x, w, ok := h.axis.Bar(s.FromTime, s.ToTime, 0.2); ok {
			title := "Every moment from " + toTheSecond(s.FromTime) + " to " + toTheSecond(s.ToTime) + " can be restored"
			if s.Point() {
				title = "Restorable to " + toTheSecond(s.ToTime) + " only: no log follows this backup"
			}
			kind := "span"
			if s.Abandoned {
				kind, title = "side", title+", on an abandoned timeline"
			}
			l.marks = append(l.marks, mark{kind: kind, x: x, w: w, title: title})
		}
	}
	gaps := 0
	for _, g := range holes(v.Coverage) {
		if x, w, ok := h.axis.Bar(g.from, g.to, 0.6); ok {
			gaps++
			title := "Nothing between " + toTheSecond(g.from) + " and " + toTheSecond(g.to) + " can be restored"
			if g.reason != "" {
				title += ": " + g.reason
			}
			l.marks = append(l.marks, mark{kind: "gap", x: x, w: w, title: title})
		}
	}
	l.says = "What can be restored, with " + component.Plural(gaps, "gap", "gaps") + "."
	return l
}

func (h history) backups(v server.TargetView) lane {
	l := lane{name: "Base backups"}
	for _, b := range v.Backups {
		if x, w, ok := h.axis.Bar(b.StartedAt, b.EndedAt, 0.3); ok {
			kind := "delta"
			if b.Kind == backup.Full {
				kind = "full"
			}
			l.marks = append(l.marks, mark{kind: kind, x: x, w: w, title: capital(string(b.Kind)) + " backup, " + toTheSecond(b.EndedAt) + ", " + component.Span(b.Took)})
		}
	}
	l.says = component.Plural(len(l.marks), "base backup", "base backups") + "."
	return l
}

func (h history) drills(v server.TargetView) lane {
	l := lane{name: "Drills"}
	bad := 0
	for _, p := range v.Proofs {
		if !h.axis.Has(p.EndedAt) {
			continue
		}
		if p.Verdict != proof.Proven {
			bad++
		}
		l.marks = append(l.marks, mark{kind: "drill", tone: verdictTone(p.Verdict), x: h.axis.At(p.EndedAt), title: verdictWords(p.Verdict) + ", " + toTheSecond(p.EndedAt) + ": " + p.Summary})
	}
	l.says = component.Plural(len(l.marks), "drill", "drills") + ", " + component.Count(int64(bad)) + " of them not proven."
	return l
}

func (h history) outages(v server.TargetView) lane {
	l := lane{name: "Outages"}
	for _, o := range v.Outages {
		end, words := o.Recovered, "to "+toTheSecond(o.Recovered)
		if end.IsZero() {
			end, words = h.axis.To, "and it goes on"
		}
		if x, w, ok := h.axis.Bar(o.FirstBad, end, 0.5); ok {
			l.marks = append(l.marks, mark{kind: "outage", x: x, w: w, title: capital(o.Reason) + ": from " + toTheSecond(o.FirstBad) + " " + words})
		}
	}
	l.says = component.Plural(len(l.marks), "outage", "outages") + "."
	return l
}

func (h history) planned(v server.TargetView) lane {
	l := lane{name: "Planned work"}
	for _, s := range v.Maintenance {
		if x, w, ok := h.axis.Bar(s.From, s.Until, 0.5); ok {
			l.marks = append(l.marks, mark{kind: "planned", x: x, w: w, title: s.Reason + " (" + s.Owner + "), " + toTheSecond(s.From) + " to " + toTheSecond(s.Until)})
		}
	}
	l.says = component.Plural(len(l.marks), "span of planned work", "spans of planned work") + "."
	return l
}

// toTheSecond is a time in a title, to the second.
func toTheSecond(t time.Time) string { return t.UTC().Format("2 Jan 2006 15:04:05 UTC") }

func verdictTone(v proof.Verdict) component.Tone {
	switch v {
	case proof.Proven:
		return component.Good
	case proof.Inconclusive:
		return component.Warn
	}
	return component.Bad
}

func verdictWords(v proof.Verdict) string {
	switch v {
	case proof.Proven:
		return "Proven"
	case proof.Inconclusive:
		return "Not certain"
	case proof.Failed:
		return "Failed"
	}
	return capital(strings.TrimSpace(string(v)))
}
