package postmortem

import (
	"fmt"
	"strings"
	"text/template"
	"time"
)

// Write writes the document by a team's own template (text/template over
// Document). Beside the fields and Part, templates can call
//
//	markdown  the whole file form
//	text      words, with what Markdown would take for marks escaped
//	span      a length of time: 5 h 24 min
//	moment    a time with its day and zone
//	fill      a mark for what a person must write
func (d Document) Write(name, text string) (string, error) {
	t, err := template.New(name).Option("missingkey=error").Funcs(template.FuncMap{
		"markdown": func() string { return d.Markdown() },
		"text":     inline,
		"span":     Span,
		"moment": func(at time.Time) string {
			if at.IsZero() {
				return ""
			}
			return d.moment(at)
		},
		"fill": Fill,
	}).Parse(text)
	if err != nil {
		return "", fmt.Errorf("read the template: %w", err)
	}
	var b strings.Builder
	if err := t.Execute(&b, d); err != nil {
		return "", fmt.Errorf("fill the template: %w", err)
	}
	return b.String(), nil
}
