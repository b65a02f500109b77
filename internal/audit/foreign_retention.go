package audit

import (
	"fmt"

	"github.com/refloat-db/refloat/internal/foreign"
	"github.com/refloat-db/refloat/internal/target"
)

// foreignRetention: only one backup is kept.
func foreignRetention() Rule {
	return Rule{
		ID: "foreign-retention", Area: AreaForeign, Severity: High,
		Title: "another tool keeps only one backup",
		Why:   "when that one turns out damaged, or was taken after the mistake, there is no other",
		Fix:   "keep two or more: repo1-retention-full=2 for pgBackRest, retention_policy = REDUNDANCY 2 for Barman, a name with the date for a dump",
		Looks: "the retention in the tool's configuration; for dumps, how many of one kind are in the folder",
		Judge: func(f Facts) Result {
			r := atPlaces(f, func(x foreign.Facts) *target.Known[foreign.Retention] { return x.Retention }, func(_ foreign.Facts, r foreign.Retention) []Finding {
				if r.Full != 1 {
					return nil
				}
				return []Finding{{Evidence: fmt.Sprintf("%s (%s line %d)", r.Said, r.File, r.Line), File: r.File, Line: r.Line}}
			})
			return both(r, atPlaces(f, filesOf, func(_ foreign.Facts, all []foreign.File) []Finding {
				var out []Finding
				for name, s := range series(dumps(all)) {
					if len(s) == 1 {
						out = append(out, Finding{Severity: Medium, Object: name, Evidence: s[0].Path + " is the only one of its kind: each dump replaces the one before, a bad one too"})
					}
				}
				return out
			}))
		},
	}
}
