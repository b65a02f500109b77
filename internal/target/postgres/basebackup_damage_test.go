package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/target"
	"github.com/refloat-db/refloat/internal/target/targettest"
)

// flip changes one byte of a file.
func flip(t *testing.T, name string, off int64) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1)
	_, err1 := f.ReadAt(b, off)
	b[0] ^= 0xff
	_, err2 := f.WriteAt(b, off)
	if err := errors.Join(err1, err2, f.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestDamagedPagesAreFindings(t *testing.T) {
	for _, major := range []int{15, 17} {
		t.Run(fmt.Sprint(major), func(t *testing.T) {
			t.Parallel()
			srv := targettest.Start(t, targettest.Options{Major: major})
			fill(t, srv, 20000)
			big := srv.Query(t, "SELECT pg_relation_filepath('big')")
			far := srv.Query(t, "SELECT pg_relation_filepath('far')")
			vm := big + "_vm"
			srv.Stop(t)
			flip(t, filepath.Join(srv.Dir, big), 7*target.PageSize+5000)
			flip(t, filepath.Join(srv.Dir, far), 3*target.PageSize+100)
			flip(t, filepath.Join(srv.Dir, vm), 60)
			flip(t, filepath.Join(srv.Dir, big), 9*target.PageSize) // its position: now one that the log has not reached
			srv.Start(t)
			c := cluster(t, srv.DSN("postgres"))
			for _, readFiles := range []bool{false, true} {
				sink := newDirSink(t)
				end, err := c.BaseBackup(t.Context(), target.BaseBackupRequest{Label: "x", FastStart: true, ReadFiles: readFiles}, sink)
				if err != nil {
					t.Fatalf("files %t: damage must not cost the backup: %v", readFiles, err)
				}
				var got []string
				for _, f := range end.Findings {
					got = append(got, fmt.Sprintf("%s:%d", f.File, f.Block))
				}
				want := []string{big + ":7", big + ":9", vm + ":0", far + ":3"}
				if fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("files %t: findings %v instead of %v", readFiles, got, want)
				}
				if _, ok := sink.files[manifestFile]; !ok {
					t.Error("no manifest")
				}
			}
		})
	}
}

func TestNoChecksumsNoFindings(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector finds nothing in it that it does not elsewhere")
	}
	t.Parallel()
	srv := targettest.Start(t, targettest.Options{NoChecksums: true})
	c := cluster(t, srv.DSN("postgres"))
	take(t, c, target.BaseBackupRequest{}, newDirSink(t))
	take(t, c, target.BaseBackupRequest{ReadFiles: true}, newDirSink(t))
	_, err := c.BaseBackup(t.Context(), target.BaseBackupRequest{Label: "x", PrevManifest: prevManifest(nil)}, newDirSink(t))
	if !errors.Is(err, target.ErrNoIncremental) {
		t.Errorf("an incremental of version 15: %v", err)
	}
}

// workload changes, extends, truncates, makes and drops tables until the test
// ends or stop is called.
func workload(t *testing.T, srv *targettest.Cluster) (stop func()) {
	t.Helper()
	quit := make(chan struct{})
	var wg sync.WaitGroup
	for w := range 3 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-quit:
					return
				default:
				}
				for _, sql := range []string{
					fmt.Sprintf("UPDATE big SET pad = md5(random()::text) WHERE n %% 97 = %d", (i*3+w)%97),
					fmt.Sprintf("CREATE TABLE w%d_%d AS SELECT n, 'x' AS y FROM generate_series(1, 3000) n", w, i),
					fmt.Sprintf("INSERT INTO far SELECT n FROM generate_series(1, 2000) n; DELETE FROM far WHERE n > %d", 3000),
					fmt.Sprintf("DROP TABLE w%d_%d", w, i),
					"VACUUM far",
					"CHECKPOINT",
				} {
					if _, err := srv.TryQuery(sql); err != nil {
						select {
						case <-quit: // the server may be gone
						default:
							t.Errorf("workload: %v", err)
						}
						return
					}
				}
			}
		})
	}
	var once sync.Once
	stop = func() { once.Do(func() { close(quit); wg.Wait() }) }
	t.Cleanup(stop)
	return stop
}

func TestBusyServerHasNoFindings(t *testing.T) {
	for _, readFiles := range []bool{false, true} {
		t.Run(fmt.Sprintf("files %t", readFiles), func(t *testing.T) {
			srv := targettest.Start(t, targettest.Options{Settings: map[string]string{
				"shared_buffers": "2MB", "bgwriter_delay": "10ms", "wal_keep_size": "1GB", "autovacuum": "off",
			}})
			fill(t, srv, 30000)
			stop := workload(t, srv)
			c := cluster(t, srv.DSN("postgres"))
			var sink *dirSink
			for range 3 {
				sink = newDirSink(t)
				end := take(t, c, target.BaseBackupRequest{ReadFiles: readFiles}, sink)
				t.Logf("%d torn pages, %s of log", end.TornPages, end.Position.LSN-sink.start.Position.LSN)
			}
			stop()
			restored := sink.boot(t, srv)
			restored.Exec(t, "CREATE EXTENSION amcheck")
			restored.Exec(t, `SELECT bt_index_parent_check(c.oid, true) FROM pg_class c JOIN pg_am a ON a.oid = c.relam
				WHERE c.relkind = 'i' AND a.amname = 'btree' AND c.relpersistence = 'p'`)
			if n := restored.Query(t, "SELECT count(DISTINCT n) FROM big"); n != "30000" {
				t.Fatalf("%s rows", n)
			}
			restored.Stop(t)
			if out, err := restored.Command(t, "pg_checksums", "--check", "-D", restored.Dir).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
		})
	}
}

func TestServerKilledDuringBackup(t *testing.T) {
	t.Parallel()
	srv := targettest.Start(t, targettest.Options{})
	c := cluster(t, srv.DSN("postgres"))
	for _, readFiles := range []bool{false, true} {
		sink := newDirSink(t)
		var once sync.Once
		sink.onFile = func(f target.File) error {
			if strings.HasPrefix(f.Path, "base/") {
				once.Do(func() { srv.Kill(t) })
			}
			return nil
		}
		_, err := c.BaseBackup(t.Context(), target.BaseBackupRequest{Label: "x", FastStart: true, ReadFiles: readFiles}, sink)
		if err == nil {
			t.Errorf("files %t: a backup of a server that was killed succeeded", readFiles)
		}
		srv.Start(t)
	}
}

// A server that is stopped, or whose disk hangs, keeps its connections: only
// the silence tells.
func TestStalledServerEndsBackup(t *testing.T) {
	t.Parallel()
	srv := targettest.Start(t, targettest.Options{})
	srv.Exec(t, "CREATE TABLE t AS SELECT n, repeat('x', 500) AS pad FROM generate_series(1, 60000) n")
	c, err := New(Options{DSN: srv.DSN("postgres"), StallTimeout: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	pid := 0
	sink := newDirSink(t)
	sink.onFile = func(target.File) error {
		if pid != 0 {
			return nil
		}
		var err error
		if pid, err = strconv.Atoi(srv.Query(t, "SELECT pid FROM pg_stat_activity WHERE backend_type = 'walsender'")); err != nil {
			return err
		}
		return syscall.Kill(pid, syscall.SIGSTOP)
	}
	_, err = c.BaseBackup(t.Context(), target.BaseBackupRequest{Label: "x", FastStart: true}, sink)
	if pid != 0 {
		_ = syscall.Kill(pid, syscall.SIGCONT)
	}
	if !errors.Is(err, target.ErrStalled) {
		t.Fatalf("a backup from a stopped server ended with %v", err)
	}
	waitFor(t, srv, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'walsender'", "0")
}

func TestSinkErrorEndsBackup(t *testing.T) {
	t.Parallel()
	srv := targettest.Start(t, targettest.Options{})
	c := cluster(t, srv.DSN("postgres"))
	full := errors.New("disk full")
	for _, readFiles := range []bool{false, true} {
		sink := newDirSink(t)
		sink.onFile = func(f target.File) error {
			if f.Path == "base/1/1259" {
				return full
			}
			return nil
		}
		_, err := c.BaseBackup(t.Context(), target.BaseBackupRequest{Label: "x", FastStart: true, ReadFiles: readFiles}, sink)
		if !errors.Is(err, full) || !strings.Contains(err.Error(), "base/1/1259") {
			t.Errorf("files %t: %v", readFiles, err)
		}
		waitFor(t, srv, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'refloat'", "0")
	}
}

// waitFor waits until a query's answer is what it should become.
func waitFor(t *testing.T, srv *targettest.Cluster, query, want string) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for srv.Query(t, query) != want {
		if time.Now().After(deadline) {
			t.Fatalf("%s does not become %s", query, want)
		}
		<-tick.C
	}
}

func TestCancelStopsTheServer(t *testing.T) {
	t.Parallel()
	srv := targettest.Start(t, targettest.Options{Settings: map[string]string{"checkpoint_timeout": "1h", "checkpoint_completion_target": "0.9"}})
	srv.Exec(t, "CREATE TABLE t AS SELECT n, repeat('x', 500) AS pad FROM generate_series(1, 50000) n")
	c := cluster(t, srv.DSN("postgres"))
	stopped := errors.New("stopped by hand")
	const session = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'refloat'"
	for _, readFiles := range []bool{false, true} {
		ctx, cancel := context.WithCancelCause(t.Context())
		done := make(chan error, 1)
		go func() {
			// A spread checkpoint of an hour: the server is busy with it, and sends nothing.
			_, err := c.BaseBackup(ctx, target.BaseBackupRequest{Label: "x", ReadFiles: readFiles}, newDirSink(t))
			done <- err
		}()
		waitFor(t, srv, "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event IN ('CheckpointDone', 'CheckpointStart')", "t")
		cancel(stopped)
		select {
		case err := <-done:
			if !errors.Is(err, stopped) {
				t.Errorf("files %t: %v", readFiles, err)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("files %t: cancelling does not end the backup", readFiles)
		}
		waitFor(t, srv, session, "0")
		srv.Exec(t, "INSERT INTO t SELECT n, repeat('y', 500) FROM generate_series(1, 50000) n")
	}
}
