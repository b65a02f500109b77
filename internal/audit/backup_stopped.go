package audit

import "time"

// backupStopped: refloat server does not run.
func backupStopped() Rule {
	return Rule{
		ID: "backup-stopped", Area: AreaBackup, Severity: Critical,
		Title: "refloat server does not run",
		Why:   "no log is kept, nothing is backed up or drilled on schedule, and nobody is told",
		Fix:   "start it: systemctl start refloat; docs/server.md",
		Looks: "when the log's position was last recorded, by whichever machine",
		Judge: func(f Facts) Result {
			return inCare(f, func(c Care) Result {
				switch {
				case !c.Configured.Log:
					return notApplicable("no log is kept, which would tell")
				case !c.Log.Seen:
					return unknown("the log: " + c.Log.Why)
				case c.Log.Value.WrittenAt.IsZero():
					return found(Finding{Evidence: "the log of " + f.Target + " was never recorded"})
				}
				if quiet := f.At.Sub(c.Log.Value.WrittenAt); quiet > stoppedAfter+c.Configured.PartialEvery {
					return found(Finding{Evidence: "the log's position was last recorded " + days(quiet) + " ago"})
				}
				return passed()
			})
		},
	}
}

// stoppedAfter is how long a server that runs may be silent: it records the
// position on an idle target too.
const stoppedAfter = 2 * time.Minute
