package audit

import "github.com/refloat-db/refloat/internal/target"

// serverSynchronousCommit: commits are acknowledged before they are durable.
func serverSynchronousCommit() Rule {
	return Rule{
		ID: "server-synchronous-commit", Area: AreaServer, Severity: Medium,
		Title: "commits are acknowledged before they are on disk",
		Why:   "after a crash the last commits are gone although the application was told that they are safe",
		Fix:   "ALTER SYSTEM SET synchronous_commit = on; SELECT pg_reload_conf();",
		Looks: "the setting synchronous_commit, of the server and of single roles and databases; every role may see it",
		Judge: func(f Facts) Result {
			return settings(f, []string{"synchronous_commit"}, func(s target.ServerFacts) Result {
				var out []Finding
				if v := s.Settings["synchronous_commit"]; v.Value == "off" {
					out = append(out, ofSetting("synchronous_commit", v))
				}
				for _, v := range s.Scoped.Value {
					if v.Name == "synchronous_commit" && v.Value == "off" {
						x := ofScoped(v)
						x.Severity = Low // someone chose it for these
						out = append(out, x)
					}
				}
				if !s.Scoped.Seen {
					return foundBut(unseenPart("settings of roles and databases", s.Scoped.Why), out...)
				}
				return found(out...)
			})
		},
	}
}
