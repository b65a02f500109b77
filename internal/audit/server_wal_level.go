package audit

import "github.com/refloat-db/refloat/internal/target"

// serverWALLevel: the log holds too little to restore from.
func serverWALLevel() Rule {
	return Rule{
		ID: "server-wal-level", Area: AreaServer, Severity: High,
		Title: "wal_level is minimal",
		Why:   "the log cannot be archived or streamed, so nothing after the last dump can be restored",
		Fix:   "ALTER SYSTEM SET wal_level = replica; then restart the server and take a base backup",
		Looks: "the setting wal_level; every role may see it",
		Judge: func(f Facts) Result {
			return setting(f, "wal_level", func(s target.Setting) []Finding {
				if s.Value != "minimal" {
					return nil
				}
				return []Finding{ofSetting("wal_level", s)}
			})
		},
	}
}
