package audit

import (
	"fmt"
	"time"
)

// backupUnverified: the repository was not verified.
func backupUnverified() Rule {
	return Rule{
		ID: "backup-unverified", Area: AreaBackup, Severity: High,
		Title: "the repository is not verified, or was found damaged",
		Why:   "damage in storage is found only by reading: without that, by the restore that fails",
		Fix:   "refloat repo verify --full",
		Looks: "when the repository was last verified, and what that found",
		Judge: func(f Facts) Result {
			return onRepository(f, func(c Care, r RepositoryFacts) Result {
				switch {
				case r.Damage > 0:
					return found(Finding{Evidence: fmt.Sprintf("the verification at %s found %d damaged objects", r.Verified.UTC().Format(time.RFC3339), r.Damage), Fix: "refloat repo verify --full; then refloat backup " + f.Target + " --full"})
				case !r.Verified.IsZero() && f.At.Sub(r.Verified) <= verifyAge:
					return passed()
				case !r.Verified.IsZero():
					return found(Finding{Severity: Medium, Evidence: "the repository was last verified " + days(f.At.Sub(r.Verified)) + " ago"})
				case !c.Backups.Seen:
					return unknown("how old the repository is: " + c.Backups.Why)
				case len(c.Backups.Value) == 0 || f.At.Sub(c.Backups.Value[0].EndedAt) <= verifyAge:
					return notApplicable("the first verification is still to come")
				}
				return found(Finding{Severity: Medium, Evidence: "the repository was never verified"})
			})
		},
	}
}

// verifyAge is how old a verification may be; one a week is the default.
const verifyAge = 15 * 24 * time.Hour
