package audit

import (
	"strings"

	"github.com/refloat-db/refloat/internal/foreign"
	"github.com/refloat-db/refloat/internal/target"
)

// foreignUnhealthy: the tool itself says that something is wrong.
func foreignUnhealthy() Rule {
	return Rule{
		ID: "foreign-unhealthy", Area: AreaForeign, Severity: High,
		Title: "another tool says of itself that it is not well",
		Why:   "its own check fails, and nobody reads it",
		Fix:   "mend what it says, then ask it again: pgbackrest --stanza=NAME check, or barman check NAME",
		Looks: "the status in pgbackrest info, or barman check",
		Judge: func(f Facts) Result {
			return atPlaces(f, func(x foreign.Facts) *target.Known[foreign.Health] { return x.Health }, func(x foreign.Facts, h foreign.Health) []Finding {
				if h.OK {
					return nil
				}
				return []Finding{{Evidence: x.Source() + ": " + strings.Join(h.Said, "; ")}}
			})
		},
	}
}
