package misconfig

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/audit"
	"github.com/refloat-db/refloat/internal/proof"
	"github.com/refloat-db/refloat/internal/target/targettest"
)

// dumpBed is a server that a job dumps as it should be.
type dumpBed struct {
	srv *targettest.Cluster
	dir string // on another device than the data
}

func newDumpBed(t *testing.T) *dumpBed {
	t.Helper()
	b := &dumpBed{dir: archiveDir(t)}
	b.srv = targettest.Start(t, targettest.Options{Settings: map[string]string{"autovacuum": "off"}})
	b.srv.Exec(t, "CREATE ROLE clerk; CREATE ROLE reader LOGIN")
	b.srv.Exec(t, "CREATE DATABASE shop")
	b.srv.ExecIn(t, "shop", `CREATE TABLE orders (id int PRIMARY KEY, owner text, note text); ALTER TABLE orders OWNER TO clerk;
		INSERT INTO orders SELECT n, CASE WHEN n <= 100 THEN 'reader' ELSE 'other' END, repeat(md5(n::text), 4) FROM generate_series(1, 1000) n;
		GRANT SELECT ON orders TO reader; CREATE VIEW recent AS SELECT * FROM orders WHERE id > 900; GRANT SELECT ON recent TO reader`)
	b.healthy(t, b.folder(t, "healthy"))
	return b
}

func (b *dumpBed) folder(t *testing.T, name string) string {
	t.Helper()
	dir := filepath.Join(b.dir, name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	targettest.Own(t, dir)
	return dir
}

// healthy fills a folder as two nights would.
func (b *dumpBed) healthy(t *testing.T, dir string) {
	t.Helper()
	for i, day := range []string{"2026-11-22", "2026-11-23"} {
		at := time.Now().Add(time.Duration(i-2) * 12 * time.Hour)
		b.dump(t, filepath.Join(dir, "shop-"+day+".dump"), at, "pg_dump", "-Fc", "shop")
		b.dump(t, filepath.Join(dir, "globals-"+day+".sql"), at, "pg_dumpall", "--globals-only")
	}
}

// dump writes what a program of PostgreSQL prints to a file.
func (b *dumpBed) dump(t *testing.T, file string, at time.Time, program string, args ...string) {
	t.Helper()
	cmd := b.srv.Command(t, program, append([]string{"-h", "127.0.0.1", "-p", fmt.Sprint(b.srv.Port), "-U", "postgres"}, args...)...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", program, err, errs.String())
	}
	b.write(t, file, out, at)
}

func (b *dumpBed) write(t *testing.T, file string, content []byte, at time.Time) {
	t.Helper()
	if err := os.WriteFile(file, content, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(file, at, at); err != nil {
		t.Fatal(err)
	}
}

// shell runs a job's line as cron would: with sh, at the server's host.
func (b *dumpBed) shell(t *testing.T, line string) {
	t.Helper()
	cmd := b.srv.Command(t, "postgres", "-c", "export PATH="+b.srv.Bin+":$PATH; "+line)
	cmd.Path, cmd.Args[0] = "/bin/sh", "sh"
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("the job must end with 0, which is the trouble: %v\n%s", err, out)
	}
}

// touch moves what a job wrote back in time, so that it is not taken for a dump
// that is being written.
func (b *dumpBed) touch(t *testing.T, file string) string {
	t.Helper()
	at := time.Now().Add(-time.Hour)
	if err := os.Chtimes(file, at, at); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestForeignDumps makes dumps that look like dumps.
func TestForeignDumps(t *testing.T) {
	t.Parallel()
	b := newDumpBed(t)
	tab := table{heads: []string{"the program's exit", "refloat check", "refloat drill --from"}}
	t.Run("healthy", func(t *testing.T) {
		isFine(t, found(t, b.srv, "dump:"+b.dir+"/healthy"))
		drilled(t, b.srv, "dump:"+b.dir+"/healthy", proof.Proven, "without an error")
		tab.add("healthy", "0", "nothing", "proven")
	})
	n := 0
	// A folder as the job would have left it, and then one thing that went wrong.
	bad := func(name, rule string, severity audit.Severity, evidence string, verdict proof.Verdict, breakIt func(t *testing.T, dir string)) {
		t.Run(name, func(t *testing.T) {
			n++
			dir := copyOf(t, b.dir+"/healthy", fmt.Sprintf("%s/case-%d", b.dir, n))
			breakIt(t, dir)
			said := "-"
			if rule != "" {
				mustFind(t, found(t, b.srv, "dump:"+dir), rule, severity, evidence)
				said = severity.String() + " " + rule
			}
			if verdict != "" {
				drilled(t, b.srv, "dump:"+dir, verdict, "")
			}
			tab.add(name, "0", said, string(verdict))
		})
	}
	conn := fmt.Sprintf("-h 127.0.0.1 -U postgres -p %d", b.srv.Port)
	bad("pg_dump | gzip with the server down", "foreign-file-damaged", audit.Critical, "unpack to nothing", proof.Failed, func(t *testing.T, dir string) {
		removeAll(t, dir, "shop-*")
		b.shell(t, fmt.Sprintf("pg_dump -h 127.0.0.1 -p 1 shop 2>/dev/null | gzip > %s/shop-2026-11-24.sql.gz", dir))
		if i, err := os.Stat(b.touch(t, dir+"/shop-2026-11-24.sql.gz")); err != nil || i.Size() != 20 {
			t.Fatalf("%v, %v: the case is another one", i, err)
		}
	})
	bad("a gzip that holds the error message", "foreign-file-damaged", audit.Critical, "error message", "", func(t *testing.T, dir string) {
		b.shell(t, fmt.Sprintf("pg_dump -h 127.0.0.1 -p 1 shop 2>&1 | gzip > %s/shop-2026-11-24.sql.gz", dir))
		b.touch(t, dir+"/shop-2026-11-24.sql.gz")
	})
	bad("an empty file", "foreign-file-damaged", audit.Critical, "it is empty", "", func(t *testing.T, dir string) {
		b.shell(t, fmt.Sprintf("pg_dump -h 127.0.0.1 -p 1 shop > %s/shop-2026-11-24.dump 2>/dev/null || true", dir))
		b.touch(t, dir+"/shop-2026-11-24.dump")
	})
	bad("a plain dump cut off", "foreign-file-damaged", audit.Critical, "cut off", proof.Failed, func(t *testing.T, dir string) {
		removeAll(t, dir, "shop-*")
		b.shell(t, fmt.Sprintf("pg_dump %s shop | head -c 60000 > %s/shop-2026-11-24.sql", conn, dir))
		b.touch(t, dir+"/shop-2026-11-24.sql")
	})
	bad("a gzip cut off", "foreign-file-damaged", audit.Critical, "cut off", "", func(t *testing.T, dir string) {
		b.shell(t, fmt.Sprintf("pg_dump %s shop | gzip | head -c 9000 > %s/shop-2026-11-24.sql.gz", conn, dir))
		b.touch(t, dir+"/shop-2026-11-24.sql.gz")
	})
	bad("an archive of pg_dump cut off", "foreign-file-damaged", audit.Critical, "pg_restore cannot read it", proof.Failed, func(t *testing.T, dir string) {
		b.shell(t, fmt.Sprintf("pg_dump -Fc %s shop | head -c 9000 > %s/shop-2026-11-24.dump", conn, dir))
		b.touch(t, dir+"/shop-2026-11-24.dump")
	})
	bad("row security on", "foreign-file-rows", audit.Critical, "row_security", proof.Failed, func(t *testing.T, dir string) {
		removeAll(t, dir, "shop-*")
		b.srv.ExecIn(t, "shop", "ALTER TABLE orders ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON orders TO reader USING (owner = current_user)")
		defer b.srv.ExecIn(t, "shop", "DROP POLICY own ON orders; ALTER TABLE orders DISABLE ROW LEVEL SECURITY")
		b.shell(t, fmt.Sprintf("pg_dump --enable-row-security -h 127.0.0.1 -U reader -p %d shop > %s/shop-2026-11-24.sql", b.srv.Port, dir))
		b.touch(t, dir+"/shop-2026-11-24.sql")
	})
	bad("roles not dumped", "foreign-roles-missing", audit.High, "creates roles", proof.Failed, func(t *testing.T, dir string) { removeAll(t, dir, "globals-*") })
	bad("a much smaller dump", "foreign-file-small", audit.High, "bytes", "", func(t *testing.T, dir string) {
		b.dump(t, dir+"/shop-2026-11-24.dump", time.Now().Add(-time.Hour), "pg_dump", "-Fc", "--schema-only", "shop")
	})
	bad("only the newest is kept", "foreign-retention", audit.Medium, "only one of its kind", "", func(t *testing.T, dir string) { removeAll(t, dir, "*-2026-11-22.*") })
	bad("a dump of an empty database", "foreign-database", audit.High, "no table with rows", "", func(t *testing.T, dir string) {
		removeAll(t, dir, "shop-*")
		b.dump(t, dir+"/shop-2026-11-24.dump", time.Now().Add(-time.Hour), "pg_dump", "-Fc", "template1")
	})
	bad("a database that nobody dumps", "foreign-database", audit.High, "no dump of shop", proof.Failed, func(t *testing.T, dir string) {
		removeAll(t, dir, "shop-*")
		b.dump(t, dir+"/postgres-2026-11-24.dump", time.Now().Add(-time.Hour), "pg_dump", "-Fc", "postgres")
	})
	t.Run("newest dump nine days old", func(t *testing.T) {
		f := found(t, b.srv, "dump:"+b.dir+"/healthy")
		f.At = f.At.Add(week + 2*week/7)
		mustFind(t, f, "foreign-old", audit.High, "days old")
		tab.add("newest dump nine days old", "0", "high foreign-old", "")
	})
	b.delayed(t, &tab)
	b.newer(t, &tab)
	tab.log(t)
}

func removeAll(t *testing.T, dir, pattern string) {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join(dir, pattern))
	if len(files) == 0 {
		t.Fatalf("no %s in %s", pattern, dir)
	}
	for _, f := range files {
		remove(t, f)
	}
}

// delayed: a dump from a standby that replays late lacks what is new.
func (b *dumpBed) delayed(t *testing.T, tab *table) {
	t.Run("pg_dump from a delayed standby", func(t *testing.T) {
		s := targettest.StartStandby(t, b.srv, map[string]string{"recovery_min_apply_delay": "1h"})
		b.srv.ExecIn(t, "shop", "CREATE TABLE newest AS SELECT generate_series(1, 50) n; ALTER TABLE newest OWNER TO clerk")
		defer b.srv.ExecIn(t, "shop", "DROP TABLE newest")
		dir := copyOf(t, b.dir+"/healthy", b.dir+"/delayed")
		removeAll(t, dir, "shop-*")
		late := &dumpBed{srv: s}
		late.dump(t, dir+"/shop-2026-11-24.dump", time.Now(), "pg_dump", "-Fc", "shop")
		drilled(t, b.srv, "dump:"+dir, proof.Failed, "newest")
		tab.add("pg_dump from a delayed standby", "0", "-", "failed")
	})
}

// newer: the server was upgraded, and the job still runs the old program.
func (b *dumpBed) newer(t *testing.T, tab *table) {
	t.Run("a server newer than pg_dump", func(t *testing.T) {
		srv := targettest.Start(t, targettest.Options{Major: 17})
		srv.Exec(t, "CREATE DATABASE shop")
		mustFind(t, found(t, srv, "dump:"+b.dir+"/healthy"), "foreign-client-older", audit.High, "the server is 17")
		b.shell(t, fmt.Sprintf("pg_dump -h 127.0.0.1 -U postgres -p %d shop 2>/dev/null | gzip > %s/refused.sql.gz", srv.Port, b.dir))
		if i, err := os.Stat(b.dir + "/refused.sql.gz"); err != nil || i.Size() != 20 {
			t.Errorf("pg_dump of an older version wrote %v, %v", i, err)
		}
		tab.add("a server newer than pg_dump", "0", "high foreign-client-older", "")
	})
}

// TestForeignJobs reads jobs that hide their failures, and runs each to show
// that it ends with 0 though nothing was dumped.
func TestForeignJobs(t *testing.T) {
	t.Parallel()
	srv := targettest.Start(t, targettest.Options{})
	b := &dumpBed{srv: srv, dir: archiveDir(t)}
	script := func(t *testing.T, text string) string {
		path := filepath.Join(targettest.TempDir(t), "backup.sh")
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	down := "pg_dump -h 127.0.0.1 -p 1 shop"
	for _, x := range []struct {
		name, before, command, script string
		rule                          string
		severity                      audit.Severity
		evidence                      string
	}{
		{name: "a pipe", command: down + " | gzip > DIR/x.gz", rule: "foreign-job-swallows", severity: audit.Critical, evidence: "only the last command of a pipe counts"},
		{name: "|| true", command: down + " > DIR/x.sql || true", rule: "foreign-job-swallows", severity: audit.Critical, evidence: "what follows || succeeds always"},
		{name: "; true", command: down + " > DIR/x.sql; true", rule: "foreign-job-swallows", severity: audit.Critical, evidence: "another command follows it"},
		{name: "a script that sets nothing", script: "#!/bin/sh\n" + down + " > DIR/x.sql\ngzip -f DIR/x.sql\necho done\n", rule: "foreign-job-swallows", severity: audit.Critical, evidence: "backup.sh"},
		{name: "output to /dev/null", command: down + " > DIR/x.sql 2>/dev/null || exit 0", rule: "foreign-job-unheard", severity: audit.Medium, evidence: "its output goes nowhere"},
		{name: "MAILTO empty", before: "MAILTO=\"\"\n", command: down + " > DIR/x.sql || :", rule: "foreign-job-unheard", severity: audit.Medium, evidence: "its output goes nowhere"},
		{name: "healthy", before: "MAILTO=dba@example.org\n", script: "#!/bin/bash\nset -euo pipefail\n" + down + " | gzip > DIR/x.tmp\nmv DIR/x.tmp DIR/x.gz\n"},
	} {
		t.Run(x.name, func(t *testing.T) {
			command := strings.ReplaceAll(x.command, "DIR", b.dir)
			if x.script != "" {
				command = script(t, strings.ReplaceAll(x.script, "DIR", b.dir))
			}
			tabFile := filepath.Join(targettest.TempDir(t), "crontab")
			b.write(t, tabFile, []byte(x.before+"15 2 * * * root "+strings.ReplaceAll(command, "%", `\%`)+"\n"), time.Now())
			f := found(t, srv, "jobs:"+tabFile)
			if x.rule == "" {
				isFine(t, f)
				return
			}
			mustFind(t, f, x.rule, x.severity, x.evidence)
			b.shell(t, command)
		})
	}
}
