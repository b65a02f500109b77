package drill

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/refloat-db/refloat/internal/proof"
	"github.com/refloat-db/refloat/internal/scratch"
	"github.com/refloat-db/refloat/internal/target"
)

// Dump is a set of files of pg_dump, drilled in place of a backup.
type Dump struct {
	Source string // as dump:PATH, for the proof
	Major  int    // of the server that was dumped, when production does not say
	Single bool   // one file alone was asked for
	// Load loads all of it into a server, and counts every error.
	Load func(ctx context.Context, s DumpServer) (Loaded, error)
	// Counts counts production's rows; nil when there is no way to it.
	Counts func(ctx context.Context, database string) ([]target.TableCount, error)
}

// DumpServer is the empty server that a dump is loaded into.
type DumpServer struct {
	BinDir    string
	Socket    string
	Port      int
	Superuser string
	Databases []string // of production, as far as they are known
}

// Loaded is what became of a load.
type Loaded struct {
	Label     string
	Made      time.Time // when the oldest file was written
	Bytes     int64
	Databases []string // that were loaded; empty for all of a server
	Roles     bool     // roles were loaded
	Errors    []string // the first of them
	Count     int      // of all errors
}

// RunDump loads a dump in full into an empty scratch server, and holds what is
// there then against production: errors, schema, rows, age.
func RunDump(ctx context.Context, o Options, d Dump) (proof.Proof, error) {
	if o.Copy == nil || d.Load == nil || d.Source == "" {
		return proof.Proof{}, errors.New("drill: options are missing")
	}
	return runWith(ctx, o, d.Source, func(r *run) { r.drillDump(ctx, d) })
}

func (r *run) drillDump(ctx context.Context, d Dump) {
	r.progress("plan", 0, 0)
	r.lookAtProduction(ctx)
	major, superuser := d.Major, "postgres"
	if r.prod.serverErr == nil {
		major, r.p.Server, r.p.SystemID = r.prod.server.Version.Major(), r.prod.server.Version, r.prod.server.SystemID
		if r.prod.server.BootstrapRole != "" {
			superuser = r.prod.server.BootstrapRole
		}
	}
	r.done("plan", 0)
	bins, err := scratch.FindBinaries(ctx, major, r.o.BinDir)
	if err != nil {
		r.broken("scratch-server", "A server of production's version is here to load into", err)
		return
	}
	r.p.Scratch = bins.Version
	dir, remove, ok := r.scratchDir()
	if !ok {
		return
	}
	defer remove()
	s, err := r.emptyServer(ctx, bins, filepath.Join(dir, "data"), superuser, major)
	if err != nil {
		r.add(proof.Check{Name: "scratch-server", Title: "An empty server can be made", Outcome: proof.CouldNotRun, Detail: err.Error()})
		return
	}
	defer s.server.Kill()
	r.progress("restore", 0, 0)
	socket, port := s.server.SocketDir()
	loaded, err := d.Load(ctx, DumpServer{BinDir: bins.Dir, Socket: socket, Port: port, Superuser: superuser, Databases: r.prod.server.Databases})
	r.p.Backup, r.p.BackupKind, r.p.RestoredBytes = loaded.Label, "dump", loaded.Bytes
	r.done("restore", loaded.Bytes)
	r.p.Resolution = r.took("restore")
	if err != nil {
		r.add(proof.Check{Name: "restore", Title: "The dump can be loaded", Outcome: proof.CouldNotRun, Detail: err.Error()})
		return
	}
	r.dumpQuestions(ctx, s, bins, d, loaded)
	r.done("check", 0)
}

// emptyServer makes and starts a server that a dump is loaded into.
func (r *run) emptyServer(ctx context.Context, bins scratch.Binaries, data, superuser string, major int) (*copyServer, error) {
	cred, err := scratch.Credential(r.o.RunAs)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(bins.Dir, "initdb"), "-D", data, "-U", superuser, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--data-checksums")
	cmd.Env, cmd.Dir = []string{"LC_ALL=C", "PATH=" + bins.Dir}, filepath.Dir(data)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: cred}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("initdb: %w: %s", err, strings.TrimSpace(said.String()))
	}
	var asked Copy
	s, err := scratch.Start(ctx, scratch.Options{
		Binaries: bins, Major: major, DataDir: data, RunAs: r.o.RunAs, Superuser: superuser,
		Settings: map[string]string{"wal_level": "minimal", "max_wal_size": "4GB", "max_prepared_transactions": "0"},
		Ping: func(ctx context.Context, dsn string) (err error) {
			if asked == nil {
				if asked, err = r.o.Copy(dsn); err != nil {
					return err
				}
			}
			return asked.Ping(ctx)
		},
	})
	if err != nil {
		return nil, err
	}
	if err := s.WaitReady(ctx); err != nil {
		s.Kill()
		return nil, err
	}
	r.plan.Backup.BootstrapRole = superuser
	return &copyServer{server: s, copy: asked, stop: s.Stop}, nil
}

func (r *run) dumpQuestions(ctx context.Context, s *copyServer, bins scratch.Binaries, d Dump, loaded Loaded) {
	r.ask("restore", "The dump can be loaded without an error", func() proof.Check {
		switch {
		case loaded.Count > 0:
			return proof.Check{Outcome: proof.CheckFailed, Detail: fmt.Sprintf("%d errors; %s", loaded.Count, loaded.Errors[0]), Evidence: loaded.Errors}
		case loaded.Label == "":
			return proof.Check{Outcome: proof.CheckFailed, Detail: "there is no dump of a database at " + strings.TrimPrefix(d.Source, "dump:")}
		}
		return proof.Check{Outcome: proof.Passed, Detail: fmt.Sprintf("%s in %s, no error", loaded.Label, r.p.Resolution.Round(time.Millisecond))}
	})
	r.ask("roles", "Roles can be made again", func() proof.Check {
		switch {
		case loaded.Roles:
			return proof.Check{Outcome: proof.Passed, Detail: "a file of pg_dumpall made them"}
		case d.Single:
			return proof.Check{Outcome: proof.NotAsked, Detail: "one file alone was asked for, and none with roles is beside it"}
		}
		return proof.Check{Outcome: proof.CheckFailed, Detail: "no file in the folder makes roles; pg_dumpall --globals-only writes one"}
	})
	r.ask("data-loss", "Data loss is within the objective", func() proof.Check { return r.dumpAge(loaded) })
	r.ask("resolution", "Restore and recovery are within the resolution objective", r.resolution)
	r.prod.schema = onlyLoaded(r.prod.schema, loaded, d.Single)
	r.ask("schema", "The schema is production's", func() proof.Check { return r.dumpSchema(ctx, s.copy, loaded, d.Single) })
	info, err := s.copy.Inspect(ctx)
	if err != nil {
		r.add(proof.Check{Name: "tables-readable", Title: "Every row of every table can be read", Outcome: proof.CouldNotRun, Detail: err.Error()})
		return
	}
	r.tables(ctx, s.copy, info.Databases)
	r.ask("row-counts", "The rows are as many as production's", func() proof.Check { return r.rowCounts(ctx, d, loaded, info.Databases) })
	r.ask("amcheck", "Tables and indexes are consistent", func() proof.Check { return r.amcheck(ctx, s, bins, info.Databases) })
	for _, a := range r.o.Assertions {
		r.ask("assertion:"+a.Name, "Assertion: "+a.Name, func() proof.Check { return assertion(ctx, s.copy, a, r.o.Database) })
	}
}

// dumpAge: all that was written since the dump was would be lost.
func (r *run) dumpAge(loaded Loaded) proof.Check {
	if loaded.Made.IsZero() {
		return proof.Check{Outcome: proof.CouldNotRun, Detail: "no file was loaded"}
	}
	loss := max(0, r.p.StartedAt.Sub(loaded.Made))
	r.p.DataLoss = &loss
	c := proof.Check{Outcome: proof.Passed, Detail: fmt.Sprintf("%s, the age of the dump", loss.Round(time.Second))}
	switch o := r.o.Objectives.DataLoss; {
	case o <= 0:
		c.Outcome, c.Detail = proof.NotAsked, c.Detail+"; no objective is promised"
	case loss > o:
		c.Outcome, c.Detail = proof.CheckFailed, c.Detail+fmt.Sprintf("; promised is %s", o)
	default:
		c.Detail += fmt.Sprintf("; promised is %s", o)
	}
	return c
}

// onlyLoaded leaves of production's schema what a single file can hold.
func onlyLoaded(s target.Schema, loaded Loaded, single bool) target.Schema {
	if !loaded.Roles {
		s.Roles, s.Tablespaces = nil, nil
	}
	if single && len(loaded.Databases) > 0 {
		s.Databases = slices.DeleteFunc(slices.Clone(s.Databases), func(d target.DatabaseSchema) bool { return !slices.Contains(loaded.Databases, d.Name) })
	}
	return s
}

// dumpSchema compares what was loaded with production. The databases that each
// server has from its beginning are compared only when production has more in
// them.
func (r *run) dumpSchema(ctx context.Context, c Copy, loaded Loaded, single bool) proof.Check {
	if r.prod.schemaErr != nil {
		return proof.Check{Outcome: proof.CouldNotRun, Detail: "production: " + r.prod.schemaErr.Error()}
	}
	have, err := c.Schema(ctx)
	if err != nil {
		return proof.Check{Outcome: proof.CouldNotRun, Detail: "the copy: " + err.Error()}
	}
	for _, d := range have.Databases {
		r.p.Relations += len(d.Relations)
	}
	diff := target.DiffNames(r.prod.schema, onlyLoaded(have, loaded, single))
	if len(diff) > 0 {
		return proof.Check{Outcome: proof.CheckFailed, Detail: fmt.Sprintf("%d differences; %s", len(diff), diff[0]), Evidence: diff}
	}
	return proof.Check{Outcome: proof.Passed, Detail: fmt.Sprintf("%d databases, %d relations, %d roles", len(r.prod.schema.Databases), r.p.Relations, len(r.prod.schema.Roles))}
}

// rowCounts holds each table against production's. A dump is older than
// production, which goes on: a tenth of a counted table may be missing, a third
// of one that is only estimated.
func (r *run) rowCounts(ctx context.Context, d Dump, loaded Loaded, databases []string) proof.Check {
	if d.Counts == nil {
		return proof.Check{Outcome: proof.CouldNotRun, Detail: "production: " + errors.Join(errNoProduction, r.prod.serverErr).Error()}
	}
	var short []string
	var counted, estimated, unknown int
	for _, db := range databases {
		if !slices.Contains(r.prod.server.Databases, db) || d.Single && len(loaded.Databases) > 0 && !slices.Contains(loaded.Databases, db) {
			continue
		}
		all, err := d.Counts(ctx, db)
		if err != nil {
			return proof.Check{Outcome: proof.CouldNotRun, Detail: fmt.Sprintf("production, database %s: %v", db, err)}
		}
		for _, t := range all {
			may := 0.1
			have, here := r.rows[db+"."+t.Name]
			switch {
			case !here:
				continue // the schema says so
			case t.Exact:
				counted++
			case t.Rows < 0:
				unknown++
				continue
			default:
				estimated++
				may = 1.0 / 3
			}
			if missing := t.Rows - have; float64(missing) > math.Max(10, may*float64(t.Rows)) {
				short = append(short, fmt.Sprintf("%s in %s: %d rows of production's %d", t.Name, db, have, t.Rows))
			}
		}
	}
	detail := fmt.Sprintf("%d tables counted in production, %d by its own estimate, %d unknown", counted, estimated, unknown)
	switch {
	case len(short) > 0:
		return proof.Check{Outcome: proof.CheckFailed, Detail: short[0], Evidence: append(short, detail)}
	case unknown > 0 && counted+estimated == 0:
		return proof.Check{Outcome: proof.CouldNotRun, Detail: detail}
	}
	return proof.Check{Outcome: proof.Passed, Detail: detail}
}
