package audit

import (
	"fmt"

	"github.com/refloat-db/refloat/internal/target"
)

// serverDatabases: a database cannot be entered.
func serverDatabases() Rule {
	const halfDropped = -2
	return Rule{
		ID: "server-databases", Area: AreaServer, Severity: Medium,
		Title: "a database cannot be entered",
		Why:   "dumps leave it out, and no check sees what is in it",
		Fix:   "ALTER DATABASE … ALLOW_CONNECTIONS true; or DROP DATABASE …;",
		Looks: "pg_database; every role may see it",
		Judge: func(f Facts) Result {
			return part(f, "databases", databasesOf, func(_ target.ServerFacts, all []target.DatabaseFacts) Result {
				var out []Finding
				for _, d := range all {
					x := Finding{Object: "database " + d.Name}
					switch {
					case d.ConnLimit == halfDropped:
						x.Evidence = fmt.Sprintf("dropping database %s was interrupted", d.Name)
						x.Why = "it is half gone: nobody can enter it, and it still takes space, also in backups"
						x.Fix = "DROP DATABASE " + quoteID(d.Name) + ";"
					case !d.AllowsConn && !d.Template:
						x.Severity = Low
						x.Evidence = fmt.Sprintf("database %s allows no connections", d.Name)
						x.Fix = "ALTER DATABASE " + quoteID(d.Name) + " ALLOW_CONNECTIONS true;"
					case d.ConnLimit == 0 && !d.Template:
						x.Severity = Low
						x.Evidence = fmt.Sprintf("database %s has a connection limit of 0, so that only a superuser gets in", d.Name)
						x.Fix = "ALTER DATABASE " + quoteID(d.Name) + " CONNECTION LIMIT -1;"
					default:
						continue
					}
					out = append(out, x)
				}
				return found(out...)
			})
		},
	}
}
