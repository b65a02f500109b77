package postmortem

import (
	"fmt"
	"sort"
	"strings"
)

// Severity is how much a finding matters.
type Severity string

// Severities: an error contradicts itself or leaves undone what matters most; a
// warning leaves something out; a note is a matter of style.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
	Note    Severity = "note"
)

// Rule is one thing that the lint looks for.
type Rule struct {
	ID       string   `json:"id"`
	Severity Severity `json:"severity"`
	Title    string   `json:"title"`
	Why      string   `json:"why"`
	Fix      string   `json:"fix"`
	check    func(*linter)
}

// Finding is one place in a report that a rule does not let pass.
type Finding struct {
	Rule       string       `json:"rule"`
	Severity   Severity     `json:"severity"`
	Message    string       `json:"message"`
	Fix        string       `json:"fix"`
	Place      Place        `json:"place"`
	Other      *Place       `json:"other,omitempty"` // the place that disagrees
	Suppressed *Suppression `json:"suppressed,omitempty"`
}

// Suppression is a comment that lets a finding stand, with its reason.
type Suppression struct {
	Rule   string `json:"rule"`
	Reason string `json:"reason"`
	Line   int    `json:"line"`
	file   bool
	used   bool
	until  int // the last line that it holds for
	place  Place
}

type linter struct {
	*Report
	rule *Rule
	out  []Finding
}

// Rules lists every rule.
func Rules() []Rule {
	var out []Rule
	for _, family := range [][]Rule{timeRules(), missingRules(), claimRules(), coverageRules(), actionRules(), languageRules()} {
		out = append(out, family...)
	}
	return append(out, allowRules()...)
}

// Lint finds what a report contradicts or leaves out, in the order of its lines.
// Findings that a comment in the report lets stand carry it.
func Lint(d *Report) []Finding {
	l := &linter{Report: d, out: []Finding{}}
	rules := Rules()
	for i := range rules {
		if rules[i].check != nil {
			l.rule = &rules[i]
			rules[i].check(l)
		}
	}
	l.allow(rules)
	sort.SliceStable(l.out, func(i, j int) bool {
		a, b := l.out[i], l.out[j]
		if a.Place.Line != b.Place.Line {
			return a.Place.Line < b.Place.Line
		}
		return a.Place.Column < b.Place.Column
	})
	return l.out
}

// find adds a finding at a place; other is where the opposite stands.
func (l *linter) find(at Place, other *Place, format string, args ...any) {
	for _, f := range l.out {
		if f.Rule == l.rule.ID && f.Place.Line == at.Line && f.Place.Column == at.Column {
			return
		}
	}
	const most = 200 // of one rule
	n := 0
	for _, f := range l.out {
		if f.Rule == l.rule.ID {
			n++
		}
	}
	if n >= most {
		return
	}
	message := fmt.Sprintf(format, args...)
	if n == most-1 {
		message += "; further findings of this rule are not listed"
	}
	l.out = append(l.out, Finding{Rule: l.rule.ID, Severity: l.rule.Severity, Message: message, Fix: l.rule.Fix, Place: at, Other: other})
}

// top is the report's first line, where what is missing is shown.
func (l *linter) top() Place {
	for _, b := range l.Blocks {
		p := l.whole(b)
		return p
	}
	return l.place(0, 0)
}

// heading is the place of the first section of a kind, or the top.
func (l *linter) heading(kinds ...SectionKind) Place {
	for _, k := range kinds {
		for _, s := range l.Sections {
			if s.Kind == k {
				return s.Place
			}
		}
	}
	return l.top()
}

const allowMark = "refloat:allow"

// allowances reads "refloat:allow RULE reason" from comments and from lines.
func (d *Report) allowances() []*Suppression {
	var out []*Suppression
	add := func(text string, p Place) {
		rest := text[strings.Index(text, allowMark)+len(allowMark):]
		s := &Suppression{Line: p.Line, until: p.Line, place: p}
		if strings.HasPrefix(rest, "-file") {
			s.file, rest = true, rest[len("-file"):]
		}
		words := strings.Fields(strings.TrimSuffix(rest, "-->"))
		if len(words) > 0 {
			s.Rule = strings.TrimRight(words[0], ":,")
			s.Reason = strings.TrimSpace(strings.TrimLeft(strings.Join(words[1:], " "), ":-–— "))
		}
		end := strings.Count(string(d.src[p.Lo:p.Hi]), "\n") + p.Line
		for _, b := range d.Blocks { // the block that follows, whole
			if q := d.whole(b); q.Line > end && !strings.Contains(b.Text, allowMark) {
				s.until = q.Line + strings.Count(string(d.src[q.Lo:q.Hi]), "\n")
				break
			}
		}
		out = append(out, s)
	}
	for _, c := range d.Comments {
		if strings.Contains(c.Text, allowMark) {
			add(c.Text, c.Place)
		}
	}
	for _, b := range d.Blocks {
		if strings.Contains(b.said(), allowMark) {
			add(b.Text, d.whole(b))
		}
	}
	return out
}

// allow marks findings that a comment lets stand. A comment without a reason, of a
// rule that is not known, or that nothing needs, is a finding itself.
func (l *linter) allow(rules []Rule) {
	byID := map[string]*Rule{}
	for i := range rules {
		byID[rules[i].ID] = &rules[i]
	}
	for _, s := range l.allowances() {
		switch {
		case byID[s.Rule] == nil:
			l.rule = byID["report-allow-unknown"]
			l.find(s.place, nil, "no rule is called %q", s.Rule)
			continue
		case len(strings.Fields(s.Reason)) < 2:
			l.rule = byID["report-allow-no-reason"]
			l.find(s.place, nil, "%s is let stand without a reason", s.Rule)
			continue
		}
		for i := range l.out {
			f := &l.out[i]
			if f.Rule == s.Rule && f.Suppressed == nil && (s.file || f.Place.Line >= s.Line && f.Place.Line <= s.until) {
				f.Suppressed, s.used = s, true
			}
		}
		if !s.used {
			l.rule = byID["report-allow-unused"]
			l.find(s.place, nil, "nothing here needs %s to be let stand", s.Rule)
		}
	}
}

func allowRules() []Rule {
	return []Rule{
		{ID: "report-allow-unknown", Severity: Warning, Title: "A comment lets a rule stand that does not exist", Why: "A misspelt name lets nothing stand, and one believes that it does.", Fix: "write a name that refloat postmortem lint --list shows"},
		{ID: "report-allow-no-reason", Severity: Warning, Title: "A finding is let stand without a reason", Why: "Whoever reads the report later cannot know whether the reason still holds.", Fix: "write the reason after the rule: <!-- refloat:allow RULE because … -->"},
		{ID: "report-allow-unused", Severity: Note, Title: "A comment lets a finding stand that is not there", Why: "It would hide the next such finding.", Fix: "remove the comment"},
	}
}
