package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/jstemmer/go-junit-report/v2/junit"
	"github.com/owenrumney/go-sarif/v3/pkg/report"
	"github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"

	"github.com/refloat-db/refloat/internal/app"
)

// sarifLevel maps a severity to SARIF's levels, and to the score that code
// scanning sorts by.
func sarifLevel(s app.AuditSeverity) (level, score string) {
	switch s {
	case app.SeverityCritical:
		return "error", "9.5"
	case app.SeverityHigh:
		return "error", "8.0"
	case app.SeverityMedium:
		return "warning", "5.0"
	case app.SeverityLow:
		return "note", "2.0"
	}
	return "note", "0.0"
}

// sarifReport is SARIF 2.1.0: one run, every rule, a result for each finding.
func sarifReport(reports []app.AuditReport) *sarif.Report {
	run := sarif.NewRunWithInformationURI("Refloat", "https://github.com/refloat-db/refloat")
	run.Tool.Driver.WithVersion(app.Version)
	for _, r := range app.AuditRules() {
		level, score := sarifLevel(r.Severity)
		tags := sarif.NewPropertyBag().Add("security-severity", score)
		run.AddRule(r.ID).WithDescription(r.Title).WithFullDescription(sarif.NewMultiformatMessageString().WithText(r.Why)).
			WithHelp(sarif.NewMultiformatMessageString().WithText(r.Fix)).WithHelpURI(app.FindingDocs(r.ID)).
			WithDefaultConfiguration(sarif.NewReportingConfiguration().WithLevel(level)).WithProperties(tags)
	}
	for _, r := range reports {
		for _, f := range r.Findings {
			level, _ := sarifLevel(f.Severity)
			result := run.CreateResultForRule(f.Rule).WithLevel(level).
				WithMessage(sarif.NewTextMessage(fmt.Sprintf("%s: %s. %s. Fix: %s", r.Target, f.Evidence, f.Why, f.Fix))).
				WithPartialFingerprints(map[string]string{"refloat/v1": r.Target + "/" + f.Key()})
			where := sarif.NewLocation().AddLogicalLocation(sarif.NewLogicalLocation().WithKind("resource").WithFullyQualifiedName(r.Target + "/" + f.Object))
			if f.File != "" {
				place := sarif.NewPhysicalLocation().WithArtifactLocation(sarif.NewSimpleArtifactLocation(f.File))
				if f.Line > 0 {
					place.WithRegion(sarif.NewRegion().WithStartLine(f.Line))
				}
				where.WithPhysicalLocation(place)
			}
			result.AddLocation(where)
			if s := f.Suppressed; s != nil {
				result.AddSuppression(sarif.NewSuppression().WithKind("external").WithJustification(s.Owner + ": " + s.Reason))
			}
		}
	}
	out := report.NewV210Report()
	out.AddRun(run)
	return out
}

func writeSARIF(w io.Writer, reports []app.AuditReport) error {
	if err := sarifReport(reports).PrettyWrite(w); err != nil {
		return fmt.Errorf("print SARIF: %w", err)
	}
	return nil
}

// junitReport has a suite for each target and a case for each rule. A finding
// above info fails its rule; a rule that could not look is an error.
func junitReport(reports []app.AuditReport) junit.Testsuites {
	var all junit.Testsuites
	all.Name = "refloat check"
	for _, r := range reports {
		suite := junit.Testsuite{Name: r.Target, Time: fmt.Sprintf("%.3f", r.Took.Seconds())}
		suite.SetTimestamp(r.At)
		for _, res := range r.Results {
			c := junit.Testcase{Name: res.Rule, Classname: r.Target}
			var lines []string
			worst := app.SeverityInfo
			for _, f := range res.Findings {
				if f.Suppressed == nil {
					lines = append(lines, fmt.Sprintf("%s: %s\nfix: %s", f.Severity, f.Evidence, f.Fix))
					worst = max(worst, f.Severity)
				}
			}
			switch {
			case worst > app.SeverityInfo:
				c.Failure = &junit.Result{Message: res.Findings[0].Evidence, Type: worst.String(), Data: strings.Join(lines, "\n\n")}
			case res.Outcome == app.RuleUnknown:
				c.Error = &junit.Result{Message: "could not look: " + res.Why}
			case res.Outcome == app.RuleNotApplicable:
				c.Skipped = &junit.Result{Message: res.Why}
			case len(lines) > 0:
				c.SystemOut = &junit.Output{Data: strings.Join(lines, "\n\n")}
			}
			suite.AddTestcase(c)
		}
		all.AddSuite(suite)
	}
	return all
}

func writeJUnit(w io.Writer, reports []app.AuditReport) error {
	all := junitReport(reports)
	if err := all.WriteXML(w); err != nil {
		return fmt.Errorf("print JUnit: %w", err)
	}
	return nil
}
