package postmortem_test

import (
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/refloat-db/refloat/internal/postmortem"
)

// report is a case of the corpus: a report, the faults that can be seeded into
// it, and what is expected of it as it stands.
type report struct {
	file, name, text string
	faults           []fault
	expect           []string // rules that must be found in the report as it stands
	allowed          []string // warnings that a healthy report may have, with a reason
}

// fault is what is changed in a healthy report, and the rule that must notice.
type fault struct {
	rule  string
	edits [][2]string
}

func corpus(t testing.TB) []report {
	t.Helper()
	files, err := filepath.Glob("testdata/corpus/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no corpus: %v", err)
	}
	var out []report
	for _, f := range files {
		a, err := txtar.ParseFile(f)
		if err != nil {
			t.Fatal(err)
		}
		r := report{file: filepath.Base(f)}
		for _, x := range a.Files {
			switch {
			case strings.HasPrefix(x.Name, "report."):
				r.name, r.text = x.Name, string(x.Data)
			case x.Name == "faults.txt":
				r.faults = faults(t, f, string(x.Data))
			case x.Name == "expect.txt":
				r.expect = strings.Fields(string(x.Data))
			case x.Name == "allowed.txt":
				for _, line := range strings.Split(string(x.Data), "\n") {
					if w := strings.Fields(line); len(w) > 0 {
						r.allowed = append(r.allowed, w[0])
					}
				}
			}
		}
		if strings.Contains(string(a.Comment), "Windows line ends") {
			r.text = strings.ReplaceAll(r.text, "\n", "\r\n")
			for i := range r.faults {
				for k := range r.faults[i].edits {
					for n := range 2 {
						r.faults[i].edits[k][n] = strings.ReplaceAll(r.faults[i].edits[k][n], "\n", "\r\n")
					}
				}
			}
		}
		out = append(out, r)
	}
	return out
}

func faults(t testing.TB, file, s string) []fault {
	t.Helper()
	var out []fault
	lines := strings.Split(s, "\n")
	for i := 0; i < len(lines); i++ {
		if rule, is := strings.CutPrefix(lines[i], "rule: "); is {
			out = append(out, fault{rule: strings.TrimSpace(rule)})
			continue
		}
		if lines[i] != "<<<" {
			continue
		}
		var edit [2]string
		side := 0
		var part []string
		for i++; i < len(lines); i++ {
			if lines[i] == "===" || lines[i] == ">>>" {
				edit[side] = strings.Join(part, "\n")
				part, side = nil, 1
				if lines[i] == ">>>" {
					break
				}
				continue
			}
			part = append(part, lines[i])
		}
		if len(out) == 0 {
			t.Fatalf("%s: an edit before its rule", file)
		}
		out[len(out)-1].edits = append(out[len(out)-1].edits, edit)
	}
	return out
}

func lint(r report, text string) []postmortem.Finding {
	return postmortem.Lint(postmortem.Read(r.name, []byte(text)))
}

func has(fs []postmortem.Finding, rule string) bool {
	for _, f := range fs {
		if f.Rule == rule && f.Suppressed == nil {
			return true
		}
	}
	return false
}

// A healthy report has no finding but those that its case allows; a report with
// a fault has the rule's finding that it did not have before.
func TestCorpus(t *testing.T) {
	total, found, healthy := 0, 0, 0
	for _, r := range corpus(t) {
		t.Run(r.file, func(t *testing.T) {
			before := lint(r, r.text)
			for _, rule := range r.expect {
				if !has(before, rule) {
					t.Errorf("%s is not found", rule)
				}
			}
			if len(r.expect) == 0 {
				healthy++
				for _, f := range before {
					if !contains(r.allowed, f.Rule) {
						t.Errorf("healthy, but %s %s:%d: %s (%s)", f.Severity, f.Rule, f.Place.Line, f.Message, f.Place.Text)
					}
				}
			}
			for n, x := range r.faults {
				total++
				text := r.text
				for _, e := range x.edits {
					if strings.Count(text, e[0]) != 1 {
						t.Fatalf("fault %d (%s): the text stands %d times: %q", n+1, x.rule, strings.Count(text, e[0]), e[0])
					}
					text = strings.Replace(text, e[0], e[1], 1)
				}
				if after := lint(r, text); count(after, x.rule) > count(before, x.rule) {
					found++
				} else {
					t.Errorf("fault %d: %s is not found after %q", n+1, x.rule, x.edits)
				}
			}
		})
	}
	t.Logf("%d healthy reports; %d of %d faults found", healthy, found, total)
}

func count(fs []postmortem.Finding, rule string) int {
	n := 0
	for _, f := range fs {
		if f.Rule == rule && f.Suppressed == nil {
			n++
		}
	}
	return n
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}
