package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"

	"github.com/refloat-db/refloat/internal/backup"
	"github.com/refloat-db/refloat/internal/config"
	"github.com/refloat-db/refloat/internal/journal"
	"github.com/refloat-db/refloat/internal/status"
	"github.com/refloat-db/refloat/internal/target"
)

// What commands show of backups.
type (
	Backup         = backup.Backup
	BackupProgress = backup.Progress
	CoverageReport = backup.CoverageReport
	RetentionPlan  = backup.RetentionPlan
)

// TakeRequest says how a person wants a base backup.
type TakeRequest struct {
	Full   bool // do not build on an earlier one
	Spread bool // let the server spread its checkpoint, which is kinder and slower
}

// Backup takes a base backup now.
func (a *App) Backup(ctx context.Context, name string, r TakeRequest, progress func(BackupProgress)) (Backup, error) {
	id, t, err := a.target(name)
	if err != nil {
		return Backup{}, err
	}
	o := takeOptions(id, t)
	o.Full, o.FastStart, o.Progress, o.Logger = r.Full, !r.Spread, progress, a.log
	began := time.Now()
	b, err := a.take(ctx, name, o)
	if err != nil {
		return b, err
	}
	a.remember(ctx, func(s Store) error {
		_, jerr := s.Append(ctx, journal.Event{Time: time.Now(), Actor: person(), Subject: "target/" + name, Kind: "backup.taken", Body: map[string]any{
			"backup": b.ID, "kind": b.Kind, "reason": "asked for", "start": b.Start, "end": b.End, "bytes": b.Bytes, "stored_bytes": b.Stored, "findings": len(b.Findings),
		}})
		return errors.Join(jerr, s.Measured(ctx, id, status.Measurement{Operation: JobBackup, At: time.Now(), Took: time.Since(began), Bytes: b.Received}))
	})
	return b, nil
}

func takeOptions(id target.ID, t config.Target) backup.TakeOptions {
	return backup.TakeOptions{Target: id, ReadFiles: t.Backup.Read == "files", Workers: t.Backup.Workers, MaxChain: t.Backup.MaxChain}
}

// take waits until nobody else on this machine backs the target up, so that
// the second of two builds on the first.
func (a *App) take(ctx context.Context, name string, o backup.TakeOptions) (Backup, error) {
	catalogue, err := a.catalogue(ctx, false)
	if err != nil {
		return Backup{}, err
	}
	source, err := a.cluster(name, "refloat")
	if err != nil {
		return Backup{}, err
	}
	if err := os.MkdirAll(a.cfg.StateDir, 0o700); err != nil {
		return Backup{}, fmt.Errorf("make state directory: %w", err)
	}
	lock := flock.New(filepath.Join(a.cfg.StateDir, "backup-"+name+".lock"), flock.SetPermissions(0o600))
	if ok, err := lock.TryLock(); err != nil {
		return Backup{}, fmt.Errorf("lock base backups of %s: %w", name, err)
	} else if !ok {
		a.log.WarnContext(ctx, "another base backup of this target is running; waiting for it", "target", name)
		if _, err := lock.TryLockContext(ctx, 200*time.Millisecond); err != nil {
			return Backup{}, fmt.Errorf("wait for the base backup of %s that is running: %w", name, err)
		}
	}
	defer func() {
		if err := lock.Unlock(); err != nil {
			a.log.WarnContext(ctx, "unlock base backups", "target", name, "error", err)
		}
	}()
	if err := catalogue.Repo.Refresh(ctx); err != nil {
		return Backup{}, fmt.Errorf("read the repository anew: %w", err)
	}
	return catalogue.Take(ctx, source, o)
}

// remember writes to the state on this machine. The work that is remembered is
// done, so a failure is told and no more.
func (a *App) remember(ctx context.Context, f func(Store) error) {
	s, err := a.openStore(ctx, false)
	if err == nil {
		err = errors.Join(f(s), s.Close())
	}
	if err != nil {
		a.log.WarnContext(ctx, "this could not be written to the journal", "state_dir", a.cfg.StateDir, "error", err)
	}
}

// person names who runs a command, for the journal.
func person() string {
	u, err := user.Current()
	if err != nil || u.Username == "" {
		return fmt.Sprintf("uid %d", os.Getuid())
	}
	return u.Username
}

// BackupList is one target's base backups.
type BackupList struct {
	Target  target.ID              `json:"target"`
	Backups []Backup               `json:"backups"` // oldest first
	Damaged []backup.DamagedBackup `json:"damaged"`
}

// Backups lists base backups of one target, or of all that the repository has.
func (a *App) Backups(ctx context.Context, name string) ([]BackupList, error) {
	c, err := a.catalogue(ctx, true)
	if err != nil {
		return nil, err
	}
	ids, err := a.selected(ctx, c, name)
	if err != nil {
		return nil, err
	}
	out := []BackupList{}
	for _, id := range ids {
		l := BackupList{Target: id}
		if l.Backups, err = c.List(ctx, id); err != nil {
			return nil, fmt.Errorf("list base backups of %s: %w", id, err)
		}
		if l.Damaged, err = c.Damaged(ctx, id); err != nil {
			return nil, fmt.Errorf("list damaged base backups of %s: %w", id, err)
		}
		l.Backups, l.Damaged = orEmpty(l.Backups), orEmpty(l.Damaged)
		out = append(out, l)
	}
	return out, nil
}

func orEmpty[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

// TargetCoverage is to which moments one target can be restored.
type TargetCoverage struct {
	Target target.ID `json:"target"`
	CoverageReport
}

// Coverage works out to which moments one target, or all, can be restored.
func (a *App) Coverage(ctx context.Context, name string) ([]TargetCoverage, error) {
	c, err := a.catalogue(ctx, true)
	if err != nil {
		return nil, err
	}
	ids, err := a.selected(ctx, c, name)
	if err != nil {
		return nil, err
	}
	out := []TargetCoverage{}
	for _, id := range ids {
		r, err := c.Coverage(ctx, id, time.Now())
		if err != nil {
			return nil, err
		}
		r.Spans, r.Gaps, r.Damaged = orEmpty(r.Spans), orEmpty(r.Gaps), orEmpty(r.Damaged)
		out = append(out, TargetCoverage{id, r})
	}
	return out, nil
}

func policy(t config.Target) backup.Policy {
	return backup.Policy{Days: t.Retention.Days, Weekly: t.Retention.Weekly, Monthly: t.Retention.Monthly, MinFull: 2, PointKeeps: true}
}

// Retention says what retention would delete, and does it when apply is set.
func (a *App) Retention(ctx context.Context, name string, apply bool) (RetentionPlan, error) {
	id, t, err := a.target(name)
	if err != nil {
		return RetentionPlan{}, err
	}
	c, err := a.catalogue(ctx, !apply)
	if err != nil {
		return RetentionPlan{}, err
	}
	proven, err := a.lastProven(ctx, id)
	if err != nil {
		return RetentionPlan{}, fmt.Errorf("find the last proven backup of %s, which must not go: %w", id, err)
	}
	p, err := c.Retention(ctx, id, policy(t), proven, time.Now())
	if err != nil {
		return p, err
	}
	p.Keep, p.Fold, p.Drop, p.DropSegments = orEmpty(p.Keep), orEmpty(p.Fold), orEmpty(p.Drop), orEmpty(p.DropSegments)
	if !apply {
		return p, nil
	}
	if err := c.Apply(ctx, id, p); err != nil {
		return p, fmt.Errorf("apply retention to %s: %w", id, err)
	}
	if len(p.Fold)+len(p.Drop)+len(p.DropSegments) > 0 {
		a.remember(ctx, func(s Store) error {
			_, jerr := s.Append(ctx, journal.Event{Time: time.Now(), Actor: person(), Subject: "target/" + name, Kind: "retention.applied", Body: map[string]any{
				"folded": p.Fold, "deleted": p.Drop, "segments": len(p.DropSegments), "freed_bytes": p.FreedEstimate,
			}})
			return jerr
		})
	}
	return p, nil
}
