package app

import (
	"fmt"

	"github.com/refloat-db/refloat/internal/postmortem"
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
	if format != ReportMarkdown {
		return nil, fmt.Errorf("write the report as %s: only Markdown can be written: give --format md", format)
	}
	md := d.Markdown()
	if template != "" {
		var err error
		if md, err = d.Write(name, template); err != nil {
			return nil, err
		}
	}
	return []byte(md), nil
}
