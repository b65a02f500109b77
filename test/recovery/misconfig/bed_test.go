// Package misconfig builds misconfigurations for real, on live servers and
// tools, and holds the audit to them: the right rule finds each, and nothing
// above info is found where all is well.
package misconfig

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/audit"
	"github.com/refloat-db/refloat/internal/target"
	"github.com/refloat-db/refloat/internal/target/postgres"
	"github.com/refloat-db/refloat/internal/target/targettest"
)

// password is that of every role, and reaches clients through the environment.
const password = "correct-horse"

func TestMain(m *testing.M) {
	if err := os.Setenv("PGPASSWORD", password); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// keeper is the role that looks: it holds the documented grants.
const keeper = "keeper"

// soundHBA lets nobody in without a password.
const soundHBA = `local all all scram-sha-256
host all all samehost scram-sha-256
host replication all samehost scram-sha-256
`

// harden makes a server as it should be: the roles, their passwords, and who
// may sign in.
func harden(t *testing.T, srv *targettest.Cluster) {
	t.Helper()
	makeRoles(t, srv)
	srv.Write(t, "pg_hba.conf", soundHBA)
	reload(t, srv)
}

func makeRoles(t *testing.T, srv *targettest.Cluster) {
	t.Helper()
	for _, g := range postgres.Grants(keeper, "postgres", target.Version(srv.Major*10000), postgres.GrantOptions{Heartbeat: true, Settings: map[string]string{
		"max_slot_wal_keep_size": "1024", "wal_keep_size": "16", "summarize_wal": "on", "wal_level": "replica", "max_wal_senders": "10", "max_replication_slots": "10",
	}}) {
		if g.SQL != "" {
			srv.Exec(t, g.SQL)
		}
	}
	srv.Exec(t, `CREATE ROLE app LOGIN PASSWORD '`+password+`'; CREATE ROLE receiver LOGIN REPLICATION PASSWORD '`+password+`';
		ALTER ROLE keeper PASSWORD '`+password+`'; ALTER ROLE postgres PASSWORD '`+password+`'`)
}

// reload takes changed settings over, and waits until a new connection has them.
func reload(t *testing.T, srv *targettest.Cluster) {
	t.Helper()
	at := srv.Query(t, "SELECT clock_timestamp()::text")
	srv.Exec(t, "SELECT pg_reload_conf()")
	targettest.WaitFor(t, "the settings to be loaded", func() bool {
		return srv.Query(t, "SELECT pg_conf_load_time() > '"+at+"'::timestamptz") == "t"
	})
}

// set changes settings of the running server.
func set(t *testing.T, srv *targettest.Cluster, settings map[string]string) {
	t.Helper()
	for name, v := range settings {
		srv.Exec(t, fmt.Sprintf("ALTER SYSTEM SET %s = '%s'", name, strings.ReplaceAll(v, "'", "''")))
	}
	reload(t, srv)
}

// reset takes back what set did.
func reset(t *testing.T, srv *targettest.Cluster) {
	t.Helper()
	srv.Exec(t, "ALTER SYSTEM RESET ALL")
	reload(t, srv)
}

// look gathers a server's facts with the least that is needed, and sees the
// host as the program does when it runs there.
func look(t *testing.T, srv *targettest.Cluster, role string) audit.Facts {
	t.Helper()
	return lookAt(t, srv, strings.Replace(srv.DSN("postgres"), "postgres@", role+"@", 1))
}

func lookAt(t *testing.T, srv *targettest.Cluster, dsn string) audit.Facts {
	t.Helper()
	c, err := postgres.New(postgres.Options{DSN: dsn})
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.Facts(t.Context())
	if err != nil {
		t.Fatalf("%v\n%s", err, tail(srv.Log(t)))
	}
	f := factsOf(s, time.Now())
	h := audit.Host{DataDirectory: srv.Dir, DataDevice: device(t, srv.Dir), Devices: map[string]uint64{}}
	for _, dir := range audit.ArchiveDirectories(s) {
		if filepath.IsAbs(dir) {
			h.Devices[dir] = device(t, dir)
		}
	}
	f.Host = target.Seen(h)
	return f
}

func factsOf(s target.ServerFacts, at time.Time) audit.Facts {
	return audit.Facts{Target: "shop", At: at, Server: target.Seen(s)}
}

func device(t *testing.T, path string) uint64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Dev
}

func tail(s string) string { return s[max(0, len(s)-3000):] }

// above lists findings that matter. What depends on the programs that are
// installed here and on the day is left out: it has cases of its own.
func above(r audit.Report) (out []string) {
	for _, f := range r.Findings {
		if f.Severity > audit.Info && !strings.HasPrefix(f.Rule, "server-version-") {
			out = append(out, fmt.Sprintf("%s %s (%s): %s", f.Severity, f.Rule, f.Object, f.Evidence))
		}
	}
	return out
}

// mustFind judges the facts, and wants a finding of a rule, at that severity.
func mustFind(t *testing.T, f audit.Facts, rule string, severity audit.Severity, evidence string) {
	t.Helper()
	r := audit.Judge(audit.Rules(), f)
	i := slices.IndexFunc(r.Findings, func(x audit.Finding) bool {
		return x.Rule == rule && x.Severity == severity && strings.Contains(x.Evidence+" "+x.Object, evidence)
	})
	if i < 0 {
		for _, res := range r.Results {
			if res.Rule == rule {
				t.Errorf("%s %s (%q) is not found: %s %s %+v", severity, rule, evidence, res.Outcome, res.Why, res.Findings)
				return
			}
		}
		t.Errorf("there is no rule %s", rule)
		return
	}
	x := r.Findings[i]
	if x.Fix == "" || x.Why == "" || x.Docs == "" || x.Evidence == "" || x.Object == "" {
		t.Errorf("%s is not told whole: %+v", rule, x)
	}
	t.Logf("%-8s %s: %s", x.Severity, rule, x.Evidence)
}

// mustBeFine judges the facts, and wants nothing above info, and every rule of
// the server to have looked.
func mustBeFine(t *testing.T, f audit.Facts) {
	t.Helper()
	r := audit.Judge(audit.Rules(), f)
	if bad := above(r); len(bad) > 0 {
		t.Errorf("found where all is well:\n%s", strings.Join(bad, "\n"))
	}
	for _, res := range r.Results {
		if res.Outcome == audit.Unknown && strings.HasPrefix(res.Rule, "server-") && !strings.HasPrefix(res.Rule, "server-version-") {
			t.Errorf("%s could not look: %s", res.Rule, res.Why)
		}
	}
}

// archiveDir is a directory for archived segments, on another device than the
// servers' data where the machine has one.
func archiveDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "refloat-archive-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	targettest.Own(t, dir)
	return dir
}
