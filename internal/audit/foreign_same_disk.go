package audit

import (
	"fmt"

	"github.com/refloat-db/refloat/internal/foreign"
)

// foreignSameDisk: backups are on the device that the data is on.
func foreignSameDisk() Rule {
	return Rule{
		ID: "foreign-same-disk", Area: AreaForeign, Severity: High,
		Title: "another tool keeps its backups on the data's disk",
		Why:   "the failure that takes the data takes the backups",
		Fix:   "move the repository to another machine, or to object storage",
		Looks: "the device of the data directory and of the repository, on the server's own machine",
		Judge: func(f Facts) Result {
			return atPlaces(f, repositoryOf, func(x foreign.Facts, all []foreign.Repository) []Finding {
				if !f.Host.Seen {
					return nil
				}
				var out []Finding
				elsewhere := false
				for _, r := range all {
					if r.Device == 0 || r.Device != f.Host.Value.DataDevice {
						elsewhere = elsewhere || !r.Local || r.Device != 0
						continue
					}
					out = append(out, Finding{Evidence: fmt.Sprintf("%s and the data directory %s are on one device", r.Location, f.Host.Value.DataDirectory)})
				}
				if elsewhere {
					return nil // one of several is in another place
				}
				return out
			})
		},
	}
}
