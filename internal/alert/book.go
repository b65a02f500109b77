package alert

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// Silence keeps alerts from paging for a while: an owner's decision, or a
// maintenance window. It hides nothing, and ends by itself.
type Silence struct {
	ID     string    `json:"id"`
	Target string    `json:"target,omitempty"` // empty for every target
	Code   string    `json:"code,omitempty"`   // empty for every code
	Key    string    `json:"key,omitempty"`    // empty for every key
	Owner  string    `json:"owner"`
	Reason string    `json:"reason"`
	From   time.Time `json:"from"`
	Until  time.Time `json:"until"`
	// Planned marks a maintenance window: work that was announced.
	Planned bool `json:"planned,omitempty"`
}

// Covers reports whether the silence holds for a signal now.
func (s Silence) Covers(sig Signal, now time.Time) bool {
	return !now.Before(s.From) && now.Before(s.Until) &&
		(s.Target == "" || s.Target == sig.Target) && (s.Code == "" || s.Code == sig.Code) && (s.Key == "" || s.Key == sig.Key)
}

// aftermath is for how long what an ended cause explains is still held back: it
// mostly ends by itself.
const aftermath = 2 * time.Minute

// consequences are the codes of a target that an outage of the same target
// explains.
var consequences = []string{
	"heartbeat", "log-stopped", "log-trouble", "log-lag", "replication-lag", "standby-missing", "backup-failed", "schedule-missed", "audit-unknown", "connections", "headroom-unknown",
}

// explains reports whether cause accounts for sig.
func explains(cause, sig Signal) bool {
	switch cause.Code {
	case "outage":
		return cause.Target != "" && cause.Target == sig.Target && slices.Contains(consequences, sig.Code)
	case "repository":
		return sig.Code == "backup-failed" || sig.Code == "log-trouble" || sig.Code == "care-failed"
	}
	return false
}

// Held says what keeps a firing alert from paging now: "" when nothing does.
// alerts are the open ones and those that ended within the last minutes.
func Held(a Alert, alerts []Alert, silences []Silence, now time.Time) string {
	for _, s := range silences {
		if s.Covers(a.Signal, now) {
			what := "silence "
			if s.Planned {
				what = "maintenance "
			}
			return what + s.ID + " of " + s.Owner + ", until " + s.Until.UTC().Format("2006-01-02 15:04 UTC")
		}
	}
	for _, c := range alerts {
		if c.ID == a.ID || !explains(c.Signal, a.Signal) {
			continue
		}
		if c.State == Firing || now.Sub(c.ResolvedAt) < aftermath {
			return "explained by " + c.Signal.Key
		}
	}
	return ""
}

// Change says what a signal did to an alert.
type Change string

// The changes.
const (
	Opened   Change = "opened"
	Repeated Change = "repeated" // told again
	Worsened Change = "worsened" // told again, graver than before: it pages again
	Ended    Change = "ended"
	Nothing  Change = "nothing" // an end of what was not open
)

// Take takes a signal into account. open is the open alert with its key, nil
// when there is none. The returned alert is to be stored unless nothing changed.
// next makes the ID of a new one.
func Take(open *Alert, s Signal, next func() string) (Alert, Change) {
	switch {
	case open == nil && !s.Firing:
		return Alert{}, Nothing
	case open == nil:
		return Alert{ID: next(), Signal: s, State: Firing, Count: 1, StartedAt: s.At}, Opened
	case !s.Firing:
		a := *open
		a.State, a.ResolvedAt, a.HeldBy = Resolved, s.At, ""
		return a, Ended
	}
	a := *open
	a.Count++
	worse := s.Severity.Rank() > a.Signal.Severity.Rank()
	a.Signal = s
	if !worse {
		return a, Repeated
	}
	a.AcknowledgedAt, a.AcknowledgedBy = time.Time{}, ""
	return a, Worsened
}

// Release decides whether an open alert pages now: PagedFrom is set once nothing
// holds it, and HeldBy says what does. Once paging has begun, a later silence
// stops it again, an explanation does not: a person has been told already. It
// reports whether anything changed.
func Release(a *Alert, alerts []Alert, silences []Silence, now time.Time) bool {
	if a.State != Firing {
		return false
	}
	held := Held(*a, alerts, silences, now)
	if !a.PagedFrom.IsZero() && strings.HasPrefix(held, "explained by ") {
		held = ""
	}
	before := *a
	a.HeldBy = held
	if held == "" && a.PagedFrom.IsZero() {
		a.PagedFrom = now
	}
	return a.HeldBy != before.HeldBy || !a.PagedFrom.Equal(before.PagedFrom)
}

// SeverityFor is how grave trouble of a target is, from its tier and from the
// severity that the trouble has by itself: an outage of a target of low tier
// wakes nobody.
func SeverityFor(tier, own Severity) Severity {
	if tier.Rank() == 0 {
		tier = High
	}
	if own.Rank() > tier.Rank() {
		return tier
	}
	if own == High && tier == Critical {
		return Critical
	}
	return own
}

// Text is what a person is sent about an alert: a subject of one line, and a
// body in plain words, with times in zone.
func Text(a Alert, kind MessageKind, zone *time.Location) (subject, body string) {
	s := a.Signal
	mark := strings.ToUpper(string(s.Severity))
	switch {
	case kind == TestPage:
		mark = "TEST"
	case a.State == Resolved:
		mark = "RESOLVED"
	case !a.AcknowledgedAt.IsZero():
		mark = "ACKNOWLEDGED"
	}
	subject = "[" + mark + "] " + oneLine(s.Summary)
	var b strings.Builder
	line := func(parts ...string) { b.WriteString(strings.Join(parts, "") + "\n") }
	line(s.Summary)
	if s.Detail != "" {
		line()
		line(s.Detail)
	}
	if s.Next != "" {
		line()
		line("Next: ", s.Next)
	}
	line()
	line("Alert:    ", a.ID)
	if s.Target != "" {
		line("Target:   ", s.Target)
	}
	line("Severity: ", string(s.Severity))
	line("Since:    ", stamp(a.StartedAt, zone))
	if a.Count > 1 {
		line("Told:     ", strconv.Itoa(a.Count), " times")
	}
	if !a.AcknowledgedAt.IsZero() {
		line("Acknowledged by ", a.AcknowledgedBy, " at ", stamp(a.AcknowledgedAt, zone))
	}
	if a.State == Resolved {
		line("Resolved: ", stamp(a.ResolvedAt, zone), " after ", a.ResolvedAt.Sub(a.StartedAt).Round(time.Second).String())
	}
	return subject, b.String()
}

func stamp(t time.Time, zone *time.Location) string {
	if zone == nil {
		zone = time.UTC
	}
	local := t.In(zone).Format("2006-01-02 15:04:05 MST")
	if zone == time.UTC {
		return local
	}
	return local + " (" + t.UTC().Format("15:04:05 UTC") + ")"
}

// oneLine keeps outside text from breaking a subject or header.
func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > 150 {
		s = string(r[:149]) + "…"
	}
	return s
}
