package audit

import (
	"fmt"

	"github.com/refloat-db/refloat/internal/foreign"
)

// foreignFileSmall: a dump is much smaller than those before.
func foreignFileSmall() Rule {
	return Rule{
		ID: "foreign-file-small", Area: AreaForeign, Severity: High,
		Title: "a dump is much smaller than those before it",
		Why:   "databases grow; a dump that shrinks was made of the wrong server, with fewer rights, or was cut off",
		Fix:   "compare it with the one before: pg_restore --list, or refloat drill --from dump:PATH TARGET",
		Looks: "the sizes of dumps of one kind: less than half of the largest before",
		Judge: func(f Facts) Result {
			return atPlaces(f, filesOf, func(_ foreign.Facts, all []foreign.File) []Finding {
				var out []Finding
				for name, s := range series(dumps(all)) {
					last := s[len(s)-1]
					var largest foreign.File
					for _, x := range s[:len(s)-1] {
						if x.Problem == "" && x.Bytes > largest.Bytes {
							largest = x
						}
					}
					if last.Problem == "" && last.Bytes*2 < largest.Bytes {
						out = append(out, Finding{Object: name, Evidence: fmt.Sprintf("%s has %d bytes, %s had %d", last.Path, last.Bytes, largest.Path, largest.Bytes), File: last.Path})
					}
				}
				return out
			})
		},
	}
}
