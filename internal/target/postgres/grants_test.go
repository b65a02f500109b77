package postgres

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/refloat-db/refloat/internal/target"
	"github.com/refloat-db/refloat/internal/target/targettest"
)

// apply runs the rendered script where psql is installed, else each statement.
func apply(t *testing.T, srv *targettest.Cluster, role string, grants []Grant) {
	t.Helper()
	psql, err := exec.LookPath(filepath.Join(srv.Bin, "psql"))
	if err != nil {
		for _, g := range grants {
			if g.SQL != "" {
				srv.Exec(t, g.SQL)
			}
		}
		return
	}
	cmd := exec.Command(psql, "-X", "-v", "ON_ERROR_STOP=1", "-f", "-", srv.DSN("postgres"))
	cmd.Stdin = strings.NewReader(RenderGrants(role, "postgres", grants))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func TestGrantsAreEnough(t *testing.T) {
	for _, major := range []int{14, 15, 18} {
		t.Run(fmt.Sprint(major), func(t *testing.T) {
			t.Parallel()
			srv := targettest.Start(t, targettest.Options{Major: major})
			loc := targettest.TempDir(t)
			srv.Exec(t, "CREATE TABLESPACE extra LOCATION '"+loc+"'")
			const role = `re"float's $refloat$`
			grants := Grants(role, "postgres", target.Version(major*10000), GrantOptions{Heartbeat: true, ReadFiles: true})
			apply(t, srv, role, grants)
			apply(t, srv, role, grants) // a second time changes nothing
			c := cluster(t, as(srv, "re%22float%27s%20$refloat$"))
			s, err := c.Inspect(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if want := (target.Role{Name: role, Replication: true, Monitor: true, Heartbeat: true, BackupControl: true}); s.Role != want {
				t.Errorf("role %+v", s.Role)
			}
			if s.DataDirectory != srv.Dir || s.Size == 0 || s.ReplicationNote != "" || s.SystemID == 0 || len(s.Tablespaces) != 1 || s.Tablespaces[0].Size < 0 {
				t.Errorf("%+v", s)
			}
			if got := s.Settings["max_slot_wal_keep_size"]; got != "65536" {
				t.Errorf("max_slot_wal_keep_size is %s", got)
			}
			take(t, c, target.BaseBackupRequest{}, newDirSink(t))
			take(t, c, target.BaseBackupRequest{ReadFiles: true}, newDirSink(t))
			again := Grants(role, "postgres", s.Version, GrantOptions{Settings: s.Settings})
			if len(again) != 5 {
				t.Errorf("settings that the server has are recommended: %+v", again)
			}
		})
	}
}

func TestMissingRights(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector finds nothing in it that it does not elsewhere")
	}
	t.Parallel()
	srv := targettest.Start(t, targettest.Options{})
	loc := targettest.TempDir(t)
	srv.Exec(t, "CREATE TABLESPACE extra LOCATION '"+loc+"'")
	apply(t, srv, "keeper", Grants("keeper", "postgres", 150000, GrantOptions{Heartbeat: true, ReadFiles: true}))
	c := cluster(t, as(srv, "keeper"))
	backup := func(t *testing.T, readFiles bool, want string) {
		t.Helper()
		_, err := c.BaseBackup(t.Context(), target.BaseBackupRequest{Label: "x", FastStart: true, ReadFiles: readFiles}, newDirSink(t))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("base backup, files %t: want %q, got %v", readFiles, want, err)
		}
	}
	for _, m := range []struct {
		name, take, give string
		check            func(t *testing.T, s target.Server)
	}{
		{"replication", "ALTER ROLE keeper NOREPLICATION", "ALTER ROLE keeper REPLICATION", func(t *testing.T, s target.Server) {
			if s.Role.Replication || !strings.Contains(s.ReplicationNote, "REPLICATION attribute") || s.SystemID == 0 || s.Timeline != 1 {
				t.Errorf("%+v", s)
			}
			backup(t, false, "replication")
			backup(t, true, "")
		}},
		{"pg_monitor", "REVOKE pg_monitor FROM keeper", "GRANT pg_monitor TO keeper", func(t *testing.T, s target.Server) {
			if s.Role.Monitor || s.DataDirectory != "" || s.Size == 0 || s.Tablespaces[0].Size != -1 || s.SystemID == 0 || s.SegmentSize == 0 {
				t.Errorf("%+v", s)
			}
			backup(t, false, "")
			backup(t, true, "grant it pg_monitor")
		}},
		{"heartbeat", "REVOKE USAGE ON SCHEMA refloat FROM keeper", "GRANT USAGE ON SCHEMA refloat TO keeper", func(t *testing.T, s target.Server) {
			if s.Role.Heartbeat || !s.Role.Monitor {
				t.Errorf("%+v", s.Role)
			}
		}},
		{"heartbeat's rows", "REVOKE DELETE ON refloat.heartbeat FROM keeper", "GRANT DELETE ON refloat.heartbeat TO keeper", func(t *testing.T, s target.Server) {
			if s.Role.Heartbeat {
				t.Errorf("%+v", s.Role)
			}
		}},
		{"backup functions", "REVOKE EXECUTE ON FUNCTION pg_backup_start(text, boolean) FROM keeper", "GRANT EXECUTE ON FUNCTION pg_backup_start(text, boolean) TO keeper", func(t *testing.T, s target.Server) {
			if s.Role.BackupControl {
				t.Errorf("%+v", s.Role)
			}
			backup(t, false, "")
			backup(t, true, "init --grants")
		}},
	} {
		t.Run(m.name, func(t *testing.T) {
			srv.Exec(t, m.take)
			s, err := c.Inspect(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			m.check(t, s)
			srv.Exec(t, m.give)
		})
	}
	s, err := c.Inspect(t.Context())
	if err != nil || !s.Role.Heartbeat || !s.Role.BackupControl || !s.Role.Replication || !s.Role.Monitor {
		t.Errorf("with all rights again: %+v, %v", s.Role, err)
	}
}

func TestGrantsText(t *testing.T) {
	text := func(version target.Version, o GrantOptions) string {
		return RenderGrants("refloat", "shop", Grants("refloat", "shop", version, o))
	}
	for _, c := range []struct {
		got  string
		want []string
		not  []string
	}{
		{text(140000, GrantOptions{ReadFiles: true}), []string{"pg_start_backup(text, boolean, boolean)", "hostssl  replication  refloat  samehost  scram-sha-256"}, []string{"pg_backup_start", "summarize_wal", "refloat.heartbeat"}},
		{text(170000, GrantOptions{Heartbeat: true, Address: "192.0.2.0/24"}), []string{"summarize_wal", "refloat.heartbeat", "192.0.2.0/24", "hostssl  all"}, []string{"pg_backup_start", "SUPERUSER", "wal_level"}},
		{text(150000, GrantOptions{Settings: map[string]string{"wal_level": "minimal", "max_wal_senders": "0", "max_slot_wal_keep_size": "1024", "wal_keep_size": "512", "max_replication_slots": "5"}}),
			[]string{"wal_level = 'replica'", "max_wal_senders = '10'"}, []string{"max_slot_wal_keep_size", "wal_keep_size", "max_replication_slots"}},
	} {
		for _, w := range c.want {
			if !strings.Contains(c.got, w) {
				t.Errorf("%q is missing in\n%s", w, c.got)
			}
		}
		for _, n := range c.not {
			if strings.Contains(c.got, n) {
				t.Errorf("%q is in\n%s", n, c.got)
			}
		}
	}
	for name, want := range map[string]string{"refloat": "refloat", "all": `"all"`, "A b": `"A b"`, "replication": `"replication"`} {
		if got := quoteHBA(name); got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
	for name, want := range map[string]string{"a'b": "'a''b'", `a\b'`: ` E'a\\b'''`} {
		if got := quoteText(name); got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
}
