package cli

import (
	"fmt"
	"io"
	"path/filepath"

	"github.com/owenrumney/go-sarif/v3/pkg/report"
	"github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"

	"github.com/refloat-db/refloat/internal/app"
)

// writeReportSARIF prints what was found in reports as SARIF 2.1.0, with the
// place that disagrees as a related location.
func writeReportSARIF(w io.Writer, reports []app.LintedReport) error {
	run := sarif.NewRunWithInformationURI("Refloat", "https://github.com/refloat-db/refloat")
	run.Tool.Driver.WithVersion(app.Version)
	for _, r := range app.ReportRules() {
		run.AddRule(r.ID).WithDescription(r.Title).WithFullDescription(sarif.NewMultiformatMessageString().WithText(r.Why)).
			WithHelp(sarif.NewMultiformatMessageString().WithText(r.Fix)).
			WithDefaultConfiguration(sarif.NewReportingConfiguration().WithLevel(string(r.Severity)))
	}
	for _, r := range reports {
		file := filepath.ToSlash(r.File)
		for _, f := range r.Findings {
			result := run.CreateResultForRule(f.Rule).WithLevel(string(f.Severity)).WithMessage(sarif.NewTextMessage(f.Message + ". Mend it: " + f.Fix))
			result.AddLocation(reportPlace(file, f.Place.Line, f.Place.Column))
			if f.Other != nil {
				result.AddRelatedLocation(reportPlace(file, f.Other.Line, f.Other.Column).WithMessage(sarif.NewTextMessage(f.Other.Text)))
			}
			if f.Suppressed != nil {
				result.AddSuppression(sarif.NewSuppression().WithKind("inSource").WithJustification(f.Suppressed.Reason))
			}
		}
	}
	out := report.NewV210Report()
	out.AddRun(run)
	if err := out.PrettyWrite(w); err != nil {
		return fmt.Errorf("print SARIF: %w", err)
	}
	return nil
}

func reportPlace(file string, line, column int) *sarif.Location {
	return sarif.NewLocationWithPhysicalLocation(sarif.NewPhysicalLocation().WithArtifactLocation(sarif.NewSimpleArtifactLocation(file)).
		WithRegion(sarif.NewRegion().WithStartLine(line).WithStartColumn(column)))
}
