package audit

import (
	"fmt"
	"time"

	"github.com/refloat-db/refloat/internal/target"
)

// serverArchiverStalled: segments wait to be archived.
func serverArchiverStalled() Rule {
	const longest, most = 10 * time.Minute, 64
	return Rule{
		ID: "server-archiver-stalled", Area: AreaServer, Severity: High,
		Title: "segments of the log wait to be archived",
		Why:   "what waits is nowhere but on the server's own disk, and the disk fills",
		Fix:   "see why the archive command hangs, fails or is too slow: pg_stat_archiver, the server's log, ps for the archiver's child process",
		Looks: "pg_ls_archive_statusdir(): GRANT pg_monitor",
		Judge: func(f Facts) Result {
			return part(f, "segments that wait for the archiver", func(s target.ServerFacts) target.Known[target.ArchiveQueue] { return s.ArchiveQueue }, func(s target.ServerFacts, q target.ArchiveQueue) Result {
				mode, ok := s.Settings["archive_mode"]
				switch {
				case !ok:
					return unknown("the role may not see the setting archive_mode")
				case mode.Value == "off":
					return notApplicable("archive_mode is off")
				case s.Server.InRecovery && mode.Value != "always":
					return notApplicable("a standby that does not archive")
				case q.Waiting == 0:
					return passed()
				}
				waits := since(f, s, q.Oldest)
				if waits < longest && q.Waiting < most {
					return passed()
				}
				return found(Finding{Object: "archiver", Evidence: fmt.Sprintf("%d segments wait, the oldest for %s", q.Waiting, spanText(waits))})
			})
		},
	}
}
