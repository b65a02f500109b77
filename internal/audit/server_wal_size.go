package audit

import (
	"fmt"

	"github.com/refloat-db/refloat/internal/target"
)

// serverWALSize: the server keeps far more log than its settings ask for.
func serverWALSize() Rule {
	return Rule{
		ID: "server-wal-size", Area: AreaServer, Severity: Medium,
		Title: "the server keeps far more log than it should",
		Why:   "something holds the log back; when the disk is full the server stops",
		Fix:   "see what holds it: slots (pg_replication_slots), the archiver (pg_stat_archiver), wal_keep_size; never delete files of pg_wal by hand",
		Looks: "pg_ls_waldir(): GRANT pg_monitor; the settings max_wal_size and wal_keep_size",
		Judge: func(f Facts) Result {
			return part(f, "the log that the server keeps", func(s target.ServerFacts) target.Known[target.WALDirectory] { return s.WAL }, func(s target.ServerFacts, w target.WALDirectory) Result {
				segment := number(s, "wal_segment_size")
				if segment == 0 {
					return unknown("the role may not see the setting wal_segment_size")
				}
				wanted := max(megabytes(s, "max_wal_size"), megabytes(s, "wal_keep_size"), megabytes(s, "min_wal_size"), 32*segment)
				if w.Bytes <= 3*wanted {
					return passed()
				}
				return found(Finding{Object: "pg_wal", Evidence: fmt.Sprintf("pg_wal holds %s in %d files; the settings ask for %s", bytesText(w.Bytes), w.Files, bytesText(wanted))})
			})
		},
	}
}
