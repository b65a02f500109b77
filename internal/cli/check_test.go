package cli

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jstemmer/go-junit-report/v2/junit"

	"github.com/refloat-db/refloat/internal/app"
	"github.com/refloat-db/refloat/internal/audit"
	"github.com/refloat-db/refloat/internal/target"
)

// audited is what the rules say of a server with fsync as given, of which
// nothing else is known.
func audited(fsync string, suppressions ...audit.Suppression) app.AuditReport {
	return audit.Judge(audit.Rules(), audit.Facts{
		Target: "shop", At: time.Date(2026, 3, 1, 2, 0, 0, 0, time.UTC), Suppressions: suppressions,
		Server: target.Seen(target.ServerFacts{Settings: map[string]target.Setting{"fsync": {Value: fsync, Source: "configuration file", File: "/etc/postgresql/postgresql.conf", Line: 7}}}),
	})
}

func TestExitCodesOfReports(t *testing.T) {
	accepted := audit.Suppression{Rule: "server-fsync", Owner: "ann", Reason: "a scratch server", Until: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)}
	// One rule alone, which may find what is critical.
	one := func(r app.AuditReport, outcome audit.Outcome) app.AuditReport {
		r.Results = []app.AuditResult{{Rule: "server-fsync", Outcome: outcome, Why: "no way to it"}}
		return r
	}
	blind, seen := one(audited("on"), app.RuleUnknown), one(audited("on"), app.RulePassed)
	for name, x := range map[string]struct {
		r      app.AuditReport
		failAt app.AuditSeverity
		want   verdict
	}{
		"found":              {audited("off"), app.SeverityHigh, exitVerdict},
		"accepted, blind":    {one(audited("off", accepted), app.RuleUnknown), app.SeverityHigh, exitInconclusive},
		"blind":              {blind, app.SeverityHigh, exitInconclusive},
		"blind, never fails": {blind, 0, 0},
		"found, never fails": {audited("off"), 0, 0},
		"good":               {seen, app.SeverityInfo, 0},
	} {
		var got verdict
		if err := ofReports([]app.AuditReport{seen, x.r}, x.failAt); err != nil && !errors.As(err, &got) {
			t.Fatal(err)
		}
		if got != x.want {
			t.Errorf("%s: exit code %d, want %d", name, got, x.want)
		}
	}
}

func TestSARIF(t *testing.T) {
	r := sarifReport([]app.AuditReport{audited("off"), audited("off", audit.Suppression{Rule: "server-fsync", Owner: "ann", Reason: "why", Until: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)})})
	if err := r.Validate(); err != nil {
		t.Fatalf("not SARIF 2.1.0: %v", err)
	}
	var b bytes.Buffer
	if err := writeSARIF(&b, []app.AuditReport{audited("off")}); err != nil {
		t.Fatal(err)
	}
	var back struct {
		Runs []struct {
			Tool struct {
				Driver struct {
					Rules []struct{ ID, HelpURI string }
				}
			}
			Results []struct {
				RuleID, Level string
				Locations     []struct {
					PhysicalLocation struct {
						ArtifactLocation struct{ URI string }
						Region           struct{ StartLine int }
					}
				}
			}
		}
	}
	if err := json.Unmarshal(b.Bytes(), &back); err != nil {
		t.Fatal(err)
	}
	run := back.Runs[0]
	if len(run.Tool.Driver.Rules) != len(app.AuditRules()) || len(run.Results) != 1 || run.Results[0].RuleID != "server-fsync" || run.Results[0].Level != "error" {
		t.Errorf("%+v", run)
	}
	if p := run.Results[0].Locations[0].PhysicalLocation; p.ArtifactLocation.URI != "/etc/postgresql/postgresql.conf" || p.Region.StartLine != 7 {
		t.Errorf("%+v", p)
	}
}

func TestJUnit(t *testing.T) {
	var b bytes.Buffer
	r := audited("off")
	r.Results = append(r.Results, app.AuditResult{Rule: "server-made-up", Outcome: app.RuleUnknown, Why: "no right"}, app.AuditResult{Rule: "server-other", Outcome: app.RuleNotApplicable, Why: "no standby"})
	if err := writeJUnit(&b, []app.AuditReport{r}); err != nil {
		t.Fatal(err)
	}
	var back junit.Testsuites
	if err := xml.Unmarshal(b.Bytes(), &back); err != nil {
		t.Fatal(err)
	}
	if back.Tests != len(r.Results) || back.Failures == 0 || back.Errors == 0 || back.Skipped == 0 || !strings.Contains(b.String(), "fsync = off") {
		t.Errorf("%d tests, %d failures, %d errors:\n%s", back.Tests, back.Failures, back.Errors, b.String())
	}
}
