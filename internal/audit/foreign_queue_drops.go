package audit

import (
	"fmt"

	"github.com/refloat-db/refloat/internal/foreign"
	"github.com/refloat-db/refloat/internal/target"
)

// foreignQueueDrops: log beyond a limit is thrown away and counted as archived.
func foreignQueueDrops() Rule {
	return Rule{
		ID: "foreign-queue-drops", Area: AreaForeign, Severity: High,
		Title: "the archive queue of another tool may throw log away",
		Why:   "when the repository is away for longer, pgBackRest tells the server that segments are archived and drops them: a gap in the log that no counter shows",
		Fix:   "take archive-push-queue-max out of the configuration, and watch free space and the archiver instead; or let Refloat keep the log",
		Looks: "archive-push-queue-max in pgBackRest's configuration",
		Judge: func(f Facts) Result {
			return atPlaces(f, func(x foreign.Facts) *target.Known[foreign.Setting] { return x.QueueMax }, func(_ foreign.Facts, s foreign.Setting) []Finding {
				if s.Value == "" {
					return nil
				}
				return []Finding{{Evidence: fmt.Sprintf("%s=%s (%s line %d)", s.Name, s.Value, s.File, s.Line), File: s.File, Line: s.Line}}
			})
		},
	}
}
