package audit

import (
	"fmt"

	"github.com/refloat-db/refloat/internal/target"
)

// serverSlotBehind: the one who uses a slot does not keep up.
func serverSlotBehind() Rule {
	return Rule{
		ID: "server-slot-behind", Area: AreaServer, Severity: Medium,
		Title: "a replication slot is far behind",
		Why:   "what it holds is not yet anywhere else, and at the bound the server removes it",
		Fix:   "see what slows the receiver down: its disk, its upload, the network",
		Looks: "the view pg_replication_slots and the settings max_slot_wal_keep_size and max_wal_size; every role may see them",
		Judge: func(f Facts) Result {
			return part(f, "slots", slotsOf, func(s target.ServerFacts, all []target.SlotFacts) Result {
				most := max(4<<30, 4*megabytes(s, "max_wal_size"))
				if bound := megabytes(s, "max_slot_wal_keep_size"); bound > 0 {
					most = bound / 2
				}
				var out []Finding
				for _, slot := range all {
					if slot.Active && slot.Retained > most {
						out = append(out, Finding{Object: slot.Name, Evidence: fmt.Sprintf("slot %s is in use and holds %s of log; more than %s is far behind", slot.Name, bytesText(slot.Retained), bytesText(most))})
					}
				}
				return found(out...)
			})
		},
	}
}
