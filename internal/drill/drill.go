// Package drill restores a target into a scratch server for real, puts
// questions to the copy, and says whether the target can be recovered. It
// touches nothing in production, and what it cannot look at it calls unknown.
package drill

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/refloat-db/refloat/internal/backup"
	"github.com/refloat-db/refloat/internal/proof"
	"github.com/refloat-db/refloat/internal/restore"
	"github.com/refloat-db/refloat/internal/scratch"
	"github.com/refloat-db/refloat/internal/target"
)

// Production is the live server, looked at and never written.
type Production interface {
	Inspect(ctx context.Context) (target.Server, error)
	Schema(ctx context.Context) (target.Schema, error)
	Slot(ctx context.Context, name string) (target.Slot, error)
	Beats(ctx context.Context, limit int) ([]target.Beat, error)
}

// Copy is the restored copy in its scratch server, asked as superuser.
type Copy interface {
	Inspect(ctx context.Context) (target.Server, error)
	Schema(ctx context.Context) (target.Schema, error)
	Beats(ctx context.Context, limit int) ([]target.Beat, error)
	ReadTables(ctx context.Context, database string, each func(target.TableRead)) error
	Assert(ctx context.Context, database, sql string, timeout time.Duration) (string, error)
	RelationFiles(ctx context.Context, database string) ([]target.RelationFile, error)
	PrepareAmcheck(ctx context.Context, database string) (available bool, err error)
	Checkpoint(ctx context.Context) error
	Ping(ctx context.Context) error
}

// Log is the target's log in the repository; *backup.Log is one.
type Log interface {
	Position(ctx context.Context) (backup.LogPosition, error)
	Fetch(ctx context.Context, name string) ([]byte, error)
}

// Assertion is a question of the user's own to the copy.
type Assertion struct {
	Name     string
	Database string
	SQL      string
	Expect   string
}

// Options are a drill's inputs.
type Options struct {
	Target         target.ID
	To             restore.Target // zero for latest
	Plan           func(ctx context.Context, to restore.Target) (restore.Plan, error)
	Image          func(ctx context.Context, b backup.Backup) (restore.Image, error)
	Log            Log
	Production     Production // nil when there is no way to it
	ProductionNote string     // why Production is nil
	Gone           *Gone      // production is what was lost; nil in a drill
	Delivered      string     // a restored directory, of which a copy is asked instead of another restore; empty for none
	Before         bool       // it was restored to just before To
	Slot           string
	NoLog          bool // no log is kept of this target, on purpose
	Copy           func(dsn string) (Copy, error)
	Scan           func(ctx context.Context, dir string, checksums bool, files []target.RelationFile) (target.ScanReport, error)
	RestoreCommand func(socket string, until target.LSN) string
	// Blind tells an error that kept the drill from looking (the repository
	// cannot be reached) from one that shows that the backup is no good.
	Blind func(error) bool

	BinDir     string // of PostgreSQL's programs; empty searches
	RunAs      string
	ScratchDir string
	Keep       bool // keep the copy, to look at
	Database   string

	Objectives     proof.Objectives
	Heartbeat      bool
	AcceptUnlogged []string // patterns of path.Match on database.schema.table
	Assertions     []Assertion
	Acknowledged   *target.Position // what our own record says was acknowledged
	LastBeat       *target.Beat     // the last beat whose commit was acknowledged, by our own record
	Settle         time.Duration    // how long the repository may take to catch up with what was acknowledged; default 30 s

	Logger   *slog.Logger
	Progress func(phase string, done, total int64)
	Now      func() time.Time
}

// run is one drill under way.
type run struct {
	o     Options
	p     proof.Proof
	prod  production
	plan  restore.Plan
	pos   backup.LogPosition
	log   []string // of the scratch server
	phase time.Time

	foreign *foreignRun      // nil when the backup is ours
	rows    map[string]int64 // of each table of the copy, by database and name
}

// Run drills and returns the proof, unsigned and without the fields that
// identify repository, host and chain. The error is for a drill that did not
// take place (wrong options, cancelled): whatever kept it from proving is in
// the proof.
func Run(ctx context.Context, o Options) (proof.Proof, error) {
	if o.Plan == nil || o.Image == nil && o.Delivered == "" || o.Copy == nil || o.Scan == nil || o.RestoreCommand == nil || o.Log == nil {
		return proof.Proof{}, errors.New("drill: options are missing")
	}
	o.defaults()
	r := &run{o: o, p: proof.Proof{Format: 1, Target: o.Target, Asked: o.To.String(), Objectives: o.Objectives, StartedAt: o.Now().UTC()}}
	r.phase = r.p.StartedAt
	r.drill(ctx)
	r.p.EndedAt = o.Now().UTC()
	if err := ctx.Err(); err != nil {
		return r.p, fmt.Errorf("drill of %s: %w", o.Target, err)
	}
	r.p.Verdict = proof.Judge(r.p.Checks)
	r.p.Summary = summary(r.p)
	return r.p, nil
}

func (o *Options) defaults() {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.To.Kind == "" {
		o.To = restore.Target{Kind: restore.ToLatest}
	}
	if o.Settle == 0 {
		o.Settle = 30 * time.Second
	}
}

// add records a check's answer.
func (r *run) add(c proof.Check) {
	if len(c.Evidence) > 50 {
		c.Evidence = append(c.Evidence[:49:49], fmt.Sprintf("and %d more", len(c.Evidence)-49))
	}
	r.p.Checks = append(r.p.Checks, c)
	r.o.Logger.Info("drill check", "target", r.o.Target, "check", c.Name, "outcome", c.Outcome, "detail", c.Detail)
}

// done ends a phase and measures it.
func (r *run) done(name string, bytes int64) {
	now := r.o.Now()
	r.p.Phases = append(r.p.Phases, proof.Phase{Name: name, Took: now.Sub(r.phase), Bytes: bytes})
	r.phase = now
}

func (r *run) progress(phase string, done, total int64) {
	if r.o.Progress != nil {
		r.o.Progress(phase, done, total)
	}
}

// broken records that a step which everything after it needs did not succeed.
func (r *run) broken(name, title string, err error) {
	outcome := proof.CheckFailed
	if r.o.Blind != nil && r.o.Blind(err) || errors.Is(err, scratch.ErrNoBinaries) || errors.Is(err, errForeignTablespace) || errors.Is(err, errNoSpace) {
		outcome = proof.CouldNotRun
	}
	r.add(proof.Check{Name: name, Title: title, Outcome: outcome, Detail: err.Error()})
}

func (r *run) drill(ctx context.Context) {
	r.progress("plan", 0, 0)
	r.lookAtProduction(ctx)
	r.settle(ctx)
	plan, err := r.o.Plan(ctx, r.o.To)
	if err != nil {
		r.broken("plan", "The restore can be planned", err)
		r.done("plan", 0)
		return
	}
	// A busy production writes on while its copy is made. The end is the one that
	// was planned: following a log that grows, a slow copy might never arrive.
	if plan.Target.Kind == restore.ToLatest && plan.End != nil && r.pos.Position != (target.Position{}) {
		plan.Until = plan.End.LSN
	}
	r.plan = plan
	r.describe(plan)
	r.done("plan", 0)
	r.checkProduction()

	bins, err := scratch.FindBinaries(ctx, plan.Backup.Version.Major(), r.o.BinDir)
	if err != nil {
		r.broken("scratch-server", "A server of production's version is here to recover with", err)
		return
	}
	r.p.Scratch = bins.Version
	dir, err := scratch.Dir(r.o.ScratchDir, r.o.RunAs)
	if err != nil {
		r.broken("scratch-server", "A scratch directory can be made", fmt.Errorf("%w: %w", errNoSpace, err))
		return
	}
	if !r.o.Keep {
		defer func() {
			r.phase = r.o.Now()
			if err := os.RemoveAll(dir); err != nil {
				r.o.Logger.Warn("the scratch copy could not be removed", "target", r.o.Target, "dir", dir, "error", err)
			}
			r.done("clean", 0)
		}()
	} else {
		r.o.Logger.Info("the scratch copy is kept", "target", r.o.Target, "dir", dir)
	}
	r.inScratch(ctx, bins, dir)
}

var (
	errNoSpace           = errors.New("no room for the scratch copy")
	errForeignTablespace = errors.New("the log to replay makes a tablespace: replaying it here would write to its original place")
)

// describe copies what the plan says into the proof.
func (r *run) describe(plan restore.Plan) {
	b := plan.Backup
	r.p.SystemID, r.p.Server = b.SystemID, b.Version
	r.p.Backup, r.p.BackupKind, r.p.BackupEnd = b.ID, string(b.Kind), b.End
	r.p.LogSegments = len(plan.Segments)
}

// inScratch restores, recovers and asks.
func (r *run) inScratch(ctx context.Context, bins scratch.Binaries, dir string) {
	data := filepath.Join(dir, "data")
	socket := filepath.Join(dir, "log.sock")
	if err := r.restore(ctx, dir, data, socket); err != nil {
		r.broken("restore", "The backup can be restored", err)
		return
	}
	s, stop, err := r.recover(ctx, bins, data, socket)
	if err != nil {
		r.broken("recovery", "The copy recovers and serves", err)
		r.done("recover", 0)
		return
	}
	defer stop()
	r.done("recover", r.plan.LogBytes)
	r.p.Resolution = r.took("restore") + r.took("recover")
	r.add(proof.Check{Name: "recovery", Title: "The copy recovers and serves", Outcome: proof.Passed, Detail: fmt.Sprintf("it served %s after the restore began", r.p.Resolution.Round(time.Millisecond))})
	r.questions(ctx, s, bins, data)
	r.done("check", 0)
}

func (r *run) took(phase string) time.Duration {
	for _, p := range r.p.Phases {
		if p.Name == phase {
			return p.Took
		}
	}
	return 0
}

// summary is the proof in one sentence.
func summary(p proof.Proof) string {
	switch p.Verdict {
	case proof.Proven:
		if p.BackupKind == "dump" {
			return fmt.Sprintf("Loaded %s in %s without an error: %d relations and %d rows read.", p.Backup, p.Resolution.Round(time.Millisecond), p.Relations, p.Rows)
		}
		loss := "data loss not measured"
		if p.DataLoss != nil {
			loss = "data loss " + p.DataLoss.Round(time.Millisecond).String()
		}
		return fmt.Sprintf("Restored from backup %s to %s in %s: %d relations and %d rows read, %d pages checked, %s.",
			p.Backup, p.Reached, p.Resolution.Round(time.Millisecond), p.Relations, p.Rows, p.Pages, loss)
	default:
		for _, outcome := range []proof.Outcome{proof.CheckFailed, proof.CouldNotRun} {
			for _, c := range p.Checks {
				if c.Outcome == outcome {
					return fmt.Sprintf("%s: %s", c.Title, c.Detail)
				}
			}
		}
		return "Nothing was checked."
	}
}
