package postmortem

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/postmortem/prose"
)

// availabilityPeriod is what an outage is held against.
const availabilityPeriod = 30 * 24 * time.Hour

// Draft makes a document of what is recorded of an incident. It states nothing
// else: what only people know is marked with Fill.
func Draft(f Facts) Document {
	x := f.Incident
	d := Document{
		Incident: x.ID, Severity: string(x.Severity), Systems: x.Targets, Team: x.Team, Authors: []string{Fill("who wrote it")},
		Zone: zoneName(f.Zone, x), Clocks: clocksOf(x), Timeline: timeline(x),
	}
	d.Title = titleOf(x)
	d.Written = day(d.local(f.Now))
	d.Objectives = goals(x, d.Clocks)
	d.Impact, d.ImpactMore = impact(f, d.Clocks)
	d.Introduction = introduction(x)
	d.Summary = summary(&d, x)
	d.Before = before(f)
	d.Detection, d.Response = detection(&d, x), response(&d, x)
	d.Communications, d.Recovery = communications(&d, x), recovery(&d, x)
	d.Actions = duties(x)
	d.Earlier = earlier(f, &d)
	d.RootCause = Text{{Text: Fill("what made the failure possible, and why nothing stopped it")}}
	d.Contributing = Text{{Text: Fill("what made it likelier, longer or worse"), Point: true}}
	d.Successes = Text{{Text: Fill("what worked, and at which moment"), Point: true}}
	d.Challenges = Text{{Text: Fill("what did not work, and at which moment"), Point: true}}
	d.Luck = Text{{Text: Fill("where chance helped"), Point: true}}
	d.Lessons = Text{{Text: Fill("what is known now that was not known before"), Point: true}}
	d.Conclusion = Text{{Text: Fill("what is different from now on")}}
	d.Terms = []Term{
		{"Times", "All times are by the clock of " + d.Zone + "."},
		{"Start", "The first observation that something was wrong."},
		{"Detection", "The moment at which that was certain, or a person knew."},
		{"Acknowledgement", "The first act of a person."},
		{"Mitigation", "The moment from which everything served."},
		{"Journal", "The record that Refloat keeps while things happen; each line of the timeline names its entry."},
	}
	return d
}

// day is the date of a time, as Read gives it.
func day(t time.Time) time.Time {
	y, m, n := t.Date()
	return time.Date(y, m, n, 0, 0, 0, 0, time.UTC)
}

// zoneName is by whose clock a document's times are: the zone that was in force
// when the incident began, by its name where that says how far it is from UTC.
func zoneName(zone *time.Location, x incident.State) string {
	if zone == nil {
		return "UTC"
	}
	short, off := x.Started.In(zone).Zone()
	if o, known := prose.Offset(short); known && o == time.Duration(off)*time.Second && short == strings.ToUpper(short) && short[0] >= 'A' {
		return short
	}
	sign := '+'
	if off < 0 {
		sign, off = '-', -off
	}
	return fmt.Sprintf("UTC%c%02d:%02d", sign, off/3600, off%3600/60)
}

// titleOf is the incident's title; one that would be read as more than words is
// quoted with its entry.
func titleOf(x incident.State) string {
	title := oneLine(strings.ToValidUTF8(x.Title, "?"))
	r := Read("title.md", []byte("# "+inline(title)+"\n\n## Summary\n\nWords.\n"))
	seq := int64(0)
	if len(x.Timeline) > 0 {
		seq = x.Timeline[0].Seq
	}
	ok := r.Title == title && len(r.Blocks) > 0 && len(r.Blocks[0].facts) == 0
	for _, f := range Lint(r) {
		gone := strings.HasPrefix(f.Rule, "report-no-") || f.Rule == "report-impact-no-figures" // of a report that is only a title
		ok = ok && (f.Place.Line != 1 || gone)
	}
	if ok {
		return title
	}
	return fmt.Sprintf("%s (%s, %s)", quote(title), x.ID, source(seq))
}

// goals holds what was promised against what was reached.
func goals(x incident.State, c Clocks) []Goal {
	var out []Goal
	for _, k := range x.Clocks(x.Started, nil) {
		g := Goal{Limit: k.Objective, Verdict: Untold}
		switch k.Name {
		case incident.Detection:
			g.Name, g.Kind = "Detection: from the first bad observation on", DetectObjective
			g.Reached, g.Known = c.Detected.Sub(c.Started), !c.Detected.IsZero()
		case incident.Resolution:
			g.Name, g.Kind = "Resolution: until service was back", ResolveObjective
			g.Reached, g.Known = c.Mitigated.Sub(c.Started), !c.Mitigated.IsZero()
		case incident.Loss:
			g.Name, g.Kind = "Data loss: work that is gone", LossObjective
			if x.DataLoss != nil {
				g.Reached, g.Known = x.DataLoss.Loss.Round(time.Millisecond), true
			}
		default:
			continue
		}
		if g.Limit <= 0 {
			continue
		}
		if !g.Known {
			g.Reached = 0
		} else {
			g.Verdict = Met
			if k.State == incident.Missed {
				g.Verdict = Missed
				if g.Reached <= g.Limit { // by less than the second that times are cut to
					g.Reached = k.Used
				}
			}
		}
		out = append(out, g)
	}
	return out
}

// impact computes what the record tells, and marks what it cannot tell.
func impact(f Facts, c Clocks) ([]Amount, Text) {
	x := f.Incident
	var out []Amount
	add := func(kind AmountKind, text string) { out = append(out, Amount{Kind: kind, Text: text}) }
	down, over := c.Mitigated.Sub(c.Started), !c.Mitigated.IsZero()
	if over {
		out = append(out, Amount{Kind: Downtime, Text: Span(down), Span: down})
		if share := 100 * (1 - float64(down)/float64(availabilityPeriod)); share > 50 {
			share = math.Round(share*1e4) / 1e4
			out = append(out, Amount{Kind: Availability, Text: fmt.Sprintf("%.4f %%", share), Value: share})
		}
	} else {
		add(Downtime, Fill("how long it did not serve"))
	}
	add(ClientCount, Fill("how many clients could not work"))
	add(RequestCount, Fill("how many requests did not get an answer"))
	switch loss := x.DataLoss; {
	case loss == nil:
		add(DataLost, Fill("what was measured, and how"))
	case loss.Loss == 0:
		add(DataLost, "none, measured by "+quote(loss.Source)+" ("+source(entryOf(x, incident.KindDataLoss))+")")
	default:
		span := loss.Loss.Round(time.Millisecond)
		out = append(out, Amount{Kind: DataLost, Text: "the work of " + Span(span) + ", measured by " + quote(loss.Source) + " (" + source(entryOf(x, incident.KindDataLoss)) + ")", Span: span})
	}
	total := map[string]float64{}
	var currencies []string
	for _, h := range f.Costs {
		if total[h.Currency] == 0 {
			currencies = append(currencies, h.Currency)
		}
		total[h.Currency] += h.PerHour
	}
	for _, cur := range currencies {
		if over && total[cur] > 0 {
			cents := math.Round(total[cur] * down.Hours())
			out = append(out, Amount{Kind: Cost, Text: Money(cents, cur) + ", at " + Money(total[cur], cur) + " per hour", Value: cents, Unit: cur})
		}
	}
	return out, nil
}

// entryOf is the last entry of a kind whose body has these values, given as pairs of
// field and value.
func entryOf(x incident.State, kind string, pairs ...string) int64 {
	for _, e := range slices.Backward(x.Timeline) {
		var body map[string]json.RawMessage
		if e.Kind != kind || json.Unmarshal(e.Body, &body) != nil {
			continue
		}
		all := true
		for i := 0; i+1 < len(pairs); i += 2 {
			var has string
			all = all && json.Unmarshal(body[pairs[i]], &has) == nil && has == pairs[i+1]
		}
		if all {
			return e.Seq
		}
	}
	return x.Last
}
