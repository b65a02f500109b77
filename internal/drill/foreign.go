package drill

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/refloat-db/refloat/internal/backup"
	"github.com/refloat-db/refloat/internal/proof"
	"github.com/refloat-db/refloat/internal/restore"
	"github.com/refloat-db/refloat/internal/scratch"
	"github.com/refloat-db/refloat/internal/target"
)

// Foreign is a physical backup of another tool, drilled in place of ours.
type Foreign struct {
	Source string // as TOOL:PLACE, for the proof
	// Restore writes a data directory, owned by runAs, with every tablespace
	// below its own folder, and returns what the tool says of the backup.
	Restore func(ctx context.Context, data, tablespaces, runAs string) (ForeignBackup, error)
	// Fetch reads a file of the log through the tool; backup.ErrEndOfLog when
	// the tool says that it is not there.
	Fetch func(ctx context.Context, name string) ([]byte, error)
	// Archived is what production's archiver says; nil when there is no way to it.
	Archived func(ctx context.Context) (target.Archiver, error)
}

// ForeignBackup is what another tool says of the backup that it restored.
type ForeignBackup struct {
	Label   string
	Kind    string
	EndedAt time.Time
}

// foreignRun is what a drill of another tool's backup knows beside.
type foreignRun struct {
	Foreign
	archived    target.Archiver
	archivedErr error

	mu     sync.Mutex
	size   int64    // of segments, learnt from those that came
	absent []string // segments that the tool did not have, in the order they were asked for
}

// Position is that of a log of which nothing is recorded.
func (f *foreignRun) Position(context.Context) (backup.LogPosition, error) {
	return backup.LogPosition{}, backup.ErrEndOfLog
}

// Log is what a drill fetches the log from.
func (f *foreignRun) fetch(ctx context.Context, name string) ([]byte, error) {
	b, err := f.Foreign.Fetch(ctx, name)
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case err == nil && len(name) == 24:
		f.size = int64(len(b))
	case errors.Is(err, backup.ErrEndOfLog) && len(name) == 24:
		f.absent = append(f.absent, name)
	}
	return b, err
}

type foreignLog struct{ *foreignRun }

// Fetch reads a file of the log through the tool.
func (f foreignLog) Fetch(ctx context.Context, name string) ([]byte, error) {
	return f.fetch(ctx, name)
}

// RunForeign drills a backup of another tool: it is restored by the tool into a
// scratch directory, recovered there with the log that the tool gives out, and
// asked as ours would be. Of o, what has to do with our repository is not used.
func RunForeign(ctx context.Context, o Options, f Foreign) (proof.Proof, error) {
	if o.Copy == nil || o.Scan == nil || o.RestoreCommand == nil || f.Restore == nil || f.Fetch == nil || f.Source == "" {
		return proof.Proof{}, errors.New("drill: options are missing")
	}
	fr := &foreignRun{Foreign: f}
	o.Log = foreignLog{fr}
	return runWith(ctx, o, f.Source, func(r *run) {
		r.foreign = fr
		r.drillForeign(ctx)
	})
}

// runWith does a drill of another tool's backups and judges it.
func runWith(ctx context.Context, o Options, source string, drill func(*run)) (proof.Proof, error) {
	o.defaults()
	r := &run{o: o, p: proof.Proof{Format: 1, Target: o.Target, Source: source, Asked: o.To.String(), Objectives: o.Objectives, StartedAt: o.Now().UTC()}}
	r.phase = r.p.StartedAt
	drill(r)
	r.p.EndedAt = o.Now().UTC()
	if err := ctx.Err(); err != nil {
		return r.p, fmt.Errorf("drill of %s: %w", source, err)
	}
	r.p.Verdict = proof.Judge(r.p.Checks)
	r.p.Summary = summary(r.p)
	return r.p, nil
}

func (r *run) drillForeign(ctx context.Context) {
	r.progress("plan", 0, 0)
	r.lookAtProduction(ctx)
	if r.foreign.Archived == nil {
		r.foreign.archivedErr = errNoProduction
	} else {
		r.foreign.archived, r.foreign.archivedErr = r.foreign.Archived(ctx)
	}
	r.done("plan", 0)
	dir, remove, ok := r.scratchDir()
	if !ok {
		return
	}
	defer remove()
	data := filepath.Join(dir, "data")
	if err := r.restoreForeign(ctx, dir, data); err != nil {
		r.broken("restore", "The backup can be restored", err)
		r.done("restore", 0)
		return
	}
	r.checkForeign()
	bins, err := scratch.FindBinaries(ctx, r.plan.Backup.Version.Major(), r.o.BinDir)
	if err != nil {
		r.broken("scratch-server", "A server of production's version is here to recover with", err)
		return
	}
	r.p.Scratch = bins.Version
	s, stop, err := r.recover(ctx, bins, data, filepath.Join(dir, "log.sock"))
	if err != nil {
		if absent := r.foreign.absent; len(absent) > 0 {
			err = fmt.Errorf("the archive does not have %s: %w", slices.Min(absent), err)
		}
		r.broken("recovery", "The copy recovers and serves", err)
		r.done("recover", 0)
		return
	}
	defer stop()
	r.done("recover", 0)
	r.plan.Backup.SegmentSize = r.foreign.segmentSize(r.prod)
	r.p.Resolution = r.took("restore") + r.took("recover")
	r.add(proof.Check{Name: "recovery", Title: "The copy recovers and serves", Outcome: proof.Passed, Detail: fmt.Sprintf("it served %s after the restore began", r.p.Resolution.Round(time.Millisecond))})
	r.questions(ctx, s, bins, data)
	r.done("check", 0)
}

// scratchDir makes the throw-away directory; remove removes it, unless it is
// to be kept.
func (r *run) scratchDir() (dir string, remove func(), ok bool) {
	dir, err := scratch.Dir(r.o.ScratchDir, r.o.RunAs)
	if err == nil && r.prod.serverErr == nil {
		if rerr := room(dir, r.prod.server.Size); rerr != nil {
			_ = os.RemoveAll(dir)
			r.broken("scratch-server", "A scratch directory can be made", rerr)
			return "", nil, false
		}
	}
	if err != nil {
		r.broken("scratch-server", "A scratch directory can be made", fmt.Errorf("%w: %w", errNoSpace, err))
		return "", nil, false
	}
	if r.o.Keep {
		r.o.Logger.Info("the scratch copy is kept", "target", r.o.Target, "dir", dir)
		return dir, func() {}, true
	}
	return dir, func() {
		r.phase = r.o.Now()
		if err := os.RemoveAll(dir); err != nil {
			r.o.Logger.Warn("the scratch copy could not be removed", "target", r.o.Target, "dir", dir, "error", err)
		}
		r.done("clean", 0)
	}, true
}

// restoreForeign lets the tool restore, and makes of what it wrote a directory
// that recovers from what we serve and from nothing else.
func (r *run) restoreForeign(ctx context.Context, dir, data string) error {
	r.progress("restore", 0, 0)
	spaces := filepath.Join(dir, "tablespaces")
	own, err := owner(r.o.RunAs)
	if err != nil {
		return err
	}
	for _, d := range []string{data, spaces} {
		if err := os.Mkdir(d, 0o700); err != nil {
			return err
		}
		if own != nil {
			if err := os.Chown(d, own.UID, own.GID); err != nil {
				return err
			}
		}
	}
	b, err := r.foreign.Restore(ctx, data, spaces, r.o.RunAs)
	if err != nil {
		return err
	}
	r.p.Backup, r.p.BackupKind = b.Label, b.Kind
	r.plan.EndTime = b.EndedAt
	if err := within(dir); err != nil {
		return err
	}
	if err := r.describeForeign(data); err != nil {
		return err
	}
	if err := ready(data, r.o.RestoreCommand(filepath.Join(dir, "log.sock"), 0), own); err != nil {
		return err
	}
	r.p.RestoredBytes = sizeOf(dir)
	r.done("restore", r.p.RestoredBytes)
	return nil
}

// within refuses a copy of which a part is in another place: on production's
// host that may be production's own.
func within(dir string) error {
	return filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.Type()&os.ModeSymlink == 0 {
			return err
		}
		to, err := filepath.EvalSymlinks(path)
		if err != nil {
			return err
		}
		if !strings.HasPrefix(to, dir+"/") {
			return fmt.Errorf("the tool restored %s as a link to %s, outside the scratch directory; the copy is not started", path, to)
		}
		return nil
	})
}

func sizeOf(dir string) (n int64) {
	_ = filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if i, err := d.Info(); err == nil {
				n += i.Size()
			}
		}
		return nil
	})
	return n
}

// describeForeign reads from the copy itself what a plan would say.
func (r *run) describeForeign(data string) error {
	text, err := os.ReadFile(filepath.Join(data, "PG_VERSION"))
	if err != nil {
		return fmt.Errorf("what the tool restored is no data directory: %w", err)
	}
	major, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return fmt.Errorf("PG_VERSION of the copy: %w", err)
	}
	control, err := os.ReadFile(filepath.Join(data, "global", "pg_control"))
	if err != nil || len(control) < 8 {
		return errors.Join(errors.New("the copy has no pg_control"), err)
	}
	b := &r.plan.Backup
	b.Version, b.BootstrapRole = target.Version(major*10000), "postgres"
	b.SystemID = target.SystemID(binary.LittleEndian.Uint64(control)) // its first field, as the scratch server's machine writes it
	if s := r.prod.server; r.prod.serverErr == nil && s.Version.Major() == major {
		b.Version, b.Settings = s.Version, s.Settings
		if s.BootstrapRole != "" {
			b.BootstrapRole = s.BootstrapRole
		}
	}
	links, _ := filepath.Glob(filepath.Join(data, "pg_tblspc", "*"))
	for _, l := range links {
		if oid, err := strconv.ParseUint(filepath.Base(l), 10, 32); err == nil {
			b.Tablespaces = append(b.Tablespaces, target.Tablespace{OID: uint32(oid), Name: filepath.Base(l), Location: l})
		}
	}
	r.p.SystemID, r.p.Server = b.SystemID, b.Version
	return nil
}

// ready replaces what the tool and production said of recovery.
func ready(data, command string, own *restore.Owner) error {
	for _, name := range []string{"standby.signal", "recovery.signal", "postmaster.pid", "postmaster.opts", "postgresql.auto.conf"} {
		if err := os.RemoveAll(filepath.Join(data, name)); err != nil {
			return err
		}
	}
	q := func(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
	for name, text := range map[string]string{
		"recovery.signal":      "",
		"postgresql.auto.conf": "restore_command = " + q(command) + "\nrecovery_target_timeline = 'latest'\n",
	} {
		path := filepath.Join(data, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return err
		}
		if own != nil {
			if err := os.Chown(path, own.UID, own.GID); err != nil {
				return err
			}
		}
	}
	return os.Chmod(data, 0o700)
}

// checkForeign holds the copy against what production said.
func (r *run) checkForeign() {
	r.add(r.sameCluster())
	r.add(r.safeSettings())
	r.add(r.unlogged())
}

// segmentSize is production's, or that of the segments that the tool gave.
func (f *foreignRun) segmentSize(p production) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case p.serverErr == nil && p.server.SegmentSize > 0:
		return p.server.SegmentSize
	case f.size > 0:
		return f.size
	}
	return 16 << 20
}

// foreignEnd holds the end of replay against what production's archiver, and
// the slot through which the tool receives, say is kept. A missing segment must
// not be taken for the end of the log.
func (r *run) foreignEnd(ctx context.Context) proof.Check {
	if other := r.timelines(ctx); other != nil {
		return *other
	}
	f := r.foreign
	c := proof.Check{}
	var claims []claim
	if f.archivedErr == nil && len(f.archived.LastWAL) >= 24 {
		if s, err := target.ParseSegmentName(f.archived.LastWAL[:24], r.plan.Backup.SegmentSize); err == nil {
			claims = append(claims, claim{"production's archiver", target.Position{Timeline: s.Timeline, LSN: s.End()}})
		}
	}
	if r.prod.slotErr == nil && r.prod.slot.Exists && r.prod.slot.RestartLSN > 0 {
		claims = append(claims, claim{"production's replication slot", target.Position{Timeline: r.prod.server.Timeline, LSN: r.prod.slot.RestartLSN}})
	}
	if len(claims) == 0 {
		c.Outcome = proof.CouldNotRun
		c.Detail = fmt.Sprintf("replay ended at %s, and nobody says how far the log should go: production's archiver told nothing", r.p.Reached)
		if f.archivedErr != nil {
			c.Detail += ": " + f.archivedErr.Error()
		}
		return c
	}
	for _, x := range claims {
		c.Evidence = append(c.Evidence, fmt.Sprintf("%s: %s", x.who, x.at))
		if x.at.Timeline > r.p.Expected.Timeline || x.at.Timeline == r.p.Expected.Timeline && x.at.LSN > r.p.Expected.LSN {
			r.p.Expected, r.p.ExpectedFrom = x.at, x.who
		}
	}
	r.pos.Position = r.p.Expected
	missing, err := r.missing(ctx)
	switch {
	case err != nil:
		c.Outcome, c.Detail = proof.CouldNotRun, err.Error()
	case missing > 0:
		c.Outcome = proof.CheckFailed
		c.Detail = fmt.Sprintf("replay ended at %s, %d bytes before %s, which %s says is kept", r.p.Reached, missing, r.p.Expected, r.p.ExpectedFrom)
		at := target.SegmentAt(r.p.Reached, r.plan.Backup.SegmentSize).Name()
		if len(f.absent) > 0 {
			c.Detail += fmt.Sprintf("; %s was asked for and is not in the archive", slices.Min(f.absent))
		} else {
			c.Detail += "; segment " + at
		}
	default:
		r.pos.ServerTime = f.archived.LastAt
		c.Outcome, c.Detail = proof.Passed, fmt.Sprintf("replay ended at %s; %s vouches for %s", r.p.Reached, r.p.ExpectedFrom, r.p.Expected)
	}
	return c
}
