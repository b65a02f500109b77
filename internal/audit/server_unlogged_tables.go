package audit

import (
	"fmt"

	"github.com/refloat-db/refloat/internal/target"
)

// serverUnloggedTables: tables hold data that no restore brings back. Medium,
// since someone once said UNLOGGED on purpose.
func serverUnloggedTables() Rule {
	return Rule{
		ID: "server-unlogged-tables", Area: AreaServer, Severity: Medium,
		Title: "unlogged tables hold data",
		Why:   "they are empty after a crash of the server, on a standby, and in a restored copy",
		Fix:   "ALTER TABLE … SET LOGGED; where the data matters",
		Looks: "unlogged tables of each database: CONNECT",
		Judge: func(f Facts) Result {
			if f.Server.Seen && f.Server.Value.Server.InRecovery {
				return notApplicable("a standby: what unlogged tables hold is seen on the primary")
			}
			return insideDatabases(f, func(_ target.ServerFacts, d target.DatabaseFacts) []Finding {
				u := d.Inside.Value.Unlogged
				if u.Count == 0 {
					return nil
				}
				return []Finding{{
					Object:   "database " + d.Name,
					Evidence: fmt.Sprintf("%d unlogged tables with data in database %s: %s", u.Count, d.Name, examplesText(u)),
					Fix:      fmt.Sprintf("in database %s: ALTER TABLE %s SET LOGGED; for each whose data matters", d.Name, u.Names[0]),
				}}
			})
		},
	}
}
