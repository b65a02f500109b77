package app

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/refloat-db/refloat/internal/postmortem"
)

// What is said of a report.
type (
	ReportRule     = postmortem.Rule
	ReportFinding  = postmortem.Finding
	ReportSeverity = postmortem.Severity
	ReportView     = postmortem.Understanding
)

// Severities of findings in a report.
const (
	ReportError   = postmortem.Error
	ReportWarning = postmortem.Warning
	ReportNote    = postmortem.Note
)

// ReportRules lists every rule of the reports' lint.
func ReportRules() []ReportRule { return postmortem.Rules() }

// LintedReport is a report with what the rules found in it.
type LintedReport struct {
	File     string          `json:"file"`
	Findings []ReportFinding `json:"findings"`
}

// mostReport is the longest report that is read: what is longer was written by no
// person.
const mostReport = 64 << 20

// ReadReport reads a report, from the standard input where the name is "-", and
// says what it understood of it. It needs no configuration and no server.
func ReadReport(name string, stdin io.Reader) (ReportView, error) {
	d, err := readReport(name, stdin)
	if err != nil {
		return ReportView{}, err
	}
	return d.Understood(), nil
}

// LintReport finds what a report contradicts or leaves out.
func LintReport(name string, stdin io.Reader) (LintedReport, error) {
	d, err := readReport(name, stdin)
	if err != nil {
		return LintedReport{}, err
	}
	return LintedReport{File: name, Findings: postmortem.Lint(d)}, nil
}

func readReport(name string, stdin io.Reader) (*postmortem.Report, error) {
	in := stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("read the report: %w", err)
		}
		defer func() { _ = f.Close() }() // it was only read
		in = f
	}
	src, err := io.ReadAll(io.LimitReader(in, mostReport+1))
	if err != nil {
		return nil, fmt.Errorf("read the report %s: %w", name, err)
	}
	if len(src) > mostReport {
		return nil, fmt.Errorf("read the report %s: it is longer than %d MiB", name, mostReport>>20)
	}
	switch {
	case bytes.IndexByte(src, 0) >= 0:
		return nil, fmt.Errorf("read the report %s: %w; save it as UTF-8 text, Markdown or HTML", name, ErrNoReport)
	case len(bytes.TrimSpace(src)) == 0:
		return nil, fmt.Errorf("read the report %s: %w: it is empty", name, ErrNoReport)
	}
	return postmortem.Read(name, src), nil
}

// ErrNoReport means that there is no text to read: nothing was found wrong because
// nothing could be looked at.
var ErrNoReport = errors.New("this is no text")
