package rest

import (
	"time"

	"github.com/refloat-db/refloat/internal/access"
	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/audit"
	"github.com/refloat-db/refloat/internal/backup"
	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/journal"
	"github.com/refloat-db/refloat/internal/monitor"
	"github.com/refloat-db/refloat/internal/proof"
	"github.com/refloat-db/refloat/internal/server"
	"github.com/refloat-db/refloat/internal/status"
)

// What the description shows. It is made by the rooms that make the real thing,
// so that it has its shape.

func noon() time.Time { return time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC) }

func exampleIncident() server.IncidentView {
	now := noon()
	o := incident.Opened{
		Title: "shop does not serve", Severity: incident.Sev1, Targets: []string{"shop"}, Team: "db", Objectives: incident.DefaultObjectives(),
		Cause: incident.Cause{Key: "outage/shop/20261123T115950.000Z", Kind: incident.FromOutage, Target: "shop", Reason: "shop refuses connections", Started: now.Add(-10 * time.Second), Detected: now.Add(-8 * time.Second)},
	}
	s := incident.State{}
	seq := int64(4700)
	for _, step := range []struct {
		c  incident.Command
		by string
	}{
		{incident.Open{ID: "inc-3", Opened: o}, incident.Server}, {incident.OfferRoles{To: []string{"ada"}}, incident.Server}, {incident.TakeRole{Role: incident.Commander}, "ada"},
		{incident.AddNote{Text: "the volume is gone"}, "ada"}, {incident.AddTask{Text: "find the last backup", Owner: "ben"}, "ada"}, {incident.SetStatus{To: incident.Identified}, "ada"},
	} {
		events, err := incident.Decide(s, step.c, step.by, now)
		if err != nil {
			panic("rest: an example is refused: " + err.Error()) // a mistake of ours, at start
		}
		for _, e := range events {
			seq++
			e.Seq = seq
			s = s.With(e)
		}
		now = now.Add(20 * time.Second)
	}
	v := server.IncidentView{State: s, At: now, Clocks: s.Clocks(now, incident.DefaultWarnAt()), Promises: []incident.Promise{}, Waiting: []server.UpdateDelivery{}, Can: access.Responder}
	v.Summary = s.Summary(now, incident.DefaultCadence(), incident.DefaultWarnAt(), nil)
	for _, a := range incident.Audiences() {
		if p, waits := s.NextUpdate(a, incident.DefaultCadence()); waits {
			v.Promises = append(v.Promises, p)
		}
	}
	return v
}

// shortIncident is one of a list.
func shortIncident() server.IncidentView {
	v := exampleIncident()
	v.Timeline = []incident.Event{}
	return v
}

func exampleDraft() server.Draft {
	v := exampleIncident()
	next := v.At.Add(30 * time.Minute)
	view := v.View(incident.Clients).Named(map[string]string{"shop": "The web shop"})
	return server.Draft{
		Audience: incident.Clients, Subject: view.Subject(), Text: view.Draft(v.At, next, nil), Next: next,
		To: []incident.Recipient{{Contact: "audience.clients.list", Via: "email", Address: "status@example.org"}},
	}
}

func exampleUpdate() update {
	d := exampleDraft()
	return update{Audience: d.Audience, Subject: d.Subject, Text: d.Text, Next: d.Next}
}

func exampleAlerts() []server.AlertView {
	began := noon().Add(-8 * time.Second)
	a := alert.Alert{
		ID: "a1b2c3", State: alert.Firing, Count: 1, StartedAt: began, PagedFrom: began, Policy: "default",
		Signal: alert.Signal{Key: "outage/shop", At: began, Firing: true, Code: "outage", Target: "shop", Source: "monitor", Severity: alert.Critical, Summary: "shop refuses connections", Next: "refloat incident list"},
	}
	d := alert.Delivery{
		ID: "a1b2c3.0.0.ada.email", AlertID: a.ID, Kind: alert.Page, Person: "ada", Contact: alert.Contact{ID: "ada.email", Via: alert.Email, Address: "ada@example.org"},
		State: alert.Sent, CreatedAt: began, NotBefore: began, Attempts: 1, SentAt: began.Add(time.Second), Said: "250 2.0.0 Ok: queued",
	}
	return []server.AlertView{{Alert: a, Deliveries: []alert.Delivery{d}, Attempts: map[string][]alert.Attempt{d.ID: {{At: d.SentAt, Said: d.Said}}}, Incident: "inc-3", Can: access.Responder}}
}

func exampleProof() proof.Proof {
	loss := 4 * time.Second
	return proof.Proof{
		Format: 1, ID: "shop-20261122T040000Z", Target: "shop", Sequence: 12, Verdict: proof.Proven, Summary: "restored and read in full: 214 relations, 1204933 rows, none missing",
		StartedAt: noon().Add(-32 * time.Hour), EndedAt: noon().Add(-32*time.Hour + 6*time.Minute), Repository: "s3://backups/refloat", Fingerprint: "9f86d081", Host: "care-1", Refloat: "1.0.0",
		Scratch: "PostgreSQL 17.5", Backup: "shop-20261122T020000Z", BackupKind: "full", Asked: "latest", ExpectedFrom: "production", LogSegments: 41, Relations: 214, Rows: 1204933, Pages: 352000, RestoredBytes: 2883584000,
		DataLoss: &loss, Resolution: 372 * time.Second, Objectives: proof.Objectives{DataLoss: time.Minute, Resolution: 4 * time.Hour, Detection: time.Minute, ProofAge: 7 * 24 * time.Hour},
		Phases: []proof.Phase{}, Checks: []proof.Check{},
	}
}

func exampleRow() server.TargetRow {
	p := exampleProof()
	return server.TargetRow{
		Team: "db", Tier: "critical", Shown: "The web shop",
		Report: status.Evaluate(status.Facts{
			Target: "shop", Objectives: p.Objectives, Proof: &status.Proof{ID: p.ID, Verdict: p.Verdict, Summary: p.Summary, EndedAt: p.EndedAt, DataLoss: p.DataLoss, Resolution: p.Resolution},
			Server: status.Server{Running: true},
		}, noon()),
	}
}

func exampleBoard() server.Board {
	return server.Board{
		At: noon(), Targets: []server.TargetRow{exampleRow()}, Incidents: []server.IncidentView{shortIncident()}, Alerts: exampleAlerts(),
		OnCall: []alert.Shift{exampleShift()}, Seq: 4706, Node: "care-1", Leads: true,
	}
}

func exampleShift() alert.Shift {
	return alert.Shift{Team: "db", Rotation: "primary", Person: "ada", Since: noon().Add(-3 * time.Hour), Until: noon().Add(165 * time.Hour), Source: alert.FromRotation}
}

func exampleTarget() server.TargetView {
	f := exampleFindings()[0].Report
	return server.TargetView{
		TargetRow: exampleRow(), Engine: "postgres", Coverage: nil, Backups: []backup.Backup{}, Proofs: []proof.Proof{exampleProof()}, Findings: &f, Outages: []monitor.Outage{},
		Maintenance: []alert.Silence{}, Incidents: []server.IncidentView{shortIncident()}, Lag: []server.LagPoint{{At: noon(), Lag: 2 * time.Second}},
		Runbook: "# Getting shop back\n", Missing: map[string]string{"coverage": "the repository cannot be reached"},
	}
}

func exampleFindings() []server.TargetFindings {
	return []server.TargetFindings{{Target: "shop", Team: "db", Report: audit.Report{
		Target: "shop", At: noon().Add(-9 * time.Hour), Took: 1400 * time.Millisecond,
		Findings: []audit.Finding{{
			Rule: "server-fsync", Severity: audit.Critical, Object: "fsync", Evidence: "fsync = off (postgresql.conf:12)", Why: "a crash of the machine loses or damages data",
			Fix: "ALTER SYSTEM SET fsync = on; SELECT pg_reload_conf();", Docs: "docs/rules.md#server-fsync",
		}},
		Results: []audit.Result{},
	}}}
}

func exampleSettings() server.Settings {
	return server.Settings{Path: "/etc/refloat/refloat.yaml", Read: noon(), Text: "version: 1\n"}
}

func exampleJournal() []journal.Entry {
	e, err := journal.Chain(journal.Head{Seq: 4700, Hash: ""}, journal.Event{Time: noon(), Actor: "server", Subject: "target/shop", Kind: "backup.taken", Body: map[string]string{"id": "shop-20261122T020000Z"}})
	if err != nil {
		panic("rest: an example is no entry: " + err.Error()) // a mistake of ours, at start
	}
	return []journal.Entry{e}
}

func exampleSilence() alert.Silence {
	return alert.Silence{ID: "s-1", Target: "shop", Owner: "ada", Reason: "moving it to the new host", From: noon(), Until: noon().Add(2 * time.Hour), Planned: true}
}

func exampleSilenceBody() silence {
	s := exampleSilence()
	return silence{Target: s.Target, Reason: s.Reason, From: s.From, Until: s.Until, Planned: true}
}

func exampleOnCall() server.OnCall {
	s := exampleShift()
	return server.OnCall{
		From: noon(), Until: noon().AddDate(0, 0, 14), Names: map[string]string{"ada": "Ada"},
		Teams: []server.TeamOnCall{{Team: "db", Now: []alert.Shift{s}, Shifts: []alert.Shift{s}, Gaps: []alert.Gap{}, Policy: "default", Members: []string{"ada", "ben"}}},
	}
}

func exampleSimulation() server.PageSimulation {
	return server.PageSimulation{
		At: noon(), Target: "shop", Team: "db", Severity: alert.Critical, Names: map[string]string{"ada": "Ada"},
		Simulation: alert.Simulation{Policy: alert.Policy{Name: "default", Steps: []alert.Step{}}, Pages: []alert.SimulatedPage{}},
	}
}
