package app

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/audit"
	"github.com/refloat-db/refloat/internal/journal"
	"github.com/refloat-db/refloat/internal/monitor"
)

func TestPeriods(t *testing.T) {
	now := time.Date(2026, 11, 27, 10, 0, 0, 0, time.UTC)
	for _, x := range []struct{ quarter, from, until, want string }{
		{"", "", "", "2026 Q4"}, {"2026q1", "", "", "2026 Q1"}, {"", "2026-10-01", "2026-10-31", "2026-10-01 to 2026-10-31"},
		{"2026Q5", "", "", ""}, {"2026Q1x", "", "", ""}, {"26Q1", "", "", ""}, {"", "2026-10-01", "", ""}, {"", "2026-10-02", "2026-10-01", ""}, {"2026Q1", "2026-10-01", "2026-10-02", ""},
	} {
		p, err := ParsePeriod(x.quarter, x.from, x.until, time.UTC, now)
		if p.Name != x.want || (err == nil) != (x.want != "") || err != nil && !errors.Is(err, ErrUsage) {
			t.Errorf("%+v: %q %v", x, p.Name, err)
		}
	}
}

// What the journal says of when somebody watched, of outages and of findings.
func TestTheJournalIsRead(t *testing.T) {
	at := time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC)
	var all []journal.Entry
	add := func(hours int, subject, kind, actor string, body any) {
		raw, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, journal.Entry{Seq: int64(len(all) + 1), Time: at.Add(time.Duration(hours) * time.Hour), Actor: actor, Subject: subject, Kind: kind, Body: raw})
	}
	o := monitor.Outage{Target: "shop", Sees: "refused", Reason: "x", FirstBad: at.Add(3 * time.Hour), Confirmed: at.Add(3 * time.Hour)}
	f := audit.Finding{Rule: "r", Severity: audit.High}
	add(0, "server", "server.started", "server", nil)
	add(3, "target/shop", "outage.confirmed", "server", o)
	add(4, "target/shop", "finding.appeared", "server", f)
	o.Recovered, o.Sees = at.Add(5*time.Hour), "hangs"
	add(5, "target/shop", "outage.recovered", "server", o)
	add(8, "incident/inc-1", "incident.note.added", "ada", nil) // while none ran
	add(9, "server", "server.started", "server", nil)           // killed at some time after 5
	add(10, "target/shop", "finding.gone", "server", f)
	add(12, "server", "server.stopped", "server", nil)
	add(20, "server", "server.started", "server", nil)
	add(21, "target/shop", "finding.appeared", "server", f)
	outages, err := outagesOf(all)
	if err != nil || len(outages) != 1 || outages[0].Sees != "refused" || !outages[0].Until.Equal(at.Add(5*time.Hour)) {
		t.Errorf("%+v %v", outages, err)
	}
	found, err := findingsOf(all)
	if err != nil || len(found) != 2 || !found[0].Closed.Equal(at.Add(10*time.Hour)) || !found[1].Closed.IsZero() {
		t.Errorf("%+v %v", found, err)
	}
	for _, runs := range []bool{true, false} {
		var hours []float64
		for _, s := range watchedSpans(all, runs, at.Add(30*time.Hour)) {
			hours = append(hours, s.Length().Hours())
		}
		last := map[bool]float64{true: 10, false: 1}[runs]
		if len(hours) != 3 || hours[0] != 5 || hours[1] != 3 || hours[2] != last {
			t.Errorf("a server that runs %v watched for %v hours", runs, hours)
		}
	}
}

// The time in which a target could not be seen is in the journal as an alarm.
func TestWhenNobodySawIsRead(t *testing.T) {
	at := time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC)
	entry := func(hours int, subject, kind, body string) journal.Entry {
		return journal.Entry{Time: at.Add(time.Duration(hours) * time.Hour), Actor: "server", Subject: subject, Kind: kind, Body: json.RawMessage(body)}
	}
	got := blindSpans([]journal.Entry{
		entry(1, "target/shop", "alarm.raised", `{"code":"log-gap"}`), entry(2, "target/shop", "alarm.raised", `{"code":"watch-blind"}`),
		entry(3, "target/shop", "alarm.cleared", `{"code":"log-gap","key":"*"}`), entry(4, "target/shop", "alarm.cleared", `{"code":"watch-blind","key":"*"}`),
		entry(5, "target/mail", "alarm.raised", `{"code":"watch-blind"}`),
	}, at.Add(7*time.Hour))
	want := 2*time.Hour + monitor.BlindAfter
	if len(got) != 2 || len(got["shop"]) != 1 || len(got["mail"]) != 1 || got["shop"][0].Length() != want || got["mail"][0].Length() != want {
		t.Errorf("%+v", got)
	}
}
