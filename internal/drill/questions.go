package drill

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/refloat-db/refloat/internal/proof"
	"github.com/refloat-db/refloat/internal/scratch"
	"github.com/refloat-db/refloat/internal/target"
)

const (
	beatsRead        = 10000
	assertionTimeout = 5 * time.Minute
)

// ask runs one check, which counts as one that could not run when it panics.
func (r *run) ask(name, title string, check func() proof.Check) {
	began := r.o.Now()
	c := func() (c proof.Check) {
		defer func() {
			if p := recover(); p != nil {
				c = proof.Check{Outcome: proof.CouldNotRun, Detail: fmt.Sprintf("the check itself broke: %v", p)}
			}
		}()
		return check()
	}()
	c.Name, c.Title, c.Took = name, title, r.o.Now().Sub(began)
	if c.Outcome == "" {
		c.Outcome, c.Detail = proof.CouldNotRun, "the check gave no answer"
	}
	r.add(c)
	r.progress("check: "+name, 0, 0)
}

// questions puts every check to the copy.
func (r *run) questions(ctx context.Context, s *copyServer, bins scratch.Binaries, data string) {
	at, err := reached(data)
	r.p.Reached = at
	if err != nil {
		r.add(proof.Check{Name: "end-of-recovery", Title: "Recovery reached what production had", Outcome: proof.CouldNotRun, Detail: err.Error()})
	} else {
		r.ask("end-of-recovery", "Recovery reached what production had", func() proof.Check { return r.endOfRecovery(ctx) })
	}
	beats, beatsErr := []target.Beat(nil), error(nil)
	if r.o.Heartbeat {
		beats, beatsErr = s.copy.Beats(ctx, beatsRead)
	}
	r.ask("data-loss", "Data loss is within the objective", func() proof.Check { return r.dataLoss(beats, beatsErr) })
	r.ask("resolution", "Restore and recovery are within the resolution objective", r.resolution)
	r.ask("heartbeat", "The heartbeat's chain is whole", func() proof.Check { return r.heartbeat(beats, beatsErr) })
	r.ask("server-log", "Recovery met no damage", r.serverLog)
	info, infoErr := s.copy.Inspect(ctx)
	r.ask("schema", "The schema is production's", func() proof.Check { return r.schema(ctx, s.copy) })
	if infoErr != nil {
		r.add(proof.Check{Name: "tables-readable", Title: "Every row of every table can be read", Outcome: proof.CouldNotRun, Detail: infoErr.Error()})
		return
	}
	r.tables(ctx, s.copy, info.Databases)
	r.ask("amcheck", "Tables and indexes are consistent", func() proof.Check { return r.amcheck(ctx, s, bins, info.Databases) })
	for _, a := range r.o.Assertions {
		r.ask("assertion:"+a.Name, "Assertion: "+a.Name, func() proof.Check { return assertion(ctx, s.copy, a, r.o.Database) })
	}
	r.pages(ctx, s, info, data)
}

func (r *run) heartbeat(beats []target.Beat, err error) proof.Check {
	switch {
	case !r.o.Heartbeat:
		return proof.Check{Outcome: proof.NotAsked, Detail: "the heartbeat is turned off in the configuration"}
	case err != nil:
		return proof.Check{Outcome: proof.CouldNotRun, Detail: err.Error()}
	case len(beats) == 0 && r.prod.beatErr == nil && r.prod.beat == nil && r.o.LastBeat == nil:
		return proof.Check{Outcome: proof.CouldNotRun, Detail: "no heartbeat was ever written: `refloat server` writes it; turn it off with heartbeat.enabled: false if it is not wanted"}
	case len(beats) == 0:
		return proof.Check{Outcome: proof.CheckFailed, Detail: "production has heartbeats, the copy has none"}
	}
	if err := target.VerifyBeats(r.o.Target, beats); err != nil {
		return proof.Check{Outcome: proof.CheckFailed, Detail: err.Error()}
	}
	first, last := beats[0], beats[len(beats)-1]
	return proof.Check{Outcome: proof.Passed, Detail: fmt.Sprintf("%d beats, %d to %d, the last at %s", len(beats), first.Seq, last.Seq, last.At.UTC().Format(time.RFC3339Nano))}
}

// serverLog looks at what the scratch server said while it recovered.
func (r *run) serverLog() proof.Check {
	c := proof.Check{Outcome: proof.Passed, Detail: "no error and no damage in its log"}
	for _, l := range r.log {
		// Connections that came too early, or to a database that is not there,
		// are ours.
		if strings.Contains(l, "the database system is") || strings.Contains(l, `FATAL:  database "`) {
			continue
		}
		for _, word := range []string{"PANIC:", "ERROR:", "FATAL:", "invalid page", "incorrect resource manager data checksum", "checksum verification failed"} {
			if strings.Contains(l, word) && !endsTheLog(l) {
				c.Evidence = append(c.Evidence, l)
				break
			}
		}
	}
	if len(c.Evidence) > 0 {
		c.Outcome, c.Detail = proof.CheckFailed, c.Evidence[0]
	}
	return c
}

// endsTheLog: how PostgreSQL says that the log ends, which end-of-recovery
// judges.
func endsTheLog(line string) bool {
	return strings.Contains(line, "LOG:") && strings.Contains(line, "incorrect resource manager data checksum")
}

// schema compares the copy with production. What production changed while the
// drill ran is no difference.
func (r *run) schema(ctx context.Context, c Copy) proof.Check {
	if r.prod.schemaErr != nil && r.o.Gone == nil {
		return proof.Check{Outcome: proof.CouldNotRun, Detail: "production: " + r.prod.schemaErr.Error()}
	}
	have, err := c.Schema(ctx)
	if err != nil {
		return proof.Check{Outcome: proof.CouldNotRun, Detail: "the copy: " + err.Error()}
	}
	for _, d := range have.Databases {
		r.p.Relations += len(d.Relations)
	}
	if r.o.Gone != nil {
		return r.notAsked(proof.Check{})
	}
	diff := target.DiffSchema(r.prod.schema, have, r.prod.schema)
	if len(diff) > 0 {
		now, err := r.o.Production.Schema(ctx)
		if err != nil {
			return proof.Check{Outcome: proof.CouldNotRun, Detail: "production, asked again: " + err.Error(), Evidence: diff}
		}
		diff = target.DiffSchema(r.prod.schema, have, now)
	}
	if len(diff) > 0 && r.o.To.Kind != "latest" {
		return proof.Check{Outcome: proof.NotAsked, Detail: fmt.Sprintf("the restore was to an earlier point on purpose; %d differences", len(diff)), Evidence: diff}
	}
	if len(diff) > 0 {
		return proof.Check{Outcome: proof.CheckFailed, Detail: fmt.Sprintf("%d differences; %s", len(diff), diff[0]), Evidence: diff}
	}
	return proof.Check{Outcome: proof.Passed, Detail: fmt.Sprintf("%d databases, %d relations, %d roles", len(have.Databases), r.p.Relations, len(have.Roles))}
}

// tables reads every table of every database, and holds what an index alone
// counts against the table itself.
func (r *run) tables(ctx context.Context, c Copy, databases []string) {
	var mu sync.Mutex
	var unreadable, differing []string
	var tables, byIndex, rows int64
	r.rows = map[string]int64{}
	r.ask("tables-readable", "Every row of every table can be read", func() proof.Check {
		g, gctx := errgroup.WithContext(ctx)
		g.SetLimit(2)
		for _, db := range databases {
			g.Go(func() error {
				return c.ReadTables(gctx, db, func(t target.TableRead) {
					mu.Lock()
					defer mu.Unlock()
					tables++
					rows += t.Rows
					r.rows[t.Database+"."+t.Name] = t.Rows
					switch {
					case t.Problem != "":
						unreadable = append(unreadable, fmt.Sprintf("%s in %s: %s", t.Name, t.Database, t.Problem))
					case t.ByIndex >= 0:
						byIndex++
						if t.ByIndex != t.Rows {
							differing = append(differing, fmt.Sprintf("%s in %s: %d rows in the table, %d by its index", t.Name, t.Database, t.Rows, t.ByIndex))
						}
					}
				})
			})
		}
		err := g.Wait()
		r.p.Rows = rows
		switch {
		case err != nil:
			return proof.Check{Outcome: proof.CouldNotRun, Detail: err.Error(), Evidence: unreadable}
		case len(unreadable) > 0:
			return proof.Check{Outcome: proof.CheckFailed, Detail: fmt.Sprintf("%d of %d tables cannot be read; %s", len(unreadable), tables, unreadable[0]), Evidence: unreadable}
		case tables == 0:
			return proof.Check{Outcome: proof.CouldNotRun, Detail: "no table was found, not even the system's own"}
		}
		return proof.Check{Outcome: proof.Passed, Detail: fmt.Sprintf("%d tables, system catalogues included, %d rows, to their last byte", tables, rows)}
	})
	r.ask("index-only", "Indexes count the rows that tables hold", func() proof.Check {
		if len(differing) > 0 {
			return proof.Check{Outcome: proof.CheckFailed, Detail: differing[0], Evidence: differing}
		}
		if len(unreadable) > 0 || tables == 0 {
			return proof.Check{Outcome: proof.CouldNotRun, Detail: "not every table could be read"}
		}
		return proof.Check{Outcome: proof.Passed, Detail: fmt.Sprintf("%d tables counted through an index alone", byIndex)}
	})
}

func assertion(ctx context.Context, c Copy, a Assertion, database string) proof.Check {
	if a.Database != "" {
		database = a.Database
	}
	got, err := c.Assert(ctx, database, a.SQL, assertionTimeout)
	switch {
	case err != nil:
		return proof.Check{Outcome: proof.CouldNotRun, Detail: err.Error()}
	case strings.TrimSpace(got) != strings.TrimSpace(a.Expect):
		return proof.Check{Outcome: proof.CheckFailed, Detail: fmt.Sprintf("answered %q, expected %q", got, a.Expect)}
	}
	return proof.Check{Outcome: proof.Passed, Detail: fmt.Sprintf("answered %q as expected", got)}
}

// pages stops the copy in good order and reads every page of it.
func (r *run) pages(ctx context.Context, s *copyServer, info target.Server, data string) {
	var files []target.RelationFile
	var filesErr error
	for _, db := range info.Databases {
		f, err := s.copy.RelationFiles(ctx, db)
		if err != nil {
			filesErr = err
		}
		files = append(files, f...)
	}
	stopErr := s.stop(ctx)
	var report target.ScanReport
	var scanErr error
	r.ask("page-checksums", "Every page is whole", func() proof.Check {
		if stopErr != nil {
			return proof.Check{Outcome: proof.CouldNotRun, Detail: stopErr.Error()}
		}
		report, scanErr = r.o.Scan(ctx, data, info.DataChecksums, files)
		r.p.Pages = report.Pages
		kind := "checksums and headers"
		if !info.DataChecksums {
			kind = "headers only: the cluster has no checksums"
		}
		switch {
		case scanErr != nil:
			return proof.Check{Outcome: proof.CouldNotRun, Detail: scanErr.Error()}
		case len(report.Damaged) > 0:
			e := findings(report.Damaged)
			return proof.Check{Outcome: proof.CheckFailed, Detail: fmt.Sprintf("%d pages are damaged; %s", len(e), e[0]), Evidence: e}
		case report.Pages == 0:
			return proof.Check{Outcome: proof.CouldNotRun, Detail: "no page was found"}
		}
		return proof.Check{Outcome: proof.Passed, Detail: fmt.Sprintf("%d pages in %d files (%s)", report.Pages, report.Files, kind)}
	})
	r.ask("zero-pages", "No page of a table was lost to zeros", func() proof.Check {
		switch {
		case stopErr != nil || scanErr != nil:
			return proof.Check{Outcome: proof.CouldNotRun, Detail: "the pages could not be read"}
		case filesErr != nil:
			return proof.Check{Outcome: proof.CouldNotRun, Detail: filesErr.Error()}
		case len(report.Lost) > 0:
			e := findings(report.Lost)
			return proof.Check{Outcome: proof.CheckFailed, Detail: fmt.Sprintf("%d pages; %s", len(e), e[0]), Evidence: e}
		}
		return proof.Check{Outcome: proof.Passed, Detail: "every page of zeros is one that was never filled, as far as visibility maps and btree indexes know"}
	})
}

func findings(list []target.PageFinding) []string {
	out := make([]string, 0, len(list))
	for _, f := range list {
		out = append(out, fmt.Sprintf("%s block %d: %s", f.File, f.Block, f.Detail))
	}
	return out
}
