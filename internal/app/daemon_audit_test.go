package app

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/audit"
	"github.com/refloat-db/refloat/internal/status"
	"github.com/refloat-db/refloat/internal/store/sqlite"
	"github.com/refloat-db/refloat/internal/target"

	"log/slog"
)

// The server journals what an audit newly finds and what is gone, keeps the
// grave as alarms, and takes nothing that it could not look at for mended.
func TestServerAudits(t *testing.T) {
	ctx := t.Context()
	state, err := sqlite.Open(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = state.Close() })
	r := &running{state: state, log: slog.New(slog.DiscardHandler)}
	var next audit.Report
	stamp := "one"
	c := Care{
		Target: "shop",
		Audit:  func(context.Context) (audit.Report, error) { return next, nil },
		Stamp:  func(context.Context) (string, error) { return stamp, nil },
	}
	var asked []string
	w := newWatch(c, state, r.log, r.record, func(_ context.Context, _ target.ID, kind, reason string) { asked = append(asked, kind+": "+reason) })
	r.targets = append(r.targets, w)

	high := audit.Finding{Rule: "server-fsync", Severity: audit.Critical, Evidence: "fsync = off", Fix: "turn it on"}
	low := audit.Finding{Rule: "server-clock", Severity: audit.Low, Evidence: "2 s"}
	at := time.Now().UTC().Add(-time.Hour).Truncate(time.Second)
	report := func(o audit.Outcome, findings ...audit.Finding) audit.Report {
		at = at.Add(time.Minute)
		return audit.Report{Target: "shop", At: at, Findings: findings, Results: []audit.Result{{Rule: "server-fsync", Outcome: o}, {Rule: "server-clock", Outcome: audit.Passed}}}
	}
	w.lookForChange(ctx)
	for i, x := range []struct {
		report audit.Report
		alarms int
		letter string // the status' worst finding
	}{
		{report(audit.Found, high, low), 1, "server-fsync: fsync = off"},
		{report(audit.Found, high), 1, "server-fsync: fsync = off"},
		{report(audit.Unknown), 1, "server-fsync: fsync = off"}, // nobody could look
		{report(audit.Passed), 0, ""},
		{report(audit.Found, high), 1, "server-fsync: fsync = off"},
	} {
		next = x.report
		if err := r.check(ctx, c); err != nil {
			t.Fatal(err)
		}
		alarms, err := state.Alarms(ctx, "shop")
		if err != nil || len(alarms) != x.alarms {
			t.Errorf("%d: alarms %v, %v", i, alarms, err)
		}
		a, err := lastAudit(ctx, state, "shop")
		if err != nil || a.Worst != x.letter || !a.At.Equal(x.report.At) {
			t.Errorf("%d: %+v, %v", i, a, err)
		}
	}
	w.lookForChange(ctx) // grave, and a while ago
	stamp = "two"
	w.lookForChange(ctx)
	if want := []string{"check: first", "check: to see whether a finding is mended", "check: configuration changed"}; !slices.Equal(asked, want) {
		t.Errorf("asked for %q", asked)
	}
	entries, err := state.Read(ctx, 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, e := range entries {
		kinds = append(kinds, e.Kind)
	}
	want := []string{
		"finding.appeared", "finding.appeared", "alarm.raised", "finding.gone", // low is gone
		"finding.gone", "alarm.cleared", "finding.appeared", "alarm.raised",
	}
	if !slices.Equal(kinds, want) {
		t.Errorf("journalled %q", kinds)
	}
	if _, err := state.Kept(ctx, "books", status.FactAudit, &auditRecord{}); !errors.Is(err, status.ErrNothing) {
		t.Errorf("another target has an audit: %v", err)
	}
}
