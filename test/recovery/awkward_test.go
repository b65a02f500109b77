package recovery

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/refloat-db/refloat/internal/target/targettest"
)

// awkward is lawful and unusual: whatever here is taken for damage is a false
// alarm.
const awkward = `
	CREATE ROLE boss SUPERUSER LOGIN;
	CREATE ROLE "an Owner; --" LOGIN;
	CREATE ROLE hedged LOGIN CONNECTION LIMIT 2 VALID UNTIL '2020-01-01';
	CREATE TABLE parent (id int PRIMARY KEY, body text);
	CREATE TABLE child () INHERITS (parent);
	INSERT INTO parent SELECT n, 'p' FROM generate_series(1, 100) n;
	INSERT INTO child SELECT n, 'c' FROM generate_series(1, 50) n;
	CREATE TABLE parts (id int, day date, body text) PARTITION BY RANGE (id);
	CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (1000);
	CREATE TABLE parts_2 PARTITION OF parts DEFAULT;
	CREATE INDEX ON parts (day);
	INSERT INTO parts SELECT n, '2026-01-01'::date + n % 300, md5(n::text) FROM generate_series(1, 3000) n;
	CREATE TABLE wide (id int PRIMARY KEY, big text, bytes bytea, words tsvector, area box, span int4range, tags text[]);
	ALTER TABLE wide ALTER big SET STORAGE EXTERNAL;
	INSERT INTO wide SELECT n, repeat(md5(n::text), 400), decode(repeat(md5(n::text), 300), 'hex'), to_tsvector(md5(n::text)), box(point(n, n), point(n + 1, n + 1)), int4range(n, n + 5), ARRAY[n::text, 'euro €']
	  FROM generate_series(1, 300) n;
	CREATE INDEX ON wide USING gin (words); CREATE INDEX ON wide USING gin (tags); CREATE INDEX ON wide USING gist (area);
	CREATE INDEX ON wide USING gist (span); CREATE INDEX ON wide USING hash (id); CREATE INDEX ON wide USING brin (id);
	CREATE INDEX ON wide USING spgist (span); CREATE INDEX ON wide (lower(big)) WHERE id < 0; CREATE UNIQUE INDEX ON wide (id) INCLUDE (area);
	CREATE MATERIALIZED VIEW sums AS SELECT count(*) n, day FROM parts GROUP BY day;
	CREATE UNIQUE INDEX ON sums (day);
	CREATE MATERIALIZED VIEW unfilled AS SELECT 1 AS one WITH NO DATA;
	CREATE TABLE secrets (owner name, what text); ALTER TABLE secrets ENABLE ROW LEVEL SECURITY; ALTER TABLE secrets FORCE ROW LEVEL SECURITY;
	CREATE POLICY own ON secrets USING (owner = current_user); ALTER TABLE secrets OWNER TO "an Owner; --";
	CREATE FUNCTION explode() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
	CREATE TABLE guarded (a int); CREATE TRIGGER t BEFORE INSERT ON guarded FOR EACH ROW EXECUTE FUNCTION explode();
	CREATE TABLE "Quoted ""name""" ("select" int PRIMARY KEY, "a b" text);
	CREATE TABLE nocolumns (); INSERT INTO nocolumns DEFAULT VALUES; INSERT INTO nocolumns DEFAULT VALUES;
	CREATE TABLE dropped (a int, b int, c int); INSERT INTO dropped VALUES (1, 2, 3); ALTER TABLE dropped DROP b;
	CREATE COLLATION spoken (locale = 'C.UTF-8'); CREATE TABLE locales (a text COLLATE "C", b text COLLATE spoken); CREATE INDEX ON locales (a); CREATE INDEX ON locales (b);
	INSERT INTO locales SELECT chr(200 + n), chr(300 + n) FROM generate_series(1, 200) n;
	CREATE TYPE mood AS ENUM ('good', 'bad'); CREATE DOMAIN positive AS int CHECK (VALUE > 0);
	CREATE TABLE typed (m mood, p positive, r parent, t tid, x xid, c cid, o oidvector, a aclitem, l pg_lsn, s txid_snapshot);
	INSERT INTO typed VALUES ('good', 1, ROW(1, 'x'), '(0,1)', '3', '4', '1 2', 'postgres=r/postgres', '0/1', '10:20:');
	CREATE SEQUENCE counter; SELECT nextval('counter');
	SELECT lo_from_bytea(0, decode(repeat('ab', 100000), 'hex'));
	CREATE EXTENSION postgres_fdw; CREATE EXTENSION file_fdw; CREATE EXTENSION hstore; CREATE EXTENSION pg_trgm; CREATE EXTENSION bloom;
	CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '192.0.2.1');
	CREATE USER MAPPING FOR postgres SERVER far OPTIONS (user 'u', password 'swordfish');
	CREATE FOREIGN TABLE faraway (a int) SERVER far;
	CREATE SERVER files FOREIGN DATA WRAPPER file_fdw; CREATE FOREIGN TABLE passwd (line text) SERVER files OPTIONS (filename '/nowhere');
	CREATE INDEX ON wide USING bloom (id); CREATE TABLE pairs (h hstore, t text); INSERT INTO pairs VALUES ('a=>1', 'abc'); CREATE INDEX ON pairs USING gist (t gist_trgm_ops);
	CREATE TABLE gone (a int); INSERT INTO gone SELECT generate_series(1, 5000); DELETE FROM gone WHERE a > 2000;
	VACUUM gone;
	CREATE TABLE frozen (a int PRIMARY KEY); INSERT INTO frozen SELECT generate_series(1, 5000);
	VACUUM FREEZE frozen;
	CREATE PUBLICATION all_of_it FOR ALL TABLES;
	CREATE SUBSCRIPTION sub CONNECTION 'host=192.0.2.1 password=marlin' PUBLICATION p WITH (connect = false);
	COMMENT ON TABLE wide IS 'ERROR: nothing is wrong; PANIC: neither';`

// inTheWay are settings that every session of the role gets, in the copy too.
const inTheWay = `ALTER ROLE postgres SET lock_timeout = '1ms'; ALTER ROLE postgres SET search_path = nowhere;
	ALTER ROLE postgres SET client_encoding = 'LATIN1'; ALTER ROLE postgres SET default_transaction_isolation = 'serializable';
	ALTER ROLE postgres SET session_preload_libraries = 'auto_explain'; ALTER ROLE postgres SET statement_timeout = '8s'`

// statements runs a script, each statement in a transaction of its own.
func statements(b *bed, script string) {
	b.t.Helper()
	for s := range strings.SplitSeq(script, ";\n") {
		b.prod.Exec(b.t, s)
	}
}

// churn keeps production busy until the returned function is called, which
// waits for its end.
func churn(b *bed) (stop func()) {
	b.t.Helper()
	// Only Debian's package has the clients; they speak to later servers too.
	run := func(name string, args ...string) {
		if out, err := exec.Command(filepath.Join(targettest.BinDir(b.t, 15), name), args...).CombinedOutput(); err != nil {
			b.t.Fatalf("%s: %v\n%s", name, err, out)
		}
	}
	dsn := b.prod.DSN("busy")
	b.prod.Exec(b.t, "CREATE DATABASE busy TEMPLATE template0 LOCALE 'C.UTF-8'")
	run("pgbench", "-i", "-s", "3", "-q", dsn)
	var started []*exec.Cmd
	script := func(n int, text string) string {
		name := fmt.Sprintf("churn%d.sql", n)
		b.write(name, text)
		return filepath.Join(b.dir, name)
	}
	for n, text := range []string{
		"", // TPC-B
		"BEGIN;\nCREATE TABLE flap (a int PRIMARY KEY, b text DEFAULT 'x');\nINSERT INTO flap SELECT generate_series(1, 200);\nCOMMIT;\n\\sleep 300 ms\nDROP TABLE flap;\n\\sleep 300 ms\n",
		"CREATE TEMP TABLE scrap AS SELECT generate_series(1, 3000) a;\nCREATE INDEX ON scrap (a);\nDROP TABLE scrap;\nVACUUM pgbench_accounts;\nVACUUM FULL pgbench_tellers;\nREINDEX INDEX CONCURRENTLY pgbench_branches_pkey;\n\\sleep 200 ms\n",
		"SELECT pg_logical_emit_message(false, 'big', repeat('x', 3000000));\nSELECT pg_logical_emit_message(true, 'small', 'x');\n\\sleep 400 ms\n",
		"\\set n random(1, 1000000000)\nBEGIN;\nINSERT INTO pgbench_history SELECT 1, 1, 1, 1, now() FROM generate_series(1, 20000);\nPREPARE TRANSACTION 'p:n';\nROLLBACK PREPARED 'p:n';\n\\sleep 300 ms\n",
		"BEGIN;\nUPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid % 3 = 0;\nROLLBACK;\nTRUNCATE pgbench_history;\n\\sleep 500 ms\n",
	} {
		var args []string
		if text != "" {
			args = []string{"-n", "-T", "600", "-c", "1", "-M", "simple", "-f", script(n, text)}
		} else {
			args = []string{"-n", "-T", "600", "-c", "2"}
		}
		cmd := exec.Command(filepath.Join(targettest.BinDir(b.t, 15), "pgbench"), append(args, dsn)...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := cmd.Start(); err != nil {
			b.t.Fatal(err)
		}
		started = append(started, cmd)
	}
	return func() {
		for _, c := range started {
			_ = c.Process.Kill()
			_ = c.Wait()
		}
	}
}

func TestAwkwardAndBusyIsProven(t *testing.T) {
	t.Parallel()
	for _, major := range []int{15, 18} {
		t.Run(strconv.Itoa(major), func(t *testing.T) {
			b := protected(t, targettest.Options{Major: major, Settings: map[string]string{"max_prepared_transactions": "20"}}, settings{}, func(b *bed) {
				statements(b, awkward)
			})
			defer churn(b)()
			b.prod.Exec(t, "BEGIN; INSERT INTO ledger (note) VALUES ('in doubt'); PREPARE TRANSACTION 'in doubt'")
			b.prod.Exec(t, inTheWay)
			b.mustProve()
		})
	}
}
