package audit

import (
	"fmt"

	"github.com/refloat-db/refloat/internal/target"
)

// serverInvalidIndexes: indexes were never finished.
func serverInvalidIndexes() Rule {
	return Rule{
		ID: "server-invalid-indexes", Area: AreaServer, Severity: Low,
		Title: "indexes are invalid",
		Why:   "no query uses them, and a unique one lets duplicates in; a restored copy has them like that too",
		Fix:   "REINDEX INDEX CONCURRENTLY …; or DROP INDEX …;",
		Looks: "pg_index of each database: CONNECT",
		Judge: func(f Facts) Result {
			return insideDatabases(f, func(_ target.ServerFacts, d target.DatabaseFacts) []Finding {
				i := d.Inside.Value.InvalidIndexes
				if i.Count == 0 {
					return nil
				}
				return []Finding{{
					Object:   "database " + d.Name,
					Evidence: fmt.Sprintf("%d invalid indexes in database %s: %s", i.Count, d.Name, examplesText(i)),
					Fix:      fmt.Sprintf("in database %s: REINDEX INDEX CONCURRENTLY %s; or DROP INDEX %s;", d.Name, i.Names[0], i.Names[0]),
				}}
			})
		},
	}
}
