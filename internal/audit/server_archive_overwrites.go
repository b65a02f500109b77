package audit

import (
	"strings"

	"github.com/refloat-db/refloat/internal/target"
)

// serverArchiveOverwrites: the archive command replaces segments that are
// there.
func serverArchiveOverwrites() Rule {
	return Rule{
		ID: "server-archive-overwrites", Area: AreaServer, Severity: Medium,
		Title: "the archive command overwrites files",
		Why:   "a second server that archives to the same place, as a copy of this one does, destroys this one's log",
		Fix:   "let the command refuse a file that is there, as in: ALTER SYSTEM SET archive_command = 'test ! -f /ARCHIVE/%f && cp %p /ARCHIVE/%f'; SELECT pg_reload_conf();",
		Looks: "the setting archive_command, read as a shell would; every role may see it",
		Judge: func(f Facts) Result {
			return archiveCommand(f, func(_ target.ServerFacts, c shellReading, x Finding) Result {
				how := overwrites(c)
				if how == "" {
					return passed()
				}
				x.Evidence += ": " + how
				return found(x)
			})
		},
	}
}

// overwrites says in which way a command replaces files, "" when it does not.
func overwrites(c shellReading) string {
	for _, call := range c.Work {
		to := call.destination()
		switch {
		case call.Name == "mv" && strings.Contains(strings.Join(call.Args, " "), "%p"):
			return "mv takes the segment away from under the server, which may still need it"
		case to != "" && to != "/dev/null" && !c.Guarded && call.overwrites():
			return call.Name + " replaces " + to + " when it is there"
		}
	}
	return ""
}
