package storetest

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/journal"
)

// grows waits until one who waits is told that the journal has grown to seq.
func grows(t *testing.T, s Store, changed <-chan struct{}, seq int64) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		select {
		case <-deadline:
			t.Fatalf("nobody is told of entry %d", seq)
		case _, open := <-changed:
			all, err := s.Read(context.Background(), seq-1, 1)
			must(t, err)
			if len(all) == 1 {
				return
			}
			if !open {
				t.Fatal("the channel was closed")
			}
		}
	}
}

// testChanged: each who waits is told of each growth, and of no more than there
// was to read; the channel ends with its context, or with the store.
func testChanged(t *testing.T, s Store, reopen func() Store) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	one, two := s.Changed(ctx), s.Changed(context.Background())
	for seq := int64(1); seq <= 5; seq++ {
		if seq%2 == 0 {
			_, err := s.AppendAfter(ctx, "s", seq-1, about("s", "k"))
			must(t, err)
		} else {
			_, err := s.Append(ctx, about("s", "k"))
			must(t, err)
		}
		grows(t, s, one, seq)
		grows(t, s, two, seq)
	}
	cancel()
	ends(t, one)
	reopen()
	ends(t, two)
}

func ends(t *testing.T, changed <-chan struct{}) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		select {
		case <-deadline:
			t.Fatal("the channel stays open")
		case _, open := <-changed:
			if !open {
				return
			}
		}
	}
}

// Share runs what two who have the same state open, as two nodes do, must see of
// each other.
func Share(t *testing.T, one, two Store) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	changed := two.Changed(ctx)
	for seq := int64(1); seq <= 3; seq++ {
		_, err := one.Append(ctx, journal.Event{Time: noon, Actor: "one", Subject: "s", Kind: "k"})
		must(t, err)
		grows(t, two, changed, seq)
	}
}

// Race lets two who have the same state open act at once on one subject: each
// act is decided by who knew all that came before it, and none is lost.
func Race(t *testing.T, stores ...Store) {
	ctx := context.Background()
	const acts = 25
	var all sync.WaitGroup
	for _, s := range stores {
		for range 2 {
			all.Go(func() {
				for done := 0; done < acts; {
					have, err := s.ReadScope(ctx, "incident/inc-1", 0)
					if err != nil {
						t.Error(err)
						return
					}
					last := int64(0)
					if n := len(have); n > 0 {
						last = have[n-1].Seq
					}
					_, err = s.AppendAfter(ctx, "incident/inc-1", last, journal.Event{Time: noon, Actor: "a", Subject: "incident/inc-1", Kind: "k", Body: len(have)})
					if err == nil {
						done++
					} else if !errors.Is(err, journal.ErrMoved) {
						t.Error(err)
						return
					}
				}
			})
		}
	}
	all.Wait()
	got, err := stores[0].ReadScope(ctx, "incident/", 0)
	if err != nil || len(got) != len(stores)*2*acts {
		t.Fatalf("%d of %d acts are there: %v", len(got), len(stores)*2*acts, err)
	}
	for i, e := range got {
		if string(e.Body) != strconv.Itoa(i) {
			t.Fatalf("act %d was decided after %s", i, e.Body)
		}
	}
	if r, err := stores[len(stores)-1].Verify(ctx); err != nil || len(r.Findings) != 0 {
		t.Errorf("%+v %v", r, err)
	}
}
