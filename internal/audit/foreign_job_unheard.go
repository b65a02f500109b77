package audit

import (
	"fmt"

	"github.com/refloat-db/refloat/internal/foreign"
)

// foreignJobUnheard: nobody hears when a job fails.
func foreignJobUnheard() Rule {
	return Rule{
		ID: "foreign-job-unheard", Area: AreaForeign, Severity: Medium,
		Title: "nobody hears when a backup job fails",
		Why:   "cron tells of a failure by mail of the job's output alone; thrown away, the job can fail for months",
		Fix:   "set MAILTO in the crontab to somebody who reads it, and do not send errors to /dev/null; or run it from a systemd timer with OnFailure=",
		Looks: "MAILTO and where the output of jobs in crontabs goes",
		Judge: func(f Facts) Result {
			return atPlaces(f, jobsOf, func(_ foreign.Facts, all []foreign.Job) []Finding {
				var out []Finding
				for _, j := range all {
					if j.Heard {
						continue
					}
					where := j.File
					if j.Line > 0 {
						where = fmt.Sprintf("%s line %d", j.File, j.Line)
					}
					out = append(out, Finding{Object: where, Evidence: where + ": its output goes nowhere: " + j.Command, File: j.File, Line: j.Line})
				}
				return out
			})
		},
	}
}
