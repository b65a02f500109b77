package audit

import (
	"slices"
	"strings"

	"github.com/refloat-db/refloat/internal/target"
)

// serverArchiveDiscards: the archive command stores nothing and says that it
// did.
func serverArchiveDiscards() Rule {
	return Rule{
		ID: "server-archive-discards", Area: AreaServer, Severity: Critical,
		Title: "the archive command stores nothing",
		Why:   "the server takes each segment for archived and removes it, so that nothing after the last base backup can be restored",
		Fix:   goodArchiveCommand,
		Looks: "the setting archive_command, read as a shell would; every role may see it",
		Judge: func(f Facts) Result {
			return archiveCommand(f, func(s target.ServerFacts, c shellReading, x Finding) Result {
				how := discards(value(s, "archive_command"), c)
				if how == "" {
					return passed()
				}
				x.Evidence += ": " + how
				if by, _ := keptBy(s); by != "" {
					x.Severity = Info
					x.Why = by + " keeps the log, so that the command need not"
					x.Fix = "ALTER SYSTEM SET archive_mode = off; with the next restart the command is gone"
				}
				return found(x)
			})
		},
	}
}

// discards says in which way a command stores nothing, "" when it may store
// something.
func discards(command string, c shellReading) string {
	plain := strings.ReplaceAll(command, "%%", "")
	switch {
	case len(c.Work) == 0:
		return "it runs nothing that stores a file"
	case !strings.Contains(plain, "%p") && !strings.Contains(plain, "%f"):
		return "it is told neither the path (%p) nor the name (%f) of the segment"
	case !slices.ContainsFunc(c.Work, func(call shellCall) bool { return call.destination() != "/dev/null" }):
		return "it writes to /dev/null"
	}
	return ""
}
