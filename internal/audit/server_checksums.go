package audit

import "github.com/refloat-db/refloat/internal/target"

// serverChecksums: pages have no checksums.
func serverChecksums() Rule {
	return Rule{
		ID: "server-checksums", Area: AreaServer, Severity: Medium,
		Title: "data checksums are off",
		Why:   "what a disk damages is read, replicated and backed up as if it were good, until someone misses the data",
		Fix:   "stop the server cleanly, run pg_checksums --enable -D DATA_DIRECTORY, start it again, and take a base backup; or make new clusters with initdb --data-checksums",
		Looks: "the setting data_checksums; every role may see it",
		Judge: func(f Facts) Result {
			return setting(f, "data_checksums", func(s target.Setting) []Finding {
				if s.Value == "on" {
					return nil
				}
				return []Finding{{Object: "data_checksums", Evidence: "data_checksums = " + s.Value}}
			})
		},
	}
}
