package audit

import (
	"fmt"

	"github.com/refloat-db/refloat/internal/foreign"
)

// foreignBackupError: the newest backup ended with an error.
func foreignBackupError() Rule {
	return Rule{
		ID: "foreign-backup-error", Area: AreaForeign, Severity: High,
		Title: "the newest backup of another tool has an error",
		Why:   "it is damaged or not whole, and the next restore would begin with it",
		Fix:   "see what is wrong with the pages or files that it names, mend them, and take a new full backup",
		Looks: "what the tool notes of its newest backup",
		Judge: func(f Facts) Result {
			return atPlaces(f, backupsOf, func(x foreign.Facts, all []foreign.Backup) []Finding {
				if len(all) == 0 || all[len(all)-1].Error == "" {
					return nil
				}
				b := all[len(all)-1]
				return []Finding{{Evidence: fmt.Sprintf("%s: backup %s: %s", x.Source(), b.Label, b.Error)}}
			})
		},
	}
}
