package audit

import (
	"fmt"
	"time"

	"github.com/refloat-db/refloat/internal/target"
)

// Bounds of a standby that keeps up.
const (
	standbyLagTime  = 5 * time.Minute
	standbyLagBytes = 1 << 30
)

// serverStandbyLag: a standby is behind.
func serverStandbyLag() Rule {
	return Rule{
		ID: "server-standby-lag", Area: AreaServer, Severity: Medium,
		Title: "a standby is far behind",
		Why:   "a switch to it takes long or loses what it has not got, and what is read or dumped there is old",
		Fix:   "see what slows it down: its disk, the network, a long query that holds replay (max_standby_streaming_delay)",
		Looks: "pg_stat_replication on the primary, pg_stat_wal_receiver on the standby: GRANT pg_monitor",
		Judge: func(f Facts) Result {
			return onServer(f, func(s target.ServerFacts) Result {
				if s.Server.Version == 0 {
					return unknown("nobody looked at the server")
				}
				if s.Server.InRecovery {
					return part(f, "replay", standbyOf, func(s target.ServerFacts, b target.StandbyFacts) Result {
						return found(standbyBehind(f, s, b)...)
					})
				}
				return part(f, "standbys", sendersOf, func(_ target.ServerFacts, all []target.Sender) Result {
					var out []Finding
					for _, w := range all {
						if w.State == "backup" || w.Behind <= standbyLagBytes && w.ReplayLag <= standbyLagTime {
							continue
						}
						out = append(out, Finding{
							Object:   w.Application + " " + w.Address,
							Evidence: fmt.Sprintf("%s (%s, role %s) is %s of log and %s behind", w.Application, addressText(w), w.Role, bytesText(w.Behind), spanText(w.ReplayLag)),
						})
					}
					return found(firstOfEach(out)...)
				})
			})
		},
	}
}

func standbyOf(s target.ServerFacts) target.Known[target.StandbyFacts] { return s.Standby }

// standbyBehind: time counts only while there is log to replay, since the
// primary may be idle.
func standbyBehind(f Facts, s target.ServerFacts, b target.StandbyFacts) []Finding {
	var late time.Duration
	if b.Unreplayed > 0 && !b.LastReplayed.IsZero() {
		late = since(f, s, b.LastReplayed) - b.ApplyDelay
	}
	if late <= standbyLagTime && b.Unreplayed <= standbyLagBytes {
		return nil
	}
	return []Finding{{Object: "replay", Evidence: fmt.Sprintf("%s of log is received and not replayed; the last transaction replayed is of %s UTC", bytesText(b.Unreplayed), b.LastReplayed.UTC().Format(time.DateTime))}}
}

func addressText(w target.Sender) string {
	if w.Address == "" {
		return "socket"
	}
	return w.Address
}
