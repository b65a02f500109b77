package audit

import (
	"fmt"
	"time"

	"github.com/refloat-db/refloat/internal/target"
)

// serverArchiverFailing: the last try to archive failed.
func serverArchiverFailing() Rule {
	return Rule{
		ID: "server-archiver-failing", Area: AreaServer, Severity: High,
		Title: "archiving fails",
		Why:   "the log since then is nowhere but on the server's own disk, which fills until the server stops",
		Fix:   "look for archive_command in the server's log, and run the command by hand as the server's user",
		Looks: "the view pg_stat_archiver; every role may see it",
		Judge: func(f Facts) Result {
			return part(f, "the archiver", func(s target.ServerFacts) target.Known[target.Archiver] { return s.Archiver }, func(s target.ServerFacts, a target.Archiver) Result {
				if s.Settings["archive_mode"].Value == "off" {
					return notApplicable("archive_mode is off")
				}
				if a.FailedAt.IsZero() || a.LastAt.After(a.FailedAt) {
					return passed()
				}
				if s.ArchiveQueue.Seen && s.ArchiveQueue.Value.Waiting == 0 { // what failed is not wanted any more
					return passed()
				}
				last := "nothing was archived since " + a.CountsFrom.UTC().Format(time.DateTime) + " UTC"
				if !a.LastAt.IsZero() {
					last = fmt.Sprintf("the last success was %s at %s UTC", a.LastWAL, a.LastAt.UTC().Format(time.DateTime))
				}
				return found(Finding{Object: "archiver", Evidence: fmt.Sprintf("%s failed at %s UTC, %d failures in all; %s", a.FailedWAL, a.FailedAt.UTC().Format(time.DateTime), a.Failed, last)})
			})
		},
	}
}
