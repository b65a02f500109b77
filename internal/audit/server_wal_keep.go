package audit

import (
	"fmt"

	"github.com/refloat-db/refloat/internal/target"
)

// serverWALKeep: the server keeps no log for a receiver without a slot, or all
// that the disk holds.
func serverWALKeep() Rule {
	const endless = 1 << 40
	return Rule{
		ID: "server-wal-keep", Area: AreaServer, Severity: Medium,
		Title: "wal_keep_size is nothing where it is needed, or has no bound",
		Why:   "a receiver without a slot that loses its connection for a moment can find its log removed, and has to be made anew",
		Fix:   "give the receiver a slot; or ALTER SYSTEM SET wal_keep_size = '1GB'; SELECT pg_reload_conf();",
		Looks: "the setting wal_keep_size, which every role may see, and who receives the log: GRANT pg_monitor",
		Judge: func(f Facts) Result {
			return settings(f, []string{"wal_keep_size", "archive_mode"}, func(s target.ServerFacts) Result {
				x := ofSetting("wal_keep_size", s.Settings["wal_keep_size"])
				if megabytes(s, "wal_keep_size") >= endless {
					x.Why = "the server keeps log until the disk is full, and then stops"
					return found(x)
				}
				if megabytes(s, "wal_keep_size") > 0 || archives(s) { // a standby may ask the archive
					return passed()
				}
				if !s.Senders.Seen {
					return unknown(unseenPart("connected receivers of the log", s.Senders.Why))
				}
				var out []Finding
				for _, w := range s.Senders.Value {
					if w.Slot != "" || w.State == "backup" || w.State == "startup" {
						continue
					}
					y := x
					y.Severity, y.Object = Low, "wal_keep_size for "+w.Application
					y.Evidence += fmt.Sprintf("; %s (%s) receives the log without a slot", w.Application, w.Role)
					out = append(out, y)
				}
				return found(firstOfEach(out)...)
			})
		},
	}
}
