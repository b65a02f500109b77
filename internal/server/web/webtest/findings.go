package webtest

import (
	"time"

	"github.com/refloat-db/refloat/internal/audit"
)

// results are what became of every rule, given what was found.
func results(findings []audit.Finding) []audit.Result {
	var out []audit.Result
	for i, r := range audit.Rules() {
		x := audit.Result{Rule: r.ID, Outcome: audit.Passed}
		switch {
		case r.Area == audit.AreaForeign:
			x.Outcome, x.Why = audit.NotApplicable, "no other tool's backups are configured"
		case i%23 == 11:
			x.Outcome, x.Why = audit.Unknown, "the role may not see it: GRANT pg_monitor TO refloat"
		}
		for _, f := range findings {
			if f.Rule == r.ID {
				x.Outcome, x.Why, x.Findings = audit.Found, "", append(x.Findings, f)
			}
		}
		out = append(out, x)
	}
	return out
}

func finding(rule, object, evidence string) audit.Finding {
	for _, r := range audit.Rules() {
		if r.ID == rule {
			return audit.Finding{Rule: rule, Severity: r.Severity, Object: object, Evidence: evidence, Why: r.Why, Fix: r.Fix, Docs: "docs/findings.md#" + rule}
		}
	}
	panic("fixed data: no rule " + rule)
}

func reportOf(target string, findings ...audit.Finding) *audit.Report {
	return &audit.Report{Target: target, At: ago(5 * time.Hour), Took: 800 * time.Millisecond, Findings: findings, Results: results(findings)}
}

func accepted(f audit.Finding, owner, reason string, until time.Time) audit.Finding {
	f.Suppressed = &audit.Suppression{Rule: f.Rule, Object: f.Object, Owner: owner, Reason: reason, Until: until}
	return f
}

func runbook(c care) string {
	return "# Getting " + c.shown + " back\n\n" +
		"Made from the configuration and from the drill of 24 November, 02:05 UTC.\n\n" +
		"## Before you start\n\n" +
		"1. See that the server is really gone: `refloat outages " + c.id + "`.\n" +
		"2. Take the lead of the incident, so that nobody else does the same.\n" +
		"3. **Do not write to the old server.** It may come back.\n\n" +
		"## Restore to the newest moment\n\n" +
		"Took 6 min 12 s in the last drill, and lost nothing.\n\n" +
		"```sh\nrefloat restore " + c.id + " --to latest --into /srv/postgres/" + c.id + "\npg_ctl -D /srv/postgres/" + c.id + " start\n```\n\n" +
		"## Restore to just before a mistake\n\n" +
		"```sh\nrefloat restore " + c.id + " --to '2026-11-24 02:30:00 UTC' --into /srv/postgres/" + c.id + "\n```\n\n" +
		"| who | knows |\n| --- | --- |\n| " + c.team + " | the applications, and in which order they start |\n| platform | DNS and the load balancer |\n"
}
