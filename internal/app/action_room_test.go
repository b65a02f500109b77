package app

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/action"
	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/audit"
	"github.com/refloat-db/refloat/internal/status"
	"github.com/refloat-db/refloat/internal/store/sqlite"
)

// Two who write actions down at once both do, under names of their own, and an
// import that runs twice at once adds each once.
func TestActionsAtOnce(t *testing.T) {
	dir := t.TempDir()
	open := func() *sqlite.Store {
		s, err := sqlite.Open(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	const writers, each = 4, 5
	var all sync.WaitGroup
	for range writers {
		s := open()
		all.Go(func() {
			for i := range each {
				_, err := actionLog{s}.act(t.Context(), func(there []Action) ([]action.Event, error) {
					key := "import/" + string(rune('a'+i))
					if slices.ContainsFunc(there, func(x Action) bool { return x.Key == key }) {
						return nil, nil
					}
					return action.Decide(Action{}, action.Add{ID: action.NextID(there), Added: action.Added{Item: ActionItem{Text: "x", Priority: action.P2}, Key: key}}, "ada", time.Now())
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	got, _, err := actionLog{open()}.all(t.Context())
	if err != nil || len(got) != each {
		t.Fatalf("%d actions, not %d: %v", len(got), each, err)
	}
	for i, s := range got {
		if s.ID != "act-"+string(rune('1'+i)) || len(s.Timeline) != 1 {
			t.Errorf("%s with %d events", s.ID, len(s.Timeline))
		}
	}
}

// An action is closed by what an audit saw after it was bound and opened by what
// a later one sees; its owner and its team are told, once each, through restarts.
func TestActionsAreCarriedThrough(t *testing.T) {
	th := newTheatre(t)
	r := &running{state: th.state, log: slog.New(slog.DiscardHandler), pager: th.pager}
	begin := func() *actionRoom {
		return &actionRoom{journal: th.state, roster: th.Roster, log: r.log, facts: r.actionFacts, tell: th.box.put}
	}
	room := begin()
	at := action.DayOf(th.now).Begin().Add(8 * time.Hour)
	add := func(id string, i ActionItem, check string) {
		_, err := actionLog{th.state}.act(t.Context(), func([]Action) ([]action.Event, error) {
			return action.Decide(Action{}, action.Add{ID: id, Added: action.Added{Item: i}}, "ada", at)
		})
		if c, perr := action.ParseCheck(check); check != "" && perr == nil && err == nil {
			_, err = actionLog{th.state}.one(t.Context(), id, action.Bind{Check: c}, "ada", at)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	due := action.DayOf(at).Add(10)
	add("act-1", ActionItem{Text: "Alert on a failed archive command", Owner: "ben", Team: "db", Due: due, Priority: action.P1}, "rule:archive-hidden@shop")
	add("act-2", ActionItem{Text: "Practise the restore", Owner: "eve", Team: "db", Due: due, Priority: action.P2}, "")
	audited := func(when time.Time, o audit.Outcome) {
		rec := auditRecord{Report: audit.Report{At: when, Results: []audit.Result{{Rule: "archive-hidden", Outcome: o}}}}
		if o == audit.Found {
			rec.Report.Findings = []audit.Finding{{Rule: "archive-hidden", Severity: audit.High, Evidence: "archive_command = /bin/true"}}
		}
		if err := th.state.Keep(t.Context(), "shop", status.FactAudit, when, rec); err != nil {
			t.Fatal(err)
		}
	}
	state := func(id string) Action {
		all, _, err := actionLog{th.state}.all(t.Context())
		s, ferr := findAction(all, id)
		if err := errors.Join(err, ferr); err != nil {
			t.Fatal(err)
		}
		return s
	}
	look := func(after time.Duration) {
		th.now = at.Add(after)
		if err := room.look(t.Context(), th.now); err != nil {
			t.Fatal(err)
		}
		th.look(0)
	}
	audited(at.Add(-time.Hour), audit.Passed)
	look(time.Minute)
	if s := state("act-1"); s.Status != action.Open || s.Result == nil || s.Result.Outcome != action.Unknown {
		t.Fatalf("closed by an audit from before: %+v", s.Result)
	}
	day := 24 * time.Hour
	for range 3 {
		look(3*day + time.Hour)
		room = begin() // as after a kill
	}
	audited(at.Add(4*day), audit.Found)
	look(4 * day)
	if s := state("act-1"); s.Status != action.Open || !strings.Contains(s.Result.Evidence, "/bin/true") {
		t.Fatalf("%+v", s.Result)
	}
	audited(at.Add(5*day), audit.Passed)
	look(5 * day)
	if s := state("act-1"); s.Status != action.Done || s.ClosedBy != action.Server {
		t.Fatalf("it did not close: %+v", s)
	}
	look(12 * day)
	room = begin()
	look(12*day + time.Hour)
	audited(at.Add(13*day), audit.Found)
	look(13 * day)
	if s := state("act-1"); s.Status != action.Open || s.Reopened != 1 || s.Result.Outcome != action.Failed {
		t.Fatalf("it did not open again: %+v", s)
	}
	count := func(contact, part string) (n int) {
		for _, w := range th.words(contact) {
			if strings.Contains(w, part) {
				n++
			}
		}
		return n
	}
	for _, x := range []struct {
		contact, part string
		want          int
	}{
		{"ben.pager", "[act-1] due on", 1}, {"ada.pager", "[act-1] due on", 0}, // before the day only its owner
		{"ada.pager", "[act-2] due on", 1}, {"ben.pager", "[act-2] due on", 1}, // whose owner nobody can reach
		{"ada.pager", "[act-2] LATE since", 1}, {"ben.pager", "[act-2] LATE since", 1},
	} {
		if got := count(x.contact, x.part); got != x.want {
			t.Errorf("%s was told %q %d times, not %d: %q", x.contact, x.part, got, x.want, th.words(x.contact))
		}
	}
	look(13*day + time.Hour)
	if got := count("ben.pager", "[act-1] LATE"); got != 1 {
		t.Errorf("of what opened again after its day the owner was told %d times: %q", got, th.words("ben.pager"))
	}
}

// What a check asks of the pager: a test page that was answered after it was sent.
func TestTheLastTestPage(t *testing.T) {
	p := &pager{channels: map[string]alert.Channel{}}
	if p.lastTest("ada") != nil {
		t.Error("a page that was never sent")
	}
	at := time.Now()
	p.channels["ada.mail"] = alert.Channel{Person: "ada", Tested: at, Answered: at.Add(-time.Hour)}
	p.channels["ada.chat"] = alert.Channel{Person: "ada", Tested: at.Add(-time.Hour), Answered: at}
	p.channels["ben.mail"] = alert.Channel{Person: "ben", Tested: at.Add(time.Hour), Answered: at.Add(2 * time.Hour)}
	if f := p.lastTest("ada"); f == nil || !f.Sent.Equal(at) || !f.Acknowledged.IsZero() {
		t.Errorf("%+v", f)
	}
	r := &running{state: nil, pager: p}
	f, err := r.actionFacts(context.Background(), action.Check{Kind: action.CheckPage, Person: "ben"}, at)
	if err != nil || f.Page.Acknowledged.IsZero() {
		t.Errorf("%+v %v", f.Page, err)
	}
}
