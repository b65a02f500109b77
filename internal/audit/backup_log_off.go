package audit

import "fmt"

// backupLogOff: no log is kept.
func backupLogOff() Rule {
	return Rule{
		ID: "backup-log-off", Area: AreaBackup, Severity: High,
		Title: "no log is kept",
		Why:   "only the ends of base backups can be restored; all work since the last one is lost",
		Fix:   "set log.enabled: true in refloat.yaml, and run refloat server",
		Looks: "log.enabled and the objectives in refloat.yaml",
		Judge: func(f Facts) Result {
			return inCare(f, func(c Care) Result {
				if c.Configured.Log {
					return passed()
				}
				every := "no base backup is scheduled"
				if c.Configured.BackupEvery > 0 {
					if c.Configured.BackupEvery <= c.Promised.DataLoss {
						return passed()
					}
					every = "base backups are taken every " + days(c.Configured.BackupEvery)
				}
				return found(Finding{Evidence: fmt.Sprintf("log.enabled is false in %s, %s, and at most %s of work may be lost", c.Configured.File, every, days(c.Promised.DataLoss)), File: c.Configured.File})
			})
		},
	}
}
