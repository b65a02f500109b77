package misconfig

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/audit"
	"github.com/refloat-db/refloat/internal/target/targettest"
)

// receiver is pg_receivewal, which keeps the log as Refloat does.
type receiver struct {
	cmd *exec.Cmd
	srv *targettest.Cluster
}

func startReceiver(t *testing.T, srv *targettest.Cluster, host, role, sslmode string, args ...string) *receiver {
	t.Helper()
	args = append([]string{"-D", targettest.TempDir(t), "-s", "1", "-d", fmt.Sprintf("host=%s port=%d user=%s sslmode=%s", host, srv.Port, role, sslmode)}, args...)
	r := &receiver{cmd: srv.Command(t, "pg_receivewal", args...), srv: srv}
	r.cmd.Env = append(os.Environ(), "HOME="+srv.Dir) // where it may look for a certificate
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.end() })
	targettest.WaitFor(t, "the receiver to stream", func() bool {
		return srv.Query(t, "SELECT state FROM pg_stat_replication WHERE application_name = 'pg_receivewal'") == "streaming"
	})
	return r
}

func (r *receiver) end() {
	if r.cmd.ProcessState == nil {
		_ = r.cmd.Process.Kill()
		_ = r.cmd.Wait()
	}
}

func (r *receiver) stop(t *testing.T) {
	t.Helper()
	r.end()
	targettest.WaitFor(t, "the receiver to be gone", func() bool { return r.srv.Query(t, "SELECT count(*) FROM pg_stat_replication") == "0" })
}

func TestReceiver(t *testing.T) {
	t.Parallel()
	srv := targettest.Start(t, targettest.Options{SegmentMiB: 1, Settings: map[string]string{
		"listen_addresses": "*", "max_slot_wal_keep_size": "150MB", "wal_keep_size": "4MB", "max_wal_size": "32MB", "min_wal_size": "8MB",
	}})
	harden(t, srv)
	mustFind(t, look(t, srv, keeper), "server-archiving-missing", audit.High, "no receiver of the log is connected")
	srv.Exec(t, "SELECT pg_create_physical_replication_slot('kept', true)")
	r := startReceiver(t, srv, "127.0.0.1", "receiver", "disable", "--slot=kept")
	mustBeFine(t, look(t, srv, keeper))

	t.Run("stopped in its tracks", func(t *testing.T) {
		if err := r.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		fillSegments(t, srv, 115)
		f := look(t, srv, keeper)
		mustFind(t, f, "server-slot-behind", audit.Medium, "slot kept is in use")
		mustFind(t, f, "server-wal-size", audit.Medium, "pg_wal holds")
		if err := r.cmd.Process.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		targettest.WaitFor(t, "the log to be recycled", func() bool {
			srv.Exec(t, "CHECKPOINT")
			return srv.Query(t, "SELECT sum(size) < 64 << 20 FROM pg_ls_waldir()") == "t"
		})
		mustBeFine(t, look(t, srv, keeper))
	})
	t.Run("without a slot", func(t *testing.T) {
		set(t, srv, value("wal_keep_size", "0"))
		other := startReceiver(t, srv, "127.0.0.1", "receiver", "disable")
		targettest.WaitFor(t, "two receivers", func() bool { return srv.Query(t, "SELECT count(*) FROM pg_stat_replication") == "2" })
		mustFind(t, look(t, srv, keeper), "server-wal-keep", audit.Low, "without a slot")
		other.end()
		targettest.WaitFor(t, "one receiver", func() bool { return srv.Query(t, "SELECT count(*) FROM pg_stat_replication") == "1" })
		reset(t, srv)
		mustBeFine(t, look(t, srv, keeper))
	})
	t.Run("keep everything", func(t *testing.T) {
		set(t, srv, value("wal_keep_size", "2TB"))
		mustFind(t, look(t, srv, keeper), "server-wal-keep", audit.Medium, "wal_keep_size")
		reset(t, srv)
		mustBeFine(t, look(t, srv, keeper))
	})
	r.stop(t)
	t.Run("as superuser", func(t *testing.T) {
		r := startReceiver(t, srv, "127.0.0.1", "postgres", "disable", "--slot=kept")
		mustFind(t, look(t, srv, keeper), "server-superuser", audit.Low, "receives the log as postgres")
		r.stop(t)
	})
	t.Run("over a network", func(t *testing.T) {
		host := networkAddress(t)
		dsn := func(sslmode string) string {
			return fmt.Sprintf("postgres://%s@%s/postgres?sslmode=%s", keeper, net.JoinHostPort(host, strconv.Itoa(srv.Port)), sslmode)
		}
		r := startReceiver(t, srv, host, "receiver", "disable", "--slot=kept")
		mustFind(t, look(t, srv, keeper), "server-replication-tls", audit.High, "receives the log without TLS")
		ours := lookAt(t, srv, dsn("disable"))
		mustFind(t, ours, "server-replication-tls", audit.Low, "our replication connection")
		ours.Care = &audit.Care{}
		mustFind(t, ours, "server-replication-tls", audit.High, "our replication connection")
		r.stop(t)
		srv.Certify(t, time.Now().Add(time.Hour))
		set(t, srv, value("ssl", "on"))
		startReceiver(t, srv, host, "receiver", "require", "--slot=kept")
		mustBeFine(t, lookAt(t, srv, dsn("require")))
	})
}

// networkAddress is an address of this machine that is not its loopback.
func networkAddress(t *testing.T) string {
	t.Helper()
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && !n.IP.IsLoopback() {
			return n.IP.String()
		}
	}
	t.Skip("this machine has no address but its loopback")
	return ""
}

func TestStandby(t *testing.T) {
	t.Parallel()
	archive := archiveDir(t)
	primary := targettest.Start(t, targettest.Options{Settings: map[string]string{
		"archive_mode": "on", "archive_command": "test ! -f " + archive + "/%f && cp %p " + archive + "/%f", "archive_timeout": "60s", "max_slot_wal_keep_size": "1GB", "wal_keep_size": "16MB",
	}})
	harden(t, primary)
	standby := targettest.StartStandby(t, primary, nil)
	mustFind(t, look(t, primary, keeper), "server-superuser", audit.Low, "as postgres")
	primary.Exec(t, "SELECT pg_create_physical_replication_slot('berlin', true)")
	follow := func(t *testing.T) {
		set(t, standby, value("primary_conninfo", fmt.Sprintf("host=127.0.0.1 port=%d user=receiver password=%s application_name=berlin", primary.Port, password), "primary_slot_name", "berlin"))
		targettest.WaitFor(t, "the standby to stream", func() bool {
			return primary.Query(t, "SELECT string_agg(application_name || state || usename, '') FROM pg_stat_replication") == "berlinstreamingreceiver"
		})
	}
	follow(t)
	fine := func(t *testing.T) { mustBeFine(t, look(t, primary, keeper)); mustBeFine(t, look(t, standby, keeper)) }
	fine(t)
	replayed := func(t *testing.T) {
		primary.Exec(t, "CREATE TABLE IF NOT EXISTS moves (n int)")
		targettest.WaitFor(t, "replay", func() bool { return standby.Query(t, "SELECT to_regclass('moves') IS NOT NULL") == "t" })
	}
	replayed(t)
	t.Run("paused", func(t *testing.T) {
		standby.Exec(t, "SELECT pg_wal_replay_pause()")
		targettest.WaitFor(t, "the pause", func() bool { return standby.Query(t, "SELECT pg_get_wal_replay_pause_state()") == "paused" })
		primary.Exec(t, "INSERT INTO moves SELECT generate_series(1, 1000)")
		targettest.WaitFor(t, "the log to come", func() bool {
			return standby.Query(t, "SELECT pg_last_wal_receive_lsn() > pg_last_wal_replay_lsn()") == "t"
		})
		f := look(t, standby, keeper)
		mustFind(t, f, "server-standby-paused", audit.Medium, "replay is paused")
		f.At = f.At.Add(time.Hour)
		mustFind(t, f, "server-standby-lag", audit.Medium, "received and not replayed")
		standby.Exec(t, "SELECT pg_wal_replay_resume()")
		targettest.WaitFor(t, "replay", func() bool { return standby.Query(t, "SELECT count(*) FROM moves") == "1000" })
		fine(t)
	})
	t.Run("away", func(t *testing.T) {
		set(t, standby, value("primary_conninfo", "host=127.0.0.1 port=1"))
		targettest.WaitFor(t, "the receiver to end", func() bool { return standby.Query(t, "SELECT count(*) FROM pg_stat_wal_receiver") == "0" })
		mustFind(t, look(t, standby, keeper), "server-standby-disconnected", audit.High, "no receiver is connected")
		mustFind(t, look(t, primary, keeper), "server-slot-inactive", audit.Medium, "slot berlin")
		follow(t)
		fine(t)
	})
	t.Run("synchronous", func(t *testing.T) {
		set(t, primary, value("synchronous_standby_names", "berlin"))
		targettest.WaitFor(t, "the standby to be synchronous", func() bool { return primary.Query(t, "SELECT sync_state FROM pg_stat_replication") == "sync" })
		fine(t)
		set(t, primary, value("synchronous_standby_names", "2 (berlin, paris)"))
		mustFind(t, look(t, primary, keeper), "server-synchronous-standby", audit.High, "1 of 2")
		reset(t, primary)
	})
}

// TestBareServer: a server as somebody made it in a hurry. Whoever sees less
// must not call good what is not.
func TestBareServer(t *testing.T) {
	t.Parallel()
	srv := targettest.Start(t, targettest.Options{NoChecksums: true, Settings: map[string]string{
		"wal_level": "minimal", "max_wal_senders": "0", "max_replication_slots": "0", "fsync": "off",
	}})
	makeRoles(t, srv)
	srv.Exec(t, "CREATE DATABASE closed; ")
	srv.ExecIn(t, "closed", "CREATE UNLOGGED TABLE gone AS SELECT 1 AS n; SELECT lo_create(0)")
	srv.Exec(t, "REVOKE CONNECT ON DATABASE closed FROM PUBLIC")
	srv.Exec(t, "GRANT CONNECT ON DATABASE closed TO keeper; CREATE ROLE nobody LOGIN PASSWORD '"+password+"'")
	f := look(t, srv, keeper)
	for rule, severity := range map[string]audit.Severity{
		"server-wal-level": audit.High, "server-senders": audit.High, "server-slots-exhausted": audit.Medium, "server-checksums": audit.Medium,
		"server-archiving-missing": audit.High, "server-hba-trust": audit.Medium, "server-fsync": audit.Critical, "server-unlogged-tables": audit.Medium,
	} {
		mustFind(t, f, rule, severity, "")
	}
	super := look(t, srv, "postgres")
	mustFind(t, super, "server-superuser", audit.Info, "we sign in as postgres")
	super.Care = &audit.Care{}
	mustFind(t, super, "server-superuser", audit.Medium, "we sign in as postgres")

	seen := map[string]audit.Result{}
	for _, res := range audit.Judge(audit.Rules(), f).Results {
		seen[res.Rule] = res
	}
	blind := look(t, srv, "nobody")
	var unknown []string
	for _, res := range audit.Judge(audit.Rules(), blind).Results {
		if seen[res.Rule].Outcome == audit.Found && res.Outcome != audit.Found && res.Outcome != audit.Unknown {
			t.Errorf("%s: %s for a role that may not look: %+v", res.Rule, res.Outcome, seen[res.Rule].Findings)
		}
		if res.Outcome == audit.Unknown {
			unknown = append(unknown, res.Rule)
			if res.Why == "" {
				t.Errorf("%s is unknown without a reason", res.Rule)
			}
		}
	}
	for _, rule := range []string{"server-hba-trust", "server-file-errors", "server-archiver-stalled", "server-wal-size", "server-long-transactions", "server-unlogged-tables", "server-replication-tls"} {
		if !strings.Contains(strings.Join(unknown, " ")+" ", rule+" ") {
			t.Errorf("%s did not say that it could not look: %v", rule, unknown)
		}
	}
}

// TestMissingGrants: what a role may not see names the right.
func TestMissingGrants(t *testing.T) {
	t.Parallel()
	b := newServerBed(t)
	mustBeFine(t, look(t, b.srv, keeper))
	b.srv.Exec(t, `REVOKE ALL ON pg_hba_file_rules, pg_file_settings FROM keeper; REVOKE ALL ON FUNCTION pg_hba_file_rules(), pg_show_all_file_settings() FROM keeper`)
	r := audit.Judge(audit.Rules(), look(t, b.srv, keeper))
	if bad := above(r); len(bad) > 0 {
		t.Errorf("found where all is well: %q", bad)
	}
	var unknown []string
	for _, res := range r.Results {
		if res.Outcome == audit.Unknown && strings.HasPrefix(res.Rule, "server-") {
			unknown = append(unknown, res.Rule)
			if !strings.Contains(res.Why, "GRANT ") {
				t.Errorf("%s does not name the right: %s", res.Rule, res.Why)
			}
		}
	}
	if got := strings.Join(unknown, " "); got != "server-file-errors server-hba-errors server-hba-trust" {
		t.Errorf("unknown: %s", got)
	}
	if _, err := os.Stat(b.archive); err != nil {
		t.Error(err)
	}
}
