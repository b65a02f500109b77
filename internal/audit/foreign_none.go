package audit

import (
	"fmt"

	"github.com/refloat-db/refloat/internal/foreign"
)

// foreignNone: a place that should hold backups and has none.
func foreignNone() Rule {
	return Rule{
		ID: "foreign-none", Area: AreaForeign, Severity: Critical,
		Title: "another tool is set up and has no usable backup",
		Why:   "everybody believes that there is a backup, and nothing can be restored",
		Fix:   "take a backup now with the tool, and see why none was made",
		Looks: "what the tool lists, or the folder of dumps",
		Judge: func(f Facts) Result {
			r := atPlaces(f, backupsOf, func(x foreign.Facts, all []foreign.Backup) []Finding {
				if n := len(whole(all)); n > 0 {
					return nil
				}
				return []Finding{{Evidence: fmt.Sprintf("%s lists %d backups, none of them without an error", x.Source(), len(all))}}
			})
			return both(r, atPlaces(f, filesOf, func(x foreign.Facts, all []foreign.File) []Finding {
				if len(dumps(all)) > 0 {
					return nil
				}
				return []Finding{{Evidence: fmt.Sprintf("%s holds no dump of a database", x.Name), Fix: "run the job that writes dumps there by hand, and read what it says"}}
			}))
		},
	}
}

// both joins what two looks of one rule gave.
func both(a, b Result) Result {
	switch {
	case a.Outcome == NotApplicable:
		return b
	case b.Outcome == NotApplicable:
		return a
	}
	why := a.Why
	if why != "" && b.Why != "" {
		why += "; "
	}
	return foundBut(why+b.Why, append(a.Findings, b.Findings...)...)
}
