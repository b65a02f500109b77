package backup

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/target"
	"github.com/refloat-db/refloat/internal/target/postgres"
	"github.com/refloat-db/refloat/internal/target/targettest"
)

// childSpec tells a copy of the test program to be a receiver and nothing else.
type childSpec struct {
	DSN, Store, Spool string
	Synchronous       bool
}

const childEnv = "REFLOAT_TEST_RECEIVER"

func TestMain(m *testing.M) {
	if s := os.Getenv(childEnv); s != "" {
		if err := beReceiver(s); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func beReceiver(spec string) error {
	var c childSpec
	if err := json.Unmarshal([]byte(spec), &c); err != nil {
		return err
	}
	src, err := postgres.New(postgres.Options{DSN: c.DSN})
	if err != nil {
		return err
	}
	r, err := NewReceiver(ReceiverOptions{
		Target: "shop", Source: src, Repo: &folder{dir: c.Store}, SpoolDir: c.Spool,
		Synchronous: c.Synchronous, PartialEvery: 20 * time.Millisecond,
	})
	if err != nil {
		return err
	}
	return r.Run(context.Background())
}

func startChild(t *testing.T, spec childSpec) (kill func()) {
	t.Helper()
	b, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+string(b))
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }
}

// insert commits rows until ctx ends, and returns the last position that is
// known to be before an acknowledged commit.
func insert(ctx context.Context, c *targettest.Cluster) target.LSN {
	var acked target.LSN
	for ctx.Err() == nil {
		v, err := c.TryQuery("INSERT INTO t SELECT i, repeat(md5(random()::text), 20) FROM generate_series(1, 150) i; INSERT INTO t VALUES (1, 'x') RETURNING pg_current_wal_insert_lsn()")
		if err != nil {
			break
		}
		if p, err := target.ParseLSN(v); err == nil {
			acked = p
		}
	}
	return acked
}

// holds checks that repository and spool together have the server's log up to
// an LSN, from where the log begins.
func holds(t *testing.T, c *targettest.Cluster, l *Log, spool string, upTo target.LSN) {
	t.Helper()
	ctx := context.Background()
	segs, err := l.Segments(ctx)
	if err != nil {
		t.Fatal(err)
	}
	pos, err := l.Position(ctx)
	if err != nil {
		t.Fatal(err)
	}
	seg := target.SegmentAt(pos.Position, testSize) // the log may be in the spool only
	if len(segs) > 0 {
		if seg, err = target.ParseSegmentName(segs[0].Name, testSize); err != nil {
			t.Fatal(err)
		}
	}
	for ; seg.Start() < upTo; seg = seg.Next() {
		want, err := os.ReadFile(filepath.Join(c.Dir, "pg_wal", seg.Name()))
		if err != nil {
			t.Fatal(err)
		}
		n := min(int64(upTo-seg.Start()), testSize)
		got, ferr := l.Fetch(ctx, seg.Name())
		found := ferr == nil && bytes.Equal(got[:n], want[:n])
		for _, name := range []string{seg.Name(), seg.Name() + partialSuffix} {
			if b, err := os.ReadFile(filepath.Join(spool, name)); !found && spool != "" && err == nil && int64(len(b)) >= n {
				found = bytes.Equal(b[:n], want[:n])
			}
		}
		if !found {
			t.Fatalf("log up to %s was reported flushed, but of %s the first %d bytes are not kept (%v)", upTo, seg.Name(), n, ferr)
		}
	}
}

func reported(t *testing.T, c *targettest.Cluster) target.LSN {
	t.Helper()
	p, err := target.ParseLSN(c.Query(t, "SELECT coalesce(restart_lsn, '0/0') FROM pg_replication_slots"))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A receiver is killed again and again under load. Whatever the server was
// told is flushed must be kept.
func TestKilledReceiver(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector finds nothing in it that it does not elsewhere")
	}
	for _, synchronous := range []bool{false, true} {
		t.Run(fmt.Sprintf("synchronous %t", synchronous), func(t *testing.T) {
			c := targettest.Start(t, targettest.Options{SegmentMiB: 1, Settings: keep})
			store := newFolder(t)
			spec := childSpec{DSN: c.DSN("postgres"), Store: store.dir, Spool: filepath.Join(t.TempDir(), "spool"), Synchronous: synchronous}
			c.Exec(t, "CREATE TABLE t (n int, s text); SELECT pg_create_physical_replication_slot('refloat_shop', true)")
			ctx, cancel := context.WithCancel(t.Context())
			loaded := make(chan target.LSN, 1)
			go func() { loaded <- insert(ctx, c) }()
			l := &Log{Repo: store, Target: "shop"}
			spool := ""
			if synchronous {
				spool = spec.Spool
			}
			rounds := 12
			if testing.Short() {
				rounds = 7 // with the one that loses the spool
			}
			for round := range rounds {
				before := reported(t, c)
				kill := startChild(t, spec)
				until(t, "the receiver reports", func() bool { return reported(t, c) > before })
				time.Sleep(time.Duration(rand.IntN(250)) * time.Millisecond) // a moment to be killed in, not a wait
				kill()
				holds(t, c, l, spool, reported(t, c))
				if round == 6 { // the machine's spool is lost
					if err := os.RemoveAll(spec.Spool); err != nil {
						t.Fatal(err)
					}
				}
			}
			cancel()
			<-loaded
			r := receive(t, ReceiverOptions{Source: source(t, c), Repo: store, SpoolDir: spec.Spool, Synchronous: synchronous})
			kept(t, c, r)
			if n := compare(t, c, l); n < 5 {
				t.Fatalf("only %d segments", n)
			}
			if gaps, err := l.Gaps(t.Context()); err != nil || len(gaps) > 0 {
				t.Fatalf("gaps %v, %v", gaps, err)
			}
		})
	}
}

// With Refloat as the synchronous standby, an acknowledged commit survives the
// end of the server and of the receiver at the same moment.
func TestSynchronousLosesNothing(t *testing.T) {
	c := targettest.Start(t, targettest.Options{SegmentMiB: 1, Settings: keep})
	store := newFolder(t)
	spec := childSpec{DSN: c.DSN("postgres"), Store: store.dir, Spool: filepath.Join(t.TempDir(), "spool"), Synchronous: true}
	kill := startChild(t, spec)
	defer func() { kill() }()
	c.Exec(t, "CREATE TABLE t (n int, s text)")
	c.Exec(t, "ALTER SYSTEM SET synchronous_standby_names = 'refloat_shop'")
	c.Exec(t, "SELECT pg_reload_conf()")
	for range 3 {
		until(t, "the receiver is the synchronous standby", func() bool {
			return c.Query(t, "SELECT sync_state FROM pg_stat_replication WHERE application_name = 'refloat_shop'") == "sync"
		})
		ctx, cancel := context.WithCancel(t.Context())
		loaded := make(chan target.LSN, 1)
		go func() { loaded <- insert(ctx, c) }()
		time.Sleep(time.Duration(300+rand.IntN(300)) * time.Millisecond) // load, not a wait
		c.Kill(t)
		kill()
		cancel()
		acked := <-loaded
		if acked == 0 {
			t.Fatal("nothing was acknowledged")
		}
		// With the server dead, what the spool has reaches the repository.
		r := receive(t, ReceiverOptions{Source: source(t, c), Repo: store, SpoolDir: spec.Spool, Synchronous: true})
		until(t, "the spool is stored", func() bool { return r.State().Repository.LSN > acked })
		r.stop(t)
		holds(t, c, &Log{Repo: store, Target: "shop"}, "", acked)
		c.Start(t)
		kill = startChild(t, spec)
	}
}

func promote(t *testing.T, c *targettest.Cluster) {
	t.Helper()
	signal := filepath.Join(c.Dir, "standby.signal")
	if err := os.WriteFile(signal, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	targettest.Own(t, signal)
	c.Start(t)
	if c.Query(t, "SELECT pg_promote()") != "t" {
		t.Fatal("not promoted")
	}
}

func TestTimelineSwitch(t *testing.T) {
	c := targettest.Start(t, targettest.Options{SegmentMiB: 1, Settings: keep})
	store := newFolder(t)
	o := ReceiverOptions{Source: source(t, c), Repo: store, SpoolDir: t.TempDir()}
	r := receive(t, o)
	l := &Log{Repo: store, Target: "shop"}
	for tl := target.Timeline(2); tl <= 4; tl++ {
		c.Exec(t, burst)
		kept(t, c, r)
		if tl == 3 { // this time the receiver is away meanwhile
			r.stop(t)
		}
		c.Stop(t)
		promote(t, c)
		c.Exec(t, burst)
		if tl == 3 {
			r = receive(t, o)
		}
		until(t, "the new timeline is kept", func() bool { return r.State().Repository.Timeline == tl })
		kept(t, c, r)
		compare(t, c, l)
		h, err := l.Fetch(t.Context(), tl.HistoryName())
		if err != nil || !strings.Contains(string(h), fmt.Sprintf("%d\t", tl-1)) {
			t.Fatalf("history %q, %v", h, err)
		}
	}
	if gaps, err := l.Gaps(t.Context()); err != nil || len(gaps) > 0 {
		t.Fatalf("gaps %v, %v", gaps, err)
	}
}

// A standby that had not received everything is promoted: what only the old
// primary had stays on the old timeline.
func TestFailoverThatLostSome(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector finds nothing in it that it does not elsewhere")
	}
	c := targettest.Start(t, targettest.Options{SegmentMiB: 1, Settings: keep})
	store := newFolder(t)
	r := receive(t, ReceiverOptions{Source: source(t, c), Repo: store})
	c.Exec(t, burst)
	copied := c.Dir + ".standby"
	if out, err := c.Command(t, "pg_basebackup", "-d", c.DSN(""), "-D", copied, "-c", "fast").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for range 3 {
		c.Exec(t, burst)
	}
	ahead := kept(t, c, r)
	c.Kill(t)
	if err := os.Rename(c.Dir, c.Dir+".old"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(copied, c.Dir); err != nil {
		t.Fatal(err)
	}
	promote(t, c)
	c.Exec(t, burst)
	until(t, "the new timeline is kept", func() bool { return r.State().Repository.Timeline == 2 })
	kept(t, c, r)
	compare(t, c, &Log{Repo: store, Target: "shop"})
	last := target.SegmentAt(target.Position{Timeline: 1, LSN: ahead - 1}, testSize)
	got, err := (&Log{Repo: store, Target: "shop"}).Fetch(t.Context(), last.Name())
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(filepath.Join(c.Dir+".old", "pg_wal", last.Name()))
	if n := ahead - last.Start(); err != nil || !bytes.Equal(got[:n], want[:n]) {
		t.Fatalf("the old timeline's end is not what the old primary had (%v)", err)
	}
	if a := strings.Join(r.State().Alarms, " "); !strings.Contains(a, "is kept on timeline 1") {
		t.Fatalf("alarms %q", a)
	}
}

// A server that was put back to an older state without a new timeline must not
// be mixed with what is held.
func TestServerPutBack(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector finds nothing in it that it does not elsewhere")
	}
	c := targettest.Start(t, targettest.Options{SegmentMiB: 1, Settings: keep})
	store := newFolder(t)
	r := receive(t, ReceiverOptions{Source: source(t, c), Repo: store})
	c.Exec(t, "CREATE TABLE t (n int, s text)")
	kept(t, c, r)
	c.Stop(t)
	old := c.Dir + ".old"
	if out, err := c.Command(t, "pg_controldata", "-D", c.Dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if out, err := exec.Command("cp", "-a", c.Dir, old).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	c.Start(t)
	c.Exec(t, "INSERT INTO t SELECT i, 'one way' FROM generate_series(1, 5000) i")
	held := kept(t, c, r)
	c.Stop(t)
	if err := os.RemoveAll(c.Dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(old, c.Dir); err != nil {
		t.Fatal(err)
	}
	c.Start(t)
	if end(t, c) < held {
		until(t, "it is alarmed", func() bool { return strings.Contains(strings.Join(r.State().Alarms, " "), "behind the log") })
	}
	c.Exec(t, "INSERT INTO t SELECT i, 'another way' FROM generate_series(1, 8000) i")
	select {
	case err := <-r.done:
		if err == nil || !strings.Contains(err.Error(), ErrDiverged.Error()) {
			t.Fatalf("ended with %v", err)
		}
		r.done <- nil
	case <-time.After(30 * time.Second):
		t.Fatalf("it goes on: %+v", r.State())
	}
}
