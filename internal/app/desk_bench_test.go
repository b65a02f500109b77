package app

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/access"
	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/config"
	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/journal"
	"github.com/refloat-db/refloat/internal/server"
	"github.com/refloat-db/refloat/internal/server/web"
	"github.com/refloat-db/refloat/internal/target"
)

// largeDesk is a desk over 500 targets, 1,000 incidents and 100,000 entries.
func largeDesk(b *testing.B) *desk {
	const targets, incidents, entries = 500, 1000, 100_000
	dir, ctx := b.TempDir(), context.Background()
	s, err := storeIn(dir)(ctx, false)
	if err != nil {
		b.Fatal(err)
	}
	at := time.Now().Add(-24 * time.Hour)
	var events []journal.Event
	add := func(subject, kind string, body any) {
		events = append(events, journal.Event{Time: at, Actor: "ada", Subject: subject, Kind: kind, Body: body})
	}
	for i := range incidents {
		id := fmt.Sprintf("incident/inc-%d", i+1)
		name := fmt.Sprintf("t%03d", i%targets)
		add(id, incident.KindOpened, incident.Opened{Title: name + " does not serve", Severity: incident.Sev2, Targets: []string{name}, Team: "red",
			Cause: incident.Cause{Key: fmt.Sprint("k", i), Kind: incident.FromPerson, Target: name, Reason: "r", Started: at, Detected: at}})
		for j := range 40 {
			add(id, incident.KindNote, incident.NoteAdded{Text: fmt.Sprintf("note %d: what was seen and what was done about it, in a line", j)})
		}
		if i < incidents-20 {
			add(id, incident.KindResolved, incident.ResolvedBody{Summary: "done"})
		}
	}
	for i := len(events); i < entries; i++ {
		add(fmt.Sprintf("target/t%03d", i%targets), "backup.taken", map[string]int{"n": i})
	}
	if _, err := s.AppendAfter(ctx, "nothing", 0, events...); err != nil {
		b.Fatal(err)
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	o := DaemonOptions{StateDir: dir, Paging: PagerOptions{Roster: deskRoster(), Sender: quiet{}, Charges: map[string]Charge{}}}
	o.Incidents = IncidentOptions{Rules: config.IncidentRules{WarnAt: incident.DefaultWarnAt(), Cadence: incident.DefaultCadence()}, Roster: deskRoster()}
	for i := range targets {
		name := fmt.Sprintf("t%03d", i)
		o.Targets = append(o.Targets, Care{Target: target.ID(name)})
		o.Paging.Charges[name] = Charge{Team: "red", Tier: alert.High}
	}
	d := deskOver(b, o)
	d.freshen(ctx)
	return d
}

func BenchmarkDesk(b *testing.B) {
	d, ctx := largeDesk(b), context.Background()
	everybody, one := all(access.Viewer), in("red", access.Viewer)
	for name, f := range map[string]func(access.Principal) error{
		"Board": func(p access.Principal) error { _, err := d.Board(ctx, p); return err },
		"Incidents": func(p access.Principal) error {
			_, err := d.Incidents(ctx, p, server.IncidentQuery{All: true})
			return err
		},
		"Incident": func(p access.Principal) error { _, err := d.Incident(ctx, p, "inc-500"); return err },
		"Target":   func(p access.Principal) error { _, err := d.Target(ctx, p, "t007"); return err },
		"Alerts":   func(p access.Principal) error { _, err := d.Alerts(ctx, p, server.AlertQuery{All: true}); return err },
		"Journal":  func(p access.Principal) error { _, err := d.Journal(ctx, p, server.JournalQuery{}); return err },
		"JournalMiddle": func(p access.Principal) error {
			_, err := d.Journal(ctx, p, server.JournalQuery{Before: 50_000})
			return err
		},
		"JournalOfSubject": func(p access.Principal) error {
			_, err := d.Journal(ctx, p, server.JournalQuery{Scope: "target/t007"})
			return err
		},
		"JournalRareKind": func(p access.Principal) error {
			_, err := d.Journal(ctx, p, server.JournalQuery{Kind: "nothing.", Before: 50_000})
			return err
		},
	} {
		for _, p := range []access.Principal{everybody, one} {
			b.Run(name+"/"+p.Name, func(b *testing.B) {
				for b.Loop() {
					if err := f(p); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkConsole serves each main page through the real desk and store, packed
// as a browser gets it.
func BenchmarkConsole(b *testing.B) {
	who, mux := all(access.Admin), http.NewServeMux()
	for _, r := range web.New(largeDesk(b), web.Options{}).Routes() {
		mux.Handle(r.Pattern, r.Handler)
	}
	for _, path := range []string{
		"/", "/targets/t007", "/incidents", "/incidents?all=1", "/incidents/inc-990", "/alerts", "/oncall", "/findings",
		"/journal", "/journal?before=50000", "/journal?scope=target/t007", "/zone",
	} {
		b.Run(path, func(b *testing.B) {
			for b.Loop() {
				r := httptest.NewRequest(http.MethodGet, path, nil)
				r.Header.Set("Accept-Encoding", "gzip")
				w := httptest.NewRecorder()
				mux.ServeHTTP(w, r.WithContext(server.WithWho(r.Context(), who)))
				if w.Code != http.StatusOK {
					b.Fatalf("%d: %s", w.Code, w.Body)
				}
			}
		})
	}
}
