package alert

import (
	"testing"
	"time"
)

func TestTestsAreDueToThoseOnCallWhenTheyAreAwake(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	r := Roster{
		People: map[string]Person{
			"ada": {Name: "ada", Zone: berlin, Contacts: []Contact{{ID: "ada.email"}, {ID: "ada.pager"}}},
			"ben": {Name: "ben", Zone: berlin, Contacts: []Contact{{ID: "ben.email"}}},
		},
		Teams: map[string]Team{"db": {Name: "db", Members: []string{"ada", "ben"}, Overrides: []Override{{Person: "ada", From: night.AddDate(-1, 0, 0), To: night.AddDate(1, 0, 0)}}}},
	}
	rules := TestRules{Every: 7 * 24 * time.Hour, Answer: 24 * time.Hour}
	monday := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name   string
		at     time.Time
		tested time.Duration // before at; 0 for never
		want   int
	}{
		{"never, at 09:30 in Berlin", monday.Add(8*time.Hour + 30*time.Minute), 0, 2},
		{"never, at 08:30 in Berlin", monday.Add(7*time.Hour + 30*time.Minute), 0, 0},
		{"never, on a Sunday", monday.Add(-14 * time.Hour), 0, 0},
		{"six days ago", monday.Add(10 * time.Hour), 6 * 24 * time.Hour, 0},
		{"seven days ago", monday.Add(10 * time.Hour), 7 * 24 * time.Hour, 2},
		{"seven days ago, at 19:00", monday.Add(18 * time.Hour), 7 * 24 * time.Hour, 0},
		{"fifteen days ago, at 19:00", monday.Add(18 * time.Hour), 15 * 24 * time.Hour, 2},
		{"fifteen days ago, at 03:00", monday.Add(2 * time.Hour), 15 * 24 * time.Hour, 0},
	} {
		known := map[string]Channel{}
		if c.tested > 0 {
			for _, id := range []string{"ada.email", "ada.pager"} {
				known[id] = Channel{Tested: c.at.Add(-c.tested)}
			}
		}
		if got := DueTests(r, known, rules, c.at); len(got) != c.want || c.want > 0 && got[0].Person != "ada" {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
	if got := DueTests(r, nil, TestRules{}, monday.Add(10*time.Hour)); got != nil {
		t.Errorf("tests that nobody wants: %+v", got)
	}
}

func TestChannelsAreJudged(t *testing.T) {
	rules := TestRules{Every: 7 * 24 * time.Hour, Answer: 24 * time.Hour}
	for name, c := range map[string]struct {
		c               Channel
		failing, silent bool
	}{
		"new":               {Channel{}, false, false},
		"works":             {Channel{Failed: night.Add(-2 * time.Hour), Sent: night.Add(-time.Hour)}, false, false},
		"fails":             {Channel{Sent: night.Add(-2 * time.Hour), Failed: night.Add(-time.Hour)}, true, false},
		"tested just now":   {Channel{Tested: night.Add(-time.Hour)}, false, false},
		"tested, no answer": {Channel{Tested: night.Add(-25 * time.Hour)}, false, true},
		"tested, answered":  {Channel{Tested: night.Add(-25 * time.Hour), Answered: night.Add(-24 * time.Hour)}, false, false},
		"answered before":   {Channel{Tested: night.Add(-25 * time.Hour), Answered: night.Add(-200 * time.Hour)}, false, true},
	} {
		got := c.c.Judge(rules, night)
		if got[0].Firing != c.failing || got[1].Firing != c.silent {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
