package web

import (
	"cmp"
	"slices"

	"github.com/refloat-db/refloat/internal/audit"
	"github.com/refloat-db/refloat/internal/server"
	"github.com/refloat-db/refloat/internal/server/web/component"
)

// findingsPage is what the audits found, across targets.
type findingsPage struct {
	audits   []server.TargetFindings
	target   string // chosen; empty for all
	severity string
	open     []foundAt // the worst first
	accepted []foundAt
	blind    []blindRule
	counts   map[string]int // open ones of the chosen target, by severity
	passed   int
}

type foundAt struct {
	audit.Finding
	target string
}

// blindRule is a rule that could not look.
type blindRule struct{ target, rule, why string }

func (s *Site) findings(q asked) (view, error) {
	all, err := s.desk.Findings(q.Context(), q.who)
	if err != nil {
		return view{}, err
	}
	form := q.URL.Query()
	return view{title: "Findings", here: "/findings", body: findingsBody(findingsOf(all, form.Get("target"), form.Get("severity")))}, nil
}

func findingsOf(all []server.TargetFindings, on, severity string) findingsPage {
	p := findingsPage{audits: all, target: on, severity: severity, counts: map[string]int{}}
	for _, t := range all {
		if on != "" && t.Target != on {
			continue
		}
		for _, f := range t.Report.Findings {
			switch {
			case f.Suppressed != nil:
				p.accepted = append(p.accepted, foundAt{f, t.Target})
			default:
				p.counts[f.Severity.String()]++
				if severity == "" || f.Severity.String() == severity {
					p.open = append(p.open, foundAt{f, t.Target})
				}
			}
		}
		for _, r := range t.Report.Results {
			switch r.Outcome {
			case audit.Unknown:
				p.blind = append(p.blind, blindRule{t.Target, r.Rule, r.Why})
			case audit.Passed:
				p.passed++
			}
		}
	}
	slices.SortStableFunc(p.open, func(a, b foundAt) int {
		return cmp.Or(cmp.Compare(b.Severity, a.Severity), cmp.Compare(a.target, b.target))
	})
	return p
}

func (p findingsPage) total() (n int) {
	for _, c := range p.counts {
		n += c
	}
	return n
}

func severityNames() []string { return []string{"critical", "high", "medium", "low", "info"} }

func toneOfName(name string) component.Tone {
	s, _ := audit.ParseSeverity(name)
	return findingTone(s)
}
