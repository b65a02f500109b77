package audit

import (
	"fmt"

	"github.com/refloat-db/refloat/internal/target"
)

// newestMinors are the minor releases that were the newest when this was
// written, those of November 2026 (https://www.postgresql.org/docs/release/).
// All majors are released together.
func newestMinors() map[int]int { return map[int]int{14: 25, 15: 20, 16: 16, 17: 12, 18: 6} }

// newestMinorsOf is when.
const newestMinorsOf = "November 2026"

// serverVersionOutdated: fixes are missing.
func serverVersionOutdated() Rule {
	return Rule{
		ID: "server-version-outdated", Area: AreaServer, Severity: Medium,
		Title: "fixes of PostgreSQL are missing",
		Why:   "minor releases mend errors that lose or corrupt data; they need no dump, only new programs and a restart",
		Fix:   "install the newest minor release with the system's package manager, read its notes, restart the server",
		Looks: "the server's version; every role may see it",
		Judge: func(f Facts) Result {
			return onServer(f, func(s target.ServerFacts) Result {
				v := s.Server.Version
				newest, known := newestMinors()[v.Major()]
				switch {
				case v == 0:
					return unknown("the server's version: nobody looked")
				case !known:
					return unknown(fmt.Sprintf("the newest release of version %d is not known to this Refloat", v.Major()))
				}
				behind := newest - int(v)%10000
				if behind <= 0 {
					return passed()
				}
				x := Finding{Object: fmt.Sprint(v.Major()), Evidence: fmt.Sprintf("version %s; %d.%d was the newest when this Refloat was made (%s)", v, v.Major(), newest, newestMinorsOf)}
				if behind == 1 {
					x.Severity = Low
				}
				return found(x)
			})
		},
	}
}
