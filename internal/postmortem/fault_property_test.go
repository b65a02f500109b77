package postmortem_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/refloat-db/refloat/internal/postmortem"
)

// fill writes what people would: a report that is sound.
func fill(d postmortem.Document) postmortem.Document {
	one := func(s string) postmortem.Text { return postmortem.Text{{Text: s, Point: true}} }
	due := func(days int) string { return d.Written.AddDate(0, 0, days).Format(time.DateOnly) }
	d.Authors = []string{"Ada Weber"}
	d.RootCause = postmortem.Text{{Text: "The archive script of the backup ended with success although its copy to the bucket had failed, because it did not look at the exit code."}}
	d.Contributing = one("The volume had no second copy.")
	d.Successes = one("The runbook for the failover was at hand.")
	d.Challenges = one("The pager of the second on-call engineer was switched off.")
	d.Luck = one("The night was quiet.")
	d.Lessons = one("A backup is one only when it was restored.")
	d.Conclusion = postmortem.Text{{Text: "We take 3 actions because it happened."}}
	d.Actions = []postmortem.Duty{
		{ID: "A1", Text: "Make the archive script of the backup fail when its copy fails", Owner: "Ben Okoro", Due: due(14), Priority: "high", Kind: "prevent", Source: "root cause", Check: "a test fills the bucket and sees the script fail", State: "open"},
		{ID: "A2", Text: "Page the next engineer on call after 5 minutes without an answer of the pager", Owner: "Ada Weber", Due: due(21), Priority: "high", Kind: "detect", Source: "challenge", Check: "a test page climbs to the second", State: "open"},
		{ID: "A3", Text: "Restore the backup on a scratch server every night", Owner: "Ben Okoro", Due: due(30), Priority: "high", Kind: "prevent", Source: "lesson", Check: "the proof is never older than 2 days", State: "open"},
	}
	for i, a := range d.Impact {
		switch a.Kind {
		case postmortem.ClientCount:
			d.Impact[i].Text = "1,204 clients"
		case postmortem.RequestCount:
			d.Impact[i].Text = "88,310 requests"
		case postmortem.DataLost:
			if strings.HasPrefix(a.Text, "[fill in") {
				d.Impact[i].Text = "none, the log was replayed to its end"
			}
		case postmortem.Downtime:
			if strings.HasPrefix(a.Text, "[fill in") {
				d.Impact[i].Text = "not over yet"
			}
		}
	}
	for _, t := range []*postmortem.Text{&d.Summary, &d.Recovery} {
		*t = slices.Clone(*t)
		for i, p := range *t {
			if strings.HasPrefix(p.Text, "[fill in") {
				(*t)[i].Text = "Clients saw an error page."
			}
		}
	}
	d.Objectives = slices.DeleteFunc(slices.Clone(d.Objectives), func(g postmortem.Goal) bool { return !g.Known })
	return d
}

// found are the rules that speak of a report, without those that it had before.
func found(md string) map[string]int {
	out := map[string]int{}
	for _, f := range postmortem.Lint(postmortem.Read("x.md", []byte(md))) {
		out[f.Rule]++
	}
	return out
}

// seeded is a fault that can be put into a report: what it is, the report with it,
// and the rules of which one must find it. Empty text: it does not apply.
type seeded struct {
	name  string
	text  string
	rules []string
}

var spanPattern = regexp.MustCompile(`(\d+ h )?(\d+ min )?([\d.]+ (?:s|min|h))`)

func spanOf(s string) time.Duration {
	x, _ := time.ParseDuration(strings.NewReplacer(" h", "h", " min", "m", " s", "s", " ", "").Replace(s))
	return x
}

// inLine changes the first match in a line that begins so.
func inLine(md, begins string, re *regexp.Regexp, with func(string) string) string {
	lines := strings.Split(md, "\n")
	for i, l := range lines {
		rest, is := strings.CutPrefix(l, begins)
		if loc := re.FindStringIndex(rest); is && loc != nil {
			lines[i] = begins + rest[:loc[0]] + with(rest[loc[0]:loc[1]]) + rest[loc[1]:]
			return strings.Join(lines, "\n")
		}
	}
	return ""
}

// without drops lines.
func without(md string, drop func(string) bool) string {
	return strings.Join(slices.DeleteFunc(strings.Split(md, "\n"), drop), "\n")
}

func faultsOf(t *rapid.T, d postmortem.Document) []seeded {
	md := d.Markdown()
	var out []seeded
	add := func(name, text string, rules ...string) {
		if text != "" && text != md {
			out = append(out, seeded{name, text, rules})
		}
	}
	by := time.Duration(rapid.IntRange(3, 500).Draw(t, "by")) * time.Minute
	longer := func(s string) string { return postmortem.Span(spanOf(s) + by) }
	for _, line := range []string{"| Time to detect |", "| Time to acknowledge |", "| Time to resolve |", "- Downtime:", "It was detected after", "It was acknowledged after", "Service was back after"} {
		add("a duration changed: "+line, inLine(md, line, spanPattern, longer), "report-durations-differ", "report-duration-span", "report-duration-loose")
	}
	add("a duration changed in the summary", inLine(md, "The incident of", regexp.MustCompile(`downtime was .*\.`), func(s string) string {
		return "downtime was " + longer(strings.TrimSuffix(strings.TrimPrefix(s, "downtime was "), ".")) + "."
	}), "report-durations-differ", "report-duration-span", "report-duration-loose")
	for i, g := range d.Objectives {
		if g.Kind != postmortem.LossObjective {
			x := d
			x.Objectives = slices.Clone(d.Objectives)
			x.Objectives[i].Reached += by
			add("another figure was reached: "+string(g.Kind), x.Markdown(), "report-durations-differ", "report-duration-span", "report-duration-loose", "report-objective-missed")
		}
		// What is told to the minute leaves half of one open.
		if g.Verdict == postmortem.Missed && (g.Reached%time.Minute != 0 || g.Reached-g.Limit > 30*time.Second) {
			x := d
			x.Objectives = slices.Clone(d.Objectives)
			x.Objectives[i].Verdict = postmortem.Met
			add("missed is told as met: "+string(g.Kind), x.Markdown(), "report-objective-missed")
		}
		x := d
		x.Objectives = slices.Clone(d.Objectives)
		x.Objectives[i].Verdict = postmortem.Untold
		text := strings.ReplaceAll(strings.ReplaceAll(x.Markdown(), postmortem.Fill("the verdict"), ""), "| "+postmortem.Span(g.Limit)+" |", "| minimal |")
		add("a limit without a figure: "+string(g.Kind), text, "report-objective-no-figure")
	}
	weekday := regexp.MustCompile(`(Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day`)
	wrong := func(s string) string {
		if s == "Monday" {
			return "Tuesday"
		}
		return "Monday"
	}
	for _, line := range []string{"| Report date |", "| Started |", "| Detected |", "| Acknowledged |", "| Mitigated |", "| Resolved |", "The incident of"} {
		add("a wrong weekday: "+line, inLine(md, line, weekday, wrong), "report-weekday")
	}
	clock := regexp.MustCompile(`\d\d:\d\d:\d\d`)
	for _, line := range []string{"| Started |", "| Detected |", "| Mitigated |"} {
		add("a moment changed: "+line, inLine(md, line, clock, func(s string) string {
			at, _ := time.Parse(time.TimeOnly, s)
			if to := at.Add(7*time.Minute + 13*time.Second); to.Day() == at.Day() {
				return to.Format(time.TimeOnly)
			}
			return at.Add(-7*time.Minute - 13*time.Second).Format(time.TimeOnly)
		}), "report-moments-differ", "report-order", "report-duration-span", "report-timeline-order")
	}
	add("no such time", inLine(md, "| Started |", clock, func(s string) string { return "27" + s[2:] }), "report-date-impossible")
	bare := regexp.MustCompile(` ?\(?`+regexp.QuoteMeta(d.Zone)+`\)?`).ReplaceAllString(without(md, func(l string) bool { return strings.HasPrefix(l, "| Time zone") || strings.HasPrefix(l, "| Times |") }), "")
	add("no zone", bare, "report-no-zone")
	duty := func(name string, i int, rule string, change func(*postmortem.Duty)) {
		x := d
		x.Actions = slices.Clone(d.Actions)
		change(&x.Actions[i])
		add(name, x.Markdown(), rule)
	}
	i := rapid.IntRange(0, len(d.Actions)-1).Draw(t, "action")
	duty("due before the report", i, "report-action-due-before-report", func(a *postmortem.Duty) {
		if day := d.Written.AddDate(0, 0, -1); day.After(d.Clocks.Started.AddDate(0, 0, 1)) {
			a.Due = day.Format(time.DateOnly)
		}
	})
	duty("due before the incident", i, "report-action-due-before-incident", func(a *postmortem.Duty) { a.Due = d.Clocks.Started.AddDate(0, 0, -3).Format(time.DateOnly) })
	duty("no owner", i, "report-action-no-owner", func(a *postmortem.Duty) { a.Owner = "" })
	duty("no due day", i, "report-action-no-due", func(a *postmortem.Duty) { a.Due = "" })
	duty("no check", 0, "report-action-no-check", func(a *postmortem.Duty) { a.Check = "" })
	duty("the cause is not mended", 0, "report-cause-no-action", func(a *postmortem.Duty) {
		a.Text, a.Source, a.Check = "Order a second power supply for the rack", "", "it is plugged in"
	})
	duty("the challenge is not answered", 1, "report-challenge-no-action", func(a *postmortem.Duty) {
		a.Text, a.Source, a.Check = "Order a second power supply for the rack", "", "it is plugged in"
	})
	x := d
	x.Conclusion = postmortem.Text{{Text: fmt.Sprintf("We take %d actions because it happened.", 4+rapid.IntRange(0, 5).Draw(t, "count"))}}
	add("a count that does not fit", x.Markdown(), "report-count")
	x.Conclusion = postmortem.Text{{Text: "It can never happen again."}}
	add("too much is claimed", x.Markdown(), "report-conclusion-overclaims")
	for i, a := range d.Impact {
		x := d
		x.Impact = slices.Clone(d.Impact)
		switch {
		case a.Kind == postmortem.Availability:
			other := a.Value - 3
			if other < 51 {
				other = a.Value + 1
			}
			x.Impact[i].Text = fmt.Sprintf("%.4f %%", other)
			add("another availability", x.Markdown(), "report-availability")
		case a.Kind == postmortem.DataLost && a.Span > 0 && slices.ContainsFunc(d.Objectives, func(g postmortem.Goal) bool { return g.Kind == postmortem.LossObjective }):
			x.Impact[i].Text = "none"
			add("no data lost", x.Markdown(), "report-loss-differs")
		}
	}
	for i := 1; i < len(d.Timeline); i++ {
		if d.Timeline[i].At.Sub(d.Timeline[i-1].At) >= time.Minute {
			x := d
			x.Timeline = slices.Clone(d.Timeline)
			x.Timeline[i], x.Timeline[i-1] = x.Timeline[i-1], x.Timeline[i]
			add("two lines of the timeline changed places", x.Markdown(), "report-timeline-order")
			break
		}
	}
	x = d
	x.Contributing = postmortem.Text{{Text: "Through carelessness the slot was dropped.", Point: true}}
	add("blame", x.Markdown(), "report-blame")
	x.Contributing = postmortem.Text{{Text: postmortem.Fill("more"), Point: true}}
	add("a mark was left", x.Markdown(), "report-placeholder")
	return out
}

// A filled-in draft of any incident is clean, and any one fault that is put into it
// is found.
func TestAnyFaultInAFilledDraftIsFound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawFacts(t)
		if x := f.Incident; x.Mitigated.IsZero() || x.Resolved.IsZero() || x.Acknowledged.IsZero() {
			t.Skip("not over")
		}
		d := fill(postmortem.Draft(f))
		md := d.Markdown()
		for _, x := range postmortem.Lint(postmortem.Read("x.md", []byte(md))) {
			t.Fatalf("a sound report: %s line %d: %s: %s\n%s", x.Rule, x.Place.Line, x.Message, x.Place.Text, md)
		}
		third := rapid.IntRange(0, 2).Draw(t, "third") // of the faults: each lint costs
		for i, s := range faultsOf(t, d) {
			if i%3 != third {
				continue
			}
			rules := found(s.text)
			if !slices.ContainsFunc(s.rules, func(r string) bool { return rules[r] > 0 }) {
				t.Fatalf("not found: %s (wants one of %v, found %v)\n%s", s.name, s.rules, rules, s.text)
			}
		}
	})
}
