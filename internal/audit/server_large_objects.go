package audit

import (
	"fmt"

	"github.com/refloat-db/refloat/internal/target"
)

// serverLargeObjects: there is data that some dumps leave out.
func serverLargeObjects() Rule {
	const counted = 10_000
	return Rule{
		ID: "server-large-objects", Area: AreaServer, Severity: Info,
		Title: "a database has large objects",
		Why:   "a dump of single schemas or tables leaves them out, and logical replication does not carry them; Refloat's backups hold them",
		Fix:   "dump with pg_dump --large-objects (--blobs up to 15), or take physical backups",
		Looks: "pg_largeobject_metadata of each database: CONNECT",
		Judge: func(f Facts) Result {
			return insideDatabases(f, func(_ target.ServerFacts, d target.DatabaseFacts) []Finding {
				n := d.Inside.Value.LargeObjects
				if n == 0 {
					return nil
				}
				many := fmt.Sprint(n)
				if n > counted {
					many = fmt.Sprintf("more than %d", counted)
				}
				return []Finding{{Object: "database " + d.Name, Evidence: many + " large objects in database " + d.Name}}
			})
		},
	}
}
