package audit

import (
	"fmt"

	"github.com/refloat-db/refloat/internal/target"
)

// serverConnections: the connection slots are nearly used up.
func serverConnections() Rule {
	return Rule{
		ID: "server-connections", Area: AreaServer, Severity: High,
		Title: "connections are nearly used up",
		Why:   "the next client is refused, backups and those who come to help among them",
		Fix:   "put a pooler in front, bound the applications' pools, or ALTER SYSTEM SET max_connections and restart the server",
		Looks: "pg_stat_activity, and the settings max_connections and superuser_reserved_connections; GRANT pg_monitor makes the count exact",
		Judge: func(f Facts) Result {
			return part(f, "connections", func(s target.ServerFacts) target.Known[target.Connections] { return s.Connections }, func(_ target.ServerFacts, c target.Connections) Result {
				free := c.Max - c.Reserved
				if free <= 0 {
					return unknown("the role may not see the setting max_connections")
				}
				x := Finding{Object: "max_connections", Evidence: fmt.Sprintf("%d of %d connections are used (max_connections = %d, %d reserved)", c.Used, free, c.Max, c.Reserved)}
				switch {
				case c.Used*100 >= free*95:
				case c.Used*100 >= free*80:
					x.Severity = Medium
				default:
					return passed()
				}
				return found(x)
			})
		},
	}
}
