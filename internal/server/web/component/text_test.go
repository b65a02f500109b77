package component

import (
	"context"
	"testing"
	"time"
)

func TestWordsOfFigures(t *testing.T) {
	plain := func(s string) string {
		var out []rune
		for _, r := range s {
			if r == '\u00a0' || r == '\u202f' {
				r = ' '
			}
			out = append(out, r)
		}
		return string(out)
	}
	for got, want := range map[string]string{
		Span(900 * time.Millisecond): "900 ms", Span(0): "0 s", Span(time.Minute): "1 min", Span(4 * time.Hour): "4 h", Span(7 * 24 * time.Hour): "7 d", Span(10 * time.Second): "10 s",
		Span(6*time.Minute + 12*time.Second): "6 min 12 s", Span(-time.Minute): "-1 min", Bytes(0): "0 B", Bytes(1536): "1.5 KiB", Bytes(412 << 30): "412 GiB", Bytes(1023): "1023 B",
		Count(1234567): "1 234 567", Count(-12345): "-12 345", Count(7): "7", Plural(1, "drill", "drills"): "1 drill", Plural(2000, "drill", "drills"): "2 000 drills", SpanOr(nil, "no"): "no",
	} {
		if plain(got) != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
}

func TestMomentsAreWhereTheViewerIs(t *testing.T) {
	now := time.Date(2026, 7, 24, 22, 47, 12, 0, time.UTC)
	at := func(zone string) context.Context {
		l, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		return WithViewer(context.Background(), Viewer{Now: now, Zone: l})
	}
	for _, c := range []struct{ zone, there string }{
		{"UTC", ""}, {"Europe/Berlin", "00:40:00\u00a0CEST"}, {"Asia/Kathmandu", "04:25:00\u00a0UTC+5:45"}, {"America/New_York", "18:40:00\u00a0EDT"}, {"America/Sao_Paulo", "19:40:00\u00a0UTC-3"},
	} {
		got := there(at(c.zone), time.Date(2026, 7, 24, 22, 40, 0, 0, time.UTC))
		if got != c.there {
			t.Errorf("%s: %q, not %q", c.zone, got, c.there)
		}
	}
	for d, want := range map[time.Duration]string{0: "0\u00a0s\u00a0ago", -41 * time.Minute: "41\u00a0min\u00a0ago", -100 * time.Hour: "4\u00a0d\u00a0ago", 2 * time.Hour: "in\u00a02\u00a0h"} {
		if got := ago(at("UTC"), now.Add(d)); got != want {
			t.Errorf("%s: %q, not %q", d, got, want)
		}
	}
}
