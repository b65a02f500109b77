package action

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var began = time.Date(2023, 10, 11, 9, 0, 0, 0, time.UTC)

// desk plays commands against one action, as a journal would.
type desk struct {
	t   interface{ Fatalf(string, ...any) }
	s   State
	now time.Time
	seq int64
}

func newDesk(t interface{ Fatalf(string, ...any) }, due string) *desk {
	d := &desk{t: t, now: began}
	d.must("ada", Add{ID: "act-1", Added: Added{Item: Item{Text: "Alert on a failed archive command", Owner: "ada", Team: "db", Due: day(due), Kind: Detect, Priority: P1, Source: Source{Incident: "inc-1", Of: "cause"}}}})
	return d
}

func day(s string) Day {
	d, err := ParseDay(s)
	if err != nil {
		panic(err)
	}
	return d
}

func (d *desk) do(who string, c Command) error {
	events, err := Decide(d.s, c, who, d.now)
	for _, e := range events {
		d.seq++
		e.Seq = d.seq
		d.s = d.s.With(e)
	}
	return err
}

func (d *desk) must(who string, c Command) {
	if err := d.do(who, c); err != nil {
		d.t.Fatalf("%T: %v", c, err)
	}
}

func TestACheckClosesAndReopens(t *testing.T) {
	d := newDesk(t, "2023-10-30")
	d.must("ada", Bind{Check{Kind: CheckRule, Rule: "server-archive-swallows", Target: "shop"}})
	if err := d.do("ada", Close{Result: "done, I believe"}); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "has not looked yet") {
		t.Fatalf("a person's word closed what a check closes: %v", err)
	}
	check := func(f RuleFact) { _ = d.do(Server, Checked{d.s.Check.Judge(Facts{Rule: &f}, d.s.BoundAt, d.now)}) }

	d.now = began.Add(time.Hour)
	check(RuleFact{At: began.Add(-time.Hour), Outcome: "passed"})
	if d.s.Status != Open || d.s.Result.Outcome != Unknown {
		t.Fatalf("what was seen before the check was bound closed it: %+v", d.s.Result)
	}
	check(RuleFact{At: d.now, Outcome: "found", Evidence: "archive_command ends with || true"})
	if d.s.Status != Open || d.s.Result.Outcome != Failed {
		t.Fatalf("%+v", d.s)
	}
	if err := d.do("ada", Close{Result: "done"}); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "|| true") {
		t.Fatal(err)
	}
	d.now = began.Add(48 * time.Hour)
	check(RuleFact{At: d.now, Outcome: "unknown", Evidence: "no connection"})
	if d.s.Status != Open {
		t.Fatal("what could not be looked at closed it")
	}
	check(RuleFact{At: d.now, Outcome: "passed"})
	if d.s.Status != Done || d.s.ClosedBy != Server || !d.s.OnTime() {
		t.Fatalf("%+v", d.s)
	}
	n := len(d.s.Timeline)
	check(RuleFact{At: d.now, Outcome: "passed"})
	check(RuleFact{At: d.now, Outcome: "unknown"})
	check(RuleFact{At: d.now, Outcome: "passed"})
	if d.s.Status != Done || len(d.s.Timeline) > n+2 {
		t.Fatalf("%d entries for nothing new", len(d.s.Timeline)-n)
	}
	d.now = d.now.Add(30 * 24 * time.Hour)
	check(RuleFact{At: d.now, Outcome: "found", Evidence: "archive_command is /bin/true"})
	if d.s.Status != Open || d.s.Reopened != 1 || !strings.Contains(d.s.Notes[0].Text, "/bin/true") || !d.s.Late(d.now) {
		t.Fatalf("it did not open again: %+v", d.s)
	}
	d.must("ada", Close{Despite: "the rule is wrong here"})
	check(RuleFact{At: d.now.Add(time.Minute), Outcome: "found", Evidence: "archive_command is /bin/true"})
	if d.s.Status != Done || d.s.Despite == "" {
		t.Fatal("what a person took on did not stay closed")
	}
}

// Whatever happens, an action with a check is done only by what its check saw
// after it was bound, or by a person who said why all the same.
func TestOnlyEvidenceCloses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := newDesk(t, "2023-10-30")
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			d.now = d.now.Add(time.Duration(rapid.IntRange(1, 100).Draw(t, "hours")) * time.Hour)
			seen := d.now.Add(-time.Duration(rapid.IntRange(0, 200).Draw(t, "seen")) * time.Hour)
			switch rapid.IntRange(0, 6).Draw(t, "act") {
			case 0:
				_ = d.do("ada", Bind{Check{Kind: CheckDrill, Target: rapid.SampledFrom([]string{"shop", "till"}).Draw(t, "target")}})
			case 1:
				_ = d.do("ada", Close{Result: "seen", Despite: rapid.SampledFrom([]string{"", "I know better"}).Draw(t, "despite")})
			case 2:
				_ = d.do("ada", Reopen{"it is not"})
			case 3:
				_ = d.do("ada", Unbind{"no use"})
			default:
				if d.s.Check == nil {
					continue
				}
				f := Facts{Drill: &DrillFact{ID: "p", Verdict: rapid.SampledFrom([]string{"proven", "failed", "inconclusive"}).Draw(t, "verdict"), At: seen, Stale: rapid.Bool().Draw(t, "stale")}}
				_ = d.do(Server, Checked{d.s.Check.Judge(f, d.s.BoundAt, d.now)})
			}
			if d.s.Status == Done && d.s.ClosedBy == Server {
				if d.s.Result == nil {
					continue // it was bound anew since
				}
				if d.s.ClosedAt.After(d.s.BoundAt) && d.s.Result.Outcome == Failed {
					t.Fatalf("done, and its check says %+v", d.s.Result)
				}
			}
			if d.s.Status == Done && d.s.ClosedBy != Server && d.s.Check != nil && d.s.Despite == "" && d.s.ClosedAt.After(d.s.BoundAt) {
				if d.s.Result == nil || d.s.Result.Outcome == Failed {
					t.Fatalf("a person closed it by their word: %+v", d.s)
				}
			}
		}
		raw, err := json.Marshal(d.s.Timeline)
		var back []Event
		if err != nil || json.Unmarshal(raw, &back) != nil {
			t.Fatal(err)
		}
		again := Fold(back)[0]
		if len(again.Unread) != 0 || again.Status != d.s.Status || !reflect.DeepEqual(again.Notes, d.s.Notes) {
			t.Fatalf("read back, it is another: %+v", again)
		}
	})
}

func TestChecksJudge(t *testing.T) {
	now := began.Add(100 * 24 * time.Hour)
	for _, x := range []struct {
		check string
		f     Facts
		want  Outcome
	}{
		{"drill@shop", Facts{}, Failed},
		{"drill@shop", Facts{Drill: &DrillFact{Verdict: "proven", At: now}}, Passed},
		{"drill@shop", Facts{Drill: &DrillFact{Verdict: "proven", At: now, Stale: true}}, Failed},
		{"drill@shop", Facts{Drill: &DrillFact{Verdict: "inconclusive", At: now}}, Unknown},
		{"drill@shop", Facts{Drill: &DrillFact{Verdict: "failed", At: now}}, Failed},
		{"probe@shop", Facts{}, Unknown},
		{"probe@shop", Facts{Probe: &ProbeFact{At: now, State: "up"}}, Passed},
		{"probe@shop", Facts{Probe: &ProbeFact{At: now.Add(-time.Hour), State: "up"}}, Unknown},
		{"probe@shop", Facts{Probe: &ProbeFact{At: now, State: "down"}}, Failed},
		{"probe@shop", Facts{Probe: &ProbeFact{At: now, State: "suspect"}}, Unknown},
		{"page:ada", Facts{}, Unknown},
		{"page:ada", Facts{Page: &PageFact{Sent: now.Add(-time.Minute)}}, Unknown},
		{"page:ada", Facts{Page: &PageFact{Sent: now.Add(-2 * time.Hour)}}, Failed},
		{"page:ada", Facts{Page: &PageFact{Sent: now.Add(-2 * time.Hour), Acknowledged: now}}, Passed},
		{"page:ada", Facts{Page: &PageFact{Sent: now.Add(-30 * 24 * time.Hour), Acknowledged: now.Add(-29 * 24 * time.Hour)}}, Failed},
		{"rule:r@shop", Facts{}, Unknown},
		{"rule:r@shop", Facts{Rule: &RuleFact{At: now, Outcome: "not_applicable"}}, Unknown},
		{"rule:r@shop", Facts{Rule: &RuleFact{At: now.Add(-20 * 24 * time.Hour), Outcome: "passed"}}, Unknown},
		{"rule:r@shop", Facts{Rule: &RuleFact{At: now.Add(-20 * 24 * time.Hour), Outcome: "found"}}, Failed},
		{"rule:r@shop", Facts{Rule: &RuleFact{At: now}}, Unknown},
	} {
		c, err := ParseCheck(x.check)
		if err != nil || c.String() != x.check {
			t.Fatalf("%s: %v %s", x.check, err, c)
		}
		if got := c.Judge(x.f, began, now); got.Outcome != x.want || got.Evidence == "" {
			t.Errorf("%s %+v: %+v, not %s", x.check, x.f, got, x.want)
		}
	}
	for _, bad := range []string{"", "rule", "rule:x", "rule:x@", "drill", "drill:x@shop", "page", "page:ada@shop", "runbook@shop", "probe@a b", "rule:a:b@c"} {
		if c, err := ParseCheck(bad); !errors.Is(err, ErrRefused) {
			t.Errorf("%q is taken as %+v", bad, c)
		}
	}
}

func TestRefusals(t *testing.T) {
	d := newDesk(t, "2023-10-30")
	later := d.s.Item
	later.Due = day("2023-12-01")
	sooner := d.s.Item
	sooner.Due = day("2023-10-20")
	none := d.s.Item
	none.Text = " "
	for _, x := range []struct {
		c    Command
		want error
	}{
		{Change{Item: later}, ErrRefused}, {Change{Item: none}, ErrRefused}, {Change{Item: d.s.Item}, ErrNothing}, {Close{}, ErrRefused}, {Drop{}, ErrRefused}, {Reopen{"x"}, ErrNothing},
		{AddLink{Link{URL: "javascript:alert(1)"}}, ErrRefused}, {AddLink{Link{URL: "https://u:p@host/"}}, ErrRefused}, {Unbind{"x"}, ErrNothing}, {Checked{Result{Outcome: Passed}}, ErrNothing},
		{Add{ID: "act-1"}, ErrRefused},
	} {
		if err := d.do("ada", x.c); !errors.Is(err, x.want) {
			t.Errorf("%+v: %v", x.c, err)
		}
	}
	d.must("ada", Change{Item: sooner})
	d.must("ada", Change{Item: later, Why: "the supplier is late"})
	if d.s.Due != day("2023-12-01") || d.s.Notes[0].Text != "the supplier is late" {
		t.Fatalf("%+v", d.s)
	}
	if err := d.do("", AddNote{"x"}); !errors.Is(err, ErrRefused) {
		t.Error(err)
	}
}

// Each reminder is sent once, whatever the pace of looking, and a late action is
// told again each week until it is closed.
func TestReminders(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := newDesk(t, "2023-10-30")
		var told []string
		end := began.Add(60 * 24 * time.Hour)
		for d.now.Before(end) {
			d.now = d.now.Add(time.Duration(rapid.IntRange(60, 20*60).Draw(t, "minutes")) * time.Minute)
			if w, due := d.s.DueWords(d.now); due {
				told = append(told, fmt.Sprintf("%v %s", w.Late, w.Name))
				d.must(Server, Remind{Reminded{Due: w.Day, To: "ada"}, w.Late})
				if _, again := d.s.DueWords(d.now); again {
					t.Fatal("the same twice")
				}
			}
		}
		if len(told) < 2+5 || len(told) > 2+6 || told[0] != "false act-1.due.2023-10-30.7" || told[1] != "false act-1.due.2023-10-30.1" || told[2] != "true act-1.late.2023-10-30.0" {
			t.Fatal(told)
		}
	})
	d := newDesk(t, "2023-10-30")
	d.now = began.Add(25 * 24 * time.Hour)
	d.must("ada", Close{Result: "seen on the board"})
	if _, due := d.s.DueWords(d.now); due {
		t.Error("a closed action is reminded of")
	}
}

func TestCSVThereAndBack(t *testing.T) {
	d := newDesk(t, "2023-10-30")
	item := d.s.Item
	item.Text = "=HYPERLINK(\"x\"), \"quoted\"\nand a second line"
	d.must("ada", Change{Item: item})
	d.must("ada", Bind{Check{Kind: CheckDrill, Target: "shop"}})
	var out bytes.Buffer
	if err := Export(&out, []State{d.s}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), `"'=HYPERLINK`) {
		t.Errorf("a spreadsheet would run it: %s", out.String())
	}
	back, err := Import(&out)
	if err != nil || len(back) != 1 || back[0].Add.Item != d.s.Item || *back[0].Bind != *d.s.Check {
		t.Fatalf("%+v %v, not %+v", back, err, d.s.Item)
	}
	got, err := Import(strings.NewReader("Action Item,Assignee,Due Date\nTest restores,Ben,2023-12-01\n"))
	if err != nil || got[0].Add.Text != "Test restores" || got[0].Add.Owner != "Ben" || got[0].Add.Priority != P2 {
		t.Fatalf("%+v %v", got, err)
	}
	for _, bad := range []string{"", "owner\nx\n", "text,text\na,b\n", "text,due\nx,next week\n", "text\n\"open\n", "text,kind\nx,fun\n", "text\n\xff\n"} {
		if x, err := Import(strings.NewReader(bad)); !errors.Is(err, ErrRefused) {
			t.Errorf("%q is taken: %+v %v", bad, x, err)
		}
	}
}

func FuzzImport(f *testing.F) {
	f.Add([]byte("text,owner,due\nx,y,2023-01-02\n"))
	f.Add([]byte("\ufeffaction;owner\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		all, err := Import(bytes.NewReader(b))
		if err != nil {
			return
		}
		for _, x := range all {
			if _, err := Decide(State{}, Add{ID: "act-1", Added: x.Add}, "ada", began); err != nil {
				t.Fatalf("imported, and refused: %v", err)
			}
		}
	})
}

func FuzzParseCheck(f *testing.F) {
	f.Add("rule:a@b")
	f.Fuzz(func(t *testing.T, s string) {
		if c, err := ParseCheck(s); err == nil {
			if again, err := ParseCheck(c.String()); err != nil || again != c {
				t.Fatalf("%q: %+v %v", s, again, err)
			}
		}
	})
}
