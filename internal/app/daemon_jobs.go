package app

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/proof"
	"github.com/refloat-db/refloat/internal/schedule"
	"github.com/refloat-db/refloat/internal/status"
	"github.com/refloat-db/refloat/internal/target"
)

// Kinds of scheduled work.
const (
	JobBackup   = "backup"
	JobDrill    = "drill"
	JobRetain   = "retention"
	JobMaintain = "maintenance"
	JobVerify   = "verify"
	JobCheck    = "check"
)

// repositorySubject is the subject of work on the repository as a whole. No
// target can have this name: the underscore is not allowed in one.
const repositorySubject = "_repository"

// allJobs are the jobs of every target and of the repository. A target's base
// backups and retention wait for each other; its drill waits for neither.
func (r *running) allJobs() []schedule.Job {
	var out []schedule.Job
	for i, c := range r.o.Targets {
		care, drill := fmt.Sprintf("care-%d", i), fmt.Sprintf("drill-%d", i)
		out = append(out, schedule.Job{Kind: JobBackup, Subject: string(c.Target), Lane: care, When: c.BackupAt, Run: func(ctx context.Context, run schedule.Run) error {
			return r.takeBackup(ctx, c, run)
		}})
		if c.Retain != nil {
			out = append(out, schedule.Job{Kind: JobRetain, Subject: string(c.Target), Lane: care, When: c.RetainAt, Run: func(ctx context.Context, _ schedule.Run) error {
				return c.Retain(ctx)
			}})
		}
		if c.Drill != nil {
			out = append(out, schedule.Job{Kind: JobDrill, Subject: string(c.Target), Lane: drill, When: c.DrillAt, Run: func(ctx context.Context, _ schedule.Run) error {
				return r.drill(ctx, c)
			}})
		}
	}
	for i, c := range r.o.Targets {
		if c.Audit != nil {
			out = append(out, schedule.Job{Kind: JobCheck, Subject: string(c.Target), Lane: fmt.Sprintf("check-%d", i), When: c.CheckAt, Run: func(ctx context.Context, _ schedule.Run) error {
				return r.check(ctx, c)
			}})
		}
	}
	if c := r.o.Repository; c.Maintain != nil {
		out = append(out, schedule.Job{Kind: JobMaintain, Subject: repositorySubject, Lane: "repository", When: c.MaintainAt, Run: func(ctx context.Context, _ schedule.Run) error {
			return c.Maintain(ctx)
		}})
	}
	if c := r.o.Repository; c.Verify != nil {
		out = append(out, schedule.Job{Kind: JobVerify, Subject: repositorySubject, Lane: "repository", When: c.VerifyAt, Run: r.verify})
	}
	return out
}

func (r *running) takeBackup(ctx context.Context, c Care, run schedule.Run) error {
	if cause(run.Reason) {
		// One backup makes up for every cause before it.
		if now, err := c.NeedsBackup(ctx); err == nil && now == "" {
			r.log.InfoContext(ctx, "the base backup is no longer needed", "target", string(c.Target), "reason", run.Reason)
			return nil
		}
	}
	start := time.Now()
	b, err := c.Backup(ctx)
	if err != nil {
		return err
	}
	took := time.Since(start)
	r.record(ctx, "target/"+string(c.Target), "backup.taken", map[string]any{
		"backup": b.ID, "kind": b.Kind, "reason": run.Reason, "start": b.Start, "end": b.End, "bytes": b.Bytes, "stored_bytes": b.Stored, "took": took.String(), "findings": len(b.Findings),
	})
	if err := r.state.Measured(ctx, c.Target, status.Measurement{Operation: JobBackup, At: time.Now(), Took: took, Bytes: b.Received}); err != nil {
		r.log.ErrorContext(ctx, "record how long a base backup took", "target", string(c.Target), "error", err)
	}
	if w := r.watchOf(c.Target); w != nil {
		w.needOnce(ctx) // clears alarms of what is lost, if this backup makes up for it
	}
	return nil
}

// cause reports whether a backup was asked for because of what the repository
// lacks, and not by a person or the schedule.
func cause(reason string) bool {
	return reason == causeFirst || strings.HasPrefix(reason, causeGap)
}

// Reasons for base backups out of turn.
const (
	causeFirst = "first"
	causeGap   = "gap "
)

func (r *running) drill(ctx context.Context, c Care) error {
	p, err := c.Drill(ctx)
	if err != nil {
		return err
	}
	r.record(ctx, "target/"+string(c.Target), "drill.ended", map[string]any{"proof": p.ID, "verdict": p.Verdict, "summary": p.Summary, "resolution": p.Resolution.String()})
	if err := r.state.Measured(ctx, c.Target, status.Measurement{Operation: JobDrill, At: time.Now(), Took: p.Resolution, Bytes: p.RestoredBytes}); err != nil {
		r.log.ErrorContext(ctx, "record how long a drill took", "target", string(c.Target), "error", err)
	}
	switch p.Verdict {
	case proof.Failed:
		r.raise(ctx, c.Target, status.Alarm{Code: status.AlarmDrill, Detail: "the drill failed: " + p.Summary, Next: "run: refloat proof show " + p.ID})
	case proof.Proven:
		r.clear(ctx, c.Target, status.AlarmDrill, "*")
	}
	return nil
}

func (r *running) verify(ctx context.Context, _ schedule.Run) error {
	damage, err := r.o.Repository.Verify(ctx)
	if err != nil {
		return err
	}
	for _, c := range r.o.Targets {
		if len(damage) == 0 {
			r.clear(ctx, c.Target, status.AlarmDamage, "*")
			continue
		}
		r.raise(ctx, c.Target, status.Alarm{
			Code: status.AlarmDamage, Detail: fmt.Sprintf("%d damaged object(s) in the repository, first: %s", len(damage), damage[0]),
			Next: "run: refloat repo verify; then take a new full base backup",
		})
	}
	return nil
}

// subjects are the targets that a run is about: all for the repository.
func (r *running) subjects(subject string) []target.ID {
	if subject != repositorySubject {
		return []target.ID{target.ID(subject)}
	}
	var out []target.ID
	for _, c := range r.o.Targets {
		out = append(out, c.Target)
	}
	return out
}

func failureAlarm(kind string) (code, next string) {
	switch kind {
	case JobBackup:
		return status.AlarmBackup, "run: refloat backup TARGET, and read what it says"
	case JobDrill:
		return status.AlarmCare, "run: refloat drill TARGET, and read what it says"
	}
	return status.AlarmCare, "read the server's log"
}

// outcome is told by the scheduler after each execution.
func (r *running) outcome(o schedule.Outcome) {
	ctx := context.Background()
	code, next := failureAlarm(o.Kind)
	log := r.log.With("job", o.Kind, "subject", o.Subject, "attempt", o.Attempt, "took", o.Took.Round(time.Millisecond))
	if o.Err == nil {
		log.Info("work done")
	} else {
		log.Error("work failed", "error", o.Err, "given_up", o.Final)
		r.record(ctx, "job/"+o.Subject, o.Kind+".failed", map[string]any{"attempt": o.Attempt, "error": o.Err.Error(), "given_up": o.Final})
	}
	for _, id := range r.subjects(o.Subject) {
		if o.Err == nil {
			r.clear(ctx, id, code, o.Kind)
			r.clear(ctx, id, status.AlarmMissed, o.Kind)
			r.refreshSoon(id)
			continue
		}
		detail := fmt.Sprintf("%s failed (attempt %d): %v", o.Kind, o.Attempt, o.Err)
		if o.Final {
			detail += "; it is not tried again before the next moment of its schedule"
		}
		r.raise(ctx, id, status.Alarm{Code: code, Key: o.Kind, Detail: detail, Next: strings.ReplaceAll(next, "TARGET", string(id))})
	}
}

// missed is told by the scheduler when work did not start when it was due. It
// is called while the queue is locked, so it must not ask for work.
func (r *running) missed(m schedule.Missed) {
	ctx := context.Background()
	detail := fmt.Sprintf("%s was due at %s and starts %s late", m.Kind, m.Due.UTC().Format(time.RFC3339), status.Age(m.Late))
	if m.Slots > 0 {
		detail += fmt.Sprintf("; %d earlier moment(s) passed without it", m.Slots)
	}
	if m.Busy {
		detail = fmt.Sprintf("%s was due at %s, but the one before has not ended", m.Kind, m.Due.UTC().Format(time.RFC3339))
	}
	r.record(ctx, "job/"+m.Subject, m.Kind+".missed", m)
	for _, id := range r.subjects(m.Subject) {
		r.raise(ctx, id, status.Alarm{Code: status.AlarmMissed, Key: m.Kind, Detail: detail, Next: "see that refloat server runs all the time, and that the schedule leaves it enough room"})
	}
}
