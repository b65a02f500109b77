package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/refloat-db/refloat/internal/backup"
	"github.com/refloat-db/refloat/internal/drill"
	"github.com/refloat-db/refloat/internal/foreign"
	"github.com/refloat-db/refloat/internal/foreign/barman"
	"github.com/refloat-db/refloat/internal/foreign/pgbackrest"
	"github.com/refloat-db/refloat/internal/foreign/walg"
	"github.com/refloat-db/refloat/internal/journal"
	"github.com/refloat-db/refloat/internal/proof"
	"github.com/refloat-db/refloat/internal/scratch"
	"github.com/refloat-db/refloat/internal/target"
	"github.com/refloat-db/refloat/internal/target/postgres"
)

// ForeignDrill says what of another tool is drilled.
type ForeignDrill struct {
	From    string // TOOL:PLACE
	Globals string // file with the roles, for a single dump; empty for one beside it
	Keep    bool   // keep the copy, to look at
	Out     string // folder for the signed proof, when no target keeps it
}

// DrillFrom drills another tool's backup of a target. The signed proof is kept
// in a chain of its own: it says nothing of our backups.
func (a *App) DrillFrom(ctx context.Context, name string, f ForeignDrill, progress func(phase string, done, total int64)) (Proof, error) {
	id, t, err := a.target(name)
	if err != nil {
		return Proof{}, err
	}
	repo, err := a.open(ctx, false)
	if err != nil {
		return Proof{}, err
	}
	o := drill.Options{
		Target: id, BinDir: t.Drill.BinDir, RunAs: t.Drill.RunAs, ScratchDir: t.Drill.ScratchDir, Keep: f.Keep,
		Objectives: objectives(t), AcceptUnlogged: t.Drill.AcceptUnlogged, Logger: a.log.With("target", name), Progress: progress,
	}
	for _, x := range t.Drill.Assertions {
		o.Assertions = append(o.Assertions, drill.Assertion{Name: x.Name, Database: x.Database, SQL: x.SQL, Expect: x.Expect})
	}
	c, err := a.cluster(name, "refloat drill")
	if err != nil {
		o.ProductionNote, c = err.Error(), nil
	}
	p, err := drillForeign(ctx, f, o, c)
	if err != nil {
		return p, fmt.Errorf("drill %s from %s: %w", name, f.From, err)
	}
	identify(&p, repo)
	if p, err = a.keepProof(ctx, repo, p); err != nil {
		return p, fmt.Errorf("keep the proof of %s: %w", name, err)
	}
	a.remember(ctx, func(s Store) error {
		_, err := s.Append(ctx, journal.Event{Time: time.Now(), Actor: person(), Subject: "target/" + name, Kind: "drill.foreign", Body: map[string]any{"proof": p.ID, "source": p.Source, "verdict": p.Verdict, "summary": p.Summary, "resolution": p.Resolution.String()}})
		return err
	})
	return p, nil
}

// DrillFromAlone drills another tool's backup without a repository of ours. The
// server that it is of is asked when it is named; the proof is signed into a
// folder when one is.
func DrillFromAlone(ctx context.Context, r InitRequest, env func(string) (string, bool), f ForeignDrill, log *slog.Logger, progress func(phase string, done, total int64)) (Proof, error) {
	o := drill.Options{Target: "unnamed", Keep: f.Keep, Logger: log, Progress: progress, ProductionNote: "no target and no server was named to compare with"}
	var c *postgres.Cluster
	if r.DSN != "" {
		password, err := r.password(env)
		if err == nil {
			c, err = postgres.New(postgres.Options{DSN: r.DSN, Password: password, Application: "refloat drill"})
		}
		if err != nil {
			return Proof{}, err
		}
	}
	p, err := drillForeign(ctx, f, o, c)
	if err != nil {
		return p, fmt.Errorf("drill from %s: %w", f.From, err)
	}
	if p.Host, err = os.Hostname(); err != nil {
		p.Host = "unknown"
	}
	p.Refloat = Version
	p.ID = fmt.Sprintf("%s-%s", p.Subject(), p.StartedAt.UTC().Format("20060102T150405Z"))
	if f.Out == "" {
		return p, nil
	}
	return signInto(ctx, f.Out, p)
}

// signInto keeps a proof in a folder, in the chain of those that are there.
func signInto(ctx context.Context, dir string, p Proof) (Proof, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return p, fmt.Errorf("keep the proof: %w", err)
	}
	s, err := proof.OpenSigner(filepath.Join(dir, "proof.key"))
	if err != nil {
		return p, err
	}
	kept, err := proof.Store{Records: folder(dir)}.Append(ctx, s, p)
	return kept.Proof, err
}

// drillForeign drills with the tool that the place names.
func drillForeign(ctx context.Context, f ForeignDrill, o drill.Options, production *postgres.Cluster) (Proof, error) {
	place, err := foreign.ParsePlace(f.From)
	if err != nil {
		return Proof{}, fmt.Errorf("%w: %w", ErrUsage, err)
	}
	o.Scan, o.RestoreCommand = postgres.ScanDir, drillCommand
	o.Copy = func(dsn string) (drill.Copy, error) {
		return postgres.New(postgres.Options{DSN: dsn, Application: "refloat drill"})
	}
	o.Blind = func(err error) bool { return blind(err) || errors.Is(err, foreign.ErrNoTool) }
	if production != nil {
		o.Production, o.Database = production, production.Database()
		if beats, err := production.Beats(ctx, 1); err == nil && len(beats) > 0 {
			o.Heartbeat = true
		}
	}
	cred, err := scratch.Credential(o.RunAs)
	if err != nil {
		return Proof{}, err
	}
	dir, err := scratch.Dir(o.ScratchDir, o.RunAs)
	if err != nil {
		return Proof{}, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	w := foreign.Work{Credential: cred, Dir: dir}
	switch place.Tool {
	case foreign.Dump:
		return drillDump(ctx, place, f, o, w, production)
	case foreign.PgBackRest, foreign.Barman, foreign.WALG:
		return drillPhysical(ctx, place, o, w, production)
	}
	return Proof{}, fmt.Errorf("%w: %s has no backups to restore", ErrUsage, place)
}

// restorer is a tool that restores and gives out its log.
type restorer interface {
	Restore(ctx context.Context, data, tablespaces string) (foreign.Backup, error)
	Fetch(ctx context.Context, data, name string) ([]byte, error)
}

var (
	_ restorer = (*pgbackrest.Restorer)(nil)
	_ restorer = (*barman.Restorer)(nil)
	_ restorer = (*walg.Restorer)(nil)
)

func newRestorer(p foreign.Place, w foreign.Work, o *drill.Options) (r restorer, err error) {
	look := foreign.Options{Environ: os.Environ(), Now: time.Now(), Run: foreign.Exec}
	switch p.Tool {
	case foreign.PgBackRest:
		return pgbackrest.NewRestorer(look, p, w)
	case foreign.Barman:
		b, err := barman.NewRestorer(look, p, w)
		if err == nil {
			o.Slot = b.Slot()
		}
		return b, err
	}
	return walg.NewRestorer(look, p, w)
}

func drillPhysical(ctx context.Context, p foreign.Place, o drill.Options, w foreign.Work, production *postgres.Cluster) (Proof, error) {
	tool, err := newRestorer(p, w, &o)
	if err != nil {
		return Proof{}, err
	}
	var data string
	f := drill.Foreign{Source: p.Source()}
	f.Restore = func(ctx context.Context, dir, tablespaces, _ string) (drill.ForeignBackup, error) {
		data = dir
		if p.Tool == foreign.WALG {
			if err := noTablespaces(ctx, production); err != nil {
				return drill.ForeignBackup{}, err
			}
		}
		b, err := tool.Restore(ctx, dir, tablespaces)
		return drill.ForeignBackup{Label: b.Label, Kind: b.Kind, EndedAt: b.EndedAt}, err
	}
	f.Fetch = func(ctx context.Context, name string) ([]byte, error) {
		b, err := tool.Fetch(ctx, data, name)
		if errors.Is(err, foreign.ErrNotInArchive) {
			err = fmt.Errorf("%w: %w", backup.ErrEndOfLog, err)
		}
		return b, err
	}
	if production != nil {
		f.Archived = func(ctx context.Context) (target.Archiver, error) {
			facts, err := production.Facts(ctx)
			if err == nil && !facts.Archiver.Seen {
				err = errors.New(facts.Archiver.Why)
			}
			return facts.Archiver.Value, err
		}
	}
	return drill.RunForeign(ctx, o, f)
}

// noTablespaces: WAL-G restores a tablespace to its original place, which on
// production's host is production's.
func noTablespaces(ctx context.Context, production *postgres.Cluster) error {
	if production == nil {
		return fmt.Errorf("%w: WAL-G restores tablespaces to their original places, and no server was named that could say that there are none", foreign.ErrNoTool)
	}
	s, err := production.Inspect(ctx)
	if err == nil && len(s.Tablespaces) > 0 {
		err = fmt.Errorf("%w: WAL-G would restore tablespace %s to its original place, %s", foreign.ErrNoTool, s.Tablespaces[0].Name, s.Tablespaces[0].Location)
	}
	return err
}
