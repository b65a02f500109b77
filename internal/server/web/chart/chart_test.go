package chart

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func TestMomentsHaveTheirPlace(t *testing.T) {
	a := Time{noon, noon.Add(10 * time.Hour)}
	for after, want := range map[time.Duration]float64{-time.Hour: 0, 0: 0, 5 * time.Hour: 50, 10 * time.Hour: 100, 11 * time.Hour: 100} {
		if got := a.At(noon.Add(after)); got != want {
			t.Errorf("%s after: %v, not %v", after, got, want)
		}
	}
	if x, w, ok := a.Bar(noon.Add(9*time.Hour), noon.Add(30*time.Hour), 0.5); !ok || x != 90 || w != 10 {
		t.Errorf("a span that goes on beyond the end: %v %v %v", x, w, ok)
	}
	if x, w, ok := a.Bar(noon.Add(10*time.Hour), noon.Add(10*time.Hour), 0.5); !ok || x != 99.5 || w != 0.5 {
		t.Errorf("an instant at the end: %v %v %v", x, w, ok)
	}
	if _, _, ok := a.Bar(noon.Add(-2*time.Hour), noon.Add(-time.Hour), 1); ok {
		t.Error("what is before the picture is drawn")
	}
	if Percent(33.333333) != "33.33%" || Percent(50) != "50%" || Percent(0) != "0%" || Percent(100) != "100%" {
		t.Error(Percent(33.333333), Percent(50), Percent(0), Percent(100))
	}
}

func TestTicksAreRoundAndFew(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		from := noon.Add(time.Duration(rapid.Int64Range(0, int64(400*day)).Draw(t, "from")))
		whole := time.Duration(rapid.Int64Range(int64(time.Minute), int64(900*day)).Draw(t, "whole"))
		most := rapid.IntRange(2, 12).Draw(t, "most")
		ticks := Time{from, from.Add(whole)}.Ticks(most)
		if len(ticks) > most+1 {
			t.Fatalf("%d ticks over %s, at most %d were asked for", len(ticks), whole, most)
		}
		for i, x := range ticks {
			if x.At < 0 || x.At > 100 || x.Text == "" || i > 0 && x.At <= ticks[i-1].At {
				t.Fatalf("%+v", ticks)
			}
		}
	})
	got := Time{noon.Add(-24 * time.Hour), noon}.Ticks(6)
	var texts []string
	for _, x := range got {
		texts = append(texts, x.Text)
	}
	if want := []string{"12:00", "18:00", "24 Nov", "06:00", "12:00"}; !slices.Equal(texts, want) {
		t.Errorf("%v, not %v", texts, want)
	}
	if (Time{noon, noon}).Ticks(5) != nil {
		t.Error("ticks of nothing")
	}
}

func TestDurationsHaveRoundMarks(t *testing.T) {
	for longest, want := range map[time.Duration]time.Duration{0: time.Millisecond, 3 * time.Second: 3 * time.Second, 12 * time.Minute: 15 * time.Minute, 4 * time.Hour: 4 * time.Hour, 1000 * day: 1344 * day} {
		top, marks := Durations(longest)
		if top != want || len(marks) < 2 || len(marks) > 5 || marks[0] != 0 || marks[len(marks)-1] != top {
			t.Errorf("%s: top %s, marks %v", longest, top, marks)
		}
	}
}

func TestPeaksAreKept(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := Time{noon, noon.Add(time.Hour)}
		var all []Sample
		for i := range rapid.IntRange(0, 2000).Draw(t, "samples") {
			all = append(all, Sample{noon.Add(time.Duration(i) * time.Hour / 2000), rapid.Float64Range(0, 1000).Draw(t, "value")})
		}
		n := rapid.IntRange(1, 50).Draw(t, "n")
		got := Peaks(all, a, n)
		if len(all) > 2*n && len(got) > 2*n {
			t.Fatalf("%d of %d are left, for %d stretches", len(got), len(all), n)
		}
		highest := func(s []Sample) (m float64) {
			for _, x := range s {
				m = math.Max(m, x.Value)
			}
			return m
		}
		if highest(got) != highest(all) {
			t.Fatal("the highest is lost")
		}
		if !slices.IsSortedFunc(got, func(x, y Sample) int { return x.At.Compare(y.At) }) {
			t.Fatal("out of order")
		}
	})
}

func TestLinesAndAreas(t *testing.T) {
	p := []Point{{0, 0}, {500, 62.5}, {1000, 100}}
	if got := Line(p); got != "M0 100L500 37.5L1000 0" {
		t.Error(got)
	}
	if got := Area(p); got != "M0 100L500 37.5L1000 0L1000 100L0 100Z" {
		t.Error(got)
	}
	if Area(nil) != "" || Line(nil) != "" {
		t.Error("a line through nothing")
	}
}

func TestStackFillsItsWidth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sizes := rapid.SliceOfN(rapid.Float64Range(0, 1e6), 0, 8).Draw(t, "sizes")
		x := 0.0
		for i, p := range Stack(sizes, 100) {
			if math.Abs(p.X-x) > 1e-6 || p.Width < 0 || sizes[i] > 1 && x < 99 && p.Width == 0 {
				t.Fatalf("%v: part %d is %+v", sizes, i, p)
			}
			x += p.Width
		}
		if x > 100+1e-6 {
			t.Fatalf("%v reach to %v", sizes, x)
		}
	})
}
