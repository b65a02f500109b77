package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/backup"
	"github.com/refloat-db/refloat/internal/journal"
	"github.com/refloat-db/refloat/internal/proof"
	"github.com/refloat-db/refloat/internal/repository"
	"github.com/refloat-db/refloat/internal/restore"
	"github.com/refloat-db/refloat/internal/status"
	"github.com/refloat-db/refloat/internal/target"
)

// What commands show of a restore.
type (
	RestorePlan   = restore.Plan
	RestoreResult = restore.Result
)

// RestoreRequest says what to restore to where.
type RestoreRequest struct {
	Target        string
	Into          string
	To            string // latest, backup, a time with its zone, an LSN, name:POINT, xid:NUMBER
	Backup        string // to start from; empty picks the best
	Delta         bool
	Pause         bool
	Before        bool // stop just before the point
	Workers       int
	Owner         string   // user of the restored files when we are root; default postgres
	Tablespaces   []string // NAME=DIR
	TablespaceDir string
}

// PlanRestore says what a restore would do.
func (a *App) PlanRestore(ctx context.Context, r RestoreRequest) (RestorePlan, error) {
	repo, err := a.open(ctx, true)
	if err != nil {
		return RestorePlan{}, err
	}
	to, err := restore.ParseTarget(r.To)
	if err != nil {
		return RestorePlan{}, fmt.Errorf("%w: %w", ErrUsage, err)
	}
	if r.Before && to.Kind == restore.ToTime {
		to.Time = to.Time.Add(-time.Microsecond) // as fine as PostgreSQL tells commits apart
	}
	c := &backup.Catalogue{Repo: repo}
	ids, err := a.selected(ctx, c, r.Target)
	if err != nil {
		return RestorePlan{}, err
	}
	in, err := a.restoreInputs(ctx, repo, ids[0])
	if err != nil {
		return RestorePlan{}, err
	}
	in.Target, in.BackupID = to, r.Backup
	if err := lastTransaction(ctx, &in, &backup.Log{Repo: repo, Target: ids[0]}); err != nil {
		return RestorePlan{}, err
	}
	return restore.Make(in)
}

// lastTransaction looks for the newest transaction, which only a restore to a
// time needs to know.
func lastTransaction(ctx context.Context, in *restore.Inputs, l *backup.Log) (err error) {
	newest := in.Coverage.Newest
	if in.Target.Kind != restore.ToTime || newest == nil || in.Position.SegmentSize == 0 {
		return nil
	}
	in.LastTransaction, err = restore.LastTransaction(ctx, in.Segments, in.Position.SegmentSize, newest.Position, l.Fetch)
	return err
}

// restoreInputs reads what a plan is made from.
func (a *App) restoreInputs(ctx context.Context, repo *repository.Repository, id target.ID) (restore.Inputs, error) {
	c, l := &backup.Catalogue{Repo: repo}, &backup.Log{Repo: repo, Target: id}
	var in restore.Inputs
	var err error
	// First how far the log was said to reach: what is read after that cannot
	// hold less, however fast the log grows.
	in.Position, err = l.Position(ctx)
	if err != nil && !errors.Is(err, repository.ErrNotFound) {
		return in, fmt.Errorf("read how far the log of %s reaches: %w", id, err)
	}
	if in.Backups, err = c.List(ctx, id); err != nil {
		return in, fmt.Errorf("list base backups of %s: %w", id, err)
	}
	if in.Coverage, err = c.Coverage(ctx, id, time.Now()); err != nil {
		return in, err
	}
	if in.Segments, err = l.Segments(ctx); err != nil {
		return in, fmt.Errorf("list the log of %s: %w", id, err)
	}
	proofs, err := a.proofs(ctx, repo, id)
	if err != nil {
		a.log.WarnContext(ctx, "earlier drills cannot be read, so the time is not estimated from them", "target", string(id), "error", err)
	}
	for _, p := range proofs {
		if m, ok := measurementOf(p); ok {
			in.Measured = append(in.Measured, m)
		}
	}
	return in, nil
}

// measurementOf takes from a drill how long restoring took.
func measurementOf(p proof.Proof) (restore.Measurement, bool) {
	m := restore.Measurement{Bytes: p.RestoredBytes}
	for _, ph := range p.Phases {
		switch ph.Name {
		case "restore":
			m.Restore = ph.Took
		case "recover":
			m.Recover, m.LogBytes = ph.Took, ph.Bytes
		}
	}
	return m, m.Bytes > 0 && m.Restore > 0
}

// Restore makes a cluster of the repository's bytes. It starts no server over
// what it delivers.
func (a *App) Restore(ctx context.Context, r RestoreRequest, progress func(BackupProgress)) (RestorePlan, RestoreResult, error) {
	p, err := a.PlanRestore(ctx, r)
	if err != nil {
		return p, RestoreResult{}, err
	}
	o, err := a.restoreOptions(r, p)
	if err != nil {
		return p, RestoreResult{}, err
	}
	o.Progress = progress
	c, err := a.catalogue(ctx, true)
	if err != nil {
		return p, RestoreResult{}, err
	}
	image, err := c.Open(ctx, p.Backup)
	if err != nil {
		return p, RestoreResult{}, fmt.Errorf("open backup %s: %w", p.Backup.ID, err)
	}
	out, err := restore.Execute(ctx, p, image, o)
	if err != nil {
		return p, out, err
	}
	a.serveRestored(ctx, r, &out, o.Owner)
	if _, known := a.cfg.Targets[r.Target]; known {
		a.remember(ctx, func(s Store) error {
			_, jerr := s.Append(ctx, journal.Event{Time: time.Now(), Actor: person(), Subject: "target/" + r.Target, Kind: "restore.done", Body: map[string]any{
				"backup": p.Backup.ID, "to": p.Target.String(), "into": out.Dir, "bytes": out.Bytes, "written_bytes": out.Written, "took": out.Took.String(),
			}})
			return errors.Join(jerr, s.Measured(ctx, target.ID(r.Target), status.Measurement{Operation: "restore", At: time.Now(), Took: out.Took, Bytes: out.Bytes}))
		})
	}
	return p, out, nil
}

func (a *App) restoreOptions(r RestoreRequest, p RestorePlan) (restore.Options, error) {
	if r.Into == "" {
		return restore.Options{}, fmt.Errorf("%w: say where to: --into DIRECTORY", ErrUsage)
	}
	dir, err := filepath.Abs(r.Into)
	if err != nil {
		return restore.Options{}, fmt.Errorf("find %s: %w", r.Into, err)
	}
	o := restore.Options{Dir: dir, Delta: r.Delta, Workers: r.Workers, Pause: r.Pause, Before: r.Before, TablespaceDir: r.TablespaceDir, Tablespaces: map[string]string{}}
	for _, t := range r.Tablespaces {
		name, where, ok := strings.Cut(t, "=")
		if !ok || name == "" || !filepath.IsAbs(where) {
			return o, fmt.Errorf("%w: --tablespace wants NAME=/ABSOLUTE/DIRECTORY, not %s", ErrUsage, t)
		}
		o.Tablespaces[name] = where
	}
	if o.Owner, err = a.ownerOf(r); err != nil {
		return o, err
	}
	o.RestoreCommand, err = a.recoveryCommand(r, p)
	return o, err
}

// ownerOf is who gets the files. Only root can give them away, and PostgreSQL
// refuses to run as root.
func (a *App) ownerOf(r RestoreRequest) (*restore.Owner, error) {
	if os.Geteuid() != 0 {
		if r.Owner != "" {
			return nil, fmt.Errorf("%w: only root can give the files to %s", ErrUsage, r.Owner)
		}
		return nil, nil
	}
	name := r.Owner
	if t, known := a.cfg.Targets[r.Target]; name == "" && known {
		name = t.Drill.RunAs
	}
	if name == "" {
		name = "postgres"
	}
	u, err := user.Lookup(name)
	if err != nil {
		return nil, fmt.Errorf("%w: the restored files need an owner that PostgreSQL runs as: %w (name one with --owner)", ErrUsage, err)
	}
	uid, uerr := strconv.Atoi(u.Uid)
	gid, gerr := strconv.Atoi(u.Gid)
	if err := errors.Join(uerr, gerr); err != nil {
		return nil, fmt.Errorf("look up %s: %w", name, err)
	}
	return &restore.Owner{UID: uid, GID: gid}, nil
}
