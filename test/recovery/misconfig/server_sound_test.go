package misconfig

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/refloat-db/refloat/internal/audit"
	"github.com/refloat-db/refloat/internal/target/targettest"
)

// serverCase is one misconfiguration of a server that is sound else. Taken back
// it must leave nothing to find.
type serverCase struct {
	name     string
	rule     string
	severity audit.Severity
	evidence string
	settings map[string]string
	build    func(t *testing.T, b *serverBed)
	heal     func(t *testing.T, b *serverBed)
	later    time.Duration // the time at which both are judged, from now
}

// serverBed is a server that is as it should be.
type serverBed struct {
	srv     *targettest.Cluster
	archive string
	open    []*pgx.Conn // clients that a case left connected
}

func newServerBed(t *testing.T) *serverBed {
	t.Helper()
	b := &serverBed{archive: archiveDir(t)}
	b.srv = targettest.Start(t, targettest.Options{SegmentMiB: 1, Settings: map[string]string{
		"archive_mode": "on", "archive_command": b.command(), "archive_timeout": "60s", "max_connections": "40",
		"max_slot_wal_keep_size": "8MB", "wal_keep_size": "4MB", "max_wal_size": "32MB", "min_wal_size": "8MB", "max_prepared_transactions": "4",
		"autovacuum_naptime": "1h", "checkpoint_timeout": "1h",
	}})
	harden(t, b.srv)
	b.srv.Exec(t, "CREATE DATABASE shop")
	return b
}

func (b *serverBed) command() string {
	return fmt.Sprintf("test ! -f %[1]s/%%f && cp %%p %[1]s/%%f", b.archive)
}

// connect opens connections of the application and leaves them open.
func (b *serverBed) connect(t *testing.T, n int, sql string) {
	t.Helper()
	for range n {
		c, err := pgx.Connect(t.Context(), strings.Replace(b.srv.DSN("postgres"), "postgres@", "app@", 1))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
		b.open = append(b.open, c)
	}
}

func (b *serverBed) disconnect(t *testing.T) {
	t.Helper()
	for _, c := range b.open {
		_ = c.Close(t.Context())
	}
	b.open = nil
	targettest.WaitFor(t, "the clients to be gone", func() bool {
		return b.srv.Query(t, "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'") == "0"
	})
}

// fillSegments makes the server finish segments of its log.
func fillSegments(t *testing.T, srv *targettest.Cluster, n int) {
	t.Helper()
	srv.Exec(t, fmt.Sprintf(`DO $$ BEGIN FOR i IN 1..%d LOOP PERFORM pg_logical_emit_message(false, 'x', 'y'); PERFORM pg_switch_wal(); END LOOP; END $$`, n))
}

// sql is a step that runs statements in a database.
func sql(database string, statements ...string) func(*testing.T, *serverBed) {
	return func(t *testing.T, b *serverBed) {
		t.Helper()
		for _, s := range statements {
			b.srv.ExecIn(t, database, s)
		}
	}
}

// hba is a step that adds a line to pg_hba.conf.
func hba(line string) func(*testing.T, *serverBed) {
	return func(t *testing.T, b *serverBed) { t.Helper(); b.srv.Append(t, "pg_hba.conf", line) }
}

func soundAgain(t *testing.T, b *serverBed) {
	t.Helper()
	b.srv.Write(t, "pg_hba.conf", soundHBA)
	reload(t, b.srv)
}

func value(pairs ...string) map[string]string {
	out := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		out[pairs[i]] = pairs[i+1]
	}
	return out
}

func TestSoundServer(t *testing.T) {
	t.Parallel()
	b := newServerBed(t)
	mustBeFine(t, look(t, b.srv, keeper))
	for _, c := range serverCases(b) {
		t.Run(c.rule+"/"+c.name, func(t *testing.T) { c.run(t, b) })
	}
}

func serverCases(b *serverBed) []serverCase {
	return slices.Concat(durabilityCases(), archiveCases(b), slotCases(), contentCases(), accessCases())
}

func (c serverCase) run(t *testing.T, b *serverBed) {
	c.breakIt(t, b)
	f := look(t, b.srv, keeper)
	f.At = f.At.Add(c.later)
	mustFind(t, f, c.rule, c.severity, c.evidence)
	c.mend(t, b)
	f = look(t, b.srv, keeper)
	f.At = f.At.Add(c.later)
	mustBeFine(t, f)
}

func (c serverCase) breakIt(t *testing.T, b *serverBed) {
	t.Helper()
	if c.settings != nil {
		set(t, b.srv, c.settings)
	}
	if c.build != nil {
		c.build(t, b)
	}
}

func (c serverCase) mend(t *testing.T, b *serverBed) {
	t.Helper()
	if c.settings != nil {
		reset(t, b.srv)
	}
	if c.heal != nil {
		c.heal(t, b)
	}
}

func durabilityCases() []serverCase {
	return []serverCase{
		{name: "off", rule: "server-fsync", severity: audit.Critical, evidence: "postgresql.auto.conf line", settings: value("fsync", "off")},
		{name: "off", rule: "server-full-page-writes", severity: audit.Critical, settings: value("full_page_writes", "off")},
		{name: "off", rule: "server-synchronous-commit", severity: audit.Medium, settings: value("synchronous_commit", "off")},
		{name: "off for a role", rule: "server-synchronous-commit", severity: audit.Low, evidence: "role app",
			build: sql("postgres", "ALTER ROLE app SET synchronous_commit = off"), heal: sql("postgres", "ALTER ROLE app RESET ALL")},
		{name: "zero damaged pages", rule: "server-damage-ignored", severity: audit.Critical, settings: value("zero_damaged_pages", "on")},
		{name: "ignore failures in one database", rule: "server-damage-ignored", severity: audit.Critical, evidence: "database shop",
			build: sql("postgres", "ALTER DATABASE shop SET ignore_checksum_failure = on"), heal: sql("postgres", "ALTER DATABASE shop RESET ALL")},
		{name: "off", rule: "server-autovacuum", severity: audit.Medium, settings: value("autovacuum", "off")},
		{name: "everywhere", rule: "server-default-read-only", severity: audit.Medium, settings: value("default_transaction_read_only", "on")},
		{name: "one database", rule: "server-default-read-only", severity: audit.Medium, evidence: "database shop",
			build: sql("postgres", "ALTER DATABASE shop SET default_transaction_read_only = on"), heal: sql("postgres", "ALTER DATABASE shop RESET ALL")},
		{name: "max_wal_senders changed", rule: "server-pending-restart", severity: audit.Medium, evidence: "max_wal_senders", settings: value("max_wal_senders", "20")},
		{name: "unknown name", rule: "server-file-errors", severity: audit.High, evidence: "no_such_setting",
			build: func(t *testing.T, b *serverBed) {
				b.srv.Append(t, "postgresql.auto.conf", "no_such_setting = 1")
			},
			heal: func(t *testing.T, b *serverBed) { b.srv.Write(t, "postgresql.auto.conf", ""); reload(t, b.srv) }},
		{name: "names nobody", rule: "server-synchronous-standby", severity: audit.High, evidence: "0 of 1", settings: value("synchronous_standby_names", "ANY 1 (berlin, paris)")},
	}
}

func archiveCases(b *serverBed) []serverCase {
	to := b.archive + "/%f"
	beside := filepath.Join(filepath.Dir(b.srv.Dir), "archive")
	return []serverCase{
		{name: "bin true", rule: "server-archive-discards", severity: audit.Critical, settings: value("archive_command", "/bin/true")},
		{name: "exit 0", rule: "server-archive-discards", severity: audit.Critical, settings: value("archive_command", "exit 0 # was: cp %p "+to)},
		{name: "dev null", rule: "server-archive-discards", severity: audit.Critical, evidence: "/dev/null", settings: value("archive_command", "cp %p /dev/null")},
		{name: "or true", rule: "server-archive-swallows", severity: audit.Critical, evidence: "succeeds always", settings: value("archive_command", "cp -n %p "+to+" || true")},
		{name: "pipe", rule: "server-archive-swallows", severity: audit.Critical, evidence: "pipe", settings: value("archive_command", "test ! -f "+to+" && gzip -c %p | cat > "+to)},
		{name: "another command after it", rule: "server-archive-swallows", severity: audit.Critical, evidence: "another command", settings: value("archive_command", "cp -n %p "+to+"; logger archived %f")},
		{name: "in the background", rule: "server-archive-swallows", severity: audit.Critical, evidence: "background", settings: value("archive_command", "cp -n %p "+to+" &")},
		{name: "cp", rule: "server-archive-overwrites", severity: audit.Medium, settings: value("archive_command", "cp %p "+to)},
		{name: "redirection", rule: "server-archive-overwrites", severity: audit.Medium, settings: value("archive_command", "gzip -c %p > "+to)},
		{name: "inside the data directory", rule: "server-archive-data-disk", severity: audit.High, evidence: "inside the data directory",
			settings: value("archive_command", "test ! -f archive/%f && cp %p archive/%f")},
		{name: "same device", rule: "server-archive-data-disk", severity: audit.High, evidence: "same device",
			build: func(t *testing.T, b *serverBed) {
				if err := os.MkdirAll(beside, 0o755); err != nil {
					t.Fatal(err)
				}
				targettest.Own(t, beside)
				set(t, b.srv, value("archive_command", "test ! -f "+beside+"/%f && cp %p "+beside+"/%f"))
			}, heal: func(t *testing.T, b *serverBed) { reset(t, b.srv) }},
		{name: "none", rule: "server-archive-timeout", severity: audit.High, settings: value("archive_timeout", "0")},
		{name: "empty command", rule: "server-archiving-missing", severity: audit.High, evidence: "archive_command = ''", settings: value("archive_command", "")},
		{name: "fails", rule: "server-archiver-failing", severity: audit.High, evidence: "failed at", settings: value("archive_command", "test ! -f "+to+" && false && cp %p "+to),
			build: func(t *testing.T, b *serverBed) {
				fillSegments(t, b.srv, 1)
				targettest.WaitFor(t, "a failure", func() bool { return b.srv.Query(t, "SELECT failed_count > 0 FROM pg_stat_archiver") == "t" })
			}, heal: archivedAgain},
		{name: "hangs", rule: "server-archiver-stalled", severity: audit.High, evidence: "segments wait", later: 20 * time.Minute,
			build: func(t *testing.T, b *serverBed) {
				targettest.Own(t, touch(t, b.archive+"-held"))
				set(t, b.srv, value("archive_command", fmt.Sprintf("while test -f %[1]s-held; do sleep 0.05; done; %[2]s", b.archive, b.command())))
				fillSegments(t, b.srv, 2)
			}, heal: func(t *testing.T, b *serverBed) {
				if err := os.Remove(b.archive + "-held"); err != nil {
					t.Fatal(err)
				}
				reset(t, b.srv)
				archivedAgain(t, b)
			}},
	}
}

func touch(t *testing.T, path string) string {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(path) })
	return path
}

// archivedAgain waits until the archiver has nothing left to do.
func archivedAgain(t *testing.T, b *serverBed) {
	t.Helper()
	fillSegments(t, b.srv, 1)
	targettest.WaitFor(t, "the archiver to be done", func() bool {
		return b.srv.Query(t, `SELECT (SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready') = 0
			AND coalesce(last_archived_time > last_failed_time, true) FROM pg_stat_archiver`) == "t"
	})
}

func slotCases() []serverCase {
	drop := sql("postgres", "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active")
	return []serverCase{
		{name: "bounded", rule: "server-slot-inactive", severity: audit.Medium, evidence: "slot dead is not in use",
			build: sql("postgres", "SELECT pg_create_physical_replication_slot('dead', true)"), heal: drop},
		{name: "unbounded", rule: "server-slot-inactive", severity: audit.High, evidence: "slot dead is not in use", settings: value("max_slot_wal_keep_size", "-1"),
			build: sql("postgres", "SELECT pg_create_physical_replication_slot('dead', true)"), heal: drop},
		{name: "unbounded", rule: "server-slot-unbounded", severity: audit.Medium, evidence: "slots: dead", settings: value("max_slot_wal_keep_size", "-1"),
			build: sql("postgres", "SELECT pg_create_physical_replication_slot('dead', true)"), heal: drop},
		{name: "lost", rule: "server-slot-lost", severity: audit.High, evidence: "wal_status lost",
			build: func(t *testing.T, b *serverBed) {
				b.srv.Exec(t, "SELECT pg_create_physical_replication_slot('late', true)")
				fillSegments(t, b.srv, 14)
				b.srv.Exec(t, "CHECKPOINT")
			}, heal: func(t *testing.T, b *serverBed) { drop(t, b); archivedAgain(t, b) }},
		{name: "all in use", rule: "server-slots-exhausted", severity: audit.Medium, evidence: "10 in use",
			build: sql("postgres", "SELECT pg_create_physical_replication_slot('s' || i) FROM generate_series(1, 10 - (SELECT count(*)::int FROM pg_replication_slots)) i"), heal: drop},
	}
}

func contentCases() []serverCase {
	in := func(statements ...string) func(*testing.T, *serverBed) { return sql("shop", statements...) }
	return []serverCase{
		{name: "with data", rule: "server-unlogged-tables", severity: audit.Medium, evidence: "public.carts",
			build: in("CREATE UNLOGGED TABLE carts AS SELECT generate_series(1, 100) AS n"), heal: in("ALTER TABLE carts SET LOGGED", "DROP TABLE carts")},
		{name: "published", rule: "server-tables-without-key", severity: audit.Medium, evidence: "public.events",
			build: in("CREATE TABLE events (n int)", "CREATE PUBLICATION p FOR ALL TABLES"), heal: in("ALTER TABLE events ADD PRIMARY KEY (n)", "DROP PUBLICATION p; DROP TABLE events")},
		{name: "duplicates", rule: "server-invalid-indexes", severity: audit.Low, evidence: "public.once",
			build: func(t *testing.T, b *serverBed) {
				b.srv.ExecIn(t, "shop", "CREATE TABLE twice AS SELECT 1 AS n FROM generate_series(1, 2)")
				if err := b.tryIn(t, "shop", "CREATE UNIQUE INDEX CONCURRENTLY once ON twice (n)"); err == nil {
					t.Fatal("a unique index over duplicates was made")
				}
			}, heal: in("DROP TABLE twice")},
		{name: "large objects", rule: "server-large-objects", severity: audit.Info, evidence: "3 large objects in database shop",
			build: in("SELECT lo_create(0) FROM generate_series(1, 3)"), heal: in("SELECT lo_unlink(oid) FROM pg_largeobject_metadata")},
		{name: "a library", rule: "server-extensions", severity: audit.Info, evidence: "amcheck",
			build: in("CREATE EXTENSION amcheck"), heal: in("DROP EXTENSION amcheck")},
		{name: "the database's", rule: "server-collation-version", severity: audit.High, evidence: "version 1.2",
			build: sql("postgres", "CREATE DATABASE cafe TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'fr'", "UPDATE pg_database SET datcollversion = '1.2' WHERE datname = 'cafe'"),
			heal:  sql("postgres", "ALTER DATABASE cafe REFRESH COLLATION VERSION", "DROP DATABASE cafe")},
		{name: "a column's", rule: "server-collation-version", severity: audit.High, evidence: "sorted",
			build: in(`CREATE COLLATION sorted (provider = icu, locale = 'de')`, `CREATE TABLE names (n text COLLATE sorted)`, "UPDATE pg_collation SET collversion = '1.2' WHERE collname = 'sorted'"),
			heal:  in("ALTER COLLATION sorted REFRESH VERSION", "DROP TABLE names")},
		{name: "closed", rule: "server-databases", severity: audit.Low, evidence: "allows no connections",
			build: sql("postgres", "CREATE DATABASE closed ALLOW_CONNECTIONS false"), heal: sql("postgres", "DROP DATABASE closed")},
		{name: "half dropped", rule: "server-databases", severity: audit.Medium, evidence: "interrupted",
			build: sql("postgres", "CREATE DATABASE half", "UPDATE pg_database SET datconnlimit = -2 WHERE datname = 'half'"), heal: sql("postgres", "DROP DATABASE half")},
		{name: "inside the data directory", rule: "server-tablespaces", severity: audit.Medium, evidence: "inside the data directory",
			build: func(t *testing.T, b *serverBed) {
				dir := filepath.Join(b.srv.Dir, "more")
				if err := os.Mkdir(dir, 0o700); err != nil {
					t.Fatal(err)
				}
				targettest.Own(t, dir)
				b.srv.Exec(t, "CREATE TABLESPACE more LOCATION '"+dir+"'")
			}, heal: sql("postgres", "DROP TABLESPACE more")},
		{name: "outside", rule: "server-tablespaces", severity: audit.Info, evidence: "tablespace away",
			build: func(t *testing.T, b *serverBed) {
				b.srv.Exec(t, "CREATE TABLESPACE away LOCATION '"+targettest.TempDir(t)+"'")
			}, heal: sql("postgres", "DROP TABLESPACE away")},
		{name: "left over", rule: "server-prepared-transactions", severity: audit.Medium, evidence: "'order-7'", later: time.Hour,
			build: in("BEGIN; CREATE TABLE half (n int); PREPARE TRANSACTION 'order-7'"), heal: in("ROLLBACK PREPARED 'order-7'")},
		{name: "idle", rule: "server-long-transactions", severity: audit.Medium, evidence: "role app", later: time.Hour,
			build: func(t *testing.T, b *serverBed) { b.connect(t, 1, "BEGIN; SELECT 1") }, heal: func(t *testing.T, b *serverBed) { b.disconnect(t) }},
		{name: "nearly all used", rule: "server-connections", severity: audit.Medium, evidence: "max_connections = 40",
			build: func(t *testing.T, b *serverBed) { b.connect(t, 31, "SELECT 1") }, heal: func(t *testing.T, b *serverBed) { b.disconnect(t) }},
		{name: "a byte of a page flipped", rule: "server-checksum-failures", severity: audit.Critical, evidence: "database shop",
			build: flipByte, heal: in("DROP TABLE flipped", "SELECT pg_stat_reset()")},
	}
}

// tryIn runs SQL that may fail.
func (b *serverBed) tryIn(t *testing.T, database, statement string) error {
	t.Helper()
	c, err := pgx.Connect(t.Context(), b.srv.DSN(database))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(t.Context()) }()
	_, err = c.Exec(t.Context(), statement)
	return err
}

// flipByte damages a page on disk and lets the server read it.
func flipByte(t *testing.T, b *serverBed) {
	b.srv.ExecIn(t, "shop", "CREATE TABLE flipped AS SELECT generate_series(1, 1000) AS n")
	path := filepath.Join(b.srv.Dir, b.srv.QueryIn(t, "shop", "SELECT pg_relation_filepath('flipped')"))
	b.srv.Stop(t)
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	page[4000] ^= 1
	if err := os.WriteFile(path, page, 0o600); err != nil {
		t.Fatal(err)
	}
	b.srv.Start(t)
	if err := b.tryIn(t, "shop", "SELECT sum(n) FROM flipped"); err == nil {
		t.Fatal("a damaged page was read without an error")
	}
	targettest.WaitFor(t, "the failure to be counted", func() bool {
		return b.srv.Query(t, "SELECT sum(checksum_failures) > 0 FROM pg_stat_database") == "t"
	})
}

func accessCases() []serverCase {
	return []serverCase{
		{name: "replication from everywhere", rule: "server-hba-trust", severity: audit.Critical, evidence: "copy the whole cluster", build: hba("host replication all 0.0.0.0/0 trust"), heal: soundAgain},
		{name: "replication from the host", rule: "server-hba-trust", severity: audit.Medium, evidence: "copy the whole cluster", build: hba("host replication all 127.0.0.1/32 trust"), heal: soundAgain},
		{name: "all from a network", rule: "server-hba-trust", severity: audit.Critical, evidence: "everybody at 192.0.2.0", build: hba("host all all 192.0.2.0/24 trust"), heal: soundAgain},
		{name: "hostssl without TLS", rule: "server-hba-errors", severity: audit.Low, evidence: "line 4", build: hba("hostssl all all 192.0.2.0/24 scram-sha-256"), heal: soundAgain},
		{name: "local", rule: "server-hba-trust", severity: audit.Medium, evidence: "everybody on the host", build: hba("local all all trust"), heal: soundAgain},
		{name: "password in the clear", rule: "server-hba-trust", severity: audit.Medium, evidence: "goes over the network", build: hba("host all all 192.0.2.0/24 password"), heal: soundAgain},
		{name: "a line that is none", rule: "server-hba-errors", severity: audit.High, evidence: "line 4", build: hba("host all all 192.0.2.0/24 scram-sha-265"), heal: soundAgain},
	}
}
