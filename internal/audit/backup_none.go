package audit

import "fmt"

// backupNone: there is no base backup.
func backupNone() Rule {
	return Rule{
		ID: "backup-none", Area: AreaBackup, Severity: Critical,
		Title: "there is no base backup",
		Why:   "nothing can be restored: without a base backup the log is of no use",
		Fix:   "refloat backup TARGET",
		Looks: "the catalogue in the repository",
		Judge: func(f Facts) Result {
			return onBackups(f, func(_ Care, all []BackupFacts) Result {
				for _, b := range all {
					if b.Readable {
						return passed()
					}
				}
				if len(all) > 0 {
					return found(Finding{Evidence: fmt.Sprintf("the repository has %d base backups, none of which can be read", len(all)), Fix: "refloat backup " + f.Target})
				}
				return found(Finding{Evidence: "the repository has no base backup of " + f.Target, Fix: "refloat backup " + f.Target})
			})
		},
	}
}
