package app

import (
	"testing"

	"github.com/refloat-db/refloat/internal/config"
	"github.com/refloat-db/refloat/internal/incident"
)

// An App inside a server works on the server's own store, for reading and for
// writing, and leaves it open.
func TestAnAttachedStoreServesEachMethod(t *testing.T) {
	ctx := t.Context()
	s, err := storeIn(t.TempDir())(ctx, false)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	a := New(config.Config{StateDir: t.TempDir()}, nil) // in which there is nothing
	if _, err := a.Incidents(ctx, true); !noState(err) {
		t.Fatalf("before: %v", err)
	}
	a.attach(s)
	x, err := a.OpenIncident(ctx, IncidentRequest{Title: "slow", By: "ada"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.ActOnIncident(ctx, x.ID, incident.TakeRole{Role: incident.Commander}, "ada"); err != nil {
		t.Fatal(err)
	}
	if all, err := a.Incidents(ctx, false); err != nil || len(all) != 1 {
		t.Fatalf("%d incidents, %v", len(all), err)
	}
	if all, err := a.JournalList(ctx, JournalFilter{}); err != nil || len(all) < 2 {
		t.Fatalf("%d entries, %v", len(all), err)
	}
	a.attach(nil)
	if _, err := a.Incidents(ctx, true); !noState(err) {
		t.Fatalf("after: %v", err)
	}
	if r, err := s.Verify(ctx); err != nil || r.Entries < 2 {
		t.Fatalf("the store was closed: %+v %v", r, err)
	}
}
