package statuspage

import (
	"encoding/json"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	_ "time/tzdata"

	"pgregory.net/rapid"
)

func zone(t interface{ Fatal(...any) }, name string) *time.Location {
	l, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestDaysOfChangedClocks(t *testing.T) {
	berlin, santiago := zone(t, "Europe/Berlin"), zone(t, "America/Santiago")
	for name, c := range map[string]struct {
		now  time.Time
		zone *time.Location
		day  string
		want int64 // hours
	}{
		"clock put back":                  {time.Date(2026, 10, 26, 12, 0, 0, 0, berlin), berlin, "2026-10-25", 25},
		"clock put forward":               {time.Date(2026, 3, 30, 12, 0, 0, 0, berlin), berlin, "2026-03-29", 23},
		"clock put forward over midnight": {time.Date(2026, 9, 8, 12, 0, 0, 0, santiago), santiago, "2026-09-06", 23},
		"clock put back over midnight":    {time.Date(2026, 4, 6, 12, 0, 0, 0, santiago), santiago, "2026-04-04", 25},
		"an ordinary one":                 {time.Date(2026, 10, 26, 12, 0, 0, 0, berlin), berlin, "2026-10-24", 24},
		"today, so far":                   {time.Date(2026, 10, 26, 7, 0, 0, 0, berlin), berlin, "2026-10-26", 7},
	} {
		all := history(nil, []stretch{{c.now.Add(-200 * day), c.now}}, c.now, c.zone)
		i := slices.IndexFunc(all, func(d Day) bool { return d.Date == c.day })
		if len(all) != HistoryDays || i < 0 || all[i].Seconds != c.want*3600 || all[i].Watched != c.want*3600 {
			t.Errorf("%s: %d days, %+v, want %d h", name, len(all), all[max(i, 0)], c.want)
		}
	}
}

func TestOutageOverMidnight(t *testing.T) {
	berlin := zone(t, "Europe/Berlin")
	now := time.Date(2026, 10, 27, 12, 0, 0, 0, berlin)
	down := []stretch{{time.Date(2026, 10, 24, 23, 0, 0, 0, berlin), time.Date(2026, 10, 26, 1, 0, 0, 0, berlin)}}
	all := history(down, []stretch{{now.Add(-10 * day), now}}, now, berlin)
	got := map[string]int64{}
	for _, d := range all {
		if d.Down > 0 {
			got[d.Date] = d.Down / 3600
		}
	}
	if want := map[string]int64{"2026-10-24": 1, "2026-10-25": 25, "2026-10-26": 1}; !reflect.DeepEqual(got, want) {
		t.Errorf("hours down %v, want %v", got, want)
	}
	if share, known := Uptime(all); known != 11 || percent(share) != percent(1-27.0/240) {
		t.Errorf("uptime %v of %d days", share, known)
	}
}

// TestHistoryAddsUp holds the days against the spans that they are made of.
func TestHistoryAddsUp(t *testing.T) {
	zones := []*time.Location{time.UTC, zone(t, "Europe/Berlin"), zone(t, "America/Santiago"), zone(t, "Australia/Lord_Howe"), zone(t, "Asia/Kathmandu")}
	rapid.Check(t, func(t *rapid.T) {
		l := rapid.SampledFrom(zones).Draw(t, "zone")
		now := time.Unix(rapid.Int64Range(1767225600, 1830297600).Draw(t, "now"), 0)
		spans := func(name string) (out []Span) {
			for range rapid.IntRange(0, 6).Draw(t, name) {
				from := now.Add(-time.Duration(rapid.IntRange(0, 120*24*3600).Draw(t, "ago")) * time.Second)
				out = append(out, Span{from, from.Add(time.Duration(rapid.IntRange(0, 9*24*3600).Draw(t, "for")) * time.Second)})
			}
			return out
		}
		starts, _ := dayStarts(now, l)
		down, watched := closed(spans("down"), starts[0], now), closed(spans("watched"), starts[0], now)
		days := history(down, watched, now, l)
		var sum Day
		for i, d := range days {
			if d.Down > d.Watched || d.Watched > d.Seconds || d.Down < 0 {
				t.Fatalf("day %+v", d)
			}
			if i > 0 && days[i-1].Date >= d.Date {
				t.Fatalf("days %s, %s", days[i-1].Date, d.Date)
			}
			sum.Seconds, sum.Watched, sum.Down = sum.Seconds+d.Seconds, sum.Watched+d.Watched, sum.Down+d.Down
		}
		if want := int64(now.Sub(starts[0]) / time.Second); sum.Seconds != want {
			t.Fatalf("days of %d s, want %d", sum.Seconds, want)
		}
		var wantDown time.Duration
		if len(watched) > 0 {
			wantDown = within(down, watched[0].from, now)
		}
		if sum.Down != int64(wantDown/time.Second) {
			t.Fatalf("%d s down, want %v", sum.Down, wantDown)
		}
		// Second by second on one day, without any arithmetic of spans.
		i := rapid.IntRange(0, HistoryDays-1).Draw(t, "day")
		var n int64
		for s := starts[i]; s.Before(earlier(starts[i+1], now)); s = s.Add(time.Second) {
			in := func(x stretch) bool { return !s.Before(x.from) && s.Before(x.until) }
			if slices.ContainsFunc(down, in) && len(watched) > 0 && !s.Before(watched[0].from) {
				n++
			}
		}
		if days[i].Down != n {
			t.Fatalf("day %s: %d s down, want %d", days[i].Date, days[i].Down, n)
		}
	})
}

func TestNeverRoundedAway(t *testing.T) {
	days := []Day{{Seconds: 86400, Watched: 86400}}
	for range 89 {
		days = append(days, days[0])
	}
	if figure(days) != "100 % available" {
		t.Error(figure(days))
	}
	days[3].Down = 1
	if got := figure(days); got != "99.99 % available" {
		t.Errorf("a second down in 90 days is %s", got)
	}
	half := history([]stretch{{ago(time.Hour), ago(time.Hour - 300*time.Millisecond)}}, []stretch{{ago(day), noon}}, noon, time.UTC)
	if half[89].Down != 1 {
		t.Errorf("a short one is %+v", half[89])
	}
	if share, known := Uptime(nil); share != 0 || known != 0 {
		t.Error("nothing known is not an uptime")
	}
}

func TestStandings(t *testing.T) {
	told := func(status string) []Told {
		return []Told{{Key: "i", Targets: []string{"a"}, Updates: []Update{{Status: "investigating", At: ago(time.Hour)}, {Status: status, At: ago(time.Minute)}}}}
	}
	work := []Announced{{Targets: []string{"a"}, Text: "work", From: ago(time.Minute), Until: noon.Add(time.Hour)}}
	for name, c := range map[string]struct {
		automatic bool
		now       Sight
		told      []Told
		planned   []Announced
		want      State
	}{
		"nothing said, nobody looks":    {want: Quiet},
		"down, and nobody said so":      {now: Down, want: Quiet},
		"automatic and up":              {automatic: true, now: Up, want: Operational},
		"automatic and blind":           {automatic: true, want: Unknown},
		"automatic and down":            {automatic: true, now: Down, want: Disrupted},
		"automatic, down, planned":      {automatic: true, now: Down, planned: work, want: Maintenance},
		"told":                          {now: Up, told: told("identified"), want: Disrupted},
		"told although up":              {automatic: true, now: Up, told: told("recovering"), want: Disrupted},
		"told during planned work":      {told: told("identified"), planned: work, want: Disrupted},
		"told to be watched":            {automatic: true, now: Up, told: told("monitoring"), want: Monitoring},
		"told to be watched, but down":  {automatic: true, now: Down, told: told("monitoring"), want: Disrupted},
		"told to be over":               {told: told(Resolved), want: Quiet},
		"told to be over, but down":     {automatic: true, now: Down, told: told(Resolved), want: Disrupted},
		"told to be over, and up":       {automatic: true, now: Up, told: told(Resolved), want: Operational},
		"planned, later":                {planned: []Announced{{Targets: []string{"a"}, Text: "w", From: noon.Add(1), Until: noon.Add(2)}}, want: Quiet},
		"planned, without a word of it": {planned: []Announced{{Targets: []string{"a"}, From: ago(1), Until: noon.Add(2)}}, want: Quiet},
	} {
		in := Input{Automatic: c.automatic, Services: []Offer{{Name: "A", Targets: []string{"a"}}, {Name: "B", Targets: []string{"b"}}}, Told: c.told, Planned: c.planned}
		in.Seen = map[string]Seen{"a": {Now: c.now}, "b": {Now: Up}}
		p := Make(in, noon)
		if p.Services[0].State != c.want || p.Services[1].State.rank() > Quiet.rank() {
			t.Errorf("%s: %s, want %s; the other %s", name, p.Services[0].State, c.want, p.Services[1].State)
		}
		if p.State != c.want {
			t.Errorf("%s: all in all %s", name, p.State)
		}
	}
}

func TestMergedIncidentsAreOne(t *testing.T) {
	in := Input{Services: []Offer{{Name: "A", Targets: []string{"a"}}, {Name: "B", Targets: []string{"b"}}}, Told: []Told{
		{Key: "1", Targets: []string{"a"}, Updates: []Update{{Status: "investigating", Text: "first", At: ago(3 * time.Hour)}, {Status: "identified", Text: "third", At: ago(time.Hour)}}},
		{Key: "2", Targets: []string{"b"}, Into: "1", Updates: []Update{{Status: "investigating", Text: "second", At: ago(2 * time.Hour)}}},
		{Key: "3", Targets: []string{"b"}, Updates: nil},
		{Key: "4", Targets: []string{"b"}, Into: "5"}, {Key: "5", Into: "4"}, // cannot be; must end
	}}
	p := Make(in, noon)
	if len(p.Incidents) != 1 {
		t.Fatalf("%+v", p.Incidents)
	}
	i := p.Incidents[0]
	var texts []string
	for _, u := range i.Updates {
		texts = append(texts, u.Text)
	}
	if i.Title != "Disruption: A, B" || strings.Join(texts, " ") != "first second third" || i.ID != "20261127-090000" || len(i.Also) != 1 || i.Also[0] != "20261127-100000" || !i.Current() {
		t.Errorf("%+v", i)
	}
	all := files(t, p, noon)
	if a := all["incident-20261127-090000.html"]; a == "" || a != all["incident-20261127-100000.html"] {
		t.Error("a page that people were led to is gone")
	}
}

func TestPublicNames(t *testing.T) {
	var in Input
	for i := range 3 {
		in.Told = append(in.Told, Told{Key: string(rune('a' + i)), Updates: []Update{{Status: "identified", Text: "x", At: ago(time.Hour)}}})
	}
	in.Told = append(in.Told, Told{Key: "untold"}, Told{Key: "old", Updates: []Update{{Status: Resolved, At: ago(500 * day)}}})
	var ids []string
	p := Make(in, noon)
	for _, i := range p.Incidents {
		ids = append(ids, i.ID)
		if i.Title != "Disruption" || len(i.Services) != 0 {
			t.Errorf("%+v", i)
		}
	}
	if !slices.Equal(ids, []string{"20261127-110000-3", "20261127-110000-2", "20261127-110000"}) || p.State != Disrupted {
		t.Errorf("%v %s", ids, p.State)
	}
}

func TestReadAgain(t *testing.T) {
	p := Make(sample(), noon)
	text, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := WriteFolder(dir, []File{{Name: "status.json", Body: text}}); err != nil {
		t.Fatal(err)
	}
	got, err := Load(filepath.Join(dir, "status.json"))
	if err != nil || !reflect.DeepEqual(got, p) {
		t.Errorf("%v: it is another one", err)
	}
	if a, b := files(t, p, noon), files(t, got, noon); !reflect.DeepEqual(a, b) {
		t.Error("what was read makes other pages")
	}
}

func FuzzDecode(f *testing.F) {
	text, _ := Make(sample(), noon).Encode()
	f.Add(text)
	f.Add([]byte(`{"format":1,"incidents":[{"id":"1","updates":[{}]}],"services":[{"days":[{"date":"x"}]}]}`))
	f.Add([]byte(`{"format":1,"incidents":[{"id":"../x","updates":[{}]}]}`))
	g, err := NewPages()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := Decode(text)
		if err != nil {
			return
		}
		all, err := g.Files(p, noon)
		if err != nil {
			if _, jerr := json.Marshal(p); jerr == nil {
				t.Fatal(err)
			}
			return
		}
		for _, f := range all {
			if !Ours(f.Name) {
				t.Fatalf("a file called %q", f.Name)
			}
		}
	})
}
