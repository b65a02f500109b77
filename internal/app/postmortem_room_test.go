package app

import (
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/postmortem/review"
)

// Reviewers who have not answered are told once before the day, and with whoever
// submitted the report once it is late, through restarts.
func TestReviewersAreReminded(t *testing.T) {
	th := newTheatre(t)
	begin := func() *reviewRoom {
		return &reviewRoom{journal: th.state, roster: th.Roster, log: slog.New(slog.DiscardHandler), tell: th.box.put}
	}
	people := []string{}
	for name := range th.Roster.People {
		people = append(people, name)
	}
	slices.Sort(people)
	if len(people) < 2 {
		t.Fatal("the roster has nobody")
	}
	now := time.Now().UTC()
	day := now.AddDate(0, 0, 10).Format(time.DateOnly)
	if _, err := actOnReview(t.Context(), th.state, "inc-1", review.Submit{Submitted: review.Submitted{File: "a.md", SHA256: "aa", Lines: 3, Reviewers: people[:1], Due: day}}, people[1], now); err != nil {
		t.Fatal(err)
	}
	due, _ := time.Parse(time.DateOnly, day)
	for _, at := range []time.Time{now, due.AddDate(0, 0, -1).Add(8 * time.Hour), due.AddDate(0, 0, -1).Add(9 * time.Hour), due.AddDate(0, 0, 1).Add(7 * time.Hour), due.AddDate(0, 0, 2)} {
		m := begin() // a server that was started again
		if err := m.look(t.Context(), at); err != nil {
			t.Fatal(err)
		}
	}
	s, err := reviewOf(t.Context(), th.state, "inc-1")
	if err != nil || len(s.Told) != 2 || s.Told[0].Late || !s.Told[1].Late {
		t.Fatalf("%+v %v", s.Told, err)
	}
	if !slices.Equal(s.Told[0].To, people[:1]) || !slices.Equal(s.Told[1].To, people[:2]) {
		t.Errorf("told %v", s.Told)
	}
	all, err := updateDeliveries(t.Context(), th.state, "inc-1")
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 0 {
		t.Errorf("a reminder is taken for an update: %v", all)
	}
	records, err := th.state.RecentRecords(t.Context(), kindAnnouncement, 100)
	if err != nil {
		t.Fatal(err)
	}
	late := 0
	for _, r := range records {
		var d UpdateDelivery
		if err := r.Read(&d); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(d.Subject, "LATE since "+day) {
			late++
		}
	}
	if len(records) < 3 || late < 2 {
		t.Errorf("%d words, %d of them of a late review", len(records), late)
	}
}
