package app

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/server"
	"github.com/refloat-db/refloat/internal/store/sqlite"
)

// A call that many send at once, from two processes, is done once; others are
// done beside it.
func TestACallIsDoneOnce(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	var stores []*sqlite.Store
	for range 2 {
		s, err := sqlite.Open(ctx, dir)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		stores = append(stores, s)
	}
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	cause := incident.Cause{Key: "k", Kind: incident.FromPerson, Reason: "r", Started: now, Detected: now}
	open := func(ctx context.Context, s *sqlite.Store) error {
		_, err := incident.ActOnAll(ctx, incidentLog{s}, func(all []incident.State) ([]incident.Event, error) {
			return incident.Decide(incident.State{}, incident.Open{ID: incident.NextID(all), Opened: incident.Opened{Title: "t", Severity: incident.Sev2, Cause: cause}}, "ada", now)
		})
		return err
	}
	var wg sync.WaitGroup
	var repeats atomic.Int32
	once := server.WithCall(ctx, server.Call{ID: "aa", Operation: "open"})
	for i := range 12 {
		wg.Go(func() {
			err := open(once, stores[i%2])
			var done *server.DoneError
			if errors.As(err, &done) {
				repeats.Add(1)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if err := open(ctx, stores[0]); err != nil {
		t.Fatal(err)
	}
	note := func(id string) error {
		_, _, err := incident.Act(server.WithCall(ctx, server.Call{ID: id, Operation: "note"}), incidentLog{stores[1]}, "inc-1", incident.AddNote{Text: "same"}, "ada", now)
		return err
	}
	if err := errors.Join(note("bb"), note("cc")); err != nil {
		t.Fatal(err)
	}
	var done *server.DoneError
	if err := note("bb"); !errors.As(err, &done) || done.Incident != "inc-1" {
		t.Errorf("a repeated note: %v", err)
	}
	events, err := incidentLog{stores[0]}.Events(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	all := incident.FoldAll(events)
	if len(all) != 2 || repeats.Load() != 11 || len(all[0].Notes) != 2 {
		t.Errorf("%d incidents, %d repeats, %d notes", len(all), repeats.Load(), len(all[0].Notes))
	}
	where, was, err := callWasDone(ctx, stores[0], "aa")
	if err != nil || !was || where != "inc-1" {
		t.Errorf("%q %v %v", where, was, err)
	}
	if r, err := stores[0].Verify(ctx); err != nil || len(r.Findings) != 0 {
		t.Errorf("%+v %v", r, err)
	}
}
