package audit

import "fmt"

// backupSuppressionExpired: a suppression has ended.
func backupSuppressionExpired() Rule {
	return Rule{
		ID: "backup-suppression-expired", Area: AreaBackup, Severity: Medium,
		Title: "a suppression has ended",
		Why:   "a risk was accepted until a day that has passed, and nobody has looked at it again",
		Fix:   "mend what the suppressed rule finds, then take the suppression out of refloat.yaml; or give it a new end",
		Looks: "the suppressions in refloat.yaml",
		Judge: func(f Facts) Result {
			if f.Care == nil {
				return notApplicable("the target is not in refloat.yaml")
			}
			var out []Finding
			for _, s := range f.Suppressions {
				if f.At.Before(s.Until) {
					continue
				}
				object := Finding{Rule: s.Rule, Object: s.Object}.Key()
				out = append(out, Finding{Object: object, Evidence: fmt.Sprintf("%s accepted %s until %s: %s", s.Owner, object, s.Day(), s.Reason)})
			}
			return found(out...)
		},
	}
}
