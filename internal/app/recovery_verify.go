package app

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/config"
	"github.com/refloat-db/refloat/internal/drill"
	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/proof"
	"github.com/refloat-db/refloat/internal/recovery"
	"github.com/refloat-db/refloat/internal/restore"
	"github.com/refloat-db/refloat/internal/target"
	"github.com/refloat-db/refloat/internal/target/postgres"
)

const (
	beatsAsked     = postgres.HeartbeatKeep
	questionWithin = time.Minute
)

// check recovers a throw-away copy of the restored directory and puts the
// drill's questions to it. What is delivered is neither started nor changed.
func (w *stepWork) check(ctx context.Context, o RecoveryOffer) (string, error) {
	v := w.recovery()
	backupID, err := restore.Delivered(v.Into)
	if err != nil {
		return "", fmt.Errorf("what was delivered cannot be checked any more: %w", err)
	}
	repo, err := w.a.open(ctx, true)
	if err != nil {
		return "", err
	}
	d, err := w.a.drillOptions(repo, v.Target, DrillRequest{}, nil)
	if err != nil {
		return "", err
	}
	d.Delivered, d.Objectives = v.Into, proof.Objectives{}
	q := RestoreRequest{Target: v.Target, To: string(restore.ToLatest), Backup: backupID}
	if recovery.Name(v.Way) == recovery.RestoreTo {
		q.To, q.Before, d.Before = v.To, true, true
	}
	if d.To, err = restore.ParseTarget(q.To); err != nil {
		return "", err
	}
	d.Plan = func(ctx context.Context, _ restore.Target) (restore.Plan, error) { return w.a.PlanRestore(ctx, q) }
	d.Progress = func(_ string, done, total int64) { w.progress(done, total) }
	if !o.facts.Serves.Value {
		d.Production, d.Gone = nil, &drill.Gone{Why: "it does not serve, which is why it is recovered", Since: o.facts.Began}
		d.ProductionNote = "production does not serve"
	}
	w.a.witnesses(ctx, target.ID(v.Target), &d)
	p, err := drill.Run(ctx, d)
	if err != nil {
		return "", err
	}
	out := incident.RecoveryVerified{Run: w.run, Verdict: string(p.Verdict), On: "a throw-away copy of " + v.Into, Summary: p.Summary, Checks: recoveryChecks(p.Checks)}
	if p.DataLoss != nil && p.Verdict == proof.Proven { // of a copy that is no good it says nothing
		out.Loss, out.LossBy = p.DataLoss, detailOf(p.Checks, "data-loss")
	}
	return w.judged(ctx, out)
}

func detailOf(all []proof.Check, name string) string {
	for _, c := range all {
		if c.Name == name {
			return c.Detail
		}
	}
	return ""
}

func recoveryChecks(all []proof.Check) []incident.RecoveryCheck {
	out := make([]incident.RecoveryCheck, len(all))
	for i, c := range all {
		out[i] = incident.RecoveryCheck{Name: c.Name, Title: c.Title, Outcome: string(c.Outcome), Detail: c.Detail}
	}
	return out
}

// judged writes a verdict down, with the loss that was measured. Unless it is
// proven, the step has failed: nothing after it happens by itself.
func (w *stepWork) judged(ctx context.Context, v incident.RecoveryVerified) (string, error) {
	if err := w.act(ctx, incident.VerifyRecovery{RecoveryVerified: v}); err != nil {
		return "", err
	}
	if v.Loss != nil && recovery.Name(w.recovery().Way) != recovery.RestoreTo {
		m := incident.MeasureDataLoss{Measured: incident.Measured{Loss: *v.Loss, Source: fmt.Sprintf("recovery %s, %s: %s", w.run, v.On, v.LossBy)}}
		if err := w.act(ctx, m); err != nil && !errors.Is(err, incident.ErrNothing) {
			return "", err
		}
	}
	passed, asked := 0, 0
	for _, c := range v.Checks {
		switch proof.Outcome(c.Outcome) {
		case proof.NotAsked:
			continue
		case proof.Passed:
			passed++
		}
		asked++
	}
	if v.Verdict != string(proof.Proven) {
		return "", fmt.Errorf("%w: %d of %d checks passed on %s: %s", ErrNotVerified, passed, asked, v.On, v.Summary)
	}
	return fmt.Sprintf("verified on %s: all %d checks passed", v.On, asked), nil
}

// verifyServing asks the server that serves now, reading only.
func (w *stepWork) verifyServing(ctx context.Context, o RecoveryOffer, t config.Target) (string, error) {
	c, what, err := w.serving(t)
	if err != nil {
		return "", err
	}
	v := servingCheck{w: w, o: o, t: t, c: c, ctx: ctx}
	v.run()
	out := incident.RecoveryVerified{Run: w.run, Verdict: string(proof.Judge(v.checks)), On: what + " (" + v.at + "), reading only", Checks: recoveryChecks(v.checks), Loss: v.loss, LossBy: v.lossBy}
	out.Summary = "every check passed"
	for _, x := range v.checks {
		if x.Outcome == proof.CheckFailed || x.Outcome == proof.CouldNotRun && out.Summary == "every check passed" {
			out.Summary = x.Title + ": " + x.Detail
			if x.Outcome == proof.CheckFailed {
				break
			}
		}
	}
	return w.judged(ctx, out)
}

// servingCheck puts questions to a server that serves.
type servingCheck struct {
	w      *stepWork
	o      RecoveryOffer
	t      config.Target
	c      *postgres.Cluster
	ctx    context.Context //nolint:containedctx // it lives for one call of run
	at     string
	checks []proof.Check
	loss   *time.Duration
	lossBy string
}

func (v *servingCheck) add(name, title string, outcome proof.Outcome, format string, args ...any) {
	v.checks = append(v.checks, proof.Check{Name: name, Title: title, Outcome: outcome, Detail: fmt.Sprintf(format, args...)})
}

func (v *servingCheck) run() {
	card, who, err := liveCard(v.ctx, v.c, "", v.o.facts.Target)
	v.at = card.Address
	if err != nil {
		v.add("answers", "It answers", proof.CheckFailed, "%s", oneLine(err))
		return
	}
	v.add("answers", "It answers", proof.Passed, "PostgreSQL %s, %s, running since %s", card.Version.Value, card.Role.Value, card.Started.Value.UTC().Format("15:04:05 UTC"))
	v.sameCluster(card)
	switch {
	case v.t.Watch.Standby:
		v.add("writes", "It takes writes", proof.NotAsked, "it is meant to be a standby")
	case who.InRecovery:
		v.add("writes", "It takes writes", proof.CheckFailed, "it is in recovery")
	case who.WritesRefused.Seen && who.WritesRefused.Value:
		v.add("writes", "It takes writes", proof.CheckFailed, "default_transaction_read_only is on")
	default:
		v.add("writes", "It takes writes", proof.Passed, "it is no standby, and no setting keeps it from writing; nothing was written to try")
	}
	v.goesOn(who)
	v.position(who)
	v.heartbeat()
	v.damage()
	for _, a := range v.t.Drill.Assertions {
		v.assertion(a)
	}
}

func (v *servingCheck) sameCluster(card recovery.Card) {
	const name, title = "same-cluster", "It is the cluster of the backups"
	switch meant := v.o.facts.Latest; {
	case !meant.Seen && v.o.facts.Server.Verdict.Is != recovery.IsMeant && recovery.Name(v.w.recovery().Way) != recovery.Promote:
		v.add(name, title, proof.CouldNotRun, "the repository does not say: %s", meant.Why)
	case meant.Seen && meant.Value.Backup.SystemID != card.SystemID.Value:
		v.add(name, title, proof.CheckFailed, "its system identifier is %s, that of the backups %s", card.SystemID.Value, meant.Value.Backup.SystemID)
	case !meant.Seen:
		v.add(name, title, proof.CouldNotRun, "the repository does not say: %s", meant.Why)
	default:
		v.add(name, title, proof.Passed, "system identifier %s", card.SystemID.Value)
	}
}

// goesOn tells what was restored or promoted from the server that was left, which
// may have come back at the same address.
func (v *servingCheck) goesOn(who target.Identity) {
	const name, title = "timeline", "It is what was brought back, and not what was left"
	switch left := v.w.recovery().Timeline; {
	case left == 0:
		v.add(name, title, proof.NotAsked, "the same server goes on")
	case who.Timeline <= left:
		v.add(name, title, proof.CheckFailed, "it is on timeline %d, as the server that was left; what was brought back goes on on a later one", who.Timeline)
	default:
		v.add(name, title, proof.Passed, "it is on timeline %d; the server that was left is on %d", who.Timeline, left)
	}
}

// position holds where the server is against what is known to have been stored of
// its log: a server that came back by itself cannot be behind that. What was
// promoted or restored is judged by the heartbeat, since its log took another
// turn.
func (v *servingCheck) position(who target.Identity) {
	const name, title = "position", "It has the log that was acknowledged"
	id := v.o.facts.Target
	m, err := v.w.s.Acknowledged(v.ctx, id)
	switch {
	case !v.t.Log.Enabled:
		v.add(name, title, proof.NotAsked, "no log is kept of this target")
	case err != nil:
		v.add(name, title, proof.CouldNotRun, "what was acknowledged is not on record: %s", oneLine(err))
	case who.Timeline == m.Position.Timeline && who.Position < m.Position.LSN:
		v.add(name, title, proof.CheckFailed, "it is at %s, and its log up to %s was stored before: it lost what it had acknowledged", who.Position, m.Position)
	case who.Timeline < m.Position.Timeline:
		v.add(name, title, proof.CheckFailed, "it is on timeline %d, and log of timeline %d was stored: it is a server that was left", who.Timeline, m.Position.Timeline)
	case who.Timeline > m.Position.Timeline && recovery.Name(v.w.recovery().Way) == recovery.Promote:
		v.add(name, title, proof.NotAsked, "it went on on timeline %d; the heartbeat says what it has of timeline %d", who.Timeline, m.Position.Timeline)
	default:
		v.add(name, title, proof.Passed, "it is at %d:%s; %s was stored", who.Timeline, who.Position, m.Position)
	}
}

// heartbeat looks for the last acknowledged beat before the outage, and measures
// the loss by it.
func (v *servingCheck) heartbeat() {
	const name, title = "heartbeat", "It has the acknowledged heartbeats"
	if !v.t.Heartbeat.Enabled {
		v.add(name, title, proof.NotAsked, "the heartbeat is turned off in the configuration")
		return
	}
	beats, err := v.c.Beats(v.ctx, beatsAsked)
	if err != nil {
		v.add(name, title, proof.CouldNotRun, "%s", oneLine(err))
		return
	}
	if err := target.VerifyBeats(v.o.facts.Target, beats); err != nil {
		v.add(name, title, proof.CheckFailed, "%s", err)
		return
	}
	acked := v.acked()
	l := recovery.LossFacts{Began: v.o.facts.Began}
	switch recovery.Name(v.w.recovery().Way) {
	case recovery.Wait, recovery.Restart, recovery.Mend:
		l.Began = time.Time{} // it replayed its own log: what was acknowledged is there, or a beat is missing
	}
	for _, b := range beats {
		if l.Began.IsZero() || !b.At.After(l.Began) {
			l.Held = b.At
		}
	}
	if acked.Seen {
		l.Acked = acked.Value.At
		for _, b := range beats {
			if b.Seq == acked.Value.Seq {
				l.All = b.Hash == acked.Value.Hash
			}
		}
	}
	if loss, how, ok := recovery.Loss(l); ok {
		v.loss, v.lossBy = &loss, how
	}
	switch {
	case !acked.Seen:
		v.add(name, title, proof.CouldNotRun, "%s", acked.Why)
	case len(beats) > 0 && beats[0].Seq > acked.Value.Seq:
		v.add(name, title, proof.CouldNotRun, "number %d was acknowledged before, and the table keeps none so old", acked.Value.Seq)
	case len(beats) == 0:
		v.add(name, title, proof.CheckFailed, "it has none; the last acknowledged was number %d, of %s", acked.Value.Seq, acked.Value.At.Format("15:04:05 UTC"))
	case !l.All && recovery.Name(v.w.recovery().Way) == recovery.RestoreTo:
		v.add(name, title, proof.NotAsked, "it was restored to an earlier point on purpose; its last is of %s", beats[len(beats)-1].At.Format("15:04:05 UTC"))
	case !l.All && v.mayLose():
		v.add(name, title, proof.Passed, "number %d of %s was acknowledged and is not there: at most %s of work is gone; promised is %s", acked.Value.Seq, acked.Value.At.Format("15:04:05 UTC"), v.loss.Round(time.Millisecond), v.t.Objectives.DataLoss.Std())
	case !l.All:
		v.add(name, title, proof.CheckFailed, "number %d of %s was acknowledged and is not there: work is gone", acked.Value.Seq, acked.Value.At.Format("15:04:05 UTC"))
	default:
		v.add(name, title, proof.Passed, "the last acknowledged, number %d of %s, is there; %d beats follow from each other", acked.Value.Seq, acked.Value.At.Format("15:04:05 UTC"), len(beats))
	}
}

// mayLose: what was restored or promoted may lack the last moments before the
// outage, as far as the owner promised; a server that goes on itself may not.
func (v *servingCheck) mayLose() bool {
	n, promised := recovery.Name(v.w.recovery().Way), v.t.Objectives.DataLoss.Std()
	return (n == recovery.RestoreLatest || n == recovery.Promote) && v.loss != nil && promised > 0 && *v.loss <= promised
}

// acked is the last heartbeat that was acknowledged when the run was chosen.
func (v *servingCheck) acked() target.Known[target.Beat] {
	if b := v.w.recovery().Beat; b != nil {
		return target.Seen(*b)
	}
	return v.o.facts.LastBeat
}

// damage asks the server whether it met pages whose checksums are wrong. Its
// files are not read: it serves.
func (v *servingCheck) damage() {
	const name, title = "checksum-failures", "It met no damaged page"
	n, err := v.c.Assert(v.ctx, "", "SELECT coalesce(sum(checksum_failures), -1) FROM pg_catalog.pg_stat_database", questionWithin)
	switch {
	case err != nil:
		v.add(name, title, proof.CouldNotRun, "%s", oneLine(err))
	case n == "-1":
		v.add(name, title, proof.NotAsked, "the cluster has no checksums")
	case n != "0":
		v.add(name, title, proof.CheckFailed, "%s pages had wrong checksums", n)
	default:
		v.add(name, title, proof.Passed, "its counters say so; pages that nobody read since are not counted")
	}
}

func (v *servingCheck) assertion(a config.Assertion) {
	name, title := "assertion:"+a.Name, "Assertion: "+a.Name
	got, err := v.c.Assert(v.ctx, a.Database, a.SQL, questionWithin)
	want := strings.TrimSpace(a.Expect)
	if want == "" {
		want = "t"
	}
	switch {
	case err != nil:
		v.add(name, title, proof.CouldNotRun, "%s", oneLine(err))
	case strings.TrimSpace(got) != want:
		v.add(name, title, proof.CheckFailed, "answered %q, expected %q", got, want)
	default:
		v.add(name, title, proof.Passed, "answered %q as expected", got)
	}
}
