package audit

import "github.com/refloat-db/refloat/internal/target"

// serverAutovacuum: nothing cleans up.
func serverAutovacuum() Rule {
	return Rule{
		ID: "server-autovacuum", Area: AreaServer, Severity: Medium,
		Title: "autovacuum is off",
		Why:   "tables bloat, restores and drills take longer, and transaction identifiers run out",
		Fix:   "ALTER SYSTEM SET autovacuum = on; SELECT pg_reload_conf();",
		Looks: "the settings autovacuum and track_counts; every role may see them",
		Judge: func(f Facts) Result {
			return settings(f, []string{"autovacuum", "track_counts"}, func(s target.ServerFacts) Result {
				var out []Finding
				for _, name := range []string{"autovacuum", "track_counts"} {
					if v := s.Settings[name]; v.Value == "off" {
						x := ofSetting(name, v)
						x.Fix = "ALTER SYSTEM SET " + name + " = on; SELECT pg_reload_conf();"
						out = append(out, x)
					}
				}
				return found(out...)
			})
		},
	}
}
