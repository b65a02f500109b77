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
