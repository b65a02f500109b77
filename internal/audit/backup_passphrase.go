package audit

import (
	"fmt"
	"time"
)

// backupPassphrase: nobody has typed the passphrase in.
func backupPassphrase() Rule {
	return Rule{
		ID: "backup-passphrase", Area: AreaBackup, Severity: Medium,
		Title: "nobody has shown that they still have the passphrase",
		Why:   "a passphrase that is only on the machine that is lost is lost with it, and every backup too",
		Fix:   "take the passphrase from where you keep it, and type it in: refloat repo verify-passphrase",
		Looks: "when a person last typed it in",
		Judge: func(f Facts) Result {
			return onRepository(f, func(_ Care, r RepositoryFacts) Result {
				switch {
				case r.Passphrase.IsZero():
					return found(Finding{Evidence: "nobody has typed in the passphrase of " + r.Location + " since it was made"})
				case f.At.Sub(r.Passphrase) > passphraseAge:
					return found(Finding{Severity: Low, Evidence: fmt.Sprintf("%s typed it in last, %s ago", r.By, days(f.At.Sub(r.Passphrase)))})
				}
				return passed()
			})
		},
	}
}

// passphraseAge is how long a person's word is good for.
const passphraseAge = 365 * 24 * time.Hour
