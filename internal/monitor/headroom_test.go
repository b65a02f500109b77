package monitor

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/refloat-db/refloat/internal/target"
)

// line is a series that grows by perHour from first, with noise, one sample each
// minute.
func line(minutes int, first, perHour, noise float64, rng *rand.Rand) []Sample {
	var out []Sample
	for i := range minutes {
		v := first + perHour*float64(i)/60
		if noise > 0 {
			v += noise * (rng.Float64() - 0.5)
		}
		out = Keep(out, Sample{At: start.Add(time.Duration(i) * time.Minute), Used: v})
	}
	return out
}

func TestForecastFindsTheDate(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		perHour := rapid.Float64Range(1, 1e6).Draw(rt, "per hour")
		hours := rapid.IntRange(2, 40).Draw(rt, "hours")
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 0))
		series := line(hours*60, 1000, perHour, perHour/10, rng)
		last := series[len(series)-1]
		limit := last.Used + perHour*100
		got, ok := Forecast(series, limit)
		want := last.At.Add(100 * time.Hour)
		if off := got.Sub(want).Abs(); !ok || off > 5*time.Hour {
			rt.Fatalf("%v %s, want %s", ok, got, want)
		}
		if len(series) > mostSamples {
			rt.Fatalf("%d samples", len(series))
		}
	})
}

func TestForecastSaysNothingWithoutGrowth(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	saw := line(240, 0, 0, 0, nil)
	for i := range saw {
		saw[i].Used = float64(1000 - i%60) // shrinks, and is put back
	}
	jump := line(240, 100, 0, 0, nil)
	jump[len(jump)/2].Used = 1e9
	for name, s := range map[string][]Sample{
		"none": nil, "flat": line(240, 100, 0, 0, nil), "noise": line(240, 100, -0.001, 5, rng), "falling": line(240, 1e6, -100, 0, nil),
		"too short": line(20, 0, 100, 0, nil), "a jump and back": jump,
	} {
		if at, ok := Forecast(s, 2e9); ok {
			t.Errorf("%s: %s", name, at)
		}
	}
}

func TestShortagesAreJudged(t *testing.T) {
	for name, c := range map[string]struct {
		g     target.Gauge
		grow  float64 // per hour
		found bool
		grave bool
	}{
		"plenty":                   {target.Gauge{Code: "disk", Used: 50, Limit: 100}, 0, false, false},
		"80 %":                     {target.Gauge{Code: "sequence", Used: 81, Limit: 100}, 0, true, false},
		"96 %":                     {target.Gauge{Code: "transaction-ids", Used: 96, Limit: 100}, 0, true, true},
		"gone in two days":         {target.Gauge{Code: "disk", Used: 62, Limit: 100}, 1, true, true},
		"gone in twenty days":      {target.Gauge{Code: "disk", Used: 52, Limit: 100}, 0.1, true, false},
		"a young database":         {target.Gauge{Code: "transaction-ids", Used: 5, Limit: 100}, 3, false, false},
		"a busy morning":           {target.Gauge{Code: "connections", Used: 60, Limit: 100}, 20, false, false},
		"nearly all connections":   {target.Gauge{Code: "connections", Used: 97, Limit: 97}, 0, true, true},
		"a limit that is not read": {target.Gauge{Code: "disk", Used: 10}, 0, false, false},
	} {
		var s []Sample
		for i := range 120 {
			s = Keep(s, Sample{At: start.Add(time.Duration(i-119) * time.Minute), Used: c.g.Used + c.grow*float64(i-119)/60})
		}
		got, found := Judge(c.g, s, start)
		if found != c.found || found && got.Grave != c.grave {
			t.Errorf("%s: %v %+v", name, found, got)
		}
		if found && (got.Detail == "" || got.Next == "" || c.grow > 0 && !strings.Contains(got.Detail, "gone by 2026-03")) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestCertificates(t *testing.T) {
	for left, want := range map[time.Duration]string{-time.Hour: "grave", 6 * 24 * time.Hour: "grave", 20 * 24 * time.Hour: "soon", 40 * 24 * time.Hour: ""} {
		s, found := Certificate(start.Add(left), start)
		got := ""
		if found {
			got = map[bool]string{true: "grave", false: "soon"}[s.Grave]
		}
		if got != want {
			t.Errorf("%s left: %q, want %q", left, got, want)
		}
	}
	if _, found := Certificate(time.Time{}, start); found {
		t.Error("a certificate that is not there")
	}
}

func TestTwoPrimariesOfOneCluster(t *testing.T) {
	got := TwoPrimaries(map[target.ID]target.Headroom{
		"b": {SystemID: "1", Started: start}, "a": {SystemID: "1", Started: start.Add(time.Hour)}, "c": {SystemID: "1", Recovering: true}, "d": {SystemID: "2"}, "e": {}, "f": {},
		"one": {SystemID: "3", Started: start}, "same": {SystemID: "3", Started: start.In(time.FixedZone("CET", 3600))}, // two names of one server
	})
	if len(got) != 1 || len(got[0]) != 2 || got[0][0] != "a" || got[0][1] != "b" {
		t.Errorf("%v", got)
	}
}
