package alert

import "time"

// KindExpected is the kind of the record of a sign of life from outside.
const KindExpected = "expected"

// Expected is a sign of life that somebody else gives, and that is an alert when
// it does not come.
type Expected struct {
	Name         string
	Every, Grace time.Duration
	Team         string
	Severity     Severity
}

// Heard is what is kept of it: since when it has been expected, and when it last
// came.
type Heard struct {
	Since time.Time `json:"since"`
	Last  time.Time `json:"last,omitzero"`
}

// Judge is the signal about it at now: firing when it is late.
func (x Expected) Judge(h Heard, now time.Time) Signal {
	from := h.Since
	if h.Last.After(from) {
		from = h.Last
	}
	due := from.Add(x.Every + x.Grace)
	s := Signal{Key: "heartbeat-in/" + x.Name, Code: "heartbeat-in", Source: "refloat", Firing: now.After(due), At: due, Severity: x.Severity, Team: x.Team,
		Next: "see whether what sends it still runs"}
	switch {
	case !s.Firing:
		s.At = now
	case h.Last.IsZero():
		s.Summary = x.Name + " has never given a sign of life; one is expected every " + x.Every.String()
	default:
		s.Summary = x.Name + " last gave a sign of life at " + h.Last.UTC().Format("2006-01-02 15:04:05 UTC") + "; one is expected every " + x.Every.String()
	}
	return s
}
