package audit

import (
	"fmt"

	"github.com/refloat-db/refloat/internal/target"
)

// serverArchiveSwallows: the archive command can fail and say that it did not.
func serverArchiveSwallows() Rule {
	return Rule{
		ID: "server-archive-swallows", Area: AreaServer, Severity: Critical,
		Title: "a failure of the archive command is swallowed",
		Why:   "when the copy fails the server takes the segment for archived and removes it: a gap in the log that shows only at a restore",
		Fix:   goodArchiveCommand,
		Looks: "the setting archive_command, read as a shell would; every role may see it",
		Judge: func(f Facts) Result {
			return archiveCommand(f, func(s target.ServerFacts, c shellReading, x Finding) Result {
				if len(c.Swallowed) == 0 {
					return passed()
				}
				x.Evidence += fmt.Sprintf(": a failure of %s is not seen, since %s", c.Swallowed[0].call, c.Swallowed[0].how)
				if by, _ := keptBy(s); by != "" {
					x.Severity = Medium // there is another log
				}
				return found(x)
			})
		},
	}
}
