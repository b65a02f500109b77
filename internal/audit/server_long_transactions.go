package audit

import (
	"fmt"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/target"
)

// serverLongTransactions: transactions are open for hours.
func serverLongTransactions() Rule {
	const idle, busy = 30 * time.Minute, 6 * time.Hour
	return Rule{
		ID: "server-long-transactions", Area: AreaServer, Severity: Medium,
		Title: "a transaction is open for long",
		Why:   "vacuum cannot clean up behind it, and its locks can stop a change or a switch over when it is needed most",
		Fix:   "SELECT pg_terminate_backend(PID); and set idle_in_transaction_session_timeout",
		Looks: "pg_stat_activity: GRANT pg_monitor",
		Judge: func(f Facts) Result {
			return part(f, "transactions", func(s target.ServerFacts) target.Known[[]target.Transaction] { return s.Transactions }, func(s target.ServerFacts, all []target.Transaction) Result {
				var out []Finding
				for _, x := range all {
					open, still := since(f, s, x.Began), since(f, s, x.StateSince)
					y := Finding{
						Object:   fmt.Sprintf("%s@%s", x.Role, x.Database),
						Evidence: fmt.Sprintf("process %d (%s, role %s, database %s) is in a transaction for %s, %s for %s", x.PID, x.Application, x.Role, x.Database, spanText(open), x.State, spanText(still)),
						Fix:      fmt.Sprintf("SELECT pg_terminate_backend(%d); and ALTER ROLE %s SET idle_in_transaction_session_timeout = '10min';", x.PID, quoteID(x.Role)),
					}
					switch {
					case strings.HasPrefix(x.State, "idle in transaction") && still >= idle:
					case open >= busy:
						y.Severity = Low
						y.Fix = fmt.Sprintf("when nobody needs its answer: SELECT pg_cancel_backend(%d);", x.PID)
					default:
						continue
					}
					out = append(out, y)
				}
				return found(firstOfEach(out)...)
			})
		},
	}
}
