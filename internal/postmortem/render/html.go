package render

import (
	"bytes"
	_ "embed"
	"fmt"
	"html"
	"regexp"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"

	"github.com/refloat-db/refloat/internal/postmortem"
)

//go:embed style.css
var style string

var (
	fills    = regexp.MustCompile(`\[fill in: [^\]<]*\]`)
	whole    = regexp.MustCompile(`<td>(journal|\d{4}-\d\d-\d\d) ([\d:]+)</td>`)
	verdicts = regexp.MustCompile(`<td>(met|missed)</td>`)
)

// HTML writes a report as one page that needs nothing else: md is its file form,
// the document gives title and picture. Mark-up of HTML in md is shown as it is
// written, never run.
func HTML(d postmortem.Document, md string) ([]byte, error) {
	var body bytes.Buffer
	m := goldmark.New(goldmark.WithExtensions(extension.Table, extension.Strikethrough, extension.TaskList), goldmark.WithParserOptions(parser.WithAutoHeadingID()))
	if err := m.Convert([]byte(md), &body); err != nil {
		return nil, fmt.Errorf("write the report as HTML: %w", err)
	}
	text := fills.ReplaceAllStringFunc(body.String(), func(s string) string { return "<mark>" + s + "</mark>" })
	text = whole.ReplaceAllString(text, "<td>$1\u00a0$2</td>") // never parted
	text = verdicts.ReplaceAllString(text, `<td class="$1">$1</td>`)
	text = strings.ReplaceAll(strings.ReplaceAll(text, "<table>", `<div class="wide"><table>`), "</table>", "</table></div>")
	if p, drawn := pictureOf(d); drawn {
		figure := "<figure>" + p.svg() + "<figcaption>Clocks against their objectives (dashed). Dots are the lines of the timeline.</figcaption></figure>\n"
		if i := strings.Index(text, `<h2 id="timeline">`); i >= 0 {
			i += strings.Index(text[i:], "\n") + 1
			text = text[:i] + figure + text[i:]
		} else {
			text += figure
		}
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<meta name="generator" content="Refloat">
<title>%s</title>
<style>
%s</style>
</head>
<body>
<main>
%s%s</main>
</body>
</html>
`, html.EscapeString(d.Title), style, text, footer(d))
	return out.Bytes(), nil
}

// footer says what the page is of.
func footer(d postmortem.Document) string {
	if d.Incident == "" {
		return ""
	}
	return fmt.Sprintf("<footer>%s</footer>\n", html.EscapeString(foot(d)))
}

func foot(d postmortem.Document) string {
	s := "Report of " + d.Incident
	if !d.Written.IsZero() {
		s += ", " + d.Written.Format("2 January 2006")
	}
	return s + ", times in " + d.Zone
}
