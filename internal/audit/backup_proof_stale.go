package audit

import "fmt"

// backupProofStale: the last proof is older than promised.
func backupProofStale() Rule {
	return Rule{
		ID: "backup-proof-stale", Area: AreaBackup, Severity: High,
		Title: "the last proof is older than promised",
		Why:   "what could be restored then need not be restorable now",
		Fix:   "refloat drill TARGET",
		Looks: "the proofs in the repository, and objectives.proof_age",
		Judge: func(f Facts) Result {
			return onLastProof(f, func(c Care, p ProofFacts) Result {
				age := f.At.Sub(p.At)
				if age <= c.Promised.ProofAge {
					return passed()
				}
				x := Finding{Severity: Medium, Evidence: fmt.Sprintf("proof %s is %s old; promised is %s", p.ID, days(age), days(c.Promised.ProofAge)), Fix: "refloat drill " + f.Target}
				if age > 2*c.Promised.ProofAge {
					x.Severity = High
				}
				return found(x)
			})
		},
	}
}
