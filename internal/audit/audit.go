// Package audit finds misconfigurations and risks: each rule judges a snapshot
// of facts that others gathered, one file a rule. It does no I/O and takes the
// time from the facts.
package audit

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/foreign"
	"github.com/refloat-db/refloat/internal/target"
)

// Severity says how much a finding matters, by what can be lost.
type Severity int

// The severities, least first.
const (
	Info     Severity = iota + 1 // worth knowing
	Low                          // makes a recovery harder
	Medium                       // makes a recovery slower or less certain
	High                         // data or the way back may be lost when something else fails
	Critical                     // data or the way back is being lost now
)

var severityNames = [...]string{"", "info", "low", "medium", "high", "critical"}

// String is the severity's name.
func (s Severity) String() string { return severityNames[s] }

// MarshalText writes the name.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a name.
func (s *Severity) UnmarshalText(b []byte) error {
	v, ok := ParseSeverity(string(b))
	if !ok {
		return fmt.Errorf("there is no severity %q", b)
	}
	*s = v
	return nil
}

// ParseSeverity reads a name; false when there is no such severity.
func ParseSeverity(name string) (Severity, bool) {
	i := slices.Index(severityNames[:], name)
	return Severity(max(i, 0)), i > 0
}

// Area sorts rules by what they look at.
type Area string

// The areas.
const (
	AreaServer  Area = "server"  // the database server
	AreaBackup  Area = "backup"  // backups that Refloat makes
	AreaForeign Area = "foreign" // backups that another tool makes
)

// Facts are what the rules judge.
type Facts struct {
	Target  string                           `json:"target"` // name, or the address when it has none
	At      time.Time                        `json:"at"`     // by our clock
	Server  target.Known[target.ServerFacts] `json:"server"`
	Host    target.Known[Host]               `json:"host"`    // the machine that the data is on
	Care    *Care                            `json:"care"`    // nil when the target is not in our care
	Foreign []foreign.Facts                  `json:"foreign"` // one for each place where another tool keeps backups
	// Suppressions are those of the target, ended ones too.
	Suppressions []Suppression `json:"suppressions"`
}

// Finding is one misconfiguration or risk.
type Finding struct {
	Rule     string   `json:"rule"`
	Severity Severity `json:"severity"`
	Object   string   `json:"object,omitempty"` // a setting, slot, table, file …: tells findings of one rule apart
	Evidence string   `json:"evidence"`         // the value that was seen, and where
	Why      string   `json:"why"`              // why it matters, in one sentence
	Fix      string   `json:"fix"`              // the exact SQL, file line or command
	File     string   `json:"file,omitempty"`   // where it is to be mended, when that is a file
	Line     int      `json:"line,omitempty"`
	Docs     string   `json:"docs"`
	// Suppressed is set when someone took responsibility for the finding.
	Suppressed *Suppression `json:"suppressed,omitempty"`
}

// Key tells a finding of a target apart from others, over time.
func (f Finding) Key() string { return strings.TrimSuffix(f.Rule+"/"+f.Object, "/") }

// Outcome is what became of a rule.
type Outcome string

// The outcomes.
const (
	Passed        Outcome = "passed"
	Found         Outcome = "found"
	Unknown       Outcome = "unknown" // it could not look: never counts as passed
	NotApplicable Outcome = "not_applicable"
)

// Result is a rule's judgement. A rule that looked at some objects and could
// not look at others gives both findings and Why.
type Result struct {
	Rule     string    `json:"rule"`
	Outcome  Outcome   `json:"outcome"`
	Why      string    `json:"why,omitempty"` // unknown: what could not be looked at; not applicable: why
	Findings []Finding `json:"findings,omitempty"`
}

// Rule looks for one kind of misconfiguration.
type Rule struct {
	ID       string   `json:"id"` // stable: lower-case words and hyphens, the area's first word first
	Area     Area     `json:"area"`
	Severity Severity `json:"severity"` // the highest that it reports
	Title    string   `json:"title"`    // what is wrong, as in a list of findings
	Why      string   `json:"why"`      // why it matters, in one sentence
	Fix      string   `json:"fix"`      // what mends it, in general
	Looks    string   `json:"looks_at"` // what it looks at, and the right that it needs

	// Judge is pure. Findings may leave Rule, Why and Docs empty, and Severity
	// when it is the rule's.
	Judge func(Facts) Result `json:"-"`
}

// passed, unknown, notApplicable and found are what Judge returns.
func passed() Result { return Result{Outcome: Passed} }

func unknown(why string) Result { return Result{Outcome: Unknown, Why: why} }

func notApplicable(why string) Result { return Result{Outcome: NotApplicable, Why: why} }

// found is passed when there is no finding.
func found(findings ...Finding) Result { return foundBut("", findings...) }

// foundBut is found by a rule that could not look at everything: without a
// finding it is unknown. An empty why means that it saw all.
func foundBut(why string, findings ...Finding) Result {
	switch {
	case len(findings) > 0:
		return Result{Outcome: Found, Why: why, Findings: findings}
	case why != "":
		return unknown(why)
	}
	return passed()
}

// docsBase is where the description of each rule can be read.
const docsBase = "https://github.com/refloat-db/refloat/blob/main/docs/findings.md#"

// Docs is where a rule's description can be read.
func Docs(rule string) string { return docsBase + rule }

// Rules lists every rule, by area.
func Rules() []Rule { return slices.Concat(serverRules(), backupRules(), foreignRules()) }

// Report is what an audit of one target found.
type Report struct {
	Target   string        `json:"target"`
	At       time.Time     `json:"at"`
	Took     time.Duration `json:"took"`     // nanoseconds, the gathering of facts included; set by whoever gathered them
	Findings []Finding     `json:"findings"` // worst first
	Results  []Result      `json:"results"`  // one for each rule, in the order of Rules
}

// Worst is the highest severity of the findings that nobody accepted; 0 when
// there are none.
func (r Report) Worst() Severity {
	for _, f := range r.Findings { // worst first
		if f.Suppressed == nil {
			return f.Severity
		}
	}
	return 0
}

// Count is how many rules had an outcome.
func (r Report) Count(o Outcome) int {
	n := 0
	for _, res := range r.Results {
		if res.Outcome == o {
			n++
		}
	}
	return n
}

// Judge lets each rule judge the facts. Findings for which someone took
// responsibility stay in the report, marked.
func Judge(rules []Rule, f Facts) Report {
	out := Report{Target: f.Target, At: f.At, Findings: []Finding{}, Results: make([]Result, 0, len(rules))}
	for _, r := range rules {
		res := r.Judge(f)
		res.Rule = r.ID
		for i := range res.Findings {
			res.Findings[i] = complete(r, res.Findings[i], f)
		}
		out.Findings = append(out.Findings, res.Findings...)
		out.Results = append(out.Results, res)
	}
	slices.SortStableFunc(out.Findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(b.Severity, a.Severity), strings.Compare(a.Rule, b.Rule), strings.Compare(a.Object, b.Object))
	})
	return out
}

func complete(r Rule, f Finding, facts Facts) Finding {
	f.Rule, f.Docs = r.ID, Docs(r.ID)
	f.Why, f.Fix = cmp.Or(f.Why, r.Why), cmp.Or(f.Fix, r.Fix)
	f.Severity = cmp.Or(f.Severity, r.Severity)
	for _, s := range facts.Suppressions {
		if s.covers(f, facts.At) {
			f.Suppressed = &s
			break
		}
	}
	return f
}
