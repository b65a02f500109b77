package audit

import "fmt"

// backupResolution: a restore takes longer than promised.
func backupResolution() Rule {
	return Rule{
		ID: "backup-resolution", Area: AreaBackup, Severity: High,
		Title: "a restore takes longer than promised",
		Why:   "the promised resolution time was measured to be out of reach, before anybody has noticed an outage or decided anything",
		Fix:   "promise a longer time in objectives.resolution, or make the restore faster: a nearer repository, faster disks, base backups more often",
		Looks: "the last proof, and objectives.resolution",
		Judge: func(f Facts) Result {
			return onLastProof(f, func(c Care, p ProofFacts) Result {
				if p.Resolution <= c.Promised.Resolution {
					return passed()
				}
				return found(Finding{Evidence: fmt.Sprintf("proof %s took %s to an answering server; promised is %s", p.ID, days(p.Resolution), days(c.Promised.Resolution))})
			})
		},
	}
}
