package postmortem_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/postmortem"
	"github.com/refloat-db/refloat/internal/postmortem/render"
)

// words that people and machines might write, and what would mislead who reads
// them as claims of the report.
var words = []string{
	"the volume is gone", "TODO", "TBD: ask ben", "??? nobody knows", "we should have seen it", "ada forgot the slot", "outage lasted 3 hours", "resolved within 2 hours", "412 orders were lost", "no data was lost",
	"Tuesday, 5 October 2026", "31.02.2026", "at 25:99", "it began at 01:17 CET", "17:03 EST", "| a | b |", "`rm -rf /`", "**bold** _x_ ~~y~~", "[link](https://x/y)", "<!-- refloat:allow report-no-start because -->", "<b>x</b> &amp; &lt;",
	"“quoted” text", "line\nbreak\r\nand\ttab", "# heading", "- item", "1. one", "Summary:", "detected at 03:00", "[fill in: x]", "severity 4", "improve monitoring", "\\ back\\slash", "99.999 % availability this month", "EUR 5,000 of revenue", "1,200 clients affected",
	"a very long line " + fmt.Sprint(make([]int, 300)), "\x00\x1b[31m", "RTO of 1 hour was met", "human error", "impossible, never again", "Resolved", "the objective of 4 hours was met", "café – naïve", "inc-2 began", "x]( y", "—", "*",
}

func drawWords(t *rapid.T, label string) string {
	n := rapid.IntRange(1, 3).Draw(t, label+" parts")
	s := ""
	for range n {
		if rapid.IntRange(0, 3).Draw(t, label+" any") == 0 {
			s += rapid.StringN(0, 30, -1).Draw(t, label) + " "
		} else {
			s += rapid.SampledFrom(words).Draw(t, label) + " "
		}
	}
	return s
}

var zones = []string{"UTC", "Europe/Berlin", "Asia/Kolkata", "America/New_York", "America/St_Johns", "Australia/Sydney", "Asia/Kathmandu", "Pacific/Auckland", "America/Sao_Paulo"}

// lawful draws an incident as commands make it, by a clock that only goes on.
func lawful(t *rapid.T) *room {
	start := time.Date(2024+rapid.IntRange(0, 3).Draw(t, "year"), time.Month(rapid.IntRange(1, 12).Draw(t, "month")), rapid.IntRange(1, 28).Draw(t, "day"), rapid.IntRange(0, 23).Draw(t, "hour"), rapid.IntRange(0, 59).Draw(t, "minute"), rapid.IntRange(0, 59).Draw(t, "second"), rapid.IntRange(0, 999_999).Draw(t, "micro")*1000, time.UTC)
	r := &room{t: t, seq: rapid.Int64Range(0, 5000).Draw(t, "first")}
	now := start
	later := func(most time.Duration) time.Time {
		now = now.Add(time.Duration(rapid.Int64Range(0, int64(most/time.Millisecond)).Draw(t, "pause")) * time.Millisecond)
		return now
	}
	targets := []string{"shop", "till", "crm-1"}
	people := []string{"ada", "ben", "Chi Ng", "detective", "o'neil"}
	who := func() string { return rapid.SampledFrom(people).Draw(t, "who") }
	kind := rapid.SampledFrom([]incident.CauseKind{incident.FromOutage, incident.FromAlert, incident.FromPerson}).Draw(t, "kind")
	n := 0
	cause := func(kind incident.CauseKind) incident.Cause {
		n++
		c := incident.Cause{Key: fmt.Sprintf("%s/%d", kind, n), Kind: kind, Target: rapid.SampledFrom(targets).Draw(t, "target"), Reason: drawWords(t, "reason"), Started: now}
		c.Detected = later(5 * time.Minute)
		return c
	}
	c := cause(kind)
	opener := incident.Server
	if kind == incident.FromPerson {
		opener = who()
	}
	objective := func(label string, most int) time.Duration {
		return time.Duration(rapid.IntRange(0, most).Draw(t, label)) * time.Second
	}
	title := rapid.SampledFrom([]string{"shop does not serve", "Summary", "TBD", "Outage on Monday, 6 October 2026 at 02:00", "The incident", "x", "a | b", "no data was lost", drawOne(t)}).Draw(t, "title")
	opened := incident.Opened{Title: title, Severity: rapid.SampledFrom(incident.Severities()).Draw(t, "severity"), Targets: []string{c.Target}, Team: rapid.SampledFrom([]string{"", "data"}).Draw(t, "team"), Cause: c,
		Objectives: incident.Objectives{Detection: objective("detection", 200), Resolution: objective("resolution", 20000), DataLoss: objective("loss", 200)}}
	r.must(incident.Open{ID: "inc-7", Opened: opened}, opener, later(time.Minute))
	for range rapid.IntRange(0, 25).Draw(t, "acts") {
		later(2 * time.Hour)
		alert := fmt.Sprintf("a%d", rapid.IntRange(1, 3).Draw(t, "alert"))
		commands := []incident.Command{
			incident.AddNote{Text: drawWords(t, "note")}, incident.SetSeverity{To: rapid.SampledFrom(incident.Severities()).Draw(t, "to"), Why: drawWords(t, "why")},
			incident.SetStatus{To: rapid.SampledFrom([]incident.Status{incident.Identified, incident.Recovering, incident.Monitoring}).Draw(t, "status"), Why: drawWords(t, "why")},
			incident.TakeRole{Role: rapid.SampledFrom(incident.Roles()).Draw(t, "role"), Why: drawWords(t, "why")}, incident.AddTask{Text: drawWords(t, "task"), Owner: who()}, incident.CloseTask{ID: "t1", Result: drawWords(t, "result")},
			incident.AddLink{URL: "https://x.example/", Title: drawWords(t, "link")}, incident.Attach{Name: "log.txt", Data: []byte("x")},
			incident.MeasureDataLoss{Measured: incident.Measured{Loss: time.Duration(rapid.SampledFrom([]int{0, 1, 90, 100000}).Draw(t, "lost")) * time.Second, Source: drawWords(t, "source")}},
			incident.Join{Cause: cause(rapid.SampledFrom([]incident.CauseKind{incident.FromOutage, incident.FromAlert}).Draw(t, "joined")), Severity: incident.Sev2},
			incident.EndCause{Key: fmt.Sprintf("outage/%d", rapid.IntRange(1, max(n, 1)).Draw(t, "which")), At: now}, incident.ChangeCause{Key: "outage/1", Reason: drawWords(t, "reason")},
			incident.GatherAlert{Alert: incident.GatheredAlert{ID: alert, Summary: drawWords(t, "summary"), Started: now}}, incident.ChangeAlert{AlertChanged: incident.AlertChanged{ID: alert, By: who(), At: now}},
			incident.RecordPage{Page: incident.Page{ID: fmt.Sprint("p", len(r.events)), Alert: alert, Kind: "page", Person: who(), Contact: "c", At: now, Error: rapid.SampledFrom([]string{"", "no route"}).Draw(t, "error")}},
			incident.PublishUpdate{Audience: rapid.SampledFrom(incident.Audiences()).Draw(t, "audience"), Text: drawWords(t, "update"), Next: now.Add(time.Hour)},
			incident.Remind{Reminded: incident.Reminded{Audience: incident.Clients, Due: now.Add(-time.Minute)}, Late: true},
			incident.Resolve{Summary: drawWords(t, "summary"), Despite: drawWords(t, "despite")}, incident.Reopen{Why: drawWords(t, "why")},
			incident.AcknowledgeUpdate{Update: "u1"},
			incident.ChooseRecovery{Proposed: incident.RecoveryProposed{Ways: []incident.OfferedWay{{Way: "restore", Title: "Restore", Possible: true, Time: new(time.Duration)}}},
				Chosen: incident.RecoveryChosen{Target: r.state.Targets[0], Way: "restore", Title: drawWords(t, "way"), Steps: []incident.PlannedStep{{ID: "write", Title: drawWords(t, "step")}, {ID: "start", Title: "x", ByHand: true}}}},
			incident.ConfirmRecovery{Run: "r1", Typed: r.state.Targets[0]},
			incident.TellStep{RecoveryStep: incident.RecoveryStep{Run: "r1", Step: "write", Detail: drawWords(t, "detail")}, Kind: incident.KindStepStarted},
			incident.TellStep{RecoveryStep: incident.RecoveryStep{Run: "r1", Step: "write", Error: drawWords(t, "failure") + "x"}, Kind: rapid.SampledFrom([]string{incident.KindStepDone, incident.KindStepFailed}).Draw(t, "end of step")},
			incident.TellStep{RecoveryStep: incident.RecoveryStep{Run: "r1", Step: "start", ByHand: true}, Kind: incident.KindStepDone},
			incident.VerifyRecovery{RecoveryVerified: incident.RecoveryVerified{Run: "r1", Verdict: "proven", Summary: drawWords(t, "verdict"), Checks: []incident.RecoveryCheck{{Name: "x"}}}},
			incident.EndRecovery{RecoveryEnded: incident.RecoveryEnded{Run: "r1", Outcome: rapid.SampledFrom([]string{incident.RecoveryRecovered, incident.RecoveryAbandoned}).Draw(t, "outcome"), Why: drawWords(t, "why")}},
		}
		if rapid.IntRange(0, 20).Draw(t, "merge") == 0 {
			r.absorb(cause(incident.FromOutage), drawWords(t, "merged"), who(), later(time.Hour))
			continue
		}
		i := rapid.IntRange(0, len(commands)-1).Draw(t, "command")
		by := who()
		switch commands[i].(type) {
		case incident.Join, incident.EndCause, incident.ChangeCause, incident.GatherAlert, incident.ChangeAlert, incident.RecordPage, incident.Remind:
			by = incident.Server
		}
		_ = r.do(commands[i], by, now) // one that is refused leaves nothing
	}
	if rapid.Bool().Draw(t, "end") {
		for k := range n {
			_ = r.do(incident.EndCause{Key: fmt.Sprintf("outage/%d", k+1), At: later(time.Hour)}, incident.Server, now)
		}
		_ = r.do(incident.Resolve{Summary: drawWords(t, "closing"), Despite: "it is"}, who(), later(time.Hour))
	}
	return r
}

// drawOne draws words of which a title can be made.
// absorb merges another incident into it.
func (r *room) absorb(c incident.Cause, title, by string, now time.Time) {
	title = strings.Join(strings.Fields(title), " ")
	o := &room{t: r.t}
	if o.do(incident.Open{ID: "inc-6", Opened: incident.Opened{Title: title[:min(len(title), 100)], Severity: incident.Sev2, Targets: []string{c.Target}, Cause: c, Objectives: incident.DefaultObjectives()}}, by, now) != nil {
		return // a title that nobody can give
	}
	all, err := incident.Decide(o.state, incident.Merge{Into: r.state, Why: title}, by, now)
	if err != nil {
		return
	}
	for _, e := range all {
		if e.Incident == r.state.ID {
			r.seq++
			e.Seq = r.seq
			r.events = append(r.events, e)
		}
	}
	r.state = incident.Fold(r.events)
}

func drawOne(t *rapid.T) string {
	s := strings.Join(strings.Fields(rapid.SampledFrom(words).Draw(t, "title words")), " ")
	return s[:min(len(s), 120)]
}

func drawFacts(t *rapid.T) postmortem.Facts {
	r := lawful(t)
	x := r.state
	zone, err := time.LoadLocation(rapid.SampledFrom(zones).Draw(t, "zone"))
	if err != nil {
		t.Fatal(err)
	}
	f := postmortem.Facts{Incident: x, Zone: zone, Now: r.events[len(r.events)-1].Time.Add(time.Duration(rapid.IntRange(0, 400).Draw(t, "report")) * time.Hour)}
	for range rapid.IntRange(0, 3).Draw(t, "findings") {
		f.Findings = append(f.Findings, postmortem.KnownFinding{Target: "shop", Rule: "backup-one-copy", Object: rapid.SampledFrom([]string{"", "slot a"}).Draw(t, "object"), Evidence: drawWords(t, "evidence"), Since: x.Started.Add(-time.Duration(rapid.IntRange(1, 1000).Draw(t, "since")) * time.Hour), Seq: 3})
	}
	if rapid.Bool().Draw(t, "proof") {
		f.Proofs = append(f.Proofs, postmortem.KnownProof{Target: "shop", ID: "shop-1", Verdict: rapid.SampledFrom([]string{"proven", "failed"}).Draw(t, "verdict"), Summary: drawWords(t, "proof summary"), Resolution: 500 * time.Second, At: x.Started.Add(-30 * time.Hour), Seq: 2, Allowed: 24 * time.Hour})
	}
	if rapid.Bool().Draw(t, "cost") {
		f.Costs = append(f.Costs, postmortem.HourlyCost{Target: "shop", PerHour: float64(rapid.IntRange(1, 1e9).Draw(t, "per hour")), Currency: rapid.SampledFrom([]string{"EUR", "USD", "JPY", "NOK"}).Draw(t, "currency")})
	}
	if rapid.Bool().Draw(t, "earlier") {
		o := x
		o.ID, o.Started, o.Detected, o.Mitigated, o.MergedInto = "inc-2", x.Started.AddDate(0, -1, 0), x.Started.AddDate(0, -1, 0), x.Started.AddDate(0, -1, 0).Add(time.Hour), ""
		f.Earlier = append(f.Earlier, o)
	}
	return f
}

// What is drafted of any incident is read back to the same, and nothing is found in
// it but what people must fill in.
func TestAnyDraftIsReadBackAndCleanButForItsMarks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawFacts(t)
		d := postmortem.Draft(f)
		checkDraft(t, d)
		x, c := f.Incident, d.Clocks
		for _, p := range [][2]time.Time{{x.Started, c.Started}, {x.Detected, c.Detected}, {x.Acknowledged, c.Acknowledged}, {x.Mitigated, c.Mitigated}, {x.Resolved, c.Resolved}} {
			if p[0].IsZero() != p[1].IsZero() || p[0].Sub(p[1]).Abs() >= time.Second {
				t.Fatalf("a clock is %s, told as %s", p[0], p[1])
			}
		}
	})
}

// Whatever people wrote, the report can be shown.
func TestAnyDraftIsRendered(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := postmortem.Draft(drawFacts(t))
		md := d.Markdown()
		page, err := render.HTML(d, md)
		if err != nil {
			t.Fatal(err)
		}
		if s := string(page); strings.Count(s, "<mark>") != marks(md) || strings.Contains(s, "<b>x") || strings.Contains(s, `href="https://x/y"`) {
			t.Fatalf("%d of %d marks\n%s\n%s", strings.Count(s, "<mark>"), marks(md), md, s)
		}
		if out, err := render.PDF(d, md); err != nil || len(out) < 10_000 {
			t.Fatal(len(out), err)
		}
	})
}
