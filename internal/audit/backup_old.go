package audit

import (
	"fmt"
	"time"
)

// backupOld: the newest base backup is older than its schedule.
func backupOld() Rule {
	return Rule{
		ID: "backup-old", Area: AreaBackup, Severity: High,
		Title: "the newest base backup is older than its schedule",
		Why:   "backups have stopped and nobody was told; each day without one makes the recovery longer, and the log that it needs too",
		Fix:   "see why it failed: refloat backup TARGET",
		Looks: "the catalogue, and backup.schedule in refloat.yaml",
		Judge: func(f Facts) Result {
			return onNewestBackup(f, func(c Care, b BackupFacts) Result {
				due := c.Configured.BackupDue
				if due.IsZero() {
					if f.At.Sub(b.EndedAt) > unscheduledAge {
						return found(Finding{Evidence: fmt.Sprintf("base backup %s ended %s ago, and none is scheduled", b.ID, days(f.At.Sub(b.EndedAt))), Fix: "set backup.schedule of " + f.Target + " in refloat.yaml, and run refloat server"})
					}
					return passed()
				}
				// One that is due now may be running; the one before may not.
				if f.At.Sub(due) <= max(time.Hour, 3*b.Took) {
					due = due.Add(-c.Configured.BackupEvery)
				}
				if b.EndedAt.Before(due) {
					return found(Finding{Evidence: fmt.Sprintf("base backup %s ended %s ago; one was due at %s", b.ID, days(f.At.Sub(b.EndedAt)), due.UTC().Format(time.RFC3339)), Fix: "refloat backup " + f.Target + ", and read what it says; see that refloat server runs"})
				}
				return passed()
			})
		},
	}
}

// unscheduledAge is how old a base backup may be where none is scheduled.
const unscheduledAge = 7 * 24 * time.Hour
