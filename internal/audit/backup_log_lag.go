package audit

import (
	"fmt"
	"time"
)

// backupLogLag: the log is behind the promise.
func backupLogLag() Rule {
	return Rule{
		ID: "backup-log-lag", Area: AreaBackup, Severity: Critical,
		Title: "the newest restorable moment is older than promised",
		Why:   "if the server were lost now, more work would be lost than was promised",
		Fix:   "see that refloat server runs and reaches server and repository: refloat status TARGET",
		Looks: "how far the log in the repository reaches, and objectives.data_loss",
		Judge: func(f Facts) Result {
			return inCare(f, func(c Care) Result {
				switch {
				case !c.Configured.Log:
					return notApplicable("no log is kept")
				case !c.Log.Seen:
					return unknown("the log: " + c.Log.Why)
				case c.Log.Value.Restorable.IsZero():
					return found(Finding{Evidence: "the repository has no log of " + f.Target})
				}
				lag := f.At.Sub(c.Log.Value.Restorable)
				if lag <= c.Promised.DataLoss+c.Configured.PartialEvery {
					return passed()
				}
				x := Finding{Severity: High, Evidence: fmt.Sprintf("everything up to %s is in the repository, %s ago; promised is %s", c.Log.Value.Restorable.UTC().Format(time.RFC3339), days(lag), days(c.Promised.DataLoss))}
				if lag > severalTimes*c.Promised.DataLoss {
					x.Severity = Critical
				}
				return found(x)
			})
		},
	}
}

// severalTimes what was promised is no delay any more.
const severalTimes = 10
