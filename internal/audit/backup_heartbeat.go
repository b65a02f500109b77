package audit

// backupHeartbeat: no heartbeat is written.
func backupHeartbeat() Rule {
	return Rule{
		ID: "backup-heartbeat", Area: AreaBackup, Severity: Low,
		Title: "no heartbeat is written",
		Why:   "a drill cannot show that the last second before an outage is in the copy, and says inconclusive",
		Fix:   "run the SQL that refloat init --grants prints, and set heartbeat.enabled: true",
		Looks: "heartbeat.enabled, and whether the role may write refloat.heartbeat",
		Judge: func(f Facts) Result {
			return inCare(f, func(c Care) Result {
				switch {
				case !c.Configured.Heartbeat:
					return found(Finding{Evidence: "heartbeat.enabled is false in " + c.Configured.File, File: c.Configured.File})
				case !f.Server.Seen:
					return unknown("the server: " + f.Server.Why)
				case !f.Server.Value.Server.Role.Heartbeat:
					return found(Finding{Evidence: "role " + f.Server.Value.Server.Role.Name + " may not write refloat.heartbeat, or it is not there", Fix: "refloat init DSN --grants --sql-only | psql"})
				}
				return passed()
			})
		},
	}
}
