package postmortem

import (
	"fmt"
	"math"
	"strings"
	"time"
	"unicode"

	"github.com/refloat-db/refloat/internal/postmortem/prose"
)

// chapter is one section of the file form.
type chapter struct {
	kind  SectionKind
	title string
	write func(*Document, *strings.Builder)
}

// chapters are the sections in the order of the file.
func chapters() []chapter {
	text := func(kind SectionKind, title string) chapter {
		return chapter{kind, title, func(d *Document, b *strings.Builder) { writeText(b, *d.texts()[kind]) }}
	}
	return []chapter{
		{Meta, "Particulars", (*Document).writeParticulars},
		text(Introduction, "Introduction"),
		{ObjectiveGroup, "Objectives and indicators", (*Document).writeGoals},
		text(Summary, "Summary"),
		{Impact, "Impact", (*Document).writeImpact},
		{Timeline, "Timeline", (*Document).writeTimeline},
		text(Before, "Before the outage"),
		text(Detection, "Detection"),
		text(Response, "Response"),
		text(Communications, "Communications"),
		text(Recovery, "Recovery"),
		text(RootCause, "Root cause"),
		text(Contributing, "Contributing factors"),
		text(Successes, "What went well"),
		text(Challenges, "What went badly"),
		text(Luck, "Where we got lucky"),
		text(Lessons, "Lessons learned"),
		text(Recommendations, "Recommendations"),
		{ActionItems, "Action items", (*Document).writeActions},
		text(Earlier, "Similar incidents"),
		text(Conclusion, "Conclusion"),
		{Glossary, "Glossary", (*Document).writeTerms},
	}
}

// Markdown is the document's file form.
func (d Document) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n", inline(d.Title))
	for _, c := range chapters() {
		b.WriteString(d.chapter(c))
	}
	return b.String()
}

// chapter is a section with its heading; nothing of one without a word.
func (d *Document) chapter(c chapter) string {
	var b strings.Builder
	c.write(d, &b)
	if b.Len() == 0 {
		return ""
	}
	return "\n## " + c.title + "\n\n" + b.String()
}

// Part is one section of the file form by its heading, with its heading: for
// templates that put sections into another order.
func (d Document) Part(title string) (string, error) {
	for _, c := range chapters() {
		if strings.EqualFold(c.title, title) {
			return strings.TrimLeft(d.chapter(c), "\n"), nil
		}
	}
	var all []string
	for _, c := range chapters() {
		all = append(all, c.title)
	}
	return "", fmt.Errorf("no section is called %q: there are %s", title, strings.Join(all, ", "))
}

func (d *Document) writeParticulars(b *strings.Builder) {
	rows := [][2]string{}
	add := func(name, value string) {
		if value != "" {
			rows = append(rows, [2]string{name, value})
		}
	}
	add("Incident", d.Incident)
	if !d.Written.IsZero() {
		add("Report date", d.Written.Format("Monday, 2 January 2006"))
	}
	add("Authors", strings.Join(d.Authors, ", "))
	add("Severity", d.Severity)
	add("Systems", strings.Join(d.Systems, ", "))
	add("Answering team", d.Team)
	add("Time zone", d.Zone)
	for _, m := range d.Clocks.moments() {
		switch {
		case !m.at.IsZero():
			add(m.name, d.moment(m.at))
		case d.Incident != "": // the journal will know, or a person does
			add(m.name, Fill(m.missing))
		}
	}
	for _, s := range d.Clocks.spans() {
		add(s.name, Span(s.span))
	}
	writeTable(b, []string{"Particular", "Value"}, len(rows), func(i int) []string { return rows[i][:] })
}

type namedSpan struct {
	name string
	span time.Duration
}

// spans are the lengths of time between the clocks that are known.
func (c Clocks) spans() []namedSpan {
	var out []namedSpan
	add := func(name string, from, to time.Time) {
		if !from.IsZero() && !to.IsZero() && !to.Before(from) {
			out = append(out, namedSpan{name, to.Sub(from)})
		}
	}
	add("Time to detect", c.Started, c.Detected)
	add("Time to acknowledge", c.Detected, c.Acknowledged)
	add("Time to resolve", c.Started, c.Mitigated)
	return out
}

// moment is a time with its day and zone.
func (d *Document) moment(t time.Time) string {
	return d.local(t).Format("Monday, 2 January 2006, 15:04:05 ") + d.Zone
}

// local is a time by the document's clock.
func (d *Document) local(t time.Time) time.Time {
	off, _ := prose.Offset(d.Zone)
	return t.In(time.FixedZone(d.Zone, int(off/time.Second)))
}

func (d *Document) writeGoals(b *strings.Builder) {
	writeTable(b, []string{"Objective", "Target", "Reached", "Verdict"}, len(d.Objectives), func(i int) []string {
		g := d.Objectives[i]
		reached := Fill("what was reached")
		if g.Known {
			reached = Span(g.Reached)
		}
		verdict := string(g.Verdict)
		if g.Verdict == Untold {
			verdict = Fill("the verdict")
		}
		return []string{g.Name, Span(g.Limit), reached, verdict}
	})
}

func (d *Document) writeImpact(b *strings.Builder) {
	for _, a := range d.Impact {
		fmt.Fprintf(b, "- %s: %s\n", inline(string(a.Kind)), inline(a.Text))
	}
	if len(d.Impact) > 0 && len(d.ImpactMore) > 0 {
		b.WriteString("\n")
	}
	writeText(b, d.ImpactMore)
}

func (d *Document) writeTimeline(b *strings.Builder) {
	writeTable(b, []string{"Time (" + d.Zone + ")", "What happened", "Source"}, len(d.Timeline), func(i int) []string {
		e := d.Timeline[i]
		return []string{d.local(e.At).Format("2006-01-02 15:04:05"), e.Text, e.Source}
	})
}

// dutyHeads are the columns of action items.
var dutyHeads = [...]string{"ID", "Action", "Owner", "Due", "Priority", "Kind", "Addresses", "Done when", "State"}

func (d *Document) writeActions(b *strings.Builder) {
	cells := func(a Duty) []string {
		return []string{a.ID, a.Text, a.Owner, a.Due, a.Priority, a.Kind, a.Source, a.Check, a.State}
	}
	used := make([]bool, len(dutyHeads)) // a column without a word is none
	for _, a := range d.Actions {
		for i, c := range cells(a) {
			used[i] = used[i] || c != ""
		}
	}
	those := func(all []string) []string {
		var out []string
		for i, c := range all {
			if used[i] {
				out = append(out, c)
			}
		}
		return out
	}
	writeTable(b, those(dutyHeads[:]), len(d.Actions), func(i int) []string { return those(cells(d.Actions[i])) })
}

func (d *Document) writeTerms(b *strings.Builder) {
	writeTable(b, []string{"Word", "Meaning"}, len(d.Terms), func(i int) []string { return []string{d.Terms[i].Name, d.Terms[i].Meaning} })
}

func writeTable(b *strings.Builder, heads []string, n int, row func(int) []string) {
	if n == 0 {
		return
	}
	line := func(cells []string) {
		b.WriteString("|")
		for _, c := range cells {
			b.WriteString(" " + strings.ReplaceAll(inline(c), "|", `\|`) + " |")
		}
		b.WriteString("\n")
	}
	line(heads)
	b.WriteString("|" + strings.Repeat(" --- |", len(heads)) + "\n")
	for i := range n {
		line(row(i))
	}
}

func writeText(b *strings.Builder, t Text) {
	for i, p := range t {
		if i > 0 && !(p.Point && t[i-1].Point) {
			b.WriteString("\n")
		}
		s := inline(p.Text)
		if p.Point {
			if strings.HasPrefix(s, "[") && len(s) > 2 && s[2] == ']' { // a box is no text
				s = `\` + s
			}
			b.WriteString("- " + s + "\n")
		} else {
			b.WriteString(lineStart(s) + "\n")
		}
	}
}

// inline writes plain words so that Markdown reads them as they are: on one line,
// with marks that would mean something escaped.
func inline(s string) string {
	s = oneLine(s)
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		next := byte(0)
		if i+1 < len(s) {
			next = s[i+1]
		}
		switch {
		case c == '\\' || c == '`' || c == '*':
			b.WriteString(`\` + s[i:i+1])
		case c == '~' && (next == '~' || i > 0 && s[i-1] == '~'):
			b.WriteString(`\~`)
		case c == '_' && !(i > 0 && alnum(s[i-1]) && alnum(next)):
			b.WriteString(`\_`)
		case c == '[' && strings.Contains(s[i:], "]("), c == ']' && next == '(':
			b.WriteString(`\` + s[i:i+1])
		case c == '<':
			b.WriteString("&lt;")
		case c == '&' && (alnum(next) || next == '#'):
			b.WriteString("&amp;")
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// lineStart keeps a paragraph from being taken for a list, a heading, a quotation or
// a table.
func lineStart(s string) string {
	if s == "" {
		return s
	}
	if n, _, _ := marker(s); n > 0 || strings.ContainsRune("#>|+-=", rune(s[0])) {
		if i := strings.IndexAny(s[:min(len(s), 4)], ".)"); i > 0 && s[0] != '(' {
			return s[:i] + `\` + s[i:]
		}
		if s[0] < 0x80 && !alnum(s[0]) {
			return `\` + s
		}
	}
	return s
}

// Span writes a length of time exactly, as people do: 5 h 24 min 3 s.
func Span(x time.Duration) string {
	if x < 0 {
		return "-" + Span(-x)
	}
	x = x.Round(time.Millisecond)
	var parts []string
	for _, u := range []struct {
		span time.Duration
		name string
	}{{time.Hour, "h"}, {time.Minute, "min"}} {
		if n := x / u.span; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, u.name))
			x -= n * u.span
		}
	}
	if x > 0 || len(parts) == 0 {
		parts = append(parts, strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.3f", x.Seconds()), "0"), ".")+" s")
	}
	return strings.Join(parts, " ")
}

// Money writes an amount of hundredths of a currency: EUR 2,600.00.
func Money(hundredths float64, currency string) string {
	n := int64(math.Round(hundredths))
	whole := fmt.Sprint(n / 100)
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	return fmt.Sprintf("%s %s.%02d", currency, whole, n%100)
}

// quote makes a quotation of what somebody wrote: on one line, without what would
// end it, cut to a length.
func quote(s string) string {
	const most = 280
	var b strings.Builder
	n := 0
	for _, r := range strings.ToValidUTF8(s, "?") {
		switch {
		case r == '“' || r == '”' || r == '„':
			r = '\''
		case unicode.IsSpace(r) || !unicode.IsPrint(r):
			r = ' '
		}
		if n++; n > most {
			b.WriteString(" …")
			break
		}
		b.WriteRune(r)
	}
	text := strings.ReplaceAll(oneLine(b.String()), fillMark, "("+fillMark[1:]) // whoever looks for marks finds only ours
	return "“" + text + "”"
}
