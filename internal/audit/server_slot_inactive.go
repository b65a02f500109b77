package audit

import (
	"fmt"
	"time"

	"github.com/refloat-db/refloat/internal/target"
)

// serverSlotInactive: nobody uses a slot, and it holds log back.
func serverSlotInactive() Rule {
	const pause = 5 * time.Minute
	return Rule{
		ID: "server-slot-inactive", Area: AreaServer, Severity: High,
		Title: "nobody uses a replication slot",
		Why:   "the server keeps all log for it, until the disk is full and the server stops, or until the slot is lost",
		Fix:   "start the one who uses it; or, when nobody needs it any more: SELECT pg_drop_replication_slot('NAME');",
		Looks: "the view pg_replication_slots; every role may see it",
		Judge: func(f Facts) Result {
			return part(f, "slots", slotsOf, func(s target.ServerFacts, all []target.SlotFacts) Result {
				var out []Finding
				for _, slot := range all {
					if slot.Active || slot.Invalid != "" || slot.WALStatus == "lost" {
						continue
					}
					how := "how long is not known before version 17"
					if !slot.InactiveSince.IsZero() {
						away := since(f, s, slot.InactiveSince)
						if away < pause { // it reconnects
							continue
						}
						how = "for " + spanText(away)
					}
					x := Finding{
						Object:   slot.Name,
						Evidence: fmt.Sprintf("slot %s is not in use (%s) and holds %s of log", slot.Name, how, bytesText(slot.Retained)),
						Fix:      fmt.Sprintf("start the one who uses it; or, when nobody needs it any more: SELECT pg_drop_replication_slot('%s');", slot.Name),
					}
					if slot.XminAge > 0 {
						x.Evidence += fmt.Sprintf(", and keeps vacuum from what %d transactions left", slot.XminAge)
					}
					switch {
					case !slot.Reserves && slot.XminAge == 0:
						x.Severity, x.Why = Info, "it holds nothing back yet"
					case number(s, "max_slot_wal_keep_size") > 0:
						x.Severity = Medium
						x.Evidence += "; max_slot_wal_keep_size bounds it at " + bytesText(megabytes(s, "max_slot_wal_keep_size"))
					}
					out = append(out, x)
				}
				return found(out...)
			})
		},
	}
}
