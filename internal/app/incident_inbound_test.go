package app

import (
	"net/http"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/alert/inbound"
	"github.com/refloat-db/refloat/internal/config"
	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/secret"
)

// A source that may asks for an incident and gets one, once, also when it tells
// again and after a restart; one that may not has its alert taken, and no more.
func TestASourceOpensAnIncident(t *testing.T) {
	dir := t.TempDir()
	start := func() *Daemon {
		t.Helper()
		d, err := NewDaemon(DaemonOptions{
			StateDir: dir, Listen: "127.0.0.1:0", Version: "test", StopTimeout: 20 * time.Second,
			Paging:    PagerOptions{Roster: roster(), Sender: &phones{}},
			Incidents: IncidentOptions{Roster: roster(), Rules: config.IncidentRules{WarnAt: incident.DefaultWarnAt()}}, // no alert opens one by itself
			Sources: []Source{
				{Name: "cron", Token: secret.New(token), Read: inbound.Generic},
				{Name: "desk", Token: secret.New(token), Read: inbound.Generic, Incidents: true},
				{Name: "prom", Token: secret.New(token), Read: inbound.Alertmanager, Incidents: true},
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { stopped(t, d) })
		return d
	}
	d := start()
	tell := func(source, body string) {
		t.Helper()
		if code, said := ask(t, "POST", "http://"+d.Address()+"/in/"+source, "", token, body); code != http.StatusAccepted {
			t.Fatal(code, said)
		}
	}
	incidents := func() []incident.State {
		events, err := incidentLog{d.node.state}.Events(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		return incident.FoldAll(events)
	}
	const asks = `{"key":"support","summary":"clients call: orders fail","severity":"low","incident":true}`
	tell("cron", `{"key":"export","summary":"the export failed","severity":"critical","incident":true}`)
	tell("desk", asks)
	eventually(t, "an incident", func() bool { return len(incidents()) == 1 })
	tell("desk", asks)
	tell("prom", `{"version":"4","alerts":[{"status":"firing","labels":{"alertname":"Orders","severity":"warning","refloat_incident":"true"},"annotations":{"summary":"no orders"},"startsAt":"2026-03-01T01:58:00Z","fingerprint":"ff"}]}`)
	eventually(t, "a second one", func() bool { return len(incidents()) == 2 })
	stopped(t, d)
	d = start()
	tell("desk", asks)
	eventually(t, "the alert to be gathered", func() bool { return len(incidents()[0].Alerts) == 1 })
	all := incidents()
	if len(all) != 2 || all[0].Title != "clients call: orders fail" || all[0].Severity != incident.Sev4 || all[0].OpenedBy != incident.Server || all[1].Title != "no orders" {
		t.Errorf("%+v", all)
	}
}
