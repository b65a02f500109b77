package audit

import (
	"fmt"

	"github.com/refloat-db/refloat/internal/target"
)

// serverSlotLost: the server removed log that a slot needs, or is about to.
func serverSlotLost() Rule {
	return Rule{
		ID: "server-slot-lost", Area: AreaServer, Severity: High,
		Title: "a replication slot has lost its log",
		Why:   "the one who uses it has a gap: a standby must be made anew, a log needs a new base backup",
		Fix:   "SELECT pg_drop_replication_slot('NAME'); then make the standby anew, or take a base backup; Refloat makes its own slot and base backup anew by itself",
		Looks: "the view pg_replication_slots; every role may see it",
		Judge: func(f Facts) Result {
			return part(f, "slots", slotsOf, func(_ target.ServerFacts, all []target.SlotFacts) Result {
				var out []Finding
				for _, slot := range all {
					x := Finding{Object: slot.Name, Evidence: fmt.Sprintf("slot %s: wal_status %s", slot.Name, slot.WALStatus)}
					switch {
					case slot.Invalid != "":
						x.Evidence += ", invalid: " + slot.Invalid
					case slot.WALStatus == "lost":
					case slot.WALStatus == "unreserved":
						x.Why = "the next checkpoint removes log that it needs, and the one who uses it gets a gap"
						x.Fix = "let the one who uses it catch up now, and raise max_slot_wal_keep_size"
					default:
						continue
					}
					out = append(out, x)
				}
				return found(out...)
			})
		},
	}
}
