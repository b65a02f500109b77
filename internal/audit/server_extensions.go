package audit

import (
	"fmt"
	"slices"
	"strings"

	"github.com/refloat-db/refloat/internal/target"
)

// serverExtensions: a restored server needs libraries.
func serverExtensions() Rule {
	return Rule{
		ID: "server-extensions", Area: AreaServer, Severity: Info,
		Title: "a restored server needs extensions",
		Why:   "without their libraries a restored server does not start, or refuses what uses them",
		Fix:   "keep the packages of these extensions, in these versions, for the machines on which you restore and drill",
		Looks: "pg_extension of each database: CONNECT; the setting shared_preload_libraries: GRANT pg_monitor",
		Judge: func(f Facts) Result {
			res := insideDatabases(f, func(_ target.ServerFacts, d target.DatabaseFacts) []Finding {
				var names []string
				for _, e := range d.Inside.Value.Extensions {
					if e.Library {
						names = append(names, e.Name+" "+e.Version)
					}
				}
				if len(names) == 0 {
					return nil
				}
				slices.Sort(names)
				return []Finding{{Object: "database " + d.Name, Evidence: fmt.Sprintf("database %s uses %s", d.Name, strings.Join(names, ", "))}}
			})
			libraries, ok := f.Server.Value.Settings["shared_preload_libraries"]
			if f.Server.Seen && !ok {
				return foundBut(strings.TrimPrefix(res.Why+"; the role may not see the setting shared_preload_libraries: GRANT pg_monitor", "; "), res.Findings...)
			}
			if libraries.Value != "" {
				return foundBut(res.Why, append(res.Findings, ofSetting("shared_preload_libraries", libraries))...)
			}
			return res
		},
	}
}
