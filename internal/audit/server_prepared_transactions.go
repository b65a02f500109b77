package audit

import (
	"fmt"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/target"
)

// serverPreparedTransactions: prepared transactions were left over.
func serverPreparedTransactions() Rule {
	const pause = 15 * time.Minute
	return Rule{
		ID: "server-prepared-transactions", Area: AreaServer, Severity: Medium,
		Title: "prepared transactions are left over",
		Why:   "their locks stay, also over a restart and in a restored copy, and vacuum cannot clean up behind them",
		Fix:   "ask the transaction manager what became of it, then COMMIT PREPARED 'GID'; or ROLLBACK PREPARED 'GID';",
		Looks: "the view pg_prepared_xacts; every role may see it",
		Judge: func(f Facts) Result {
			return part(f, "prepared transactions", func(s target.ServerFacts) target.Known[[]target.Prepared] { return s.Prepared }, func(s target.ServerFacts, all []target.Prepared) Result {
				var out []Finding
				for _, p := range all {
					age := since(f, s, p.At)
					if age < pause {
						continue
					}
					gid := strings.ReplaceAll(p.GID, "'", "''")
					out = append(out, Finding{
						Object:   p.GID,
						Evidence: fmt.Sprintf("'%s' of role %s in database %s was prepared %s ago, %d transactions back", p.GID, p.Owner, p.Database, spanText(age), p.XIDAge),
						Fix:      fmt.Sprintf("in database %s, when the transaction manager does not know it any more: ROLLBACK PREPARED '%s'; else COMMIT PREPARED '%s';", p.Database, gid, gid),
					})
				}
				return found(out...)
			})
		},
	}
}
