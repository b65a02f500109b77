package alert

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func zone(t interface{ Fatal(...any) }, name string) *time.Location {
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func day(t interface{ Fatal(...any) }, s string) Day {
	d, err := ParseDay(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func clock(t interface{ Fatal(...any) }, s string) Clock {
	c, err := ParseClock(s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func moment(t interface{ Fatal(...any) }, s string) time.Time {
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// Zones whose clocks do what clocks do: an hour, half an hour, at midnight, and
// a day that was skipped.
var zones = []string{"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "Asia/Kolkata", "Pacific/Apia", "Africa/Casablanca", "Asia/Beirut"}

func TestInstantsThatDoNotExistOrExistTwice(t *testing.T) {
	for _, x := range []struct{ zone, day, clock, want string }{
		{"Europe/Berlin", "2026-03-29", "01:59", "2026-03-29T00:59:00Z"},
		{"Europe/Berlin", "2026-03-29", "02:30", "2026-03-29T01:00:00Z"}, // jumped over
		{"Europe/Berlin", "2026-03-29", "03:00", "2026-03-29T01:00:00Z"},
		{"Europe/Berlin", "2026-10-25", "02:30", "2026-10-25T00:30:00Z"}, // the first of two
		{"Europe/Berlin", "2026-10-25", "03:00", "2026-10-25T02:00:00Z"},
		{"America/New_York", "2026-11-01", "01:30", "2026-11-01T05:30:00Z"},
		{"America/Sao_Paulo", "2018-11-04", "00:00", "2018-11-04T03:00:00Z"}, // midnight did not exist
		{"America/Sao_Paulo", "2018-02-17", "23:30", "2018-02-18T01:30:00Z"}, // existed twice
		{"America/Sao_Paulo", "2018-02-18", "00:00", "2018-02-18T03:00:00Z"},
		{"Australia/Lord_Howe", "2026-10-04", "02:15", "2026-10-03T15:30:00Z"}, // half an hour
		{"Pacific/Apia", "2011-12-30", "09:00", "2011-12-30T10:00:00Z"},        // the whole day did not exist
		{"Pacific/Apia", "2011-12-31", "09:00", "2011-12-30T19:00:00Z"},
	} {
		got := day(t, x.day).Instant(clock(t, x.clock), zone(t, x.zone))
		if !got.Equal(moment(t, x.want)) {
			t.Errorf("%s %s in %s: %s, want %s", x.day, x.clock, x.zone, got.UTC().Format(time.RFC3339), x.want)
		}
	}
}

// The first moment at which the clock shows a time or is past it, looked for
// minute by minute.
func TestInstantIsTheFirst(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		z := zone(t, rapid.SampledFrom(zones).Draw(t, "zone"))
		d := day(t, "2011-01-01") + Day(rapid.IntRange(0, 20*366).Draw(t, "day"))
		c := Clock(rapid.IntRange(0, 24*60-1).Draw(t, "clock"))
		wall := int64(d)*secondsADay + int64(c)*60
		want := time.Unix(wall-27*60*60, 0)
		for wallSeconds(want.In(z)) < wall {
			want = want.Add(time.Minute)
		}
		if got := d.Instant(c, z); !got.Equal(want) {
			t.Fatalf("%s %s in %s: %s, want %s", d, c, z, got, want)
		}
	})
}

func drawRotation(t *rapid.T, people []string) Rotation {
	r := Rotation{
		Name: "primary", People: people, Days: rapid.SampledFrom([]int{1, 2, 7, 14, 10}).Draw(t, "days"),
		Start: day(t, "2026-01-01") + Day(rapid.IntRange(-400, 400).Draw(t, "start")), Handover: Clock(rapid.IntRange(0, 24*60-1).Draw(t, "handover")),
		Zone: zone(t, rapid.SampledFrom(zones).Draw(t, "zone")),
	}
	for i := range rapid.IntRange(0, 3).Draw(t, "parts") {
		from := Clock(rapid.IntRange(0, 24*60-1).Draw(t, "from"))
		r.Hours = append(r.Hours, Hours{From: from, To: from, Zone: zone(t, rapid.SampledFrom(zones).Draw(t, "part's zone")), People: people[i%len(people):]})
	}
	return r
}

// drawSpan prefers days on which clocks change.
func drawSpan(t *rapid.T) (from, to time.Time) {
	near := moment(t, rapid.SampledFrom([]string{
		"2026-03-29T01:00:00Z", "2026-10-25T01:00:00Z", "2026-03-08T07:00:00Z", "2026-11-01T06:00:00Z", "2026-04-04T15:00:00Z",
		"2026-10-03T15:30:00Z", "2018-11-04T03:00:00Z", "2018-02-18T02:00:00Z", "2011-12-30T10:00:00Z", "2026-02-15T02:00:00Z", "2026-07-01T00:00:00Z",
	}).Draw(t, "near"))
	from = near.Add(time.Duration(rapid.IntRange(-72*60, 72*60).Draw(t, "minutes")) * time.Minute)
	return from, from.Add(time.Duration(rapid.IntRange(1, 20*24*60).Draw(t, "length")) * time.Minute)
}

func TestShiftsTileTime(t *testing.T) {
	people := []string{"ada", "ben", "cyd"}
	rapid.Check(t, func(t *rapid.T) {
		from, to := drawSpan(t)
		team := Team{Name: "db", Members: people, Rotations: []Rotation{drawRotation(t, people)}}
		for range rapid.IntRange(0, 4).Draw(t, "overrides") {
			f, u := drawSpan(t)
			o := Override{Person: rapid.SampledFrom(people).Draw(t, "by"), From: f, To: u}
			if rapid.Bool().Draw(t, "instead") {
				o.InsteadOf = rapid.SampledFrom(people).Draw(t, "of")
			}
			team.Overrides = append(team.Overrides, o)
		}
		r := Roster{Teams: map[string]Team{"db": team}}
		shifts := r.Shifts("db", from, to)
		if len(shifts) == 0 || shifts[0].Since.After(from) || shifts[len(shifts)-1].Until.Before(to) {
			t.Fatalf("%s to %s is not covered: %v", from, to, shifts)
		}
		for i, s := range shifts {
			if !s.Since.Before(s.Until) || i > 0 && !s.Since.Equal(shifts[i-1].Until) {
				t.Fatalf("shift %d does not follow the one before: %v", i, shifts)
			}
			// Asked at any of its moments, the shift is the same one.
			for _, at := range []time.Time{s.Since, s.Until.Add(-1), s.Since.Add(s.Until.Sub(s.Since) / 2)} {
				if got := r.OnCall("db", at); len(got) != 1 || got[0] != s {
					t.Fatalf("at %s: %v, want %v", at, got, s)
				}
			}
		}
		if gaps := r.Gaps("db", from, to); len(gaps) > 0 {
			t.Fatalf("gaps %v", gaps)
		}
	})
}

// Hours with an end leave gaps; gaps and shifts together tile the time.
func TestGapsAndShiftsTileTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		from, to := drawSpan(t)
		team := Team{Name: "db"}
		for i := range rapid.IntRange(0, 3).Draw(t, "rotations") {
			r := drawRotation(t, []string{"ada", "ben"})
			r.Name = fmt.Sprint(i)
			for j := range r.Hours {
				r.Hours[j].To = Clock(rapid.IntRange(0, 24*60-1).Draw(t, "to"))
				r.Hours[j].Weekdays = rapid.SampledFrom([][]time.Weekday{nil, {1, 2, 3, 4, 5}, {0}}).Draw(t, "weekdays")
			}
			team.Rotations = append(team.Rotations, r)
		}
		r := Roster{Teams: map[string]Team{"db": team}}
		gaps := r.Gaps("db", from, to)
		inGap := func(at time.Time) bool {
			return slices.ContainsFunc(gaps, func(g Gap) bool { return !at.Before(g.Since) && at.Before(g.Until) })
		}
		for at := from; at.Before(to); at = at.Add(to.Sub(from)/97 + 1) {
			on := r.OnCall("db", at)
			if (len(on) == 0) != inGap(at) {
				t.Fatalf("at %s: on call %v, gaps %v", at, on, gaps)
			}
			for i, s := range on {
				if at.Before(s.Since) || !at.Before(s.Until) || i > 0 && s.Rotation <= on[i-1].Rotation {
					t.Fatalf("at %s: %v", at, on)
				}
			}
		}
	})
}

func TestTurns(t *testing.T) {
	berlin := zone(t, "Europe/Berlin")
	r := Roster{Teams: map[string]Team{"db": {Name: "db", Rotations: []Rotation{{
		Name: "primary", People: []string{"ada", "ben", "cyd"}, Days: 7, Start: day(t, "2026-01-05"), Handover: clock(t, "09:00"), Zone: berlin,
	}}, Overrides: []Override{{Person: "cyd", From: moment(t, "2026-03-30T12:00:00Z"), To: moment(t, "2026-03-30T18:00:00Z")}, {Person: "ben", InsteadOf: "ada", From: moment(t, "2026-05-20T00:00:00Z"), To: moment(t, "2026-06-10T00:00:00Z")}}}}}
	for _, x := range []struct{ at, who, since, until, source string }{
		{"2026-01-05T07:59:59Z", "cyd", "2025-12-29T08:00:00Z", "2026-01-05T08:00:00Z", FromRotation}, // before the first turn it went the same way
		{"2026-01-05T08:00:00Z", "ada", "2026-01-05T08:00:00Z", "2026-01-12T08:00:00Z", FromRotation},
		{"2026-03-27T08:00:00Z", "cyd", "2026-03-23T08:00:00Z", "2026-03-30T07:00:00Z", FromRotation}, // summer time begins
		{"2026-03-30T13:00:00Z", "cyd", "2026-03-30T12:00:00Z", "2026-03-30T18:00:00Z", FromOverride},
		{"2026-03-30T18:00:00Z", "ada", "2026-03-30T18:00:00Z", "2026-04-06T07:00:00Z", FromRotation},
		{"2026-06-02T00:00:00Z", "ben", "2026-06-01T07:00:00Z", "2026-06-08T07:00:00Z", FromOverride},
		{"2026-06-08T07:00:00Z", "ben", "2026-06-08T07:00:00Z", "2026-06-15T07:00:00Z", FromRotation},
	} {
		got := r.OnCall("db", moment(t, x.at))
		if len(got) != 1 || got[0].Person != x.who || !got[0].Since.Equal(moment(t, x.since)) || !got[0].Until.Equal(moment(t, x.until)) || got[0].Source != x.source {
			t.Errorf("at %s: %v, want %v", x.at, got, x)
		}
	}
}

func TestFollowTheSun(t *testing.T) {
	r := Roster{Teams: map[string]Team{"db": {Name: "db", Rotations: []Rotation{{Name: "sun", Days: 1, Hours: []Hours{
		{From: clock(t, "08:00"), To: clock(t, "08:00"), Zone: zone(t, "Europe/Berlin"), People: []string{"ada"}},
		{From: clock(t, "09:00"), To: clock(t, "09:00"), Zone: zone(t, "America/New_York"), People: []string{"ben"}},
		{From: clock(t, "09:00"), To: clock(t, "09:00"), Zone: zone(t, "Asia/Tokyo"), People: []string{"ken"}},
	}}}}}}
	// Between 8 and 29 March New York is on summer time already, Berlin not yet.
	got := ""
	for _, s := range r.Shifts("db", moment(t, "2026-03-27T12:00:00Z"), moment(t, "2026-03-30T12:00:00Z")) {
		got += s.Person + " " + s.Since.UTC().Format("02T15:04") + "\n"
	}
	if want := "ada 27T07:00\nben 27T13:00\nken 28T00:00\nada 28T07:00\nben 28T13:00\nken 29T00:00\nada 29T06:00\nben 29T13:00\nken 30T00:00\nada 30T06:00\n"; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestOverlay(t *testing.T) {
	at := moment(t, "2026-01-01T00:00:00Z")
	shift := func(who string, from, to int) Shift {
		return Shift{Person: who, Since: at.Add(time.Duration(from) * time.Hour), Until: at.Add(time.Duration(to) * time.Hour)}
	}
	// Whoever is on call in an hour is whoever was laid over it last.
	rapid.Check(t, func(t *rapid.T) {
		var hours [50]string
		var shifts []Shift
		for i := range rapid.IntRange(1, 12).Draw(t, "shifts") {
			from := rapid.IntRange(0, 48).Draw(t, "from")
			to := rapid.IntRange(from, 49).Draw(t, "to")
			who := fmt.Sprint(i)
			shifts = overlay(shifts, shift(who, from, to))
			for h := from; h < to; h++ {
				hours[h] = who
			}
		}
		var got [50]string
		for i, s := range shifts {
			if !s.Since.Before(s.Until) || i > 0 && s.Since.Before(shifts[i-1].Until) {
				t.Fatalf("%v", shifts)
			}
			for h := int(s.Since.Sub(at) / time.Hour); h < int(s.Until.Sub(at)/time.Hour); h++ {
				got[h] = s.Person
			}
		}
		if got != hours {
			t.Fatalf("got %v\nwant %v", got, hours)
		}
	})
}
