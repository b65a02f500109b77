package schedule

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/refloat-db/refloat/internal/target/targettest"
)

func shared(t *testing.T, c *targettest.Cluster) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(context.Background(), fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?search_path=refloat", c.Port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

func startShared(t *testing.T, pool *pgxpool.Pool, o Options, jobs ...Job) *Scheduler {
	t.Helper()
	o.Poll = 20 * time.Millisecond
	s, err := NewShared(context.Background(), pool, jobs, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	return s
}

// What one node had queued, was doing or had done is known to the node that goes
// on: it does what was cut off, and nothing that was done.
func TestTheNextNodeGoesOnWithTheQueue(t *testing.T) {
	c := targettest.Start(t, targettest.Options{})
	c.Exec(t, "CREATE SCHEMA refloat")
	began, done := make(chan Run, 10), make(chan Outcome, 10)
	one := shared(t, c)
	first := startShared(t, one, Options{OnOutcome: func(o Outcome) { done <- o }},
		Job{Kind: "check", Subject: "shop", Lane: "a", When: Every(time.Hour), Run: func(context.Context, Run) error { return nil }},
		Job{Kind: "drill", Subject: "shop", Lane: "b", Run: func(context.Context, Run) error { return Final(errors.New("broken")) }},
		Job{Kind: "backup", Subject: "shop", Lane: "c", Run: func(ctx context.Context, r Run) error { began <- r; <-ctx.Done(); return ctx.Err() }})
	ask := func(s *Scheduler, kind string, want bool) {
		t.Helper()
		if fresh, err := s.Enqueue(t.Context(), kind, "shop", "asked"); err != nil || fresh != want {
			t.Errorf("%s: %v %v", kind, fresh, err)
		}
	}
	ask(first, "check", true)
	if o := next(t, done); o.Err != nil || o.Kind != "check" {
		t.Errorf("%+v", o)
	}
	ask(first, "drill", true)
	if o := next(t, done); o.Err == nil || !o.Final {
		t.Errorf("%+v", o)
	}
	targettest.WaitFor(t, "what was done to be noted", func() bool {
		return c.Query(t, "SELECT count(*) FROM refloat.river_job WHERE state IN ('completed', 'cancelled')") == "2"
	})
	ask(first, "backup", true)
	next(t, began)
	ask(first, "backup", false)
	one.Close() // as if its node had died: nothing of it reaches the database any more
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = first.Stop(ctx) // its database is gone
	})

	runs := make(chan Run, 10)
	run := func(_ context.Context, r Run) error { runs <- r; return nil }
	second := startShared(t, shared(t, c), Options{OnOutcome: func(o Outcome) { done <- o }},
		Job{Kind: "check", Subject: "shop", Lane: "a", When: Every(time.Hour), Run: run}, Job{Kind: "drill", Subject: "shop", Lane: "b", Run: run}, Job{Kind: "backup", Subject: "shop", Lane: "c", Run: run})
	t.Cleanup(func() { stop(t, second) })
	if r := next(t, runs); r.Kind != "backup" || r.Reason != "asked" {
		t.Errorf("%+v", r)
	}
	if o := next(t, done); o.Err != nil || o.Kind != "backup" {
		t.Errorf("%+v", o)
	}
	st, err := second.State(t.Context(), "drill", "shop", time.Now())
	if err != nil || st.Failures != 1 || st.Error != "broken" {
		t.Errorf("%+v %v", st, err)
	}
	if st, err := second.State(t.Context(), "check", "shop", time.Now()); err != nil || st.Succeeded.IsZero() || st.Next.IsZero() {
		t.Errorf("%+v %v", st, err)
	}
	select {
	case r := <-runs:
		t.Errorf("done again: %+v", r)
	default:
	}
}
