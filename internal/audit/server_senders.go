package audit

import (
	"fmt"

	"github.com/refloat-db/refloat/internal/target"
)

// serverSenders: no replication connection is left for a backup.
func serverSenders() Rule {
	return Rule{
		ID: "server-senders", Area: AreaServer, Severity: High,
		Title: "no replication connection is left",
		Why:   "neither the log can be streamed nor a base backup taken, and a standby that lost its connection cannot come back",
		Fix:   "ALTER SYSTEM SET max_wal_senders = 10; then restart the server",
		Looks: "the setting max_wal_senders and the number of replication connections; every role may see them",
		Judge: func(f Facts) Result {
			return settings(f, []string{"max_wal_senders"}, func(s target.ServerFacts) Result {
				most, x := number(s, "max_wal_senders"), ofSetting("max_wal_senders", s.Settings["max_wal_senders"])
				if most == 0 {
					return found(x)
				}
				if !s.Connections.Seen {
					return unknown(unseenPart("connections", s.Connections.Why))
				}
				used := int64(s.Connections.Value.Senders)
				x.Evidence += fmt.Sprintf("; %d in use", used)
				x.Fix = fmt.Sprintf("ALTER SYSTEM SET max_wal_senders = %d; then restart the server", max(10, used*2))
				switch {
				case used >= most:
					return found(x)
				case most < 3: // a stream, a base backup, and the backup's own log
					x.Severity = Low
					x.Why = "a stream of the log and a base backup beside it need three"
					return found(x)
				}
				return passed()
			})
		},
	}
}
