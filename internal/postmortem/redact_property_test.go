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

// Whatever people write into notes, tasks, updates to others, roles and commands,
// and whatever of it they take over into the report: none of it is in what clients
// are given.
func TestClientsAreGivenNothingFromInside(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var secrets []string
		n := 0
		word := func(form string) string {
			n++
			s := fmt.Sprintf(form, rapid.StringMatching(`[a-z]{5,9}`).Draw(t, "word")+"q")
			secrets = append(secrets, s)
			return s
		}
		plain := func() string { return rapid.StringMatching(`[a-z]{5,9}`).Draw(t, "plain") }
		sentence := func() string { // of it no four words in a row get out, and no name
			s := "the " + plain() + " of " + word("%s7") + " was " + plain() + " and " + plain() + " saw it"
			all := strings.Fields(s)
			for i := range len(all) - 3 {
				secrets = append(secrets, strings.Join(all[i:i+4], " "))
			}
			return s
		}
		start := time.Date(2026, 10, 5, 2, 0, 7, 0, time.UTC)
		r := &room{t: t}
		at := func(m int) time.Time { return start.Add(time.Duration(m) * time.Minute) }
		target, ada, ben := word("%s-db"), word("%s"), word("%s")
		r.must(incident.Open{ID: "inc-3", Opened: incident.Opened{Title: target + " does not serve", Severity: incident.Sev1, Targets: []string{target}, Team: word("%s"), Objectives: incident.DefaultObjectives(),
			Cause: incident.Cause{Key: "outage/x", Kind: incident.FromOutage, Target: target, Reason: sentence(), Started: at(0), Detected: at(1)}}}, incident.Server, at(1))
		r.must(incident.TakeRole{Role: incident.Commander}, ada, at(2))
		r.must(incident.AddNote{Text: sentence()}, ada, at(3))
		r.must(incident.AddTask{Text: sentence(), Owner: ben}, ada, at(4))
		r.must(incident.GatherAlert{Alert: incident.GatheredAlert{ID: "a1", Summary: sentence(), Started: at(1)}}, incident.Server, at(5))
		r.must(incident.RecordPage{Page: incident.Page{ID: "p1", Alert: "a1", Person: ben, Contact: word("c.%s"), At: at(5), Error: sentence()}}, incident.Server, at(6))
		r.must(incident.PublishUpdate{Audience: incident.Responders, Text: sentence(), To: []incident.Recipient{{Person: ada, Contact: "x", Address: word("%s@example.org")}}}, ada, at(7))
		r.must(incident.PublishUpdate{Audience: incident.Clients, Text: "We are at work on it."}, ada, at(8))
		r.must(incident.EndCause{Key: "outage/x", At: at(60)}, incident.Server, at(60))
		r.must(incident.MeasureDataLoss{Measured: incident.Measured{Loss: 3 * time.Second, Source: sentence()}}, ben, at(61))
		r.must(incident.Resolve{Summary: sentence()}, ada, at(70))
		f := postmortem.Facts{Now: at(5000), Incident: r.state,
			Findings: []postmortem.KnownFinding{{Target: target, Rule: word("backup-%s"), Object: word("%s"), Evidence: sentence(), Since: at(-900), Seq: 1}},
			Proofs:   []postmortem.KnownProof{{Target: target, ID: target + "-1", Verdict: "failed", Summary: sentence(), At: at(-90), Seq: 2}}}
		d := fill(postmortem.Draft(f))
		// People take over what they know, in sentences of their own.
		host, command := word("%s.internal.example.org"), word("systemctl restart %s")
		secrets = append(secrets, "10.1.2.3", "Weber", "Okoro")
		leaks := append([]string{host, "`" + command + "`", "10.1.2.3", "--force"}, secrets...)
		take := func() postmortem.Text {
			var out postmortem.Text
			for range rapid.IntRange(1, 4).Draw(t, "passages") {
				leak := rapid.SampledFrom(leaks).Draw(t, "leak")
				out = append(out, postmortem.Passage{Text: "It came about since " + leak + " did not answer.", Point: true, Code: strings.Contains(leak, "`")})
			}
			return append(out, postmortem.Passage{Text: "A copy failed and nobody was told.", Point: true})
		}
		d.RootCause, d.Contributing, d.Lessons, d.Conclusion, d.Challenges = take(), take(), take(), take(), take()
		for i := range d.Actions {
			if rapid.Bool().Draw(t, "in an action") {
				d.Actions[i].Text = "Mend " + rapid.SampledFrom(leaks).Draw(t, "leak")
			}
		}
		read := postmortem.Read("x.md", []byte(strings.ReplaceAll(d.Markdown(), "\\`", "`"))).Document() // as a file holds it
		out, dropped := postmortem.ForClients(read, f, map[string]string{target: "The web shop"})
		md := out.Markdown()
		page, err := render.HTML(out, md)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{md, string(page)} {
			low := strings.ToLower(text)
			for _, s := range secrets {
				if strings.Contains(low, strings.ToLower(s)) {
					t.Fatalf("clients read %q:\n%s", s, md)
				}
			}
		}
		if marks(md) > 0 || strings.Contains(md, "journal") || strings.Contains(md, "inc-3") {
			t.Fatal(md)
		}
		for _, want := range []string{"Disruption of The web shop on 5 October 2026", "Downtime: 1 h", "A copy failed and nobody was told.", "We are at work on it.", "Data lost: the work of 3 s"} {
			if !strings.Contains(md, want) {
				t.Fatalf("%q is missing (dropped: %v)\n%s", want, dropped, md)
			}
		}
		if back := postmortem.Read("x.md", []byte(md)).Document(); !back.Clocks.Started.Equal(out.Clocks.Started) || back.Title != out.Title {
			t.Fatal("it is not read back")
		}
	})
}
