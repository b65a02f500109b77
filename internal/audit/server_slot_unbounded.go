package audit

import (
	"fmt"
	"strings"

	"github.com/refloat-db/refloat/internal/target"
)

// serverSlotUnbounded: a slot may hold log until the disk is full.
func serverSlotUnbounded() Rule {
	return Rule{
		ID: "server-slot-unbounded", Area: AreaServer, Severity: Medium,
		Title: "replication slots may fill the disk",
		Why:   "when the one who uses a slot is away, the server keeps all log for it until the disk is full and the server stops",
		Fix:   "ALTER SYSTEM SET max_slot_wal_keep_size = '64GB'; SELECT pg_reload_conf(); with what the disk can spare",
		Looks: "the setting max_slot_wal_keep_size and the view pg_replication_slots; every role may see them",
		Judge: func(f Facts) Result {
			return settings(f, []string{"max_slot_wal_keep_size"}, func(s target.ServerFacts) Result {
				if number(s, "max_slot_wal_keep_size") >= 0 {
					return passed()
				}
				if !s.Slots.Seen {
					return unknown(unseenPart("slots", s.Slots.Why))
				}
				var names []string
				for _, slot := range s.Slots.Value {
					if !slot.Temporary {
						names = append(names, slot.Name)
					}
				}
				if len(names) == 0 {
					return passed()
				}
				x := ofSetting("max_slot_wal_keep_size", s.Settings["max_slot_wal_keep_size"])
				x.Evidence += fmt.Sprintf("; slots: %s", strings.Join(names[:min(5, len(names))], ", "))
				return found(x)
			})
		},
	}
}
