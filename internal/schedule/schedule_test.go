package schedule

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"log/slog"

	_ "modernc.org/sqlite"
)

func file(t testing.TB, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_txlock=immediate&_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func start(t testing.TB, db *sql.DB, o Options, jobs ...Job) *Scheduler {
	t.Helper()
	o.Poll = 20 * time.Millisecond
	s, err := New(context.Background(), db, jobs, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, s) })
	return s
}

func stop(t testing.TB, s *Scheduler) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := s.Stop(ctx); err != nil {
		t.Error(err)
	}
}

func next[T any](t testing.TB, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(30 * time.Second):
		t.Fatal("nothing happened in 30 s")
		panic("unreachable")
	}
}

func TestScheduledWorkRuns(t *testing.T) {
	runs := make(chan Run, 10)
	outcomes := make(chan Outcome, 10)
	s := start(t, file(t, filepath.Join(t.TempDir(), "q.db")), Options{OnOutcome: func(o Outcome) { outcomes <- o }},
		Job{Kind: "backup", Subject: "shop", Lane: "shop-care", When: Every(time.Second), Run: func(_ context.Context, r Run) error { runs <- r; return nil }})
	r := next(t, runs)
	if r.Kind != "backup" || r.Subject != "shop" || r.Reason != "schedule" || r.Attempt != 1 || time.Since(r.Due) > 10*time.Second {
		t.Errorf("%+v", r)
	}
	if o := next(t, outcomes); o.Err != nil || !o.Final {
		t.Errorf("%+v", o)
	}
	next(t, runs) // and again
	st, err := s.State(context.Background(), "backup", "shop", time.Now())
	if err != nil || st.Succeeded.IsZero() || !st.Next.After(time.Now().Add(-time.Second)) || st.Failures != 0 {
		t.Errorf("%+v %v", st, err)
	}
}

func TestFailuresAreRetriedAndThenGivenUp(t *testing.T) {
	outcomes := make(chan Outcome, 10)
	s := start(t, file(t, filepath.Join(t.TempDir(), "q.db")),
		Options{MaxAttempts: 3, Backoff: func(int) time.Duration { return time.Millisecond }, OnOutcome: func(o Outcome) { outcomes <- o }},
		Job{Kind: "drill", Subject: "shop", Lane: "shop-drill", Run: func(_ context.Context, r Run) error {
			switch r.Reason {
			case "panic":
				panic("oh")
			case "final":
				return Final(errors.New("cannot help"))
			}
			return fmt.Errorf("attempt %d", r.Attempt)
		}})
	ctx := context.Background()
	if fresh, err := s.Enqueue(ctx, "drill", "shop", "asked"); err != nil || !fresh {
		t.Fatal(fresh, err)
	}
	for n := 1; n <= 3; n++ {
		if o := next(t, outcomes); o.Attempt != n || o.Err == nil || o.Final != (n == 3) {
			t.Errorf("attempt %d: %+v", n, o)
		}
	}
	if _, err := s.Enqueue(ctx, "drill", "shop", "final"); err != nil {
		t.Fatal(err)
	}
	if o := next(t, outcomes); o.Attempt != 1 || !o.Final {
		t.Errorf("%+v", o)
	}
	if _, err := s.Enqueue(ctx, "drill", "shop", "panic"); err != nil {
		t.Fatal(err)
	}
	if o := next(t, outcomes); o.Err == nil || !strings.Contains(o.Err.Error(), "oh") {
		t.Errorf("%+v", o)
	}
	st, err := s.State(ctx, "drill", "shop", time.Now())
	if err != nil || st.Failures < 5 || st.Error == "" || !st.Next.IsZero() {
		t.Errorf("%+v %v", st, err)
	}
}

func TestLanesRunOneAtATimeAndRequestsAreNotDoubled(t *testing.T) {
	var running, most atomic.Int32
	started, release := make(chan string, 10), make(chan struct{})
	work := func(_ context.Context, r Run) error {
		most.Store(max(most.Load(), running.Add(1)))
		defer running.Add(-1)
		started <- r.Kind + " " + r.Reason
		<-release
		return nil
	}
	s := start(t, file(t, filepath.Join(t.TempDir(), "q.db")), Options{},
		Job{Kind: "backup", Subject: "shop", Lane: "shop-care", Run: work},
		Job{Kind: "retention", Subject: "shop", Lane: "shop-care", Run: work},
		Job{Kind: "drill", Subject: "shop", Lane: "shop-drill", Run: work})
	ctx := context.Background()
	ask := func(kind, reason string, want bool) {
		t.Helper()
		if fresh, err := s.Enqueue(ctx, kind, "shop", reason); err != nil || fresh != want {
			t.Fatalf("%s %s: %v %v", kind, reason, fresh, err)
		}
	}
	ask("backup", "gap 1:0/5", true)
	if got := next(t, started); got != "backup gap 1:0/5" {
		t.Fatal(got)
	}
	ask("backup", "gap 1:0/5", false) // the same, running
	ask("backup", "gap 1:0/9", true)  // another: the running one may be too old for it
	ask("backup", "gap 1:0/9", false)
	ask("retention", "x", true)
	ask("drill", "x", true)
	if got := next(t, started); got != "drill x" {
		t.Fatal("another lane waits: ", got)
	}
	close(release)
	next(t, started)
	next(t, started)
	if most.Load() != 2 {
		t.Errorf("%d at once, want 2", most.Load())
	}
	if _, err := s.Enqueue(ctx, "backup", "other", "x"); err == nil {
		t.Error("an unknown job was taken")
	}
}

func TestStopLeavesWorkForTheNextStart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "q.db")
	started := make(chan Run, 10)
	var block atomic.Bool
	block.Store(true)
	job := Job{Kind: "backup", Subject: "shop", Lane: "a", Run: func(ctx context.Context, r Run) error {
		started <- r
		if block.Load() {
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	}}
	outcomes := make(chan Outcome, 10)
	o := Options{OnOutcome: func(o Outcome) { outcomes <- o }}
	db := file(t, path)
	s := start(t, db, o, job)
	if _, err := s.Enqueue(context.Background(), "backup", "shop", "x"); err != nil {
		t.Fatal(err)
	}
	next(t, started)
	stop(t, s)
	stop(t, s) // idempotent
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	block.Store(false)
	start(t, file(t, path), o, job)
	if r := next(t, started); r.Attempt != 1 {
		t.Errorf("being stopped counted as an attempt: %+v", r)
	}
	if o := next(t, outcomes); o.Err != nil {
		t.Errorf("%+v", o)
	}
}

func TestDowntimeIsMadeUpForOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "q.db")
	runs := make(chan Run, 10)
	job := Job{Kind: "backup", Subject: "shop", Lane: "a", When: Every(time.Hour), Run: func(_ context.Context, r Run) error { runs <- r; return nil }}
	db := file(t, path)
	s, err := New(context.Background(), db, []Job{job}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	// A server ran until five and a half hours ago.
	if _, err := s.slot(context.Background(), job, time.Now().Add(-330*time.Minute)); err != nil {
		t.Fatal(err)
	}
	missed := make(chan Missed, 10)
	s2 := start(t, db, Options{OnMissed: func(m Missed) { missed <- m }}, job)
	if m := next(t, missed); m.Slots != 4 || m.Late < 29*time.Minute || m.Busy {
		t.Errorf("%+v", m)
	}
	next(t, runs)
	st, err := s2.State(context.Background(), "backup", "shop", time.Now())
	if err != nil || st.Started.IsZero() {
		t.Errorf("%+v %v", st, err)
	}
	select {
	case r := <-runs:
		t.Errorf("ran again: %+v", r)
	case <-time.After(300 * time.Millisecond):
	}
}

func TestBusyMomentIsTold(t *testing.T) {
	missed := make(chan Missed, 100)
	release := make(chan struct{})
	defer close(release)
	start(t, file(t, filepath.Join(t.TempDir(), "q.db")), Options{OnMissed: func(m Missed) { missed <- m }},
		Job{Kind: "backup", Subject: "shop", Lane: "a", When: Every(time.Second), Run: func(ctx context.Context, _ Run) error {
			select {
			case <-release:
			case <-ctx.Done():
			}
			return nil
		}})
	if m := next(t, missed); !m.Busy {
		t.Errorf("%+v", m)
	}
}

func TestUnknownWorkIsDropped(t *testing.T) {
	path := filepath.Join(t.TempDir(), "q.db")
	db := file(t, path)
	s, err := New(context.Background(), db, []Job{{Kind: "backup", Subject: "gone", Lane: "a"}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Enqueue(context.Background(), "backup", "gone", "x"); err != nil {
		t.Fatal(err)
	}
	s = start(t, db, Options{}, Job{Kind: "backup", Subject: "here", Lane: "a"})
	deadline := time.Now().Add(20 * time.Second)
	for {
		var state string
		if err := db.QueryRow(`SELECT state FROM river_job`).Scan(&state); err != nil {
			t.Fatal(err)
		}
		if state == "cancelled" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(state)
		}
		time.Sleep(5 * time.Millisecond)
	}
	_ = s
}

// The loop itself, over a week of virtual time and a change of the clocks.
func TestTickOverAWeek(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		berlin := place(t, "Europe/Berlin")
		// The bubble's clock starts on 1 January 2000; summer time began on 26 March.
		time.Sleep(time.Until(time.Date(2000, 3, 23, 12, 0, 0, 0, berlin)))
		ctx, cancel := context.WithTimeout(context.Background(), 7*24*time.Hour)
		defer cancel()
		var mu sync.Mutex
		var got []string
		last := time.Now()
		job := Job{Kind: "backup", Subject: "shop", When: when(t, "30 2 * * *", berlin)}
		tick(ctx, map[string]Job{"a": job, "on demand": {}}, func(_ context.Context, j Job, now time.Time) (time.Time, error) {
			mu.Lock()
			defer mu.Unlock()
			d := DueAt(j.When, last, now)
			if !d.Slot.IsZero() {
				if now.Sub(d.Slot) > time.Second {
					t.Errorf("late: %s at %s", d.Slot, now)
				}
				last = d.Slot
				got = append(got, now.In(berlin).Format("02 15:04"))
			}
			return d.Next, nil
		}, slog.New(slog.DiscardHandler))
		want := "24 02:30,25 02:30,26 03:30,27 02:30,28 02:30,29 02:30,30 02:30"
		if s := strings.Join(got, ","); s != want {
			t.Errorf("%s, want %s", s, want)
		}
	})
}

func TestMain(m *testing.M) {
	if path := os.Getenv("REFLOAT_TEST_QUEUE"); path != "" {
		child(path)
	}
	os.Exit(m.Run())
}

// child is a server that is killed in the middle of its work.
func child(path string) {
	db, err := sql.Open("sqlite", "file:"+path+"?_txlock=immediate&_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
	if err != nil {
		panic(err)
	}
	db.SetMaxOpenConns(1)
	s, err := New(context.Background(), db, []Job{{Kind: "backup", Subject: "shop", Lane: "a", Run: func(context.Context, Run) error {
		fmt.Println("running")
		select {}
	}}}, Options{Poll: 20 * time.Millisecond})
	if err != nil {
		panic(err)
	}
	if err := s.Start(context.Background()); err != nil {
		panic(err)
	}
	if _, err := s.Enqueue(context.Background(), "backup", "shop", "x"); err != nil {
		panic(err)
	}
	select {}
}

func TestWorkOfAKilledServerRunsAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "q.db")
	for range 3 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "REFLOAT_TEST_QUEUE="+path)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if lines := bufio.NewScanner(out); !lines.Scan() || lines.Text() != "running" {
			t.Error("the child did not run the job")
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed
	}
	runs := make(chan Run, 10)
	start(t, file(t, path), Options{}, Job{Kind: "backup", Subject: "shop", Lane: "a", Run: func(_ context.Context, r Run) error { runs <- r; return nil }})
	if r := next(t, runs); r.Reason != "x" || r.Attempt < 4 {
		t.Errorf("%+v", r)
	}
}
