package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/repository"
	"github.com/refloat-db/refloat/internal/target"
	"github.com/refloat-db/refloat/internal/target/postgres"
	"github.com/refloat-db/refloat/internal/target/targettest"
)

func source(t testing.TB, c *targettest.Cluster) *postgres.Cluster {
	t.Helper()
	s, err := postgres.New(postgres.Options{DSN: c.DSN("postgres")})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// until waits for a condition.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(45 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

type running struct {
	*Receiver
	cancel context.CancelFunc
	done   chan error
}

func (r *running) stop(t testing.TB) {
	t.Helper()
	r.cancel()
	select {
	case err := <-r.done:
		if err != nil {
			t.Errorf("the receiver ended with %v", err)
		}
		r.done <- nil
	case <-time.After(20 * time.Second):
		t.Fatal("the receiver does not stop")
	}
}

func receive(t testing.TB, o ReceiverOptions) *running {
	t.Helper()
	if o.Target == "" {
		o.Target = "shop"
	}
	if o.SpoolDir == "" {
		o.SpoolDir = filepath.Join(t.TempDir(), "spool")
	}
	if o.PartialEvery == 0 {
		o.PartialEvery = 200 * time.Millisecond
	}
	if testing.Verbose() {
		o.Logger = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	r, err := NewReceiver(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	run := &running{r, cancel, make(chan error, 2)}
	go func() { run.done <- r.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-run.done })
	return run
}

// end is the server's flushed position.
func end(t testing.TB, c *targettest.Cluster) target.LSN {
	t.Helper()
	p, err := target.ParseLSN(c.Query(t, "SELECT pg_current_wal_flush_lsn()"))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// kept waits until the repository has all of the server's log.
func kept(t testing.TB, c *targettest.Cluster, r *running) target.LSN {
	t.Helper()
	e := end(t, c)
	until(t, fmt.Sprintf("the repository has the log up to %s; state %+v", e, r.State()), func() bool { return r.State().Repository.LSN >= e })
	return e
}

// compare checks that every stored segment equals the server's, and that there
// is no hole; it returns how many whole ones there are.
func compare(t testing.TB, c *targettest.Cluster, l *Log) int {
	t.Helper()
	ctx := context.Background()
	segs, err := l.Segments(ctx)
	if err != nil {
		t.Fatal(err)
	}
	whole := 0
	var before target.Segment
	for i, s := range segs {
		got, err := l.Fetch(ctx, s.Name)
		if err != nil {
			t.Fatalf("%s: %v", s.Name, err)
		}
		seg, err := target.ParseSegmentName(s.Name, int64(len(got)))
		if err != nil {
			t.Fatal(err)
		}
		if i > 0 && seg.Timeline == before.Timeline && seg.Number != before.Number+1 {
			t.Fatalf("hole before %s", s.Name)
		}
		before = seg
		if !s.Partial {
			whole++
			if !s.Indexed || !s.Stored {
				t.Fatalf("segment %+v", s)
			}
		}
		want, err := os.ReadFile(filepath.Join(c.Dir, "pg_wal", s.Name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		n := int64(s.End - seg.Start())
		if !bytes.Equal(got[:n], want[:n]) {
			t.Fatalf("segment %s differs from the server's", s.Name)
		}
	}
	return whole
}

const burst = "CREATE TABLE IF NOT EXISTS t (n int, s text); INSERT INTO t SELECT i, repeat(md5(i::text), 8) FROM generate_series(1, 20000) i"

var keep = map[string]string{"wal_keep_size": "1GB", "max_wal_size": "2GB"}

func TestReceive(t *testing.T) {
	majors := []int{14, 15, 16, 17, 18}
	if testing.Short() {
		majors = []int{14, 18} // what runs beside what is the same in all
	}
	for _, major := range majors {
		t.Run(fmt.Sprint(major), func(t *testing.T) {
			c := targettest.Start(t, targettest.Options{Major: major, SegmentMiB: 1, Settings: keep})
			store := newFolder(t)
			r := receive(t, ReceiverOptions{Source: source(t, c), Repo: store})
			for range 3 {
				c.Exec(t, burst)
			}
			last := kept(t, c, r)
			l := &Log{Repo: store, Target: "shop"}
			if n := compare(t, c, l); n < 10 {
				t.Fatalf("only %d segments", n)
			}
			pos, err := l.Position(context.Background())
			if err != nil || pos.Position.LSN < last || time.Since(pos.ServerTime) > time.Minute {
				t.Fatalf("position %+v, %v", pos, err)
			}
			if _, err := l.Fetch(context.Background(), target.SegmentAt(target.Position{Timeline: 1, LSN: last + 2<<20}, 1<<20).Name()); !errors.Is(err, ErrEndOfLog) {
				t.Fatalf("past the end: %v", err)
			}
			if s := r.State(); !s.Connected || len(s.Alarms) > 0 || s.Lag < 0 || s.Lag > time.Minute {
				t.Fatalf("state %+v", s)
			}
			// The server restarts: the receiver goes on.
			c.Stop(t)
			c.Start(t)
			c.Exec(t, burst)
			kept(t, c, r)
			c.Kill(t)
			c.Start(t)
			c.Exec(t, burst)
			kept(t, c, r)
			compare(t, c, l)
			until(t, "the slot lets go", func() bool {
				p, err := target.ParseLSN(c.Query(t, "SELECT restart_lsn FROM pg_replication_slots"))
				return err == nil && p >= last
			})
			r.stop(t)
		})
	}
}

func TestGapWhenTheServerRemovedTheLog(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector finds nothing in it that it does not elsewhere")
	}
	c := targettest.Start(t, targettest.Options{SegmentMiB: 1, Settings: map[string]string{"max_wal_size": "4MB", "min_wal_size": "2MB"}})
	store, dir := newFolder(t), t.TempDir()
	o := ReceiverOptions{Source: source(t, c), Repo: store, SpoolDir: dir}
	r := receive(t, o)
	c.Exec(t, burst)
	before := kept(t, c, r)
	r.stop(t)
	c.Exec(t, "SELECT pg_drop_replication_slot('refloat_shop')")
	for range 3 {
		c.Exec(t, burst+"; CHECKPOINT")
	}
	seen := make(observer, 10)
	o.Observer = seen
	r = receive(t, o)
	g := <-seen
	if g.From.LSN < before || g.To.LSN <= g.From.LSN {
		t.Fatalf("gap %+v", g)
	}
	c.Exec(t, burst)
	kept(t, c, r)
	l := &Log{Repo: store, Target: "shop"}
	gaps, err := l.Gaps(context.Background())
	if err != nil || len(gaps) != 1 || gaps[0].From != g.From || gaps[0].To != g.To {
		t.Fatalf("gaps %+v, %v", gaps, err)
	}
	if a := r.State().Alarms; len(a) != 1 || !strings.Contains(a[0], "new base backup is needed") {
		t.Fatalf("alarms %q", a)
	}
	lost := target.SegmentAt(g.From, 1<<20).Next().Name()
	if _, err := l.Fetch(context.Background(), lost); !errors.Is(err, ErrLogBroken) {
		t.Fatalf("segment in the gap: %v", err)
	}
	if _, err := l.Fetch(context.Background(), target.SegmentAt(g.To, 1<<20).Name()); err != nil {
		t.Fatal(err)
	}
	r.stop(t)
	r = receive(t, o) // the gap is behind it
	c.Exec(t, burst)
	kept(t, c, r)
	if len(seen) > 0 {
		t.Fatal("the gap came again")
	}
}

type observer chan Gap

func (o observer) Gap(g Gap) { o <- g }

func TestWrongClusterIsRefused(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector finds nothing in it that it does not elsewhere")
	}
	a := targettest.Start(t, targettest.Options{SegmentMiB: 1})
	store, dir := newFolder(t), t.TempDir()
	r := receive(t, ReceiverOptions{Source: source(t, a), Repo: store, SpoolDir: dir})
	kept(t, a, r)
	r.stop(t)
	b := targettest.Start(t, targettest.Options{SegmentMiB: 1})
	for name, o := range map[string]ReceiverOptions{
		"by the log":     {Repo: store, SpoolDir: dir},
		"by the backups": {Repo: newFolder(t), SpoolDir: t.TempDir(), SystemID: 7},
	} {
		o.Target, o.Source = "shop", source(t, b)
		r, err := NewReceiver(o)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Run(t.Context()); !errors.Is(err, ErrWrongCluster) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRepositoryDownThenBack(t *testing.T) {
	c := targettest.Start(t, targettest.Options{SegmentMiB: 1, Settings: keep})
	store := newFolder(t)
	r := receive(t, ReceiverOptions{Source: source(t, c), Repo: store, MaxSpool: 4 << 20})
	c.Exec(t, burst)
	kept(t, c, r)
	store.setFail(repository.ErrUnreachable)
	c.Exec(t, burst)
	c.Exec(t, burst)
	until(t, "the spool is full", func() bool { return strings.Contains(strings.Join(r.State().Alarms, " "), "spool is full") })
	if n := r.State().SpoolBytes; n > 4<<20 {
		t.Fatalf("the spool holds %d bytes", n)
	}
	if !strings.Contains(strings.Join(r.State().Alarms, " "), "cannot be stored in the repository") {
		t.Fatalf("alarms %q", r.State().Alarms)
	}
	store.setFail(nil)
	kept(t, c, r)
	compare(t, c, &Log{Repo: store, Target: "shop"})
	until(t, "the alarms end", func() bool { return len(r.State().Alarms) == 0 })
}

// With the repository away for long, the server's disk comes first: the slot
// is given up, the gap recorded, and everything goes on when it is back.
func TestSlotIsBounded(t *testing.T) {
	c := targettest.Start(t, targettest.Options{SegmentMiB: 1, Settings: map[string]string{"max_wal_size": "4MB", "min_wal_size": "2MB"}})
	store, seen := newFolder(t), make(observer, 10)
	r := receive(t, ReceiverOptions{
		Source: source(t, c), Repo: store, Observer: seen,
		MaxSpool: 3 << 20, MaxRetained: 6 << 20, WatchEvery: 200 * time.Millisecond,
	})
	c.Exec(t, burst)
	kept(t, c, r)
	store.setFail(repository.ErrUnreachable)
	warned := false
	until(t, "the slot is given up", func() bool {
		c.Exec(t, "INSERT INTO t SELECT i, repeat(md5(i::text), 8) FROM generate_series(1, 3000) i; CHECKPOINT")
		for _, a := range r.State().Alarms {
			warned = warned || strings.Contains(a, "replication slot holds")
		}
		return len(seen) > 0
	})
	if !warned {
		t.Fatal("there was no warning before")
	}
	g := <-seen
	if !strings.Contains(g.Reason, "max_retained") || g.To.LSN <= g.From.LSN {
		t.Fatalf("gap %+v", g)
	}
	until(t, "the server's log shrinks", func() bool {
		c.Exec(t, "CHECKPOINT")
		return c.Query(t, "SELECT count(*) <= 12 FROM pg_ls_waldir()") == "t"
	})
	store.setFail(nil)
	kept(t, c, r)
	l := &Log{Repo: store, Target: "shop"}
	gaps, err := l.Gaps(t.Context())
	if err != nil || len(gaps) == 0 {
		t.Fatalf("gaps %v, %v", gaps, err)
	}
	c.Exec(t, burst)
	kept(t, c, r)
	if _, err := l.Fetch(t.Context(), target.SegmentAt(gaps[0].To, testSize).Name()); err != nil {
		t.Fatal(err)
	}
}

func TestOrderlyStopPutsTheLogAway(t *testing.T) {
	c := targettest.Start(t, targettest.Options{SegmentMiB: 1, Settings: keep})
	store := newFolder(t)
	r := receive(t, ReceiverOptions{Source: source(t, c), Repo: store, PartialEvery: time.Hour})
	c.Exec(t, burst)
	e := end(t, c)
	until(t, "it has arrived", func() bool { return r.State().Received.LSN >= e })
	r.stop(t)
	l := &Log{Repo: store, Target: "shop"}
	if pos, err := l.Position(t.Context()); err != nil || pos.Position.LSN < e || pos.ServerTime.IsZero() {
		t.Fatalf("position %+v, %v; want %s", pos, err, e)
	}
	compare(t, c, l)
}
