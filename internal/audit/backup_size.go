package audit

import (
	"fmt"
	"slices"
)

// backupSize: a base backup is of another size than those before.
func backupSize() Rule {
	return Rule{
		ID: "backup-size", Area: AreaBackup, Severity: High,
		Title: "the newest base backup is much smaller than those before, or nothing changed",
		Why:   "a base backup that shrinks holds less than it should, or production was emptied; one without a change is of a server that nobody uses",
		Fix:   "compare: refloat backups TARGET; then refloat drill TARGET",
		Looks: "sizes of the base backups in the catalogue",
		Judge: func(f Facts) Result {
			return onNewestBackup(f, func(c Care, b BackupFacts) Result {
				all := c.Backups.Value
				if len(all) < 4 {
					return notApplicable("there are fewer than four base backups to compare")
				}
				var sizes []int64
				for _, e := range all[max(0, len(all)-11) : len(all)-1] {
					sizes = append(sizes, e.Bytes)
				}
				slices.Sort(sizes)
				usual, before := sizes[len(sizes)/2], all[len(all)-2]
				switch {
				case b.Bytes < usual/2:
					return found(Finding{Object: b.ID, Evidence: fmt.Sprintf("base backup %s holds %d MiB; those before held %d MiB", b.ID, b.Bytes>>20, usual>>20)})
				case !b.Full && b.Stored == 0 && b.Log > before.Log+quietLog:
					return found(Finding{Object: b.ID, Severity: Medium, Evidence: fmt.Sprintf("base backup %s stored nothing, though %d MiB of log were written since %s", b.ID, (b.Log-before.Log)>>20, before.ID)})
				}
				return passed()
			})
		},
	}
}

// quietLog is the log that an idle server writes between two base backups.
const quietLog = 64 << 20
