package app

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/drill"
	"github.com/refloat-db/refloat/internal/foreign"
	"github.com/refloat-db/refloat/internal/foreign/dump"
	"github.com/refloat-db/refloat/internal/target/postgres"
)

// drillDump loads the newest dumps of a place.
func drillDump(ctx context.Context, p foreign.Place, f ForeignDrill, o drill.Options, w foreign.Work, production *postgres.Cluster) (Proof, error) {
	look := foreign.Options{Now: time.Now(), Run: foreign.Exec}
	facts := dump.Read(ctx, look, p)
	if facts.Files.Seen && f.Globals == "" {
		// Roles may be beside a single file.
		beside := dump.Read(ctx, look, foreign.Place{Tool: foreign.Dump, Name: filepath.Dir(p.Name)})
		if s := dump.Choose(facts.Files.Value, p.Name, ""); s.Single && s.Globals == "" && beside.Files.Seen {
			f.Globals = dump.Choose(beside.Files.Value, filepath.Dir(p.Name), "").Globals
		}
	}
	if !facts.Files.Seen {
		return Proof{}, fmt.Errorf("%w: %s", ErrUsage, facts.Files.Why)
	}
	set := dump.Choose(facts.Files.Value, p.Name, f.Globals)
	d := drill.Dump{Source: p.Source(), Single: set.Single, Counts: nil}
	for _, x := range set.Files {
		d.Major = max(d.Major, x.Server)
	}
	if d.Major == 0 && production == nil {
		return Proof{}, fmt.Errorf("%w: nothing in %s says which version of PostgreSQL it is of; name the server", ErrUsage, p.Name)
	}
	if production != nil {
		d.Counts = production.RowCounts
	}
	d.Load = func(ctx context.Context, s drill.DumpServer) (drill.Loaded, error) {
		l := dump.Loader{Work: w, BinDir: s.BinDir, Socket: s.Socket, Port: s.Port, User: s.Superuser, Known: s.Databases}
		r, err := l.Load(ctx, set)
		names := make([]string, len(r.Files))
		for i, x := range r.Files {
			names[i] = filepath.Base(x)
		}
		return drill.Loaded{Label: strings.Join(names, ", "), Made: r.Oldest, Bytes: r.Bytes, Databases: r.Databases, Roles: r.Globals, Errors: r.Errors, Count: r.Count},
			blindLoad(err)
	}
	return drill.RunDump(ctx, o, d)
}

// blindLoad says what to do about a dump that could not be looked into.
func blindLoad(err error) error {
	if errors.Is(err, foreign.ErrNoTool) {
		return fmt.Errorf("%w; install the client programs of PostgreSQL", err)
	}
	return err
}
