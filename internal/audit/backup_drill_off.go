package audit

import "fmt"

// backupDrillOff: no drill is scheduled.
func backupDrillOff() Rule {
	return Rule{
		ID: "backup-drill-off", Area: AreaBackup, Severity: Medium,
		Title: "no drill is scheduled often enough to keep the promise",
		Why:   "the proof will be older than promised, whatever happens",
		Fix:   "set drill.schedule in refloat.yaml to more often than objectives.proof_age",
		Looks: "drill.schedule and objectives.proof_age in refloat.yaml",
		Judge: func(f Facts) Result {
			return inCare(f, func(c Care) Result {
				switch every := c.Configured.DrillEvery; {
				case every == 0:
					return found(Finding{Evidence: "drill.schedule is off in " + c.Configured.File, File: c.Configured.File})
				case every > c.Promised.ProofAge:
					return found(Finding{Evidence: fmt.Sprintf("drills are %s apart and objectives.proof_age is %s in %s", days(every), days(c.Promised.ProofAge), c.Configured.File), File: c.Configured.File})
				}
				return passed()
			})
		},
	}
}
