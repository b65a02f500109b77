package pgstore

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/refloat-db/refloat/internal/journal"
	"github.com/refloat-db/refloat/internal/status"
	"github.com/refloat-db/refloat/internal/target"
	"github.com/refloat-db/refloat/internal/target/targettest"
)

func event(kind string) journal.Event {
	return journal.Event{Time: time.Unix(1, 0), Actor: "a", Subject: "s", Kind: kind}
}

func TestTheLeadChangesHands(t *testing.T) {
	c := targettest.Start(t, targettest.Options{})
	ctx := context.Background()
	node := func(name string) (*Store, *Seat) {
		o := options(c, "postgres", "postgres")
		o.Node, o.Instance = name, "1"
		s := open(t, o)
		x := s.Seat()
		t.Cleanup(x.Close)
		return s, x
	}
	ams, one := node("ams")
	fra, two := node("fra")
	look := func(x *Seat) Lease {
		t.Helper()
		l, err := x.Look(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	if l := look(one); l.Node != "" || l.Held {
		t.Fatalf("somebody leads: %+v", l)
	}
	seen := look(two)
	fence, err := one.Claim(ctx, look(one))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := two.Claim(ctx, seen); !errors.Is(err, ErrTaken) {
		t.Fatalf("two claim what one has: %v", err)
	}
	seen = look(two)
	if seen.Node != "ams" || !seen.Held || seen.Fence != fence {
		t.Fatalf("%+v", seen)
	}
	if err := one.Renew(ctx, fence); err != nil {
		t.Fatal(err)
	}
	if _, err := two.Claim(ctx, seen); !errors.Is(err, ErrTaken) {
		t.Fatalf("it was renewed: %v", err)
	}

	// Each kind of write is taken from the leader, and refused from one that was.
	old := ams.Fenced(fence, nil)
	writes := map[string]func(*Store) error{
		"append": func(s *Store) error { _, err := s.Append(ctx, event("k")); return err },
		"append after": func(s *Store) error {
			_, err := s.AppendAfter(ctx, "x", 0, journal.Event{Time: time.Unix(1, 0), Actor: "a", Subject: "y", Kind: "k"})
			return err
		},
		"beat": func(s *Store) error { return s.PutBeat(ctx, "a", target.Beat{Seq: 1, At: time.Unix(1, 0)}) },
		"raise": func(s *Store) error {
			_, err := s.Raise(ctx, "a", status.Alarm{Code: "c", Raised: time.Unix(1, 0)})
			return err
		},
		"measure": func(s *Store) error { return s.Measured(ctx, "a", status.Measurement{At: time.Unix(1, 0)}) },
		"keep":    func(s *Store) error { return s.Keep(ctx, "a", "f", time.Unix(1, 0), 1) },
	}
	for name, write := range writes {
		if err := write(old); err != nil {
			t.Errorf("%s of the leader: %v", name, err)
		}
	}
	// A transaction of the leader that is not committed is undone by the claim.
	tx, err := ams.pool.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(ctx, mustLead, fence); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(ctx, `INSERT INTO refloat.fact VALUES ('a', 'half', 1, '1')`); err != nil {
		t.Fatal(err)
	}
	seen = look(two)
	next, err := two.Claim(ctx, seen)
	if err != nil || next != fence+1 {
		t.Fatalf("%d %v", next, err)
	}
	if err := tx.Commit(ctx); err == nil {
		t.Error("what the old leader was writing was kept")
	}
	if _, err := fra.Kept(ctx, "a", "half", new(int)); !errors.Is(err, status.ErrNothing) {
		t.Errorf("half of it is there: %v", err)
	}
	before, err := fra.Read(ctx, 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	for name, write := range writes {
		if err := write(old); !errors.Is(err, ErrFenced) {
			t.Errorf("%s of one that led: %v", name, err)
		}
		if err := write(ams); name != "append after" && err != nil {
			t.Errorf("%s of a person on that node: %v", name, err)
		}
	}
	if err := ams.Leads(ctx, fence); !errors.Is(err, ErrFenced) {
		t.Errorf("it thinks that it leads: %v", err)
	}
	if err := fra.Leads(ctx, next); err != nil {
		t.Error(err)
	}
	if after, err := fra.Read(ctx, 0, 100); err != nil || len(after) != len(before)+2 { // of a person
		t.Errorf("%d entries, then %d: %v", len(before), len(after), err)
	}
	if err := one.Renew(ctx, fence); !errors.Is(err, ErrFenced) {
		t.Errorf("renew: %v", err)
	}

	// The lock shows that the session of the leader ended, and comes back with it.
	if l := look(one); !l.Held || l.Node != "fra" {
		t.Errorf("%+v", l)
	}
	two.drop()
	targettest.WaitFor(t, "the lock to be free", func() bool { return !look(one).Held })
	if err := two.Renew(ctx, next); err != nil || !look(one).Held {
		t.Errorf("after a new session: %+v %v", look(one), err)
	}
	if err := two.Release(ctx, next); err != nil {
		t.Fatal(err)
	}
	if l := look(one); l.Node != "" || l.Held {
		t.Errorf("released: %+v", l)
	}
}

// A transaction whose client hangs in the middle does not hold the others up for
// long: the server ends it.
func TestAHungWriterDoesNotHoldTheJournal(t *testing.T) {
	c := targettest.Start(t, targettest.Options{})
	ctx := context.Background()
	o := options(c, "postgres", "postgres")
	one, two := open(t, o), open(t, o)
	tx, err := one.pool.BeginTx(ctx, pgx.TxOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(ctx, lockJournal); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if _, err := two.Append(ctx, event("k")); err != nil || time.Since(began) > 4*time.Second {
		t.Errorf("%s: %v", time.Since(began), err)
	}
	t.Logf("the other went on after %s", time.Since(began).Round(time.Millisecond))
	_ = tx.Rollback(ctx)
}

func TestNodesAreKnown(t *testing.T) {
	c := targettest.Start(t, targettest.Options{})
	ctx := context.Background()
	o := options(c, "postgres", "postgres")
	o.Node, o.Instance = "ams", "1"
	s := open(t, o)
	x := s.Seat()
	defer x.Close()
	if err := x.Present(ctx, "1.0"); err != nil {
		t.Fatal(err)
	}
	if all, err := s.Nodes(ctx); err != nil || len(all) != 1 || all[0].Name != "ams" || all[0].Leads || all[0].Silent > time.Minute || all[0].Version != "1.0" {
		t.Errorf("%+v %v", all, err)
	}
	l, err := x.Look(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := x.Claim(ctx, l); err != nil {
		t.Fatal(err)
	}
	if all, err := s.Nodes(ctx); err != nil || len(all) != 1 || !all[0].Leads {
		t.Errorf("%+v %v", all, err)
	}
	if err := x.Gone(ctx); err != nil {
		t.Fatal(err)
	}
	if all, err := s.Nodes(ctx); err != nil || len(all) != 0 {
		t.Errorf("%+v %v", all, err)
	}
}
