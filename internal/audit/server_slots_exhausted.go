package audit

import (
	"fmt"

	"github.com/refloat-db/refloat/internal/target"
)

// serverSlotsExhausted: no replication slot is left.
func serverSlotsExhausted() Rule {
	return Rule{
		ID: "server-slots-exhausted", Area: AreaServer, Severity: Medium,
		Title: "no replication slot is left",
		Why:   "without a slot the server removes log that a receiver has not got yet, and the log gets a gap",
		Fix:   "ALTER SYSTEM SET max_replication_slots = 10; then restart the server; or drop slots that nobody uses",
		Looks: "the setting max_replication_slots and the view pg_replication_slots; every role may see them",
		Judge: func(f Facts) Result {
			return settings(f, []string{"max_replication_slots"}, func(s target.ServerFacts) Result {
				most, x := number(s, "max_replication_slots"), ofSetting("max_replication_slots", s.Settings["max_replication_slots"])
				if most == 0 {
					return found(x)
				}
				if !s.Slots.Seen {
					return unknown(unseenPart("slots", s.Slots.Why))
				}
				used := int64(len(s.Slots.Value))
				if used < most {
					return passed()
				}
				x.Evidence += fmt.Sprintf("; %d in use", used)
				return found(x)
			})
		},
	}
}
