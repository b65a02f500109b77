package audit

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/refloat-db/refloat/internal/foreign"
)

// foreignJobSwallows: a job ends with 0 although the backup failed.
func foreignJobSwallows() Rule {
	return Rule{
		ID: "foreign-job-swallows", Area: AreaForeign, Severity: Critical,
		Title: "a backup job hides that its backup failed",
		Why:   "the job ends well whatever the backup did: a full disk, a wrong password or a newer server leaves an empty file and no word",
		Fix:   "begin the script with: set -euo pipefail (in a crontab: SHELL=/bin/bash and bash -o pipefail -c '…'), and leave out || true",
		Looks: "crontabs, timers and the scripts that they run, read as a shell would",
		Judge: func(f Facts) Result {
			var unread []string
			r := atPlaces(f, jobsOf, func(_ foreign.Facts, all []foreign.Job) []Finding {
				for _, j := range all {
					unread = append(unread, j.Unread...)
				}
				return inJobs(all, func(_ foreign.Job, file string, c shellReading) []Finding {
					for _, s := range c.Swallowed {
						if backsUp(s.call) {
							return []Finding{{Evidence: fmt.Sprintf("%s: a failure of %s is not seen, since %s", file, s.call, s.how)}}
						}
					}
					return nil
				})
			})
			if len(unread) == 0 {
				return r
			}
			slices.Sort(unread)
			return foundBut(strings.Join(slices.Compact(unread), "; "), r.Findings...)
		},
	}
}

// inJobs reads the commands of jobs, and the scripts that they run, as a shell
// would. A script that sets nothing is read with the shell's defaults.
func inJobs(all []foreign.Job, judge func(j foreign.Job, file string, c shellReading) []Finding) []Finding {
	var out []Finding
	for _, j := range all {
		texts := map[string]string{"": j.Command}
		for path, script := range j.Scripts {
			texts[path] = flagsOf(script) + script
		}
		for path, text := range texts {
			c, err := readShell(text)
			if err != nil {
				continue // no shell would run it
			}
			where := cmp.Or(path, j.File)
			if path == "" && j.Line > 0 {
				where = fmt.Sprintf("%s line %d", j.File, j.Line)
			}
			for _, x := range judge(j, where, c) {
				x.Object, x.File = where, cmp.Or(path, j.File)
				if path == "" {
					x.Line = j.Line
				}
				out = append(out, x)
			}
		}
	}
	return out
}

// flagsOf is what the first line of a script tells its shell.
func flagsOf(script string) string {
	first, _, _ := strings.Cut(script, "\n")
	if !strings.HasPrefix(first, "#!") {
		return ""
	}
	var out string
	for _, w := range strings.Fields(first)[1:] {
		if strings.HasPrefix(w, "-") {
			out += "set " + w + "\n"
		}
	}
	return out
}
