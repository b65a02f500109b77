package audit

import "github.com/refloat-db/refloat/internal/target"

// serverFsync: fsync is off.
func serverFsync() Rule {
	return Rule{
		ID: "server-fsync", Area: AreaServer, Severity: Critical,
		Title: "fsync is off",
		Why:   "after a power failure or a crash of the operating system the cluster may be damaged beyond repair, and every backup taken from it since may be too",
		Fix:   "ALTER SYSTEM SET fsync = on; SELECT pg_reload_conf();",
		Looks: "the setting fsync; every role may see it",
		Judge: func(f Facts) Result {
			return setting(f, "fsync", func(s target.Setting) []Finding {
				if s.Value == "on" {
					return nil
				}
				return []Finding{ofSetting("fsync", s)}
			})
		},
	}
}
