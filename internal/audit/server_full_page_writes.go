package audit

import "github.com/refloat-db/refloat/internal/target"

// serverFullPageWrites: full_page_writes is off.
func serverFullPageWrites() Rule {
	return Rule{
		ID: "server-full-page-writes", Area: AreaServer, Severity: Critical,
		Title: "full_page_writes is off",
		Why:   "a page that was half written when the server or the machine died cannot be repaired, and nothing notices",
		Fix:   "ALTER SYSTEM SET full_page_writes = on; SELECT pg_reload_conf(); then take a base backup",
		Looks: "the setting full_page_writes; every role may see it",
		Judge: func(f Facts) Result {
			return setting(f, "full_page_writes", func(s target.Setting) []Finding {
				if s.Value == "on" {
					return nil
				}
				return []Finding{ofSetting("full_page_writes", s)}
			})
		},
	}
}
