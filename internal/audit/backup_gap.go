package audit

import "fmt"

// backupGap: the coverage has a gap.
func backupGap() Rule {
	return Rule{
		ID: "backup-gap", Area: AreaBackup, Severity: Critical,
		Title: "the coverage has a gap",
		Why:   "no moment inside the gap can be restored, and with no base backup after it none after it either",
		Fix:   "refloat backup TARGET",
		Looks: "the catalogue and the log in the repository",
		Judge: func(f Facts) Result {
			return inCare(f, func(c Care) Result {
				if !c.Coverage.Seen {
					return unknown("the coverage: " + c.Coverage.Why)
				}
				var out []Finding
				for _, g := range c.Coverage.Value.Gaps {
					x := Finding{Object: g.From, Severity: Medium, Evidence: fmt.Sprintf("nothing between %s and %s can be restored: %s; a base backup was taken after it", g.From, g.To, g.Reason), Fix: "nothing brings that log back; find why it was lost: refloat journal list --target " + f.Target}
					if g.Open {
						x.Severity, x.Fix = Critical, "refloat backup "+f.Target
						x.Evidence = fmt.Sprintf("nothing from %s to %s can be restored: %s; no base backup was taken after it", g.From, g.To, g.Reason)
					}
					out = append(out, x)
				}
				return found(out...)
			})
		},
	}
}
