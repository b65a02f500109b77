package audit

import (
	"fmt"
	"slices"
	"time"
)

// backupRetention: retention leaves fewer than two base backups.
func backupRetention() Rule {
	return Rule{
		ID: "backup-retention", Area: AreaBackup, Severity: High,
		Title: "retention leaves fewer than two base backups that can be restored",
		Why:   "when the only one turns out to be damaged there is no other",
		Fix:   "keep more: retention.days, weekly and monthly in refloat.yaml; then refloat backup TARGET",
		Looks: "what refloat retention would keep, and which of those can be read",
		Judge: func(f Facts) Result {
			return onBackups(f, func(c Care, all []BackupFacts) Result {
				if !c.Kept.Seen {
					return unknown("what retention would keep: " + c.Kept.Why)
				}
				readable, before := 0, 0
				for _, b := range all {
					if b.Readable {
						before++
					}
					if b.Readable && slices.Contains(c.Kept.Value, b.ID) {
						readable++
					}
				}
				switch {
				case readable >= 2:
					return passed()
				case before >= 2:
					return found(Finding{Evidence: fmt.Sprintf("of %d base backups that can be restored, retention would leave %d", before, readable)})
				case len(all) == 0:
					return notApplicable("there is no base backup")
				case f.At.Sub(all[0].EndedAt) < 2*max(c.Configured.BackupEvery, 24*time.Hour):
					return notApplicable("the second base backup is still to come")
				}
				return found(Finding{Severity: Medium, Evidence: fmt.Sprintf("of %d base backups %d can be restored", len(all), before), Fix: "refloat backup " + f.Target})
			})
		},
	}
}
