package scratch

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/refloat-db/refloat/internal/target/targettest"
)

func ping(ctx context.Context, dsn string) error {
	c, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	return c.Close(ctx)
}

// stopped is a cleanly stopped copy of a cluster whose settings would act on
// the world.
func stopped(t *testing.T, major int) (Options, *targettest.Cluster) {
	t.Helper()
	c := targettest.Start(t, targettest.Options{Major: major})
	c.Exec(t, "CREATE TABLE t AS SELECT 7 AS n")
	evidence := filepath.Join(targettest.TempDir(t), "archived")
	for _, q := range []string{"archive_mode = on", "archive_command = 'touch " + evidence + "'", "listen_addresses = '*'", "shared_preload_libraries = 'nosuchlibrary'", "max_connections = 500", "external_pid_file = '" + evidence + "'"} {
		c.Exec(t, "ALTER SYSTEM SET "+q)
	}
	c.Exec(t, "ALTER ROLE postgres SET session_preload_libraries = 'nosuchlibrary'; ALTER DATABASE postgres SET default_transaction_read_only = on")
	c.Stop(t)
	t.Cleanup(func() {
		if _, err := os.Stat(evidence); err == nil {
			t.Error("the scratch server wrote outside of its directories")
		}
	})
	b, err := FindBinaries(t.Context(), major, c.Bin)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("REFLOAT_PASSPHRASE", "secret")
	return Options{Binaries: b, Major: major, DataDir: c.Dir, Superuser: "postgres", Ping: ping}, c
}

func TestServe(t *testing.T) {
	for _, major := range []int{14, 15, 16, 17, 18} {
		t.Run(string(rune('0'+major/10))+string(rune('0'+major%10)), func(t *testing.T) {
			o, _ := stopped(t, major)
			s, err := Start(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Kill()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if err := s.WaitReady(ctx); err != nil {
				t.Fatal(err)
			}
			if env, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(s.pid), "environ")); err != nil || strings.Contains(string(env), "REFLOAT") {
				t.Errorf("the server was given our environment: %v", err)
			}
			conn, err := pgx.Connect(ctx, s.DSN("postgres"))
			if err != nil {
				t.Fatal(err)
			}
			for q, want := range map[string]string{
				"SHOW listen_addresses": "", "SHOW archive_mode": "off", "SHOW shared_preload_libraries": "", "SHOW fsync": "on", "SHOW session_preload_libraries": "", "SHOW default_transaction_read_only": "off", "SELECT n::text FROM t": "7",
			} {
				var got string
				if err := conn.QueryRow(ctx, q).Scan(&got); err != nil || got != want {
					t.Errorf("%s: %q, %v; want %q", q, got, err, want)
				}
			}
			if err := conn.Close(ctx); err != nil {
				t.Fatal(err)
			}
			if err := s.Stop(ctx); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(s.private); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("left behind: %s", s.private)
			}
		})
	}
}

func TestLastWords(t *testing.T) {
	o, c := stopped(t, 15)
	if err := os.Remove(filepath.Join(c.Dir, "global/pg_control")); err != nil {
		t.Fatal(err)
	}
	s, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Kill()
	if err := s.WaitReady(t.Context()); err == nil || !strings.Contains(err.Error(), "pg_control") {
		t.Fatalf("the reason is missing: %v", err)
	}
}

func TestFindBinariesRefusesAnotherVersion(t *testing.T) {
	dir := targettest.BinDir(t, 17)
	if _, err := FindBinaries(t.Context(), 15, dir); !errors.Is(err, ErrNoBinaries) || !strings.Contains(err.Error(), "drill.bin_dir") {
		t.Fatalf("%v", err)
	}
}

func TestServerDiesWithUs(t *testing.T) {
	if os.Getenv("SCRATCH_CHILD") != "" {
		b, err := FindBinaries(t.Context(), 15, os.Getenv("SCRATCH_BIN"))
		if err != nil {
			t.Fatal(err)
		}
		s, err := Start(t.Context(), Options{Binaries: b, Major: 15, DataDir: os.Getenv("SCRATCH_CHILD"), Superuser: "postgres", Ping: ping})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := s.WaitReady(ctx); err != nil {
			t.Fatal(err)
		}
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
	o, c := stopped(t, 15)
	cmd := exec.Command(os.Args[0], "-test.run=^TestServerDiesWithUs$")
	cmd.Env = append(os.Environ(), "SCRATCH_CHILD="+o.DataDir, "SCRATCH_BIN="+o.Binaries.Dir)
	if out, err := cmd.CombinedOutput(); cmd.ProcessState == nil || !strings.Contains(cmd.ProcessState.String(), "killed") {
		t.Fatalf("%v\n%s", err, out)
	}
	deadline := time.Now().Add(30 * time.Second)
	for {
		if _, err := os.Stat(filepath.Join(c.Dir, "postmaster.pid")); errors.Is(err, os.ErrNotExist) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the server outlived the process that started it")
		}
		<-time.After(20 * time.Millisecond)
	}
}

func TestSweep(t *testing.T) {
	base := targettest.TempDir(t)
	t.Setenv("TMPDIR", base)
	mine, err := Dir(base, "")
	if err != nil {
		t.Fatal(err)
	}
	dead, err := Dir(base, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dead, ownerFile), []byte("1 999999999999\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	removed, err := Sweep(base)
	if err != nil || len(removed) != 1 || removed[0] != dead {
		t.Fatalf("removed %v, %v; want only %s", removed, err, dead)
	}
	if _, err := os.Stat(mine); err != nil {
		t.Fatalf("a live drill's directory was removed: %v", err)
	}
}

// A server without a database postgres serves all the same; one that refuses
// everybody does not keep us waiting for ever.
func TestWaitReadyIsNoPromiseToWaitForEver(t *testing.T) {
	o, _ := stopped(t, 15)
	s, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { s.Kill() }()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := s.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(ctx, s.DSN("template1"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(ctx, "DROP DATABASE postgres"); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(conn.Close(ctx), s.Stop(ctx)); err != nil {
		t.Fatal(err)
	}
	if s, err = Start(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if err := s.WaitReady(ctx); err != nil {
		t.Fatalf("without a database postgres: %v", err)
	}
	s.Kill()
	refused := errors.New("nobody may")
	o.Ping = func(context.Context, string) error { return refused }
	if s, err = Start(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	s.silence = time.Second
	if err := s.WaitReady(ctx); !errors.Is(err, refused) || ctx.Err() != nil {
		t.Fatalf("a server that refuses: %v", err)
	}
}
