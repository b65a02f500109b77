package app

import (
	"context"
	"errors"
	"time"

	"github.com/refloat-db/refloat/internal/backup"
	"github.com/refloat-db/refloat/internal/monitor"
	"github.com/refloat-db/refloat/internal/proof"
	"github.com/refloat-db/refloat/internal/repository"
	"github.com/refloat-db/refloat/internal/status"
	"github.com/refloat-db/refloat/internal/target"
)

// refreshEvery is how often a running server reads the repository for status.
const refreshEvery = time.Minute

// Sources read what the repository says of one target.
type Sources struct {
	Backups  func(ctx context.Context) ([]backup.Backup, error) // oldest first
	Position func(ctx context.Context) (backup.LogPosition, error)
	Coverage func(ctx context.Context) (*status.Coverage, error) // nil when there is none
	Proof    func(ctx context.Context) (*proof.Proof, error)     // the last; nil when there is none

	// For the pages; each may be nil.
	Report   func(ctx context.Context) (backup.CoverageReport, error)
	Proofs   func(ctx context.Context) ([]proof.Proof, error)          // oldest first, those of other tools' backups too
	OneProof func(ctx context.Context, id string) (proof.Proof, error) // proof.ErrNoProof when there is none
	Runbook  func(ctx context.Context) (string, error)                 // Markdown
}

// RepositorySources reads the catalogue and the log of a target in an open
// repository. Coverage and the last proof come from their own rooms.
func RepositorySources(repo *repository.Repository, id target.ID, coverage func(context.Context) (*status.Coverage, error), last func(context.Context) (*proof.Proof, error)) Sources {
	catalogue, log := &backup.Catalogue{Repo: repo}, &backup.Log{Repo: repo, Target: id}
	return Sources{
		Backups:  func(ctx context.Context) ([]backup.Backup, error) { return catalogue.List(ctx, id) },
		Position: log.Position, Coverage: coverage, Proof: last,
	}
}

// Gather reads the repository's facts. What cannot be read is named in Unread;
// there is no error, since the other facts still count.
func (s Sources) Gather(ctx context.Context, id target.ID, objectives proof.Objectives) status.Facts {
	f := status.Facts{Target: id, Objectives: objectives}
	unread := func(what string, err error) {
		if err != nil && !errors.Is(err, repository.ErrNotFound) && !errors.Is(err, backup.ErrNoBackup) {
			f.Unread = append(f.Unread, status.Unread{What: what, Error: err.Error()})
		}
	}
	if s.Backups != nil {
		all, err := s.Backups(ctx)
		unread(status.UnreadBackup, err)
		if n := len(all); err == nil && n > 0 {
			f.Backup = ofBackup(all[n-1])
		}
	}
	if s.Position != nil {
		p, err := s.Position(ctx)
		unread(status.UnreadLog, err)
		if err == nil && !p.ServerTime.IsZero() { // else nothing that the server timed has been stored yet
			f.Log = &status.Log{Position: p.Position, Restorable: p.ServerTime, WrittenAt: p.WrittenAt}
		}
	}
	if s.Coverage != nil {
		c, err := s.Coverage(ctx)
		unread(status.UnreadCoverage, err)
		if err == nil {
			f.Coverage = c
		}
	}
	if s.Proof != nil {
		p, err := s.Proof(ctx)
		unread(status.UnreadProof, err)
		if err == nil && p != nil {
			f.Proof = status.OfProof(*p)
		}
	}
	return f
}

func ofBackup(b backup.Backup) *status.Backup {
	return &status.Backup{ID: b.ID, Kind: string(b.Kind), EndedAt: b.EndedAt, Took: b.Took, Bytes: b.Bytes, Stored: b.Stored, Findings: len(b.Findings)}
}

// TargetStatus is how a target stands as seen without asking a server: from the
// repository, and from the state directory of a server on this machine.
func TargetStatus(ctx context.Context, src Sources, id target.ID, objectives proof.Objectives, open storeOpener, stateDir string, now time.Time) status.Report {
	f := src.Gather(ctx, id, objectives)
	recall(ctx, &f, open, stateDir)
	return status.Evaluate(f, now)
}

// recall adds what a server's state on this machine knows: alarms, the
// slot, the heartbeat, and whether a server runs. It opens the state for
// reading only; there being none is no error, it is a fact.
func recall(ctx context.Context, f *status.Facts, open storeOpener, stateDir string) {
	unread := func(err error) {
		if err != nil && !errors.Is(err, status.ErrNothing) {
			f.Unread = append(f.Unread, status.Unread{What: status.UnreadState, Error: err.Error()})
		}
	}
	s, err := open(ctx, true)
	if err != nil {
		if !noState(err) {
			unread(err)
		}
		runs, err := ServerRuns(stateDir)
		unread(err)
		f.Server.Running = runs
		return
	}
	defer func() { _ = s.Close() }() // read only
	f.Server.Running, err = workIsDone(ctx, s, stateDir)
	unread(err)
	unread(remembered(ctx, f, s))
}

func remembered(ctx context.Context, f *status.Facts, m status.Memory) error {
	var errs []error
	alarms, err := m.Alarms(ctx, f.Target)
	f.Alarms, errs = alarms, append(errs, err)
	var slot status.Slot
	seen, err := m.Kept(ctx, f.Target, status.FactSlot, &slot)
	if err == nil {
		f.Slot, f.Server.SeenAt = &slot, seen
	} else if !errors.Is(err, status.ErrNothing) {
		errs = append(errs, err)
	}
	if f.Audit, err = lastAudit(ctx, m, f.Target); err != nil {
		errs = append(errs, err)
	}
	if f.Detection, err = detection(ctx, m, f.Target); err != nil {
		errs = append(errs, err)
	}
	beat, err := m.LastBeat(ctx, f.Target)
	if err == nil {
		f.Heartbeat = &status.Heartbeat{Seq: beat.Seq, At: beat.At}
		f.Server.SeenAt = later(f.Server.SeenAt, beat.At)
	} else if !errors.Is(err, status.ErrNothing) {
		errs = append(errs, err)
	}
	mark, err := m.Acknowledged(ctx, f.Target)
	if err == nil {
		f.Server.SeenAt = later(f.Server.SeenAt, mark.At)
	} else if !errors.Is(err, status.ErrNothing) {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// detection is how long the last outages took to notice; nil when there was none.
func detection(ctx context.Context, m interface {
	Kept(ctx context.Context, id target.ID, name string, fact any) (time.Time, error)
}, id target.ID) (*status.Detection, error) {
	var d status.Detection
	if _, err := m.Kept(ctx, id, status.FactDetection, &d); err != nil {
		if errors.Is(err, status.ErrNothing) {
			err = nil
		}
		return nil, err
	}
	return &d, nil
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// refresh reads the repository's facts for status.
func (w *watch) refresh(ctx context.Context) {
	f := w.Facts.Gather(ctx, w.Target, w.Objectives)
	if ctx.Err() != nil {
		return
	}
	w.mu.Lock()
	w.repo, w.repoRead = f, true
	w.mu.Unlock()
	if f.Proof != nil && f.Proof.Verdict == proof.Proven {
		w.clear(ctx, status.AlarmDrill, "*") // whoever ran the drill
	}
}

func (r *running) refreshSoon(id target.ID) {
	if w := r.watchOf(id); w != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		w.refresh(ctx)
	}
}

// live is what the watch itself knows, over what the repository said last.
func (w *watch) live(now time.Time) status.Facts {
	w.mu.Lock()
	defer w.mu.Unlock()
	f := w.repo
	f.Target, f.Objectives = w.Target, w.Objectives
	f.Server = status.Server{Running: true, SeenAt: now}
	if w.seen != nil {
		s := w.seen.Standing(now)
		f.Watch = &status.Watch{State: string(s.State), At: s.Last.End(), Took: s.Last.Took, Reason: s.Blind}
		if s.Outage != nil {
			f.Watch.Reason = s.Outage.Reason
		}
		if w.elsewhere != "" {
			f.Watch.State, f.Watch.Reason = string(monitor.Unknown), w.elsewhere
		}
	}
	if !w.repoRead {
		f.Unread = append(f.Unread, status.Unread{What: status.UnreadBackup, Error: "the server has just started"},
			status.Unread{What: status.UnreadLog, Error: "the server has just started"}, status.Unread{What: status.UnreadProof, Error: "the server has just started"})
	}
	if !w.mark.ServerTime.IsZero() && (f.Log == nil || !w.mark.At.Before(f.Log.WrittenAt)) {
		f.Log = &status.Log{Position: w.mark.Position, Restorable: w.mark.ServerTime, WrittenAt: w.mark.At}
	}
	if f.Log != nil && w.server != 0 {
		log := *f.Log
		lag := max(0, int64(w.server-log.Position.LSN))
		if w.server < log.Position.LSN {
			lag = 0 // looked at before the mark
		}
		log.Server, log.LagBytes = w.server, &lag
		f.Log = &log
	}
	if !w.slot.SeenAt.IsZero() {
		slot := w.slot
		f.Slot = &slot
	}
	if w.Beat != nil && w.beat.Seq > 0 {
		f.Heartbeat = &status.Heartbeat{Seq: w.beat.Seq, At: w.beat.At}
	}
	return f
}

// status gathers how each target stands from what is at hand: a scrape never
// waits for a target or for the repository.
func (r *running) status(ctx context.Context) ([]status.Report, error) {
	out := make([]status.Report, 0, len(r.targets))
	for _, w := range r.targets {
		now := time.Now().UTC()
		f := w.live(now)
		alarms, err := r.state.Alarms(ctx, w.Target)
		if err != nil {
			return nil, err
		}
		f.Alarms = alarms
		if f.Audit, err = lastAudit(ctx, r.state, w.Target); err != nil {
			return nil, err
		}
		if f.Detection, err = detection(ctx, r.state, w.Target); err != nil {
			return nil, err
		}
		for _, kind := range []string{JobBackup, JobDrill, JobRetain, JobCheck} {
			st, err := r.jobs.State(ctx, kind, string(w.Target), now)
			if err != nil {
				return nil, err
			}
			if !st.Next.IsZero() || !st.Started.IsZero() {
				f.Work = append(f.Work, status.Work{Kind: kind, Next: st.Next, Running: st.Running, Succeeded: st.Succeeded, Error: st.Error, Failures: st.Failures})
			}
		}
		out = append(out, status.Evaluate(f, now))
	}
	return out, nil
}

// NeedsBackup decides from the catalogue and the gaps whether a base backup is
// due whatever the schedule, and says why; "" when none is. Backups and gaps
// are in time order.
func NeedsBackup(backups []backup.Backup, gaps []backup.Gap) string {
	if len(backups) == 0 {
		return causeFirst
	}
	newest := backups[len(backups)-1]
	for i := len(gaps) - 1; i >= 0; i-- {
		if to := gaps[i].To; to.Timeline > newest.Start.Timeline || to.Timeline == newest.Start.Timeline && to.LSN > newest.Start.LSN {
			return causeGap + gaps[i].From.String()
		}
	}
	return ""
}
