package audit

import (
	"time"

	"github.com/refloat-db/refloat/internal/target"
)

// serverStandbyDisconnected: a standby gets no log.
func serverStandbyDisconnected() Rule {
	return Rule{
		ID: "server-standby-disconnected", Area: AreaServer, Severity: High,
		Title: "the standby receives no log",
		Why:   "what was committed since is on the primary only, and a switch to this standby loses it",
		Fix:   "look for the reason in the standby's log: the primary is away, refuses the role, or has removed the log that is needed (then make the standby anew)",
		Looks: "pg_stat_wal_receiver and the settings primary_conninfo and restore_command of a standby: GRANT pg_monitor",
		Judge: func(f Facts) Result {
			return onStandby(f, func(_ target.ServerFacts, b target.StandbyFacts) Result {
				if b.Receiving || b.RestoresLog {
					return passed()
				}
				x := Finding{Object: "receiver", Evidence: "primary_conninfo is set, and no receiver is connected"}
				if !b.Conninfo {
					x.Evidence = "neither primary_conninfo nor restore_command is set"
					x.Fix = "ALTER SYSTEM SET primary_conninfo = 'host=… user=…'; SELECT pg_reload_conf();"
				}
				if !b.LastReplayed.IsZero() {
					x.Evidence += "; the last transaction replayed is of " + b.LastReplayed.UTC().Format(time.DateTime) + " UTC"
				}
				return found(x)
			})
		},
	}
}
