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
				case !b.Full && b.Stored < nextToNothing && b.Log > before.Log+muchLog:
					return found(Finding{Object: b.ID, Severity: Medium, Evidence: fmt.Sprintf("base backup %s stored %d KiB, though %d MiB of log were written since %s", b.ID, b.Stored>>10, (b.Log-before.Log)>>20, before.ID)})
				}
				return passed()
			})
		},
	}
}

// A gigabyte of log, and next to no page that changed: that is another server's
// data directory, or one that is not the data at all.
const (
	muchLog       = 1 << 30
	nextToNothing = 64 << 10
)
