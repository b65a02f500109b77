package review

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var monday = time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)

type log struct {
	t      interface{ Fatal(...any) }
	events []Event
	State
}

func (l *log) do(c Command, by string, at time.Time) error {
	fresh, err := Decide(l.State, c, by, at)
	if err != nil {
		return err
	}
	for _, e := range fresh {
		e.Seq = int64(len(l.events) + 1)
		l.events = append(l.events, e)
	}
	l.State = Fold(l.events)[0]
	return nil
}

func (l *log) must(c Command, by string) {
	if err := l.do(c, by, monday); err != nil {
		l.t.Fatal(fmt.Sprintf("%#v: %v", c, err))
	}
}

func begun(t interface{ Fatal(...any) }) *log { return &log{t: t, State: New("inc-3")} }

var text = Submitted{File: "a.md", SHA256: "aa", Lines: 40, Reviewers: []string{"ben", "cyd"}, Due: "2026-11-20"}

func TestAReviewGoesItsWay(t *testing.T) {
	l := begun(t)
	l.must(Submit{text}, "ada")
	l.must(Say{Line: 12, Quote: "| A1 |", Text: "who?", SHA256: "aa"}, "ben")
	refused := func(c Command, by string) {
		t.Helper()
		if err := l.do(c, by, monday); !errors.Is(err, ErrRefused) {
			t.Errorf("%#v by %s: %v", c, by, err)
		}
	}
	refused(Accept{"aa", 0}, "cyd") // a comment is open
	l.must(Answer{"c1", "named"}, "ada")
	refused(Accept{"bb", 0}, "cyd")
	refused(Accept{"aa", 1}, "cyd")
	refused(Accept{"aa", 0}, "ada")
	refused(Publish{Published{Accepted: "aa", SHA256: "p"}}, "ada")
	l.must(Accept{"aa", 0}, "cyd")
	if l.Status != InReview || !slices.Equal(l.Missing(), []string{"ben"}) {
		t.Errorf("%+v", l.State)
	}
	l.must(Accept{"aa", 0}, "ben")
	if l.Status != Accepted || l.AcceptedSHA != "aa" {
		t.Errorf("%+v", l.State)
	}
	refused(Publish{Published{Accepted: "bb", SHA256: "p"}}, "ada")
	l.must(Publish{Published{Accepted: "aa", SHA256: "p"}}, "ada")
	// Another text begins anew, with the same reviewers.
	l.must(Submit{Submitted{File: "a.md", SHA256: "cc", Lines: 41}}, "ada")
	if l.Status != InReview || len(l.Missing()) != 2 || l.AcceptedSHA != "aa" || l.Submitted.Due != "2026-11-20" {
		t.Errorf("%+v", l.State)
	}
	refused(Publish{Published{Accepted: "aa", SHA256: "q"}}, "ada")
	refused(Submit{Submitted{File: "a.md", SHA256: "dd", Lines: 1, Reviewers: []string{"ada"}}}, "ada")
	refused(Say{Line: 42, Text: "x", SHA256: "cc"}, "ben")
	refused(Say{Line: 1, Text: "x", SHA256: "aa"}, "ben")
}

func TestReviewersAreReminded(t *testing.T) {
	l := begun(t)
	l.must(Submit{text}, "ada")
	l.must(Accept{"aa", 0}, "cyd")
	at := func(day, hour int) time.Time { return time.Date(2026, 11, day, hour, 0, 0, 0, time.UTC) }
	var names []string
	for h := at(2, 10); h.Before(at(30, 0)); h = h.Add(time.Hour) {
		w, due := l.DueWord(h)
		if !due {
			continue
		}
		if !slices.Equal(w.To, []string{"ben"}) || h.Hour() != 7 {
			t.Errorf("%s: %+v", h, w)
		}
		names = append(names, fmt.Sprint(h.Day(), w.Late))
		if err := l.do(Remind{Reminded{w.Due, w.To}, w.Late}, Server, h); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{"17 false", "19 false", "21 true", "28 true"}; !slices.Equal(names, want) {
		t.Errorf("%v, want %v", names, want)
	}
}

// Whatever is done, in any order: only a text that every reviewer has accepted,
// without an open comment, is accepted; and only that is published.
func TestOnlyWhatAllAcceptedIsAccepted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := begun(t)
		approved := map[string]map[string]bool{} // text, reviewer
		for range rapid.IntRange(0, 40).Draw(t, "acts") {
			sha, by := rapid.SampledFrom([]string{"aa", "bb"}).Draw(t, "text"), rapid.SampledFrom([]string{"ada", "ben", "cyd", "dee"}).Draw(t, "who")
			c := rapid.SampledFrom([]Command{
				Submit{Submitted{File: "a.md", SHA256: sha, Lines: 9, Reviewers: rapid.SampledFrom([][]string{nil, {"ben"}, {"ben", "cyd"}}).Draw(t, "reviewers")}},
				Say{Line: 3, Text: "x", SHA256: sha}, Answer{ID: "c1"}, Accept{sha, rapid.IntRange(0, 1).Draw(t, "errors")}, Publish{Published{Accepted: sha, SHA256: "p" + sha}},
			}).Draw(t, "command")
			before := l.Status
			err := l.do(c, by, monday)
			if err != nil {
				if !errors.Is(err, ErrRefused) && !errors.Is(err, ErrNothing) {
					t.Fatal(err)
				}
				continue
			}
			switch c := c.(type) {
			case Submit:
				if len(l.events) > 1 && l.Submitted.SHA256 != sha {
					t.Fatal("another text is in review")
				}
				approved = map[string]map[string]bool{}
			case Accept:
				if approved[sha] == nil {
					approved[sha] = map[string]bool{}
				}
				approved[sha][by] = true
				if c.Errors > 0 {
					t.Fatal("accepted with errors")
				}
			case Publish:
				if before != Accepted || l.AcceptedSHA != sha {
					t.Fatal("published what is not accepted")
				}
			}
			if l.Status == Accepted && before != Accepted {
				for _, r := range l.Submitted.Reviewers {
					if !approved[l.AcceptedSHA][r] {
						t.Fatalf("%s has not accepted it: %+v", r, l.State)
					}
				}
				if len(l.OpenComments()) > 0 {
					t.Fatal("a comment is open")
				}
			}
		}
		if len(l.Unread) > 0 {
			t.Fatal(l.Unread)
		}
	})
}
