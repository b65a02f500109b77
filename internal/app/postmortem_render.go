package app

import (
	"errors"
	"fmt"
	"io"

	"github.com/refloat-db/refloat/internal/postmortem"
	"github.com/refloat-db/refloat/internal/postmortem/render"
)

// ReportDocument is a postmortem as its parts.
type ReportDocument = postmortem.Document

// ReportFormat is how a report is written.
type ReportFormat string

// The formats.
const (
	ReportMarkdown ReportFormat = "md"
	ReportHTML     ReportFormat = "html"
	ReportPDF      ReportFormat = "pdf"
)

// RenderReport writes a document; by a template of one's own, where its text is not
// empty.
func RenderReport(d ReportDocument, format ReportFormat, name, template string) ([]byte, error) {
	md := d.Markdown()
	if template != "" {
		var err error
		if md, err = d.Write(name, template); err != nil {
			return nil, err
		}
	}
	return renderReport(d, md, format)
}

func renderReport(d ReportDocument, md string, format ReportFormat) ([]byte, error) {
	switch format {
	case ReportHTML:
		return render.HTML(d, md)
	case ReportPDF:
		return render.PDF(d, md)
	}
	return []byte(md), nil
}

// ErrNotMarkdown means that a report is in another form than the one that can be
// rendered.
var ErrNotMarkdown = errors.New("only Markdown can be rendered")

// RenderReportFile writes a report in Markdown as HTML or PDF.
func RenderReportFile(name string, stdin io.Reader, format ReportFormat) ([]byte, error) {
	r, err := readReport(name, stdin)
	if err != nil {
		return nil, err
	}
	if r.Format == "html" {
		return nil, fmt.Errorf("render the report %s: %w: it is HTML", name, ErrNotMarkdown)
	}
	return renderReport(r.Document(), string(r.Bytes()), format)
}
