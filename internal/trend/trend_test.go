package trend

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/refloat-db/refloat/internal/action"
	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/proof"
	"github.com/refloat-db/refloat/internal/target"
)

var berlin = func() *time.Location {
	z, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		panic(err)
	}
	return z
}()

func TestQuarters(t *testing.T) {
	q := QuarterOf(time.Date(2023, 10, 5, 2, 0, 0, 0, berlin))
	if q.Name != "2023 Q4" || !q.From.Equal(time.Date(2023, 9, 30, 22, 0, 0, 0, time.UTC)) || q.Length() != 92*24*time.Hour+time.Hour {
		t.Errorf("%+v %s", q, q.Length()) // the clocks go back within it
	}
	if b := q.Before(); b.Name != "2023 Q3" || !b.Until.Equal(q.From) {
		t.Errorf("%+v", b)
	}
	if b := QuarterOf(time.Date(2024, 1, 1, 0, 0, 0, 0, berlin)).Before(); b.Span != q.Span {
		t.Errorf("%+v", b)
	}
	d := Days(time.Date(2023, 10, 1, 0, 0, 0, 0, time.UTC), time.Date(2023, 10, 8, 0, 0, 0, 0, time.UTC))
	if d.Name != "2023-10-01 to 2023-10-07" || d.Before().Name != "2023-09-24 to 2023-09-30" {
		t.Errorf("%s, %s", d.Name, d.Before().Name)
	}
}

func TestDistribution(t *testing.T) {
	if d := Distribute(nil, 2); d.N != 0 || d.Unknown != 2 || d.Max != 0 {
		t.Errorf("%+v", d)
	}
	var all []time.Duration
	for i := 10; i > 0; i-- {
		all = append(all, time.Duration(i)*time.Minute)
	}
	if d := Distribute(all, 0); d.Min != time.Minute || d.Median != 5*time.Minute || d.P90 != 9*time.Minute || d.Max != 10*time.Minute || all[0] != 10*time.Minute {
		t.Errorf("%+v", d)
	}
}

// incidentFacts is the incident that Refloat was born from, in a quarter with a
// drill that failed and an action that is late.
func incidentFacts() (Facts, time.Time) {
	began := time.Date(2023, 10, 5, 2, 0, 0, 0, berlin)
	o := proof.Objectives{Detection: time.Minute, Resolution: 4 * time.Hour, DataLoss: time.Minute, ProofAge: 7 * 24 * time.Hour}
	s := incident.State{
		ID: "inc-1", Title: "shop does not serve", Severity: incident.Sev1, Status: incident.Resolved, Targets: []string{"shop"}, Objectives: incident.DefaultObjectives(),
		Causes:  []incident.Cause{{Kind: incident.FromOutage, Target: "shop", Started: began}},
		Started: began, Detected: began.Add(time.Hour), Acknowledged: began.Add(90 * time.Minute), Mitigated: began.Add(5*time.Hour + 24*time.Minute), Resolved: began.Add(6 * time.Hour),
	}
	earlier := s
	earlier.ID, earlier.Started = "inc-0", began.AddDate(0, -1, 0)
	earlier.Causes = []incident.Cause{{Kind: incident.FromOutage, Target: "shop", Started: earlier.Started}}
	loss := time.Second
	mk := func(day int, v proof.Verdict) proof.Proof {
		return proof.Proof{ID: fmt.Sprintf("shop-%d", day), Target: target.ID("shop"), Verdict: v, EndedAt: time.Date(2023, 10, day, 4, 0, 0, 0, berlin), Resolution: 6 * time.Minute, DataLoss: &loss}
	}
	due, _ := action.ParseDay("2023-10-30")
	events, err := action.Decide(action.State{}, action.Add{ID: "act-1", Added: action.Added{Item: action.Item{Text: "Alert on a failed archive command", Due: due, Priority: action.P1}}}, "ada", time.Date(2023, 10, 11, 9, 0, 0, 0, berlin))
	if err != nil {
		panic(err)
	}
	return Facts{
		Targets: []Target{{Name: "shop", Objectives: o}, {Name: "till", Objectives: o}},
		Outages: []Outage{{Target: "shop", Sees: "refused", From: began, Until: s.Mitigated}, {Target: "shop", Sees: "refused", From: earlier.Started, Until: earlier.Started.Add(time.Minute)}},
		Watched: []Span{{began.AddDate(0, -2, 0), began.AddDate(0, 1, 0)}}, Incidents: []incident.State{earlier, s},
		Proofs:   []proof.Proof{mk(3, proof.Proven), mk(6, proof.Failed), mk(20, proof.Proven)},
		Findings: []Finding{{Target: "shop", Rule: "server-archive-swallows", Severity: "critical", Opened: began.AddDate(0, 0, -9)}},
		Actions:  action.Fold(events),
	}, began
}

func TestTheIncidentOfAQuarter(t *testing.T) {
	f, began := incidentFacts()
	r := Make(QuarterOf(began), f, time.Date(2024, 1, 10, 0, 0, 0, 0, berlin))
	x := r.Figures
	if x.Incidents != 1 || x.Mitigate.Median != 5*time.Hour+24*time.Minute || x.Detect.Max != time.Hour || x.Ack.Median != 30*time.Minute || x.Unmeasured != 1 || len(x.DataLost) != 0 {
		t.Errorf("%+v", x)
	}
	if x.Down != 5*time.Hour+24*time.Minute || x.Outages != 1 || x.Proofs != 3 || x.Proven != 2 || x.NotProven != 1 || x.FindingsOpen != 1 || x.FindingsOpened != 0 || x.ActionsLate != 1 || x.ActionsDue != 1 {
		t.Errorf("%+v", x)
	}
	if got := strings.Join(r.Incidents[0].Missed, ","); got != "detection,resolution" {
		t.Error(got)
	}
	shop, till := r.Targets[0], r.Targets[1]
	want := 1 - float64(shop.Down)/float64(began.AddDate(0, 1, 0).Sub(r.Period.From))
	if shop.Availability == nil || math.Abs(*shop.Availability-want) > 1e-9 {
		t.Errorf("availability of the time in which somebody watched: %v, not %v", shop.Availability, want)
	}
	if !till.Never || till.StaleShare == nil || *till.StaleShare != 1 {
		t.Errorf("a target without a proof: %+v", till)
	}
	if shop.Never || shop.OldestAge != time.Date(2024, 1, 1, 0, 0, 0, 0, berlin).Sub(f.Proofs[2].EndedAt) {
		t.Errorf("%s", shop.OldestAge)
	}
	if r.Previous == nil || r.Previous.Incidents != 1 || r.Previous.Down != time.Minute {
		t.Errorf("%+v", r.Previous)
	}
	if len(r.Recurring) != 1 || r.Recurring[0].What != "outage: refused" || r.Recurring[0].Before != 1 {
		t.Errorf("%+v", r.Recurring)
	}
	all := ""
	for _, a := range r.Next {
		all += a.What + "\n"
	}
	for _, part := range []string{"Prove that till can be restored", "Drill shop more often", "Bring resolution of shop under 4h0m0s", "Measure what was lost", "Finish act-1", "Mend server-archive-swallows", "Keep a server running"} {
		if !strings.Contains(all, part) {
			t.Errorf("%q is missing in\n%s", part, all)
		}
	}
	page, err := HTML(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"5 h 24 min", "Recoverability, 2023 Q4", "never proven", "not measured", "missed 1"} {
		if !strings.Contains(string(page), part) {
			t.Errorf("%q is not on the page", part)
		}
	}
	sheet, err := PDF(r)
	if err != nil {
		t.Fatal(err)
	}
	if dir := t.ArtifactDir(); dir != "" {
		_ = os.WriteFile(filepath.Join(dir, "quarter.pdf"), sheet, 0o644)
		_ = os.WriteFile(filepath.Join(dir, "quarter.html"), page, 0o644)
	}
	if _, err := json.Marshal(r); err != nil {
		t.Error(err)
	}
}

// What is not known is never told as good.
func TestNothingIsKnown(t *testing.T) {
	r := Make(QuarterOf(time.Date(2023, 10, 5, 0, 0, 0, 0, time.UTC)), Facts{Targets: []Target{{Name: "shop", Objectives: proof.Objectives{DataLoss: time.Minute}}}}, time.Date(2024, 2, 1, 0, 0, 0, 0, time.UTC))
	if r.Targets[0].Availability != nil || !r.Targets[0].Never || r.Previous != nil || r.Figures.Watched != 0 {
		t.Errorf("%+v", r)
	}
	page, err := HTML(r)
	if err != nil || !strings.Contains(string(page), "not watched") || !strings.Contains(string(page), "not put to the test") {
		t.Errorf("%v %s", err, page)
	}
}

// However outages, watching and proofs fall, shares are shares, and the parts of
// a period add up to it.
// A server that runs says nothing of a target that it does not look at, or cannot
// see: that time is neither good nor bad.
func TestWhatWasNotSeenIsNotAvailable(t *testing.T) {
	from := time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC)
	p := Days(from, from.AddDate(0, 0, 10))
	hour := func(n int) time.Time { return from.Add(time.Duration(n) * time.Hour) }
	f := Facts{
		Targets: []Target{{Name: "shop", Blind: []Span{{hour(10), hour(20)}, {hour(30), hour(40)}}}, {Name: "off", Unwatched: true}, {Name: "dark", Blind: []Span{{hour(-1), hour(300)}}}},
		Watched: []Span{{hour(0), hour(15)}, {hour(20), hour(50)}},
		Outages: []Outage{{Target: "shop", From: hour(8), Until: hour(12)}},
	}
	r := Make(p, f, hour(240))
	// Seen for 0-10, 20-30 and 40-50, and known to be down until 12.
	if a := r.Targets[0].Availability; a == nil || math.Abs(*a-(1-4.0/32)) > 1e-9 {
		t.Errorf("availability %v, not %v", a, 1-4.0/32)
	}
	for _, x := range r.Targets[1:] {
		if x.Availability != nil {
			t.Errorf("%s is said to have served for %v of the time, and nobody saw it", x.Name, *x.Availability)
		}
	}
}

func TestPartsAddUp(t *testing.T) {
	p := QuarterOf(time.Date(2023, 10, 5, 0, 0, 0, 0, berlin))
	rapid.Check(t, func(t *rapid.T) {
		moment := func(name string) time.Time {
			return p.From.Add(time.Duration(rapid.Int64Range(-100, 2400).Draw(t, name)) * time.Hour)
		}
		cut := moment("cut")
		f := Facts{Targets: []Target{{Name: "shop", Objectives: proof.Objectives{ProofAge: 24 * time.Hour}}}}
		var edges []time.Time
		for range 2 * rapid.IntRange(0, 6).Draw(t, "n") {
			edges = append(edges, moment("edge"))
		}
		slices.SortFunc(edges, time.Time.Compare)
		for i := 0; i < len(edges); i += 2 {
			if rapid.Bool().Draw(t, "down") {
				f.Outages = append(f.Outages, Outage{Target: "shop", From: edges[i], Until: edges[i+1]})
			} else {
				f.Watched = append(f.Watched, Span{edges[i], edges[i+1]})
			}
		}
		for range rapid.IntRange(0, 5).Draw(t, "proofs") {
			f.Proofs = append(f.Proofs, proof.Proof{Target: "shop", Verdict: rapid.SampledFrom([]proof.Verdict{proof.Proven, proof.Failed}).Draw(t, "verdict"), EndedAt: moment("proof")})
		}
		now := p.Until.AddDate(1, 0, 0)
		whole, first, second := Make(p, f, now), Make(Days(p.From, cut), f, now), Make(Days(cut, p.Until), f, now)
		r := whole.Targets[0]
		if r.Availability != nil && (*r.Availability < 0 || *r.Availability > 1) || *r.StaleShare < 0 || *r.StaleShare > 1 || whole.Figures.Watched < 0 || whole.Figures.Watched > 1 {
			t.Fatalf("%+v", whole)
		}
		if !cut.Before(p.From) && !cut.After(p.Until) && (first.Figures.Down+second.Figures.Down != whole.Figures.Down || first.Figures.Proofs+second.Figures.Proofs != whole.Figures.Proofs) {
			t.Fatalf("%s and %s are not %s", first.Figures.Down, second.Figures.Down, whole.Figures.Down)
		}
		if _, err := HTML(whole); err != nil {
			t.Fatal(err)
		}
	})
}

func TestPercent(t *testing.T) {
	for f, want := range map[float64]string{1: "100 %", 0.99999: "99.999 %", 0.9999999: "99.999 %", 0.5: "50 %", 0: "0 %"} {
		if got := percent(f, 3); got != want {
			t.Errorf("%v: %s, not %s", f, got, want)
		}
	}
}
