package audit

import (
	"fmt"

	"github.com/refloat-db/refloat/internal/target"
)

// serverCollationVersion: the host sorts text otherwise than when indexes were
// made.
func serverCollationVersion() Rule {
	return Rule{
		ID: "server-collation-version", Area: AreaServer, Severity: High,
		Title: "the host's collations have changed",
		Why:   "indexes over text are in the wrong order: rows are not found, and unique values come twice",
		Fix:   "REINDEX DATABASE …; then ALTER DATABASE … REFRESH COLLATION VERSION;",
		Looks: "pg_database from 15 on, which every role may see, and collations in use in each database: CONNECT",
		Judge: func(f Facts) Result {
			return insideDatabases(f, func(_ target.ServerFacts, d target.DatabaseFacts) (out []Finding) {
				if d.CollationMade != "" && d.CollationNow != "" && d.CollationMade != d.CollationNow {
					out = append(out, Finding{
						Object:   "database " + d.Name,
						Evidence: fmt.Sprintf("database %s was made with collation version %s, the host has %s", d.Name, d.CollationMade, d.CollationNow),
						Fix:      fmt.Sprintf("in database %s: REINDEX DATABASE %s; then ALTER DATABASE %s REFRESH COLLATION VERSION;", d.Name, quoteID(d.Name), quoteID(d.Name)),
					})
				}
				for _, c := range d.Inside.Value.Collations {
					out = append(out, Finding{
						Object:   "collation " + c.Name + " in database " + d.Name,
						Evidence: fmt.Sprintf("collation %s, which database %s uses, was made with version %s, the host has %s", c.Name, d.Name, c.Made, c.Now),
						Fix:      fmt.Sprintf("in database %s: REINDEX what uses it; then ALTER COLLATION %s REFRESH VERSION;", d.Name, c.Name),
					})
				}
				return out
			})
		},
	}
}
