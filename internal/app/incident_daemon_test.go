package app

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/backup"
	"github.com/refloat-db/refloat/internal/config"
	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/monitor"
	"github.com/refloat-db/refloat/internal/store/sqlite"
	"github.com/refloat-db/refloat/internal/target"
)

// attended is a server that opens incidents, watching shop with staged eyes, and
// the app that the command line has beside it.
func attended(t *testing.T, dir string, eyes *staged) (*Daemon, *App) {
	t.Helper()
	c, err := config.Parse("refloat.yaml", fmt.Appendf(nil, "version: 1\nstate_dir: %s\nrepository: {url: file:///nowhere, passphrase_env: PASS}\ntargets: {shop: {dsn: postgres://r@h/postgres, tier: critical}}\n", dir),
		func(string) (string, bool) { return "correct-horse", true })
	if err != nil {
		t.Fatal(err)
	}
	a := New(c, nil)
	f := &fakeTarget{slot: target.Slot{Name: "refloat_shop", Exists: true, Active: true}, gap: make(chan backup.Gap)}
	care := f.care()
	care.Eyes, care.WatchEvery, care.WatchRules = eyes, 50*time.Millisecond, monitor.DefaultRules()
	d, err := NewDaemon(DaemonOptions{
		StateDir: dir, Listen: "off", Version: "test", StopTimeout: 20 * time.Second, Targets: []Care{care}, Incidents: a.circles(),
		Paging: PagerOptions{Roster: roster(), Sender: &phones{}, Charges: map[string]Charge{"shop": {Tier: alert.Critical}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stopped(t, d) })
	return d, a
}

func incidentsOf(t *testing.T, a *App) []IncidentView {
	t.Helper()
	all, err := a.Incidents(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// An outage that a watcher sees becomes an incident, what people do in it beside
// the server and what the server adds are both there, and its end is told.
func TestPeopleAndServerActInOneIncident(t *testing.T) {
	dir, eyes := t.TempDir(), &staged{}
	eyes.set(target.Serving)
	d, a := attended(t, dir, eyes)
	eventually(t, "shop to be up", func() bool { return d.running.targets[0].seen.Standing(time.Now()).State == monitor.Up })
	eyes.set(target.Refused)
	eventually(t, "an incident", func() bool { return len(incidentsOf(t, a)) == 1 })
	for i := range 5 {
		if _, err := a.ActOnIncident(t.Context(), "1", IncidentNote{Text: fmt.Sprint("note ", i)}, "ada"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := a.ActOnIncident(t.Context(), "1", TakeRole{Role: incident.Commander}, "ada"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "her pages to be acknowledged", func() bool {
		x := incidentsOf(t, a)[0]
		return len(x.Alerts) > 0 && x.Alerts[0].AcknowledgedBy == "ada" && len(x.Pages) > 0
	})
	eyes.set(target.Serving)
	eventually(t, "service to be back", func() bool { return !incidentsOf(t, a)[0].Mitigated.IsZero() })
	x, err := a.ActOnIncident(t.Context(), "1", ResolveIncident{Summary: "it was restarted"}, "ada")
	if err != nil || x.Open() || len(x.Notes) != 5 || len(x.Unread) != 0 {
		t.Errorf("%+v %v", x, err)
	}
	stopped(t, d)
	if r, err := a.JournalVerify(t.Context()); err != nil || len(r.Findings) != 0 {
		t.Errorf("%+v %v", r, err)
	}
}

// A server that was killed after it paged, and before it wrote the outage down,
// has left its alert: the next one opens the incident, and one only.
func TestAnIncidentComesOfAnAlertThatAKilledServerLeft(t *testing.T) {
	dir, eyes, began := t.TempDir(), &staged{}, time.Now().Add(-time.Minute).UTC()
	eyes.set(target.Blind) // nothing that the next server sees says it again
	s, err := sqlite.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	left := alert.Alert{ID: "a1", State: alert.Firing, Count: 1, StartedAt: began, Signal: alert.Signal{Key: "outage/shop", Code: "outage", Target: "shop", At: began, Firing: true, Severity: alert.Critical, Summary: "shop refuses connections"}}
	r, err := alert.NewRecord(alert.KindAlert, left.ID, "shop", true, began, left)
	if err == nil {
		err = s.Save(t.Context(), r)
	}
	if err == nil {
		err = s.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		d, a := attended(t, dir, eyes)
		eventually(t, "an incident", func() bool { return len(incidentsOf(t, a)) > 0 })
		eventually(t, "its alert", func() bool { return len(incidentsOf(t, a)[0].Alerts) > 0 })
		if all := incidentsOf(t, a); len(all) != 1 || !all[0].Started.Equal(began.Truncate(0)) || all[0].Alerts[0].ID != "a1" {
			t.Errorf("%d incidents, started %s: %+v", len(all), all[0].Started, all[0].Alerts)
		}
		stopped(t, d)
	}
}

// Many who act at once, each with the state open for themselves, beside a
// server: one of those who open an incident about shop does, and nobody's note
// is lost.
func TestNobodysActIsLostBesideAServer(t *testing.T) {
	dir, eyes := t.TempDir(), &staged{}
	eyes.set(target.Serving)
	_, a := attended(t, dir, eyes)
	const people = 6
	var opened, refused atomic.Int32
	var all sync.WaitGroup
	for i := range people {
		all.Go(func() {
			who := fmt.Sprint("person-", i)
			switch _, err := a.OpenIncident(t.Context(), IncidentRequest{Title: "orders are refused", Target: "shop", By: who}); {
			case err == nil:
				opened.Add(1)
			case errors.Is(err, incident.ErrRefused):
				refused.Add(1)
			default:
				t.Error(err)
			}
			for n := range 5 {
				if _, err := a.ActOnIncident(t.Context(), "1", IncidentNote{Text: fmt.Sprint(i, ".", n)}, who); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	x, err := a.Incident(t.Context(), "inc-1")
	if err != nil || opened.Load() != 1 || refused.Load() != people-1 || len(incidentsOf(t, a)) != 1 || len(x.Notes) != people*5 || len(x.Unread) != 0 {
		t.Errorf("%d opened, %d refused, %d notes, %v", opened.Load(), refused.Load(), len(x.Notes), err)
	}
}
