package monitor

import (
	"fmt"
	"time"

	"github.com/refloat-db/refloat/internal/target"
)

// Replication is what is promised of a target's standbys, or of a target that is
// one.
type Replication struct {
	Lag      time.Duration // at most so far behind; 0 for no promise
	Standbys int           // at least so many stream from it; 0 for no promise
}

// Kinds of trouble with replication.
const (
	Lags      = "replication-lag" // a standby is too far behind
	Missing   = "standby-missing" // fewer standbys stream than were promised
	streaming = "streaming"
)

// Lagging is what is wrong with a target's replication; false when it could not be
// looked at, so that nothing is known. Standby names may repeat: the worst counts.
func Lagging(h target.Headroom, r Replication) ([]Shortage, bool) {
	if h.Recovering {
		if _, unknown := h.Unknown["role"]; unknown {
			return nil, false
		}
		if r.Lag <= 0 || h.Behind <= r.Lag {
			return nil, true
		}
		detail := fmt.Sprintf("what it replayed last is %s old, %s is allowed", h.Behind.Round(time.Second), r.Lag)
		next := "see what holds its replay back: a long query on it, slow disks, or log that does not arrive"
		if h.Paused {
			detail, next = detail+"; its replay is paused", "SELECT pg_wal_replay_resume(); unless it is paused on purpose"
		}
		return []Shortage{{Code: Lags, Detail: detail, Next: next}}, true
	}
	for _, question := range []string{"role", "standbys"} {
		if _, unknown := h.Unknown[question]; unknown {
			return nil, false
		}
	}
	var out []Shortage
	stream, worst := 0, map[string]target.Standby{}
	for _, s := range h.Standbys {
		if s.State == streaming {
			stream++
		}
		if w, seen := worst[s.Name]; !seen || s.Lag > w.Lag {
			worst[s.Name] = s
		}
	}
	for name, s := range worst {
		if r.Lag > 0 && s.Lag > r.Lag {
			out = append(out, Shortage{Code: Lags, Object: name, Detail: fmt.Sprintf("standby %s is %s behind (%s of log), %s is allowed", name, s.Lag.Round(time.Second), amount(float64(s.Bytes), "B"), r.Lag),
				Next: "see what holds its replay back: a long query on it, slow disks, or the network between them"})
		}
	}
	if stream < r.Standbys {
		out = append(out, Shortage{Code: Missing, Grave: true, Detail: fmt.Sprintf("%d of %d standbys stream from it", stream, r.Standbys),
			Next: "see whether the standby is up and reaches the primary; until then there is less to fail over to"})
	}
	return out, true
}
