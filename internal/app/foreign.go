package app

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/refloat-db/refloat/internal/foreign"
	"github.com/refloat-db/refloat/internal/foreign/barman"
	"github.com/refloat-db/refloat/internal/foreign/dump"
	"github.com/refloat-db/refloat/internal/foreign/jobs"
	"github.com/refloat-db/refloat/internal/foreign/pgbackrest"
	"github.com/refloat-db/refloat/internal/foreign/walg"
	"github.com/refloat-db/refloat/internal/proof"
	"github.com/refloat-db/refloat/internal/target"
)

// FindOptions say where other tools' backups are looked for.
type FindOptions struct {
	Named   []foreign.Place
	Search  bool                              // in the usual places too
	Root    string                            // of the file system that is searched; empty for /
	Server  target.Known[target.ServerFacts]  // whose backups are wanted
	Environ []string                          // where WAL-G finds what it needs
	Proofs  func(source string) []proof.Proof // drills of a place, oldest first; nil when none can be known
}

// Places reads places as the command line and the configuration name them.
func Places(names []string) ([]foreign.Place, error) {
	var out []foreign.Place
	for _, n := range names {
		p, err := foreign.ParsePlace(n)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrUsage, err)
		}
		out = append(out, p)
	}
	return out, nil
}

// Find looks at the places that are named and, when asked to search, at the
// usual ones, as far as what is there is of the server in question.
func Find(ctx context.Context, o FindOptions) []foreign.Facts {
	look := foreign.Options{Root: o.Root, Environ: o.Environ, Now: time.Now(), Run: foreign.Exec}
	if o.Server.Seen {
		look.SegmentSize, look.Data = o.Server.Value.Server.SegmentSize, o.Server.Value.Server.DataDirectory
	}
	places, out := slices.Clone(o.Named), []foreign.Facts{}
	if o.Search {
		more, blind := search(look)
		for _, p := range more {
			if !slices.ContainsFunc(places, func(x foreign.Place) bool { return x.Tool == p.Tool && x.Name == p.Name }) {
				places = append(places, p)
			}
		}
		out = append(out, blind...)
	}
	found := readAll(ctx, look, places)
	for i, f := range found {
		f.NamedByUser = i < len(o.Named)
		if !f.NamedByUser && !concerns(f, o.Server) {
			continue
		}
		f.Tested = tested(f, o.Proofs)
		out = append(out, f)
	}
	return append(out, dumpsOfJobs(ctx, look, o, out)...)
}

// search lists the usual places, and those whose configuration is there and may
// not be read.
func search(o foreign.Options) ([]foreign.Place, []foreign.Facts) {
	var out []foreign.Place
	var blind []foreign.Facts
	for _, find := range []struct {
		tool foreign.Tool
		in   func(foreign.Options) ([]foreign.Place, error)
	}{{foreign.PgBackRest, pgbackrest.Find}, {foreign.Barman, barman.Find}, {foreign.WALG, walg.Find}, {foreign.Jobs, jobs.Find}} {
		places, err := find.in(o)
		if err != nil {
			blind = append(blind, foreign.Facts{Place: foreign.Place{Tool: find.tool, Name: "in the usual places"}, Health: foreign.Hidden[foreign.Health](err.Error())})
		}
		out = append(out, places...)
	}
	return out, blind
}

func readAll(ctx context.Context, o foreign.Options, places []foreign.Place) []foreign.Facts {
	out := make([]foreign.Facts, len(places))
	var all sync.WaitGroup
	for i, p := range places {
		all.Go(func() {
			switch p.Tool {
			case foreign.PgBackRest:
				out[i] = pgbackrest.Read(ctx, o, p)
			case foreign.Barman:
				out[i] = barman.Read(ctx, o, p)
			case foreign.WALG:
				out[i] = walg.Read(ctx, o, p)
			case foreign.Dump:
				out[i] = dump.Read(ctx, o, p)
			default:
				out[i] = jobs.Read(o, p)
			}
		})
	}
	all.Wait()
	return out
}

// dumpsOfJobs looks into the folders that jobs write dumps to.
func dumpsOfJobs(ctx context.Context, look foreign.Options, o FindOptions, found []foreign.Facts) []foreign.Facts {
	var places []foreign.Place
	for _, f := range found {
		if f.Jobs == nil {
			continue
		}
		for _, dir := range jobs.Folders(f.Jobs.Value) {
			p := foreign.Place{Tool: foreign.Dump, Name: look.Path(dir)}
			if _, err := os.Stat(p.Name); err == nil && !slices.ContainsFunc(found, func(x foreign.Facts) bool { return x.Place == p }) {
				places = append(places, p)
			}
		}
	}
	out := readAll(ctx, look, places)
	for i := range out {
		out[i].Tested = tested(out[i], o.Proofs)
	}
	return out
}

// concerns reports whether what was found by itself is of the server: another
// server's backups on this machine are none of its findings.
func concerns(f foreign.Facts, server target.Known[target.ServerFacts]) bool {
	if !server.Seen {
		return f.Tool != foreign.Jobs
	}
	s := server.Value
	local := s.Connection.Seen && s.Connection.Value.Local
	switch {
	case f.SystemID != 0:
		return f.SystemID == s.Server.SystemID
	case f.Tool == foreign.Jobs:
		return local
	case s.Server.DataDirectory != "" && len(f.Data) > 0:
		return slices.Contains(f.Data, s.Server.DataDirectory)
	}
	return local
}

func tested(f foreign.Facts, proofs func(string) []proof.Proof) target.Known[[]foreign.Test] {
	if proofs == nil {
		return target.Unseen[[]foreign.Test]("proofs are kept for targets of refloat.yaml only")
	}
	out := []foreign.Test{}
	for _, p := range proofs(f.Source()) {
		out = append(out, foreign.Test{At: p.EndedAt, Verdict: string(p.Verdict), Summary: p.Summary})
	}
	return target.Seen(out)
}

// foreignProofs reads a target's drills of other tools' backups.
func (a *App) foreignProofs(ctx context.Context, id target.ID) func(string) []proof.Proof {
	repo, err := a.open(ctx, true)
	if err != nil {
		return nil
	}
	return func(source string) []proof.Proof {
		all, err := a.proofs(ctx, repo, proof.Subject(id, source))
		if err != nil {
			a.log.WarnContext(ctx, "drills of another tool's backups cannot be read", "target", id, "source", source, "error", strings.TrimSpace(err.Error()))
		}
		return all
	}
}
