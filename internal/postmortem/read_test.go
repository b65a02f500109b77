package postmortem_test

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/postmortem"
)

// Any text can be read, in time that grows with its length alone, and is written
// back as it was.
func FuzzRead(f *testing.F) {
	for _, r := range corpus(f) {
		f.Add(r.name, []byte(r.text))
	}
	f.Add("a.html", []byte("<h1>x</h1><table><tr><td>02:00<td>y</table><script>z"))
	f.Add("a.md", []byte("| a | b |\n|---|---|\n| 25:10 | 31 June 2023 |\n<!-- refloat:allow x -->"))
	f.Fuzz(func(t *testing.T, name string, src []byte) {
		if len(src) > 1<<16 {
			return
		}
		d := postmortem.Read(name, src)
		if !bytes.Equal(d.Bytes(), src) {
			t.Fatal("what was read is not written back as it was")
		}
		for _, x := range postmortem.Lint(d) {
			if x.Place.Line < 1 || x.Place.Column < 1 || x.Message == "" || x.Fix == "" {
				t.Fatalf("a finding without a place or words: %+v", x)
			}
		}
		d.Understood()
	})
}

// long is a report of about n bytes, of the corpus' texts one after the other.
func long(tb testing.TB, n int) []byte {
	var out bytes.Buffer
	for out.Len() < n {
		for _, r := range corpus(tb) {
			out.WriteString(r.text)
			out.WriteString("\n\n")
		}
	}
	return out.Bytes()[:n]
}

// BenchmarkRead reads 10 MB; the time is to grow with the length.
func BenchmarkRead(b *testing.B) {
	for _, x := range []struct {
		name string
		src  []byte
	}{
		{"corpus-1MB", long(b, 1<<20)},
		{"corpus-10MB", long(b, 10<<20)},
		{"one-line-10MB", bytes.Repeat([]byte("at 02:00 the database went down for 5 h and we [tell](it "), 10<<20/57)},
		{"brackets-10MB", bytes.Repeat([]byte("[<*_`|"), 10<<20/6)},
		{"tags-10MB", bytes.Repeat([]byte("<ul><li><b>02:00"), 10<<20/16)},
	} {
		b.Run(x.name, func(b *testing.B) {
			b.SetBytes(int64(len(x.src)))
			for range b.N {
				postmortem.Read("report.md", x.src)
			}
		})
	}
}

// BenchmarkLint is a typical report, read and held against every rule.
func BenchmarkLint(b *testing.B) {
	src := []byte(corpus(b)[1].text)
	for range b.N {
		postmortem.Lint(postmortem.Read("report.md", src))
	}
}

func TestReplaceTouchesNothingElse(t *testing.T) {
	for _, r := range corpus(t) {
		d := postmortem.Read(r.name, []byte(r.text))
		u := d.Understood()
		if len(u.Actions) == 0 {
			continue
		}
		p := u.Actions[0].Place
		if err := d.Replace(p, "REPLACED"); err != nil {
			t.Fatal(err)
		}
		out := string(d.Bytes())
		if strings.Count(out, "REPLACED") != 1 || out[:p.Lo] != r.text[:p.Lo] || !strings.HasSuffix(out, r.text[p.Hi:]) {
			t.Errorf("%s: more was changed than the place", r.file)
		}
		if err := d.Replace(p, "again"); err == nil {
			t.Errorf("%s: a place was replaced twice", r.file)
		}
	}
}

func TestAFindingIsLetStandWithAReason(t *testing.T) {
	src := "# Outage\n\nDate: 2023-10-11\n\n## Root cause\n\n%s\nIt was human error.\n"
	for _, c := range []struct {
		comment string
		stands  bool
		also    string
	}{
		{"", false, ""},
		{"<!-- refloat:allow report-cause-human the law asks for these words -->", true, ""},
		{"<!-- refloat:allow report-cause-human -->", false, "report-allow-no-reason"},
		{"<!-- refloat:allow report-cause-humane the law asks for it -->", false, "report-allow-unknown"},
		{"<!-- refloat:allow report-weekday the law asks for it -->", false, "report-allow-unused"},
	} {
		fs := postmortem.Lint(postmortem.Read("a.md", []byte(strings.Replace(src, "%s", c.comment, 1))))
		if has(fs, "report-cause-human") == c.stands {
			t.Errorf("%q: let stand is not %v", c.comment, c.stands)
		}
		if c.also != "" && !has(fs, c.also) {
			t.Errorf("%q: %s is not found", c.comment, c.also)
		}
	}
}

func TestEveryRuleExplainsItself(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range postmortem.Rules() {
		if r.ID == "" || r.Title == "" || r.Why == "" || r.Fix == "" || seen[r.ID] {
			t.Errorf("%q has no title, no reason, no fix or stands twice", r.ID)
		}
		seen[r.ID] = true
	}
	if len(seen) < 35 {
		t.Errorf("only %d rules", len(seen))
	}
}

// Every rule has at least one fault or expectation in the corpus.
func TestEveryRuleIsTried(t *testing.T) {
	tried := map[string]bool{}
	for _, r := range corpus(t) {
		for _, f := range r.faults {
			tried[f.rule] = true
		}
		for _, rule := range r.expect {
			tried[rule] = true
		}
	}
	for _, r := range postmortem.Rules() {
		if !tried[r.ID] {
			t.Errorf("no fault of the corpus tries %s", r.ID)
		}
		delete(tried, r.ID)
	}
	for rule := range tried {
		t.Errorf("the corpus tries %s, which is no rule", rule)
	}
}

func TestWhatIsUnderstood(t *testing.T) {
	d := postmortem.Read("a.txt", []byte(`Outage of the shop

Report date: 11 Oct 2023
Start: 5 October 2023, 02:00 HRS UTC
End: 07:24
Duration: 5:24 hours

Action Items
- Fence the old primary. Owner: Ana. By October 30, 2023. Done when: the failover test passes.
- @tom to add an alert on lag, due 2023-11-02
`))
	u := d.Understood()
	if u.Written == nil || u.Written.At.Format(time.DateOnly) != "2023-10-11" || u.Written.Place.Line != 3 {
		t.Errorf("written: %+v", u.Written)
	}
	if len(u.Moments) != 2 || u.Moments[0].At != time.Date(2023, 10, 5, 2, 0, 0, 0, time.UTC) || u.Moments[1].At != time.Date(2023, 10, 5, 7, 24, 0, 0, time.UTC) {
		t.Errorf("moments: %+v", u.Moments)
	}
	if len(u.Claims) != 1 || u.Claims[0].Span != 5*time.Hour+24*time.Minute {
		t.Errorf("claims: %+v", u.Claims)
	}
	if len(u.Actions) != 2 || u.Actions[0].Owner != "Ana" || u.Actions[0].Check == "" || u.Actions[1].Owner != "tom" || u.Actions[1].Due.Format(time.DateOnly) != "2023-11-02" {
		t.Errorf("actions: %+v", u.Actions)
	}
}

// The page that lists the rules is written from them: REFLOAT_UPDATE=1 go test.
func TestRulesPage(t *testing.T) {
	var b strings.Builder
	b.WriteString("# What `refloat postmortem lint` looks for\n\nWritten from the rules themselves. `refloat explain RULE` shows one.\n")
	for _, r := range postmortem.Rules() {
		fmt.Fprintf(&b, "\n### %s\n\n**%s.** (%s)\n\n%s\n\n*Mend it:* %s.\n", r.ID, r.Title, r.Severity, r.Why, r.Fix)
	}
	const page = "../../docs/postmortem-rules.md"
	if os.Getenv("REFLOAT_UPDATE") != "" {
		if err := os.WriteFile(page, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if have, err := os.ReadFile(page); err != nil || string(have) != b.String() {
		t.Errorf("%s is not as the rules are; run REFLOAT_UPDATE=1 go test ./internal/postmortem (%v)", page, err)
	}
}
