package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/refloat-db/refloat/internal/journal"
	"github.com/refloat-db/refloat/internal/status"
)

func about(subject, kind string) journal.Event {
	return journal.Event{Time: noon, Actor: "ada", Subject: subject, Kind: kind}
}

// testScopes: what was added to a scope since it was looked at keeps others from
// being added, all of them; what was added elsewhere does not.
func testScopes(t *testing.T, s Store, reopen func() Store) {
	ctx := context.Background()
	first, err := s.AppendAfter(ctx, "incident/inc-1", 0, about("incident/inc-1", "a"), about("incident/inc-1", "b"))
	must(t, err)
	if len(first) != 2 || first[1].Seq != 2 {
		t.Fatalf("%+v", first)
	}
	for _, x := range []struct {
		scope string
		last  int64
		moved bool
	}{
		{"incident/inc-1", 0, true}, {"incident/inc-1", 1, true}, {"incident/inc-1", 3, true}, {"incident/", 0, true},
		{"incident/inc-10", 0, false}, // another, whose name begins alike
		{"incident/inc-1", 2, false}, {"incident/", 4, true}, {"incident/", 5, false}, {"incident", 0, false}, {"incidental/", 0, false},
	} {
		subject := x.scope
		if subject == "incident/" {
			subject = "incident/inc-2"
		}
		all, err := s.AppendAfter(ctx, x.scope, x.last, about(subject, "c"), about("target/a", "d"))
		if errors.Is(err, journal.ErrMoved) != x.moved || err == nil == x.moved || x.moved && len(all) != 0 {
			t.Errorf("%s after %d: %v %v", x.scope, x.last, all, err)
		}
	}
	s = reopen()
	one, err := s.ReadScope(ctx, "incident/inc-1", 1)
	must(t, err)
	all, err := s.ReadScope(ctx, "incident/", 0)
	must(t, err)
	if len(one) != 2 || one[0].Kind != "b" || one[1].Kind != "c" || len(all) != 5 {
		t.Errorf("one: %+v\nall: %+v", one, all)
	}
	// All or none.
	if _, err := s.AppendAfter(ctx, "x", 0, about("x", "a"), journal.Event{Subject: "x"}); !errors.Is(err, journal.ErrEvent) {
		t.Errorf("an event that cannot be kept: %v", err)
	}
	if left, err := s.ReadScope(ctx, "x", 0); err != nil || len(left) != 0 {
		t.Errorf("half of it was kept: %+v %v", left, err)
	}
	if r, err := s.Verify(ctx); err != nil || len(r.Findings) != 0 {
		t.Errorf("%+v %v", r, err)
	}
}

// testActs: many who look, decide and add at once all do, one after the other.
func testActs(t *testing.T, s Store, _ func() Store) {
	ctx := context.Background()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 6 {
				for {
					have, err := s.ReadScope(ctx, "incident/inc-1", 0)
					if err != nil {
						t.Error(err)
						return
					}
					last := int64(0)
					if len(have) > 0 {
						last = have[len(have)-1].Seq
					}
					_, err = s.AppendAfter(ctx, "incident/inc-1", last, about("incident/inc-1", fmt.Sprintf("%d.%d after %d", i, n, len(have))))
					if errors.Is(err, journal.ErrMoved) {
						continue
					}
					if err != nil {
						t.Error(err)
					}
					break
				}
			}
		})
	}
	wg.Wait()
	all, err := s.ReadScope(ctx, "incident/inc-1", 0)
	must(t, err)
	if len(all) != 48 {
		t.Fatalf("%d of 48 are there", len(all))
	}
	for i, e := range all { // each knew all that came before it
		var who, n, after int
		if _, err := fmt.Sscanf(e.Kind, "%d.%d after %d", &who, &n, &after); err != nil || after != i {
			t.Errorf("entry %d was decided after %d entries (%v)", i, after, err)
		}
	}
}

func testAttachments(t *testing.T, s Store, reopen func() Store) {
	ctx := context.Background()
	data := bytes.Repeat([]byte{0, 1, 0xff}, 1000)
	if _, err := s.Attachment(ctx, "00"); !errors.Is(err, status.ErrNothing) {
		t.Errorf("one that is not there: %v", err)
	}
	hash, err := s.PutAttachment(ctx, data)
	must(t, err)
	again, err := s.PutAttachment(ctx, data)
	must(t, err)
	if got, err := reopen().Attachment(ctx, hash); err != nil || again != hash || !bytes.Equal(got, data) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}
