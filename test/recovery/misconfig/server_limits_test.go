package misconfig

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/refloat-db/refloat/internal/audit"
	"github.com/refloat-db/refloat/internal/target/postgres"
	"github.com/refloat-db/refloat/internal/target/targettest"
)

// TestWraparound makes a server old by moving its counters on. Vacuum is told
// not to come by itself, since it would mend a small server within a second.
func TestWraparound(t *testing.T) {
	t.Parallel()
	srv := targettest.Start(t, targettest.Options{Settings: map[string]string{
		"autovacuum": "off", "autovacuum_freeze_max_age": "2000000000", "autovacuum_multixact_freeze_max_age": "2000000000",
	}})
	makeRoles(t, srv)
	before := look(t, srv, keeper)
	for _, rule := range []string{"server-xid-wraparound", "server-multixact-wraparound"} {
		for _, res := range audit.Judge(audit.Rules(), before).Results {
			if res.Rule == rule && res.Outcome != audit.Passed {
				t.Errorf("%s of a new server: %+v", rule, res)
			}
		}
	}
	srv.Stop(t)
	const next = "1600000000"
	if out, err := srv.Command(t, "pg_resetwal", "-x", next, "-m", next+",1", "-D", srv.Dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	// The segments that these numbers are in: 2^20 transactions, 2^16 multixacts each.
	for _, name := range []string{"pg_xact/05F5", "pg_multixact/offsets/5F5E"} {
		path := filepath.Join(srv.Dir, name)
		if err := os.WriteFile(path, make([]byte, 32*8192), 0o600); err != nil {
			t.Fatal(err)
		}
		targettest.Own(t, path)
	}
	srv.Start(t)
	f := look(t, srv, keeper)
	mustFind(t, f, "server-xid-wraparound", audit.High, "database postgres")
	mustFind(t, f, "server-multixact-wraparound", audit.High, "database postgres")
}

// TestClock looks at a server from a machine whose clock stands in the year
// 2000.
func TestClock(t *testing.T) {
	t.Parallel()
	srv := targettest.Start(t, targettest.Options{})
	synctest.Test(t, func(t *testing.T) {
		c, err := postgres.New(postgres.Options{DSN: srv.DSN("postgres")})
		if err != nil {
			t.Fatal(err)
		}
		s, err := c.Facts(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		mustFind(t, factsOf(s, time.Now()), "server-clock", audit.High, "ahead of ours")
	})
	for _, res := range audit.Judge(audit.Rules(), look(t, srv, "postgres")).Results {
		if res.Rule == "server-clock" && res.Outcome != audit.Passed {
			t.Errorf("%+v", res)
		}
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	srv := targettest.Start(t, targettest.Options{Major: 14})
	f := look(t, srv, "postgres")
	day := func(s string) audit.Facts {
		at, err := time.Parse(time.DateOnly, s)
		if err != nil {
			t.Fatal(err)
		}
		g := f
		g.At = at
		return g
	}
	mustFind(t, day("2026-12-01"), "server-version-eol", audit.High, "was on 2026-11-12")
	mustFind(t, day("2026-11-01"), "server-version-eol", audit.Low, "is on 2026-11-12")
	for _, res := range audit.Judge(audit.Rules(), day("2025-01-01")).Results {
		if res.Rule == "server-version-eol" && res.Outcome != audit.Passed {
			t.Errorf("long before: %+v", res)
		}
	}
	if minor := int(f.Server.Value.Server.Version) % 10000; minor < 24 {
		mustFind(t, f, "server-version-outdated", audit.Medium, "14.25 was the newest")
	}
}

// TestManyTables: on a server with 50,000 tables the gathering stays within its
// own limits, and sees all that is wrong.
func TestManyTables(t *testing.T) {
	if testing.Short() {
		t.Skip("makes 50,000 tables")
	}
	srv := targettest.Start(t, targettest.Options{Settings: map[string]string{"fsync": "off", "autovacuum": "off", "max_wal_size": "4GB", "wal_level": "logical", "max_locks_per_transaction": "256"}})
	makeRoles(t, srv)
	began := time.Now()
	srv.Exec(t, `DO $$ BEGIN FOR i IN 1..50000 LOOP EXECUTE format('CREATE TABLE t%s (n int)', i); IF i % 2000 = 0 THEN COMMIT; END IF; END LOOP; END $$`)
	srv.Exec(t, "CREATE UNLOGGED TABLE gone AS SELECT 1 AS n; CREATE PUBLICATION p FOR ALL TABLES")
	t.Logf("made in %s", time.Since(began).Round(time.Millisecond))
	began = time.Now()
	f := look(t, srv, keeper)
	t.Logf("looked at in %s", time.Since(began).Round(time.Millisecond))
	mustFind(t, f, "server-unlogged-tables", audit.Medium, "public.gone")
	mustFind(t, f, "server-tables-without-key", audit.Medium, "50000 published tables")
	for _, res := range audit.Judge(audit.Rules(), f).Results {
		if res.Outcome == audit.Unknown && res.Rule != "server-extensions" {
			t.Errorf("%s could not look: %s", res.Rule, res.Why)
		}
	}
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("it took %s", took)
	}
}
