package audit

import (
	"cmp"
	"fmt"

	"github.com/refloat-db/refloat/internal/foreign"
)

// foreignUntested: nobody ever restored it.
func foreignUntested() Rule {
	return Rule{
		ID: "foreign-untested", Area: AreaForeign, Severity: Critical,
		Title: "another tool's backups were never proven, or a drill of them failed",
		Why:   "a backup that nobody restored is a hope: tools report success over gaps, truncated files and wrong servers",
		Fix:   "refloat drill --from TOOL:PLACE TARGET",
		Looks: "the proofs of refloat drill --from in our own repository; restores that were tried otherwise are not known",
		Judge: func(f Facts) Result {
			var out []Finding
			blind, looked := "", false
			for _, x := range f.Foreign {
				if x.Tool == foreign.Jobs || x.Backups == nil && x.Files == nil {
					continue
				}
				fix := fmt.Sprintf("refloat drill --from %s %s", x.Place, f.Target)
				if !x.Tested.Seen {
					blind = x.Source() + ": " + cmp.Or(x.Tested.Why, "nobody looked")
					continue
				}
				looked = true
				all := x.Tested.Value
				if len(all) == 0 {
					out = append(out, Finding{Severity: Medium, Object: x.Source(), Evidence: x.Source() + ": no drill of it is on record", Fix: fix})
					continue
				}
				switch t := all[len(all)-1]; {
				case t.Verdict == "failed":
					out = append(out, Finding{Object: x.Source(), Evidence: fmt.Sprintf("%s: the last drill, %s ago, failed: %s", x.Source(), days(f.At.Sub(t.At)), t.Summary), Fix: fix})
				case t.Verdict != "proven":
					out = append(out, Finding{Severity: Medium, Object: x.Source(), Evidence: fmt.Sprintf("%s: the last drill, %s ago, is not certain: %s", x.Source(), days(f.At.Sub(t.At)), t.Summary), Fix: fix})
				case f.At.Sub(t.At) > testedAge:
					out = append(out, Finding{Severity: Medium, Object: x.Source(), Evidence: fmt.Sprintf("%s: the last drill was %s ago", x.Source(), days(f.At.Sub(t.At))), Fix: fix})
				}
			}
			if !looked && blind == "" {
				return notApplicable("no backup of another tool was found; --foreign names a place")
			}
			return foundBut(blind, out...)
		},
	}
}

// testedAge is how long a drill of another tool's backups counts.
const testedAge = 31 * unscheduledAge / 7
