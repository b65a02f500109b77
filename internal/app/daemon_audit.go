package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/refloat-db/refloat/internal/audit"
	"github.com/refloat-db/refloat/internal/config"
	"github.com/refloat-db/refloat/internal/status"
	"github.com/refloat-db/refloat/internal/target"
	"github.com/refloat-db/refloat/internal/target/postgres"
)

const (
	stampEvery  = time.Minute      // how often a changed configuration is looked for
	firstAudit  = 5 * time.Minute  // after the start: what is only beginning is no finding
	againWithin = 15 * time.Minute // of an audit with a grave finding
)

// auditRecord is what the server remembers of a target's last audit.
type auditRecord struct {
	Report audit.Report `json:"report"` // with what could not be looked at again
	Stamp  string       `json:"stamp"`
}

// check audits a target, journals what appeared and what is gone, and keeps
// the report. A grave finding is an alarm until it is gone or accepted.
func (r *running) check(ctx context.Context, c Care) error {
	stamp := ""
	if c.Stamp != nil {
		stamp, _ = c.Stamp(ctx) // unknown: the next look asks for an audit again
	}
	report, err := c.Audit(ctx)
	if err != nil {
		return err
	}
	var before auditRecord
	if _, err := r.state.Kept(ctx, c.Target, status.FactAudit, &before); err != nil && !errors.Is(err, status.ErrNothing) {
		return fmt.Errorf("read the last audit: %w", err)
	}
	appeared, gone := audit.Changes(before.Report, report)
	for _, f := range appeared {
		r.record(ctx, "target/"+string(c.Target), "finding.appeared", f)
	}
	for _, f := range gone {
		r.record(ctx, "target/"+string(c.Target), "finding.gone", f)
		r.clear(ctx, c.Target, status.AlarmFinding, f.Key())
	}
	report = audit.Carry(before.Report, report)
	for _, f := range report.Findings {
		if f.Suppressed == nil && f.Severity >= audit.High && f.Rule != audit.RuleAlarm { // what it finds is an alarm already
			r.raise(ctx, c.Target, status.Alarm{Code: status.AlarmFinding, Key: f.Key(), Detail: f.Rule + ": " + f.Evidence, Next: f.Fix})
		}
	}
	if err := r.state.Keep(ctx, c.Target, status.FactAudit, report.At, auditRecord{report, stamp}); err != nil {
		return fmt.Errorf("keep the audit: %w", err)
	}
	return nil
}

// lastAudit sums the last audit up; nil when there was none.
func lastAudit(ctx context.Context, m status.Memory, id target.ID) (*status.Audit, error) {
	var last auditRecord
	_, err := m.Kept(ctx, id, status.FactAudit, &last)
	if errors.Is(err, status.ErrNothing) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the last audit: %w", err)
	}
	return ofAudit(last.Report), nil
}

// ofAudit sums an audit up.
func ofAudit(r audit.Report) *status.Audit {
	out := status.Audit{At: r.At, Findings: map[string]int{}, Unknown: r.Count(audit.Unknown)}
	worst := audit.Severity(0)
	for _, f := range r.Findings {
		if f.Suppressed != nil {
			continue
		}
		out.Findings[f.Severity.String()]++
		if f.Severity > worst {
			worst, out.Worst = f.Severity, f.Rule+": "+f.Evidence
		}
	}
	return &out
}

// lookForChange asks for an audit when a configuration is not the one that was
// audited last, or none ever was.
func (w *watch) lookForChange(ctx context.Context) {
	now, err := w.Stamp(ctx)
	if err != nil {
		return // the target is down: others say so
	}
	var last auditRecord
	_, err = w.mem.Kept(ctx, w.Target, status.FactAudit, &last)
	switch {
	case errors.Is(err, status.ErrNothing):
		w.enqueue(ctx, w.Target, JobCheck, "first")
	case err != nil:
		w.complain(ctx, "read the last audit", err)
	case last.Stamp != now:
		w.enqueue(ctx, w.Target, JobCheck, "configuration changed")
	case last.Report.Worst() >= audit.High && time.Since(last.Report.At) > againWithin:
		w.enqueue(ctx, w.Target, JobCheck, "to see whether a finding is mended")
	}
}

// lookForChanges begins a while after the start.
func (w *watch) lookForChanges(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(firstAudit):
		every(ctx, stampEvery, w.lookForChange)
	}
}

// stamp changes with the target's part of refloat.yaml, and whenever its server
// read its own configuration again.
func (a *App) stamp(ctx context.Context, c *postgres.Cluster, t config.Target) (string, error) {
	loaded, err := c.ConfigLoaded(ctx)
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(t) // secrets show as such
	if err != nil {
		return "", fmt.Errorf("stamp the configuration: %w", err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8]) + " " + loaded.UTC().Format(time.RFC3339Nano) + " " + Version, nil
}
