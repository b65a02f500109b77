package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/backup"
	"github.com/refloat-db/refloat/internal/drill"
	"github.com/refloat-db/refloat/internal/journal"
	"github.com/refloat-db/refloat/internal/proof"
	"github.com/refloat-db/refloat/internal/repository"
	"github.com/refloat-db/refloat/internal/restore"
	"github.com/refloat-db/refloat/internal/status"
	"github.com/refloat-db/refloat/internal/target"
	"github.com/refloat-db/refloat/internal/target/postgres"
)

var (
	_ drill.Production = (*postgres.Cluster)(nil)
	_ drill.Copy       = (*postgres.Cluster)(nil)
)

// Proof is the record of a drill.
type Proof = proof.Proof

// The verdicts that are certain.
const (
	Proven    = proof.Proven
	NotProven = proof.Failed
)

// Drill drills a target now, keeps the signed proof, and returns it.
func (a *App) Drill(ctx context.Context, name string, r DrillRequest, progress func(phase string, done, total int64)) (Proof, error) {
	repo, err := a.open(ctx, false)
	if err != nil {
		return Proof{}, err
	}
	p, err := a.runDrill(ctx, repo, name, r, progress)
	if err != nil {
		return p, fmt.Errorf("drill %s: %w", name, err)
	}
	identify(&p, repo)
	if p, err = a.keepProof(ctx, repo, p); err != nil {
		return p, fmt.Errorf("keep the proof of %s: %w", name, err)
	}
	a.remember(ctx, func(s Store) error {
		_, jerr := s.Append(ctx, journal.Event{Time: time.Now(), Actor: person(), Subject: "target/" + name, Kind: "drill.ended", Body: map[string]any{"proof": p.ID, "verdict": p.Verdict, "summary": p.Summary, "resolution": p.Resolution.String()}})
		return errors.Join(jerr, s.Measured(ctx, target.ID(name), status.Measurement{Operation: JobDrill, At: time.Now(), Took: p.Resolution, Bytes: p.RestoredBytes}))
	})
	return p, nil
}

// DrillRequest says how to drill.
type DrillRequest struct {
	To   string // as for a restore; empty for latest
	Keep bool   // keep the copy, to look at
}

// runDrill restores a target into a scratch server and questions the copy. The
// proof is not signed yet.
func (a *App) runDrill(ctx context.Context, repo *repository.Repository, name string, r DrillRequest, progress func(phase string, done, total int64)) (Proof, error) {
	o, err := a.drillOptions(repo, name, r, progress)
	if err != nil {
		return Proof{}, err
	}
	a.witnesses(ctx, o.Target, &o)
	p, err := drill.Run(ctx, o)
	if err != nil {
		return p, err
	}
	p.Ways = a.rehearse(ctx, name)
	return p, nil
}

// drillOptions are those of a drill of a target.
func (a *App) drillOptions(repo *repository.Repository, name string, r DrillRequest, progress func(phase string, done, total int64)) (drill.Options, error) {
	id, t, err := a.target(name)
	if err != nil {
		return drill.Options{}, err
	}
	o := drill.Options{
		Target: id, Log: &backup.Log{Repo: repo, Target: id}, Slot: t.Log.Slot, NoLog: !t.Log.Enabled,
		Scan: postgres.ScanDir, Blind: blind, RestoreCommand: drillCommand,
		Copy: func(dsn string) (drill.Copy, error) {
			return postgres.New(postgres.Options{DSN: dsn, Application: "refloat drill"})
		},
		BinDir: t.Drill.BinDir, RunAs: t.Drill.RunAs, ScratchDir: t.Drill.ScratchDir, Keep: r.Keep,
		Objectives: objectives(t), Heartbeat: t.Heartbeat.Enabled, AcceptUnlogged: t.Drill.AcceptUnlogged,
		Logger: a.log.With("target", name), Progress: progress,
	}
	if r.To != "" {
		if o.To, err = restore.ParseTarget(r.To); err != nil {
			return o, fmt.Errorf("%w: %w", ErrUsage, err)
		}
	}
	for _, x := range t.Drill.Assertions {
		o.Assertions = append(o.Assertions, drill.Assertion{Name: x.Name, Database: x.Database, SQL: x.SQL, Expect: x.Expect})
	}
	o.Plan = func(ctx context.Context, to restore.Target) (restore.Plan, error) {
		if err := repo.Refresh(ctx); err != nil {
			return restore.Plan{}, err
		}
		in, err := a.restoreInputs(ctx, repo, id)
		if err != nil {
			return restore.Plan{}, err
		}
		in.Target = to
		if err := lastTransaction(ctx, &in, &backup.Log{Repo: repo, Target: id}); err != nil {
			return restore.Plan{}, err
		}
		return restore.Make(in)
	}
	o.Image = func(ctx context.Context, b Backup) (restore.Image, error) {
		return (&backup.Catalogue{Repo: repo}).Open(ctx, b)
	}
	if p, err := a.cluster(name, "refloat drill"); err == nil {
		o.Production, o.Database = p, p.Database()
	} else {
		o.ProductionNote = err.Error()
	}
	return o, nil
}

// witnesses are what this machine's own record says was acknowledged.
func (a *App) witnesses(ctx context.Context, id target.ID, o *drill.Options) {
	s, err := a.openStore(ctx, true)
	if err != nil {
		if !noState(err) {
			a.log.WarnContext(ctx, "our own record cannot be read", "error", err)
		}
		return
	}
	defer func() { _ = s.Close() }() // read only
	if m, err := s.Acknowledged(ctx, id); err == nil {
		o.Acknowledged = &m.Position
	} else if !errors.Is(err, status.ErrNothing) {
		a.log.WarnContext(ctx, "the acknowledged position cannot be read", "error", err)
	}
	if b, err := s.LastBeat(ctx, id); err == nil {
		o.LastBeat = &b
	} else if !errors.Is(err, status.ErrNothing) {
		a.log.WarnContext(ctx, "the last beat cannot be read", "error", err)
	}
}

// blind are errors that kept a drill from looking.
func blind(err error) bool {
	return errors.Is(err, repository.ErrUnreachable) || errors.Is(err, repository.ErrPassphrase) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// drillCommand is the restore_command of a scratch server: it may only ask the
// drill, which has the repository open.
func drillCommand(socket string, until target.LSN) string {
	exe, err := os.Executable()
	if err != nil {
		return "exit 200" // aborts recovery, so that the drill says so
	}
	parts := []string{exe, "log-fetch", "--target", "drill", "--serve-only", "--socket", socket}
	if until != 0 {
		parts = append(parts, "--until", until.String())
	}
	for i := range parts {
		parts[i] = strings.ReplaceAll(quoteShell(parts[i]), "%", "%%")
	}
	return strings.Join(parts, " ") + " %f %p"
}

// identify fills in what a proof says of repository, host and program.
func identify(p *Proof, repo *repository.Repository) {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	p.Repository, p.Fingerprint, p.Host, p.Refloat = repo.Location(), repo.Fingerprint(), host, Version
}
