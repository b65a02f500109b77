package postmortem_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/postmortem"
)

// room is an incident that commands make, as a server would.
type room struct {
	t      interface{ Fatal(...any) }
	state  incident.State
	events []incident.Event
	seq    int64
}

func (r *room) do(c incident.Command, by string, at time.Time) error {
	fresh, err := incident.Decide(r.state, c, by, at)
	if err != nil {
		return err
	}
	for _, e := range fresh {
		r.seq++
		e.Seq = r.seq
		r.events = append(r.events, e)
	}
	r.state = incident.Fold(r.events)
	return nil
}

func (r *room) must(c incident.Command, by string, at time.Time) {
	if err := r.do(c, by, at); err != nil {
		r.t.Fatal(fmt.Sprintf("%T: %v", c, err))
	}
}

var night = time.Date(2026, 10, 5, 2, 0, 7, 0, time.UTC)

func shopOutage(t *testing.T) postmortem.Facts {
	r := &room{t: t, seq: 40}
	at := func(d time.Duration) time.Time { return night.Add(d) }
	cause := incident.Cause{Key: "outage/shop/x", Kind: incident.FromOutage, Target: "shop", Reason: "it refuses connections", Started: at(0), Detected: at(4 * time.Second), Restorable: at(-time.Second)}
	r.must(incident.Open{ID: "inc-3", Opened: incident.Opened{Title: "shop does not serve", Severity: incident.Sev1, Targets: []string{"shop"}, Team: "data", Cause: cause, Objectives: incident.DefaultObjectives()}}, incident.Server, at(5*time.Second))
	r.must(incident.GatherAlert{Alert: incident.GatheredAlert{ID: "a1", Key: "k", Code: "outage", Severity: "critical", Target: "shop", Summary: "shop does not serve", Started: at(4 * time.Second)}}, incident.Server, at(5*time.Second))
	r.must(incident.RecordPage{Page: incident.Page{ID: "p1", Alert: "a1", Kind: "page", Person: "ada", Contact: "c1", At: at(6 * time.Second), Attempts: 1}}, incident.Server, at(7*time.Second))
	r.must(incident.ChangeAlert{AlertChanged: incident.AlertChanged{ID: "a1", By: "ada", At: at(125 * time.Second)}}, incident.Server, at(126*time.Second))
	r.must(incident.TakeRole{Role: incident.Commander}, "ada", at(3*time.Minute))
	r.must(incident.AddNote{Text: "The volume is gone, I should have seen it. TODO: ask storage at 25:99; 5 orders lost"}, "ada", at(9*time.Minute))
	r.must(incident.PublishUpdate{Audience: incident.Clients, Text: "The shop has been down since 02:00 UTC.", Next: at(40 * time.Minute)}, "ada", at(10*time.Minute))
	r.must(incident.Remind{Reminded: incident.Reminded{Audience: incident.Clients, Due: at(40 * time.Minute)}, Late: true}, incident.Server, at(41*time.Minute))
	r.must(incident.AddTask{Text: "Improve backups", Owner: "ben"}, "ada", at(50*time.Minute))
	r.must(incident.EndCause{Key: "outage/shop/x", At: at(5*time.Hour + 24*time.Minute)}, incident.Server, at(5*time.Hour+24*time.Minute+2*time.Second))
	r.must(incident.MeasureDataLoss{Measured: incident.Measured{Loss: 0, Source: "the heartbeat"}}, "ada", at(5*time.Hour+30*time.Minute))
	r.must(incident.Resolve{Summary: "The volume was replaced"}, "ada", at(6*time.Hour))
	return postmortem.Facts{
		Now: at(6 * 24 * time.Hour), Incident: r.state,
		Findings: []postmortem.KnownFinding{{Target: "shop", Rule: "backup-one-copy", Evidence: "one repository, on the disk of the server", Since: at(-9*24*time.Hour - time.Hour), Seq: 12}},
		Proofs:   []postmortem.KnownProof{{Target: "shop", ID: "shop-1", Verdict: "proven", Summary: "restored, 214 relations checked, 0 rows lost", Resolution: 372 * time.Second, At: at(-26 * time.Hour), Seq: 30, Allowed: 7 * 24 * time.Hour}},
		Costs:    []postmortem.HourlyCost{{Target: "shop", PerHour: 120000, Currency: "EUR"}},
	}
}

func marks(s string) int { return strings.Count(s, "[fill in: ") }

// checkDraft holds a draft's Markdown against what it was made of.
func checkDraft(t interface{ Fatalf(string, ...any) }, d postmortem.Document) string {
	md := d.Markdown()
	r := postmortem.Read("x.md", []byte(md))
	n := 0
	for _, f := range postmortem.Lint(r) {
		if f.Rule != "report-placeholder" {
			t.Fatalf("%s line %d: %s\n%s\n%s", f.Rule, f.Place.Line, f.Message, f.Place.Text, md)
		}
		n++
	}
	if n != marks(md) {
		t.Fatalf("%d placeholders of %d are found\n%s", n, marks(md), md)
	}
	back := r.Document()
	want, _ := json.MarshalIndent(d, "", " ")
	got, _ := json.MarshalIndent(back, "", " ")
	if string(want) != string(got) {
		t.Fatalf("read back it is another:\n%s\n%s", firstDifference(string(want), string(got)), md)
	}
	return md
}

func firstDifference(a, b string) string {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range x {
		if i >= len(y) || x[i] != y[i] {
			return fmt.Sprintf("want %s\ngot  %s", strings.Join(x[i:min(len(x), i+4)], "\n"), strings.Join(y[min(i, len(y)):min(len(y), i+4)], "\n"))
		}
	}
	return "the second is longer"
}

func TestDraftIsReadBackAndCleanButForItsMarks(t *testing.T) {
	md := checkDraft(t, postmortem.Draft(shopOutage(t)))
	for _, want := range []string{"| Report date | Sunday, 11 October 2026 |", "- Downtime: 5 h 24 min", "EUR 6,480.00", "| Resolution: until service was back | 4 h | 5 h 24 min | missed |", "backup-one-copy of shop had been open for 9 days"} {
		if !strings.Contains(md, want) {
			t.Errorf("%q is missing in\n%s", want, md)
		}
	}
}

// The way back is told with its measured times, each from its entry.
func TestADraftTellsTheWayBack(t *testing.T) {
	r := &room{t: t, seq: 100}
	at := func(m int) time.Time { return night.Add(time.Duration(m) * time.Minute) }
	r.must(incident.Open{ID: "inc-4", Opened: incident.Opened{Title: "shop does not serve", Severity: incident.Sev1, Targets: []string{"shop"}, Objectives: incident.DefaultObjectives(),
		Cause: incident.Cause{Key: "outage/shop/1", Kind: incident.FromOutage, Target: "shop", Reason: "it refuses connections", Started: at(0), Detected: at(1)}}}, incident.Server, at(1))
	took := 6*time.Minute + 12*time.Second
	r.must(incident.ChooseRecovery{Proposed: incident.RecoveryProposed{Ways: []incident.OfferedWay{{Way: "restore", Title: "Restore here", Possible: true, Time: &took}}},
		Chosen: incident.RecoveryChosen{Target: "shop", Way: "restore", Title: "Restore to 01:59:58", Steps: []incident.PlannedStep{{ID: "write"}, {ID: "start", ByHand: true}}}}, "ada", at(5))
	r.must(incident.ConfirmRecovery{Run: "r1"}, "ben", at(6))
	step := func(id, kind string, hand bool, m int) {
		r.must(incident.TellStep{RecoveryStep: incident.RecoveryStep{Run: "r1", Step: id, ByHand: hand}, Kind: kind}, "ada", at(m))
	}
	step("write", incident.KindStepStarted, false, 7)
	step("write", incident.KindStepDone, false, 20)
	step("start", incident.KindStepDone, true, 22)
	r.must(incident.VerifyRecovery{RecoveryVerified: incident.RecoveryVerified{Run: "r1", Verdict: "proven", Summary: "214 relations checked, no data was lost", Checks: []incident.RecoveryCheck{{Name: "x"}}}}, "ada", at(24))
	r.must(incident.EndRecovery{RecoveryEnded: incident.RecoveryEnded{Run: "r1", Outcome: incident.RecoveryRecovered}}, "ada", at(25))
	r.must(incident.EndCause{Key: "outage/shop/1", At: at(22)}, incident.Server, at(26))
	r.must(incident.Resolve{Summary: "restored"}, "ada", at(30))
	md := checkDraft(t, postmortem.Draft(postmortem.Facts{Now: at(9000), Incident: r.state}))
	for _, want := range []string{
		"- Run r1 of shop, chosen by ada (journal 103): “Restore to 01:59:58”; it was proposed with 6 min 12 s.", "- Run r1, step “write” (journal 107): 13 min.",
		"- Run r1, what came of it (journal 109): “proven”, “214 relations checked, no data was lost”.", "- Run r1 was over as “recovered” (journal 110).", "| ben agreed to run r1: “second person” | journal 104 |",
	} {
		if !strings.Contains(md, want) {
			t.Errorf("%q is missing in\n%s", want, md)
		}
	}
	if strings.Contains(md, "which way back was taken") {
		t.Error("what is recorded is asked for")
	}
}
