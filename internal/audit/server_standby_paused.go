package audit

import (
	"time"

	"github.com/refloat-db/refloat/internal/target"
)

// serverStandbyPaused: a standby does not replay.
func serverStandbyPaused() Rule {
	return Rule{
		ID: "server-standby-paused", Area: AreaServer, Severity: Medium,
		Title: "replay is paused on the standby",
		Why:   "it falls behind with every commit, and a switch to it has to replay all of that first",
		Fix:   "SELECT pg_wal_replay_resume();",
		Looks: "pg_is_wal_replay_paused() on a standby: GRANT pg_monitor",
		Judge: func(f Facts) Result {
			return onStandby(f, func(_ target.ServerFacts, b target.StandbyFacts) Result {
				if !b.Paused {
					return passed()
				}
				x := Finding{Object: "replay", Evidence: "replay is paused; " + bytesText(b.Unreplayed) + " of log waits"}
				if !b.LastReplayed.IsZero() {
					x.Evidence += "; the last transaction replayed is of " + b.LastReplayed.UTC().Format(time.DateTime) + " UTC"
				}
				return found(x)
			})
		},
	}
}

// onStandby judges what only a standby has.
func onStandby(f Facts, judge func(target.ServerFacts, target.StandbyFacts) Result) Result {
	return onServer(f, func(s target.ServerFacts) Result {
		switch {
		case s.Server.Version == 0:
			return unknown("nobody looked at the server")
		case !s.Server.InRecovery:
			return notApplicable("the server is not a standby")
		}
		return part(f, "replay", standbyOf, judge)
	})
}
