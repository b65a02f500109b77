package audit

// backupNoProof: nothing was ever drilled.
func backupNoProof() Rule {
	return Rule{
		ID: "backup-no-proof", Area: AreaBackup, Severity: High,
		Title: "no restore was ever rehearsed",
		Why:   "that a backup was written does not say that it can be restored: only a restore does",
		Fix:   "refloat drill TARGET",
		Looks: "the proofs in the repository",
		Judge: func(f Facts) Result {
			return inCare(f, func(c Care) Result {
				switch {
				case !c.Proofs.Seen:
					return unknown("the proofs: " + c.Proofs.Why)
				case len(c.Proofs.Value) == 0:
					return found(Finding{Evidence: "the repository has no proof of " + f.Target, Fix: "refloat drill " + f.Target})
				}
				return passed()
			})
		},
	}
}
