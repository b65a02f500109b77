package audit

import (
	"fmt"
	"time"

	"github.com/refloat-db/refloat/internal/target"
)

// serverChecksumFailures: pages were found damaged.
func serverChecksumFailures() Rule {
	return Rule{
		ID: "server-checksum-failures", Area: AreaServer, Severity: Critical,
		Title: "damaged pages were read",
		Why:   "the disk gives back other bytes than were written: data is lost now, and more may follow",
		Fix:   "keep every older backup; run refloat drill to see which backup is whole; restore on other hardware; only then SELECT pg_stat_reset(); in that database",
		Looks: "pg_stat_database.checksum_failures; every role may see it",
		Judge: func(f Facts) Result {
			return settings(f, []string{"data_checksums"}, func(s target.ServerFacts) Result {
				if value(s, "data_checksums") != "on" {
					return notApplicable("data checksums are off")
				}
				return part(f, "databases", databasesOf, func(_ target.ServerFacts, all []target.DatabaseFacts) Result {
					var out []Finding
					for _, d := range all {
						if d.ChecksumFailures > 0 {
							out = append(out, Finding{
								Object:   "database " + d.Name,
								Evidence: fmt.Sprintf("%d pages of database %s failed their checksum, the last at %s UTC", d.ChecksumFailures, d.Name, d.ChecksumFailedAt.UTC().Format(time.DateTime)),
							})
						}
					}
					return found(out...)
				})
			})
		},
	}
}
