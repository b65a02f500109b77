package audit

import (
	"fmt"
	"path"
	"slices"

	"github.com/refloat-db/refloat/internal/foreign"
)

// foreignFileRows: row security chose what was dumped.
func foreignFileRows() Rule {
	return Rule{
		ID: "foreign-file-rows", Area: AreaForeign, Severity: Critical,
		Title: "a dump leaves out rows by row security",
		Why:   "pg_dump --enable-row-security writes only the rows that its role may see, and ends with 0",
		Fix:   "dump without --enable-row-security, as a role with BYPASSRLS: ALTER ROLE … BYPASSRLS",
		Looks: "the head of each plain dump, and the options of jobs",
		Judge: func(f Facts) Result {
			r := atPlaces(f, filesOf, func(_ foreign.Facts, all []foreign.File) []Finding {
				var out []Finding
				for _, x := range newestOfEach(all) {
					if x.Filtered {
						out = append(out, Finding{Object: x.Path, Evidence: path.Base(x.Path) + " was made with SET row_security = on", File: x.Path})
					}
				}
				return out
			})
			return both(r, atPlaces(f, jobsOf, func(_ foreign.Facts, all []foreign.Job) []Finding {
				return inJobs(all, func(j foreign.Job, file string, c shellReading) []Finding {
					for _, call := range c.Work {
						if backsUp(call.Name) && slices.Contains(call.Args, "--enable-row-security") {
							return []Finding{{Evidence: fmt.Sprintf("%s runs %s --enable-row-security", file, call.Name)}}
						}
					}
					return nil
				})
			}))
		},
	}
}
