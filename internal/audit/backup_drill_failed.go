package audit

import "fmt"

// backupDrillFailed: the last drill did not prove the target.
func backupDrillFailed() Rule {
	return Rule{
		ID: "backup-drill-failed", Area: AreaBackup, Severity: Critical,
		Title: "the last drill did not prove the target",
		Why:   "the last time that a restore was rehearsed it did not succeed, or it could not be told whether it did",
		Fix:   "refloat proof show ID says which check it was",
		Looks: "the proofs in the repository",
		Judge: func(f Facts) Result {
			return onLastProof(f, func(_ Care, p ProofFacts) Result {
				x := Finding{Object: p.ID, Evidence: fmt.Sprintf("proof %s: %s: %s", p.ID, p.Verdict, p.Summary), Fix: "refloat proof show " + p.ID}
				switch p.Verdict {
				case "proven":
					return passed()
				case "inconclusive":
					x.Severity = Medium
				}
				return found(x)
			})
		},
	}
}
