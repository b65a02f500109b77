package audit

import (
	"fmt"
	"path"

	"github.com/refloat-db/refloat/internal/foreign"
)

// foreignClientOlder: the dump program is older than the server.
func foreignClientOlder() Rule {
	return Rule{
		ID: "foreign-client-older", Area: AreaForeign, Severity: High,
		Title: "dumps are made by a program that is older than the server",
		Why:   "pg_dump refuses a server that is newer than itself: after an upgrade of the server no dump is made any more, and a pipe hides that",
		Fix:   "install postgresql-client of the server's version where the job runs, and name its path in the job",
		Looks: "the version in each dump against the server's",
		Judge: func(f Facts) Result {
			return atPlaces(f, filesOf, func(_ foreign.Facts, all []foreign.File) []Finding {
				var out []Finding
				for _, x := range newestOfEach(all) {
					server := x.Server
					if f.Server.Seen {
						server = f.Server.Value.Server.Version.Major()
					}
					if x.Client != 0 && x.Client < server {
						out = append(out, Finding{Object: x.Path, Evidence: fmt.Sprintf("%s was made by pg_dump %d; the server is %d", path.Base(x.Path), x.Client, server), File: x.Path})
					}
				}
				return out
			})
		},
	}
}
