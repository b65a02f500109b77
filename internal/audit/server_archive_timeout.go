package audit

import (
	"fmt"
	"time"

	"github.com/refloat-db/refloat/internal/target"
)

// serverArchiveTimeout: the only log is archived whenever a segment is full.
func serverArchiveTimeout() Rule {
	const most = time.Hour
	return Rule{
		ID: "server-archive-timeout", Area: AreaServer, Severity: High,
		Title: "the log is archived only when a segment is full",
		Why:   "on a quiet server hours or days of commits are nowhere but on its own disk",
		Fix:   "let Refloat stream the log, which keeps each commit as it happens; or ALTER SYSTEM SET archive_timeout = '60s'; SELECT pg_reload_conf();",
		Looks: "the settings archive_mode, archive_command and archive_timeout, which every role may see, and who receives the log: GRANT pg_monitor",
		Judge: func(f Facts) Result {
			return settings(f, append(archiveSettings(), "archive_timeout"), func(s target.ServerFacts) Result {
				if !archives(s) {
					return notApplicable("the server does not archive")
				}
				if s.Server.InRecovery && value(s, "archive_mode") != "always" {
					return notApplicable("a standby that does not archive")
				}
				after := time.Duration(number(s, "archive_timeout")) * time.Second
				if after > 0 && after <= most {
					return passed()
				}
				by, why := keptBy(s)
				if by != "" {
					return passed()
				}
				x := ofSetting("archive_timeout", s.Settings["archive_timeout"])
				if x.Evidence += "; no receiver of the log is connected"; after > 0 {
					x.Severity = Medium
					x.Why = fmt.Sprintf("up to %s of commits are nowhere but on the server's own disk", spanText(after))
				}
				if why != "" {
					return unknown(why)
				}
				return found(x)
			})
		},
	}
}
