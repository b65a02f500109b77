package mcp

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/refloat-db/refloat/internal/audit"
	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/server"
)

// What tools are asked with.
type (
	nothing struct{}
	ofOne   struct {
		Target string `json:"target" jsonschema:"name of the target in Refloat's configuration"`
	}
	ofIncidents struct {
		All    bool   `json:"all,omitempty" jsonschema:"also those that are resolved"`
		Target string `json:"target,omitempty" jsonschema:"only about this target"`
		Limit  int    `json:"limit,omitempty" jsonschema:"at most so many, newest first; 20 when left out, 100 at most"`
	}
	ofIncident struct {
		Incident string `json:"incident" jsonschema:"ID like inc-3"`
	}
	ofTimeline struct {
		Incident string `json:"incident" jsonschema:"ID like inc-3"`
		After    int64  `json:"after,omitempty" jsonschema:"only events with a greater sequence number"`
		Limit    int    `json:"limit,omitempty" jsonschema:"at most so many, oldest first; 200 when left out, 1000 at most"`
	}
	ofAlerts struct {
		All    bool   `json:"all,omitempty" jsonschema:"also those that ended"`
		Target string `json:"target,omitempty" jsonschema:"only of this target"`
		Limit  int    `json:"limit,omitempty" jsonschema:"at most so many, newest first; 20 when left out, 100 at most"`
	}
	ofProof struct {
		Proof string `json:"proof" jsonschema:"ID of the proof, as a target names it"`
	}
	ofRule struct {
		Rule string `json:"rule" jsonschema:"the rule's name, as a finding names it"`
	}
	ofFindings struct {
		Target   string `json:"target,omitempty" jsonschema:"only of this target; all when left out"`
		Severity string `json:"severity,omitempty" jsonschema:"the least severity: info, low, medium, high or critical"`
	}
	ofJournal struct {
		Scope  string `json:"scope,omitempty" jsonschema:"a subject like incident/inc-3 or target/shop; with a slash at its end all that begin with it"`
		Kind   string `json:"kind,omitempty" jsonschema:"what kinds begin with, like backup."`
		Before int64  `json:"before,omitempty" jsonschema:"only entries with a smaller sequence number"`
		Limit  int    `json:"limit,omitempty" jsonschema:"at most so many, newest first; 50 when left out, 500 at most"`
	}
	ofOnCall struct {
		Days int `json:"days,omitempty" jsonschema:"how many days ahead; 7 when left out, 90 at most"`
	}
)

func bounded(n, usual, most int) int {
	if n <= 0 {
		return usual
	}
	return min(n, most)
}

func wholeID(name string) string {
	if _, err := strconv.Atoi(name); err == nil {
		return "inc-" + name
	}
	return name
}

func (s *Server) tools() {
	who := s.o.Who
	tool(s, "board", "How everything stands", "Every target with its answer, grade and problems, the worst first; incidents and alerts that are open; who is on call now.",
		func(ctx context.Context, _ nothing) (any, error) { return s.reader.Board(ctx, who) })
	tool(s, "target", "A target", "How one target stands: answer, grade, measured objectives, problems, last outages, planned work, findings, its last proofs in short.", s.target)
	tool(s, "coverage", "What can be restored", "The spans of time to which a target can be restored, with their gaps, and its base backups.",
		func(ctx context.Context, q ofOne) (any, error) {
			v, err := s.reader.Target(ctx, who, q.Target)
			return map[string]any{"target": q.Target, "coverage": v.Coverage, "backups": v.Backups[:min(len(v.Backups), 50)], "missing": v.Missing}, err
		})
	tool(s, "proofs", "Proofs of a target", "The last proofs of a target, newest first: what drills restored, checked and measured.",
		func(ctx context.Context, q ofOne) (any, error) {
			v, err := s.reader.Target(ctx, who, q.Target)
			return map[string]any{"target": q.Target, "proofs": v.Proofs[:min(len(v.Proofs), 10)], "missing": v.Missing}, err
		})
	tool(s, "proof", "A proof", "One proof in full, by its ID.", func(ctx context.Context, q ofProof) (any, error) { return s.reader.Proof(ctx, who, q.Proof) })
	tool(s, "runbook", "How to get a target back", "The recovery instructions of a target, made from its configuration and its last proof. For the engineer to follow.",
		func(ctx context.Context, q ofOne) (any, error) {
			v, err := s.reader.Target(ctx, who, q.Target)
			return map[string]any{"target": q.Target, "runbook": v.Runbook, "missing": v.Missing["runbook"]}, err
		})
	s.incidentTools()
	tool(s, "alerts", "Alerts", "Alerts that are open, newest first, with who was paged and what came of it.",
		func(ctx context.Context, q ofAlerts) (any, error) {
			return s.reader.Alerts(ctx, who, server.AlertQuery{All: q.All, Target: q.Target, Limit: bounded(q.Limit, 20, 100)})
		})
	tool(s, "findings", "Findings of audits", "What the last audit of each target found, worst first, with evidence and fix. explain says more of a rule.", s.findings)
	tool(s, "explain", "Explain a rule", "What a rule of the audit finds, why it matters, and what mends it.",
		func(_ context.Context, q ofRule) (any, error) {
			i := slices.IndexFunc(s.o.Rules, func(r audit.Rule) bool { return r.ID == q.Rule })
			if i < 0 {
				return nil, fmt.Errorf("%w: there is no rule %s; findings name those that matter", server.ErrNotFound, q.Rule)
			}
			return s.o.Rules[i], nil
		})
	tool(s, "journal", "What happened", "Entries of the journal, newest first. older is before for the next page.",
		func(ctx context.Context, q ofJournal) (any, error) {
			return s.reader.Journal(ctx, who, server.JournalQuery{Scope: q.Scope, Kind: q.Kind, Before: q.Before, Limit: bounded(q.Limit, 50, 500)})
		})
	tool(s, "oncall", "Who is on call", "Who is on call in each team, now and in the days to come, and where cover has gaps.",
		func(ctx context.Context, q ofOnCall) (any, error) {
			now := time.Now().UTC()
			return s.reader.OnCall(ctx, who, now, now.AddDate(0, 0, bounded(q.Days, 7, 90)))
		})
}

func (s *Server) incidentTools() {
	who := s.o.Who
	tool(s, "incidents", "Incidents", "Incidents that are open, newest first, without their timelines.",
		func(ctx context.Context, q ofIncidents) (any, error) {
			return s.reader.Incidents(ctx, who, server.IncidentQuery{All: q.All, Target: q.Target, Limit: bounded(q.Limit, 20, 100)})
		})
	tool(s, "incident", "An incident", "What to know of an incident: a summary for who joins late, clocks against objectives, roles, tasks, notes, alerts, updates. The timeline is a tool of its own.",
		func(ctx context.Context, q ofIncident) (any, error) {
			v, err := s.reader.Incident(ctx, who, wholeID(q.Incident))
			v.Timeline = []incident.Event{}
			return v, err
		})
	tool(s, "incident_timeline", "Timeline of an incident", "Everything that happened in an incident, in order.",
		func(ctx context.Context, q ofTimeline) (any, error) {
			v, err := s.reader.Incident(ctx, who, wholeID(q.Incident))
			events, more := []incident.Event{}, false
			for _, e := range v.Timeline {
				if e.Seq <= q.After {
					continue
				}
				if len(events) == bounded(q.Limit, 200, 1000) {
					more = true
					break
				}
				events = append(events, e)
			}
			return map[string]any{"incident": v.ID, "events": events, "more": more}, err
		})
}

// target leaves out what has a tool of its own.
func (s *Server) target(ctx context.Context, q ofOne) (any, error) {
	v, err := s.reader.Target(ctx, s.o.Who, q.Target)
	if err != nil {
		return nil, err
	}
	type short struct {
		ID      string    `json:"id"`
		Verdict string    `json:"verdict"`
		EndedAt time.Time `json:"ended_at"`
		Summary string    `json:"summary"`
	}
	proofs := []short{}
	for _, p := range v.Proofs[:min(len(v.Proofs), 5)] {
		proofs = append(proofs, short{p.ID, string(p.Verdict), p.EndedAt, p.Summary})
	}
	findings := []audit.Finding{}
	if v.Findings != nil {
		findings = v.Findings.Findings
	}
	return map[string]any{
		"status": v.TargetRow, "engine": v.Engine, "proofs": proofs, "findings": findings, "outages": v.Outages[:min(len(v.Outages), 10)],
		"maintenance": v.Maintenance, "incidents": len(v.Incidents), "runbook": v.Runbook != "", "missing": v.Missing,
	}, nil
}

func (s *Server) findings(ctx context.Context, q ofFindings) (any, error) {
	least := audit.Info
	if q.Severity != "" {
		var ok bool
		if least, ok = audit.ParseSeverity(q.Severity); !ok {
			return nil, fmt.Errorf("%w: there is no severity %q", server.ErrRefused, q.Severity)
		}
	}
	all, err := s.reader.Findings(ctx, s.o.Who)
	if err != nil {
		return nil, err
	}
	type found struct {
		Target   string          `json:"target"`
		At       time.Time       `json:"at"`
		Findings []audit.Finding `json:"findings"`
	}
	out := []found{}
	for _, t := range all {
		if q.Target != "" && t.Target != q.Target {
			continue
		}
		x := found{t.Target, t.Report.At, []audit.Finding{}}
		for _, f := range t.Report.Findings {
			if f.Severity >= least {
				x.Findings = append(x.Findings, f)
			}
		}
		out = append(out, x)
	}
	if q.Target != "" && len(out) == 0 {
		return nil, fmt.Errorf("%w: no audit of %s is kept", server.ErrNotFound, q.Target)
	}
	return out, nil
}
