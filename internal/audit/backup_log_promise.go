package audit

import "fmt"

// backupLogPromise: the promised data loss cannot be kept.
func backupLogPromise() Rule {
	return Rule{
		ID: "backup-log-promise", Area: AreaBackup, Severity: Medium,
		Title: "the promised data loss cannot be kept as things are configured",
		Why:   "segments that are not full are stored less often than the promise allows",
		Fix:   "set log.partial_every below objectives.data_loss, or log.synchronous: true",
		Looks: "log.partial_every and objectives.data_loss in refloat.yaml",
		Judge: func(f Facts) Result {
			return inCare(f, func(c Care) Result {
				if !c.Configured.Log {
					return notApplicable("no log is kept")
				}
				if c.Configured.PartialEvery <= c.Promised.DataLoss {
					return passed()
				}
				return found(Finding{Evidence: fmt.Sprintf("log.partial_every is %s and objectives.data_loss %s in %s", c.Configured.PartialEvery, c.Promised.DataLoss, c.Configured.File), File: c.Configured.File})
			})
		},
	}
}
