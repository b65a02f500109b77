package audit

import (
	"fmt"
	"regexp"
	"strconv"

	"github.com/refloat-db/refloat/internal/target"
)

// serverSynchronousStandby: commits wait for a standby that is not there.
func serverSynchronousStandby() Rule {
	return Rule{
		ID: "server-synchronous-standby", Area: AreaServer, Severity: High,
		Title: "synchronous_standby_names names nobody who is connected",
		Why:   "every commit waits for a standby that is not there, so that the database stands still",
		Fix:   "bring the standby back; or, to serve without it: ALTER SYSTEM SET synchronous_standby_names = ''; SELECT pg_reload_conf();",
		Looks: "the settings synchronous_standby_names and synchronous_commit, which every role may see, and who receives the log: GRANT pg_monitor",
		Judge: func(f Facts) Result {
			return settings(f, []string{"synchronous_standby_names", "synchronous_commit"}, func(s target.ServerFacts) Result {
				names := value(s, "synchronous_standby_names")
				switch {
				case s.Server.InRecovery:
					return notApplicable("a standby takes no commits")
				case names == "":
					return passed()
				case !s.Senders.Seen:
					return unknown(unseenPart("connected receivers of the log", s.Senders.Why))
				}
				able := 0
				for _, w := range s.Senders.Value {
					if w.State == "streaming" && w.Sync != "async" {
						able++
					}
				}
				if able >= neededStandbys(names) {
					return passed()
				}
				x := ofSetting("synchronous_standby_names", s.Settings["synchronous_standby_names"])
				x.Evidence += fmt.Sprintf("; %d of %d are connected", able, neededStandbys(names))
				if c := value(s, "synchronous_commit"); c == "off" || c == "local" {
					x.Severity = Medium
					x.Evidence += "; synchronous_commit = " + c
					x.Why = "nobody waits for a standby, although someone believes so"
				}
				return found(x)
			})
		},
	}
}

var standbyNumber = regexp.MustCompile(`(?i)^\s*(?:(?:first|any)\s+)?(\d+)\s*\(`)

// neededStandbys is how many of the named a commit waits for (PostgreSQL docs,
// synchronous_standby_names).
func neededStandbys(names string) int {
	if m := standbyNumber.FindStringSubmatch(names); m != nil {
		if n, err := strconv.Atoi(m[1]); err == nil {
			return n
		}
	}
	return 1
}
