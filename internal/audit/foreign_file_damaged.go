package audit

import (
	"fmt"
	"path"

	"github.com/refloat-db/refloat/internal/foreign"
)

// foreignFileDamaged: a dump that holds less than it should.
func foreignFileDamaged() Rule {
	return Rule{
		ID: "foreign-file-damaged", Area: AreaForeign, Severity: Critical,
		Title: "a dump is empty, cut off, or no dump at all",
		Why:   "psql restores what is there of it and ends with 0: an empty or partial database that looks like a restored one",
		Fix:   "make the job fail when pg_dump does (set -o pipefail; write to a temporary name and rename it when all went well), and dump again now",
		Looks: "each dump, from its first to its last byte as far as that takes no time; packed ones unpacked",
		Judge: func(f Facts) Result {
			return atPlaces(f, filesOf, func(_ foreign.Facts, all []foreign.File) []Finding {
				var out []Finding
				newest := newestOfEach(all)
				for _, x := range all {
					if x.Problem == "" {
						continue
					}
					sev := High
					for _, n := range newest {
						if n.Path == x.Path {
							sev = Critical
						}
					}
					out = append(out, Finding{Severity: sev, Object: x.Path, Evidence: fmt.Sprintf("%s (%d bytes): %s", path.Base(x.Path), x.Bytes, x.Problem), File: x.Path})
				}
				return out
			})
		},
	}
}
