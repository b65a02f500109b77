package alert

import (
	"strings"
	"testing"
	"time"
)

var night = time.Date(2026, 3, 1, 2, 0, 0, 0, time.UTC)

func outage() Signal {
	return Signal{Key: "outage/shop", Code: "outage", Target: "shop", At: night, Firing: true, Severity: Critical, Summary: "shop refuses connections"}
}

func ids() func() string {
	n := 0
	return func() string { n++; return "a" + string(rune('0'+n)) }
}

func TestRepeatsJoinAndWhatComesBackIsNew(t *testing.T) {
	next := ids()
	a, c := Take(nil, outage(), next)
	if c != Opened || a.ID != "a1" || a.Count != 1 {
		t.Fatal(a, c)
	}
	again := outage()
	again.Summary = "shop does not answer"
	a, c = Take(&a, again, next)
	if c != Repeated || a.ID != "a1" || a.Count != 2 || a.Signal.Summary != again.Summary || !a.StartedAt.Equal(night) {
		t.Fatal(a, c)
	}
	end := outage()
	end.Firing, end.At = false, night.Add(time.Minute)
	ended, c := Take(&a, end, next)
	if c != Ended || ended.State != Resolved || !ended.ResolvedAt.Equal(end.At) {
		t.Fatal(ended, c)
	}
	if b, c := Take(nil, outage(), next); c != Opened || b.ID != "a2" {
		t.Fatal(b, c)
	}
	if _, c := Take(nil, end, next); c != Nothing {
		t.Fatal(c)
	}
}

func TestWhatGetsWorsePagesAgain(t *testing.T) {
	s := outage()
	s.Severity = Medium
	a, _ := Take(nil, s, ids())
	a.AcknowledgedAt, a.AcknowledgedBy = night, "ada"
	a, c := Take(&a, outage(), nil)
	if c != Worsened || a.Settled() {
		t.Fatal(a, c)
	}
}

func TestAnOutageExplainsItsConsequences(t *testing.T) {
	next := ids()
	cause, _ := Take(nil, outage(), next)
	lag, _ := Take(nil, Signal{Key: "log-stopped/shop", Code: "log-stopped", Target: "shop", At: night, Firing: true, Severity: High}, next)
	other, _ := Take(nil, Signal{Key: "log-stopped/other", Code: "log-stopped", Target: "other", At: night, Firing: true, Severity: High}, next)
	proof, _ := Take(nil, Signal{Key: "proof-stale/shop", Code: "proof-stale", Target: "shop", At: night, Firing: true, Severity: High}, next)
	all := []Alert{cause, lag, other, proof}
	for _, a := range all {
		held := Held(a, all, nil, night)
		if (held != "") != (a.ID == lag.ID) {
			t.Errorf("%s: held by %q", a.Signal.Key, held)
		}
	}
	// It is held for a while after the cause has ended, then it pages.
	cause.State, cause.ResolvedAt = Resolved, night.Add(time.Minute)
	all[0] = cause
	if !Release(&lag, all, nil, night.Add(2*time.Minute)) || lag.HeldBy == "" || !lag.PagedFrom.IsZero() {
		t.Fatal(lag)
	}
	if !Release(&lag, all, nil, night.Add(4*time.Minute)) || lag.HeldBy != "" || !lag.PagedFrom.Equal(night.Add(4*time.Minute)) {
		t.Fatal(lag)
	}
}

func TestASilenceHasItsBounds(t *testing.T) {
	a, _ := Take(nil, outage(), ids())
	s := Silence{ID: "s1", Target: "shop", Owner: "ada", Reason: "moving it", From: night, Until: night.Add(time.Hour), Planned: true}
	for at, want := range map[time.Duration]bool{-time.Second: false, 0: true, time.Hour - 1: true, time.Hour: false} {
		if got := Held(a, nil, []Silence{s}, night.Add(at)) != ""; got != want {
			t.Errorf("%s: held %v", at, got)
		}
	}
	for _, miss := range []Silence{{Target: "other"}, {Target: "shop", Code: "proof-stale"}, {Key: "outage/other"}} {
		miss.From, miss.Until = s.From, s.Until
		if Held(a, nil, []Silence{miss}, night) != "" {
			t.Errorf("%+v covers", miss)
		}
	}
	if !Release(&a, nil, []Silence{s}, night) || a.HeldBy == "" {
		t.Fatal(a)
	}
	if !Release(&a, nil, []Silence{s}, s.Until) || a.HeldBy != "" || !a.PagedFrom.Equal(s.Until) {
		t.Fatal(a) // what is still wrong when the silence ends pages then
	}
}

func TestSeverityFollowsTheTier(t *testing.T) {
	for _, c := range []struct{ tier, own, want Severity }{
		{Critical, Critical, Critical}, {Critical, High, Critical}, {Critical, Low, Low},
		{High, Critical, High}, {"", Critical, High}, {Low, Critical, Low}, {Medium, Low, Low},
	} {
		if got := SeverityFor(c.tier, c.own); got != c.want {
			t.Errorf("tier %s, own %s: %s, want %s", c.tier, c.own, got, c.want)
		}
	}
}

func TestTextTellsWhatMatters(t *testing.T) {
	s := outage()
	s.Summary, s.Detail, s.Next = "shop refuses\r\nBcc: x@example.org", "nobody listens there", "see the server's log"
	a, _ := Take(nil, s, ids())
	subject, body := Text(a, Page, time.FixedZone("CET", 3600))
	if strings.ContainsAny(subject, "\r\n") || !strings.HasPrefix(subject, "[CRITICAL] shop refuses") {
		t.Errorf("subject %q", subject)
	}
	for _, want := range []string{"nobody listens", "Next: see the server's log", "Alert:    a1", "2026-03-01 03:00:00 CET (02:00:00 UTC)"} {
		if !strings.Contains(body, want) {
			t.Errorf("body lacks %q:\n%s", want, body)
		}
	}
}
