package audit

import (
	"fmt"
	"slices"
	"time"

	"github.com/refloat-db/refloat/internal/foreign"
)

// foreignOld: the newest backup is older than the backups before let expect.
func foreignOld() Rule {
	return Rule{
		ID: "foreign-old", Area: AreaForeign, Severity: High,
		Title: "the newest backup of another tool is old",
		Why:   "backups have stopped and nobody was told; what was written since is lost, or takes long to replay",
		Fix:   "run the job by hand and read what it says; see that cron or the timer still runs it",
		Looks: "the times of the backups or dumps: what came every day is late after two; at most a week",
		Judge: func(f Facts) Result {
			r := atPlaces(f, backupsOf, func(x foreign.Facts, all []foreign.Backup) []Finding {
				var at []time.Time
				for _, b := range whole(all) {
					at = append(at, b.EndedAt)
				}
				return late(f.At, x.Source(), at)
			})
			return both(r, atPlaces(f, filesOf, func(_ foreign.Facts, all []foreign.File) []Finding {
				var out []Finding
				for name, s := range series(dumps(all)) {
					var at []time.Time
					for _, file := range s {
						if file.Problem == "" {
							at = append(at, file.At)
						}
					}
					for _, x := range late(f.At, name, at) {
						x.Object = name
						out = append(out, x)
					}
				}
				return out
			}))
		},
	}
}

// late holds the newest of some moments against how they came before.
func late(now time.Time, what string, at []time.Time) []Finding {
	if len(at) == 0 {
		return nil // foreign-none, foreign-file-damaged
	}
	slices.SortFunc(at, time.Time.Compare)
	limit, usual := unscheduledAge, "none is older than a week where all is well"
	if len(at) >= 3 {
		var between []time.Duration
		for i := 1; i < len(at); i++ {
			between = append(between, at[i].Sub(at[i-1]))
		}
		slices.Sort(between)
		middle := between[len(between)/2]
		if l := max(26*time.Hour, 2*middle+time.Hour); l < limit {
			limit, usual = l, "they came every "+days(middle)
		}
	}
	age := now.Sub(at[len(at)-1])
	if age <= limit {
		return nil
	}
	return []Finding{{Evidence: fmt.Sprintf("the newest of %s is %s old; %s", what, days(age), usual)}}
}
