package audit

import (
	"fmt"
	"strings"

	"github.com/refloat-db/refloat/internal/target"
)

// serverTablespaces: data is outside the data directory.
func serverTablespaces() Rule {
	return Rule{
		ID: "server-tablespaces", Area: AreaServer, Severity: Medium,
		Title: "data is outside the data directory",
		Why:   "Refloat takes it along, and needs to be told where to restore it to; a copy of the data directory, or a dump without pg_dumpall --globals-only, lacks it",
		Fix:   "restore with --tablespace-map; with other tools see that they take tablespaces along",
		Looks: "pg_tablespace; every role may see it; whether one is inside the data directory: GRANT pg_monitor",
		Judge: func(f Facts) Result {
			return onServer(f, func(s target.ServerFacts) Result {
				if s.Server.Version == 0 {
					return unknown("nobody looked at the server")
				}
				var out []Finding
				for _, t := range s.Server.Tablespaces {
					x := Finding{Object: t.Name, Severity: Info, Evidence: fmt.Sprintf("tablespace %s is at %s", t.Name, t.Location)}
					if t.Size >= 0 {
						x.Evidence += ", " + bytesText(t.Size)
					}
					if data := s.Server.DataDirectory; data != "" && strings.HasPrefix(t.Location, data+"/") {
						x.Severity = Medium
						x.Evidence += ", inside the data directory"
						x.Why = "base backups copy it twice or fail over it, and a restore puts it where the next one collides"
						x.Fix = "make a tablespace elsewhere, ALTER DATABASE or TABLE … SET TABLESPACE to it, and drop this one"
					}
					out = append(out, x)
				}
				return found(out...)
			})
		},
	}
}
