package audit

import "github.com/refloat-db/refloat/internal/target"

// serverDefaultReadOnly: writes are refused by a setting.
func serverDefaultReadOnly() Rule {
	return Rule{
		ID: "server-default-read-only", Area: AreaServer, Severity: Medium,
		Title: "transactions are read only by default",
		Why:   "applications and Refloat's heartbeat cannot write, often since somebody forgot it after a maintenance",
		Fix:   "ALTER SYSTEM RESET default_transaction_read_only; SELECT pg_reload_conf();",
		Looks: "the setting default_transaction_read_only, of the server and of single roles and databases; every role may see it",
		Judge: func(f Facts) Result {
			return settings(f, []string{"default_transaction_read_only"}, func(s target.ServerFacts) Result {
				var out []Finding
				if v := s.Settings["default_transaction_read_only"]; v.Value == "on" {
					out = append(out, ofSetting("default_transaction_read_only", v))
				}
				for _, v := range s.Scoped.Value {
					if v.Name != "default_transaction_read_only" || v.Value != "on" && v.Value != "true" {
						continue
					}
					x := ofScoped(v)
					if v.Role != "" { // a role that only reads is made so on purpose
						x.Severity = Info
					}
					out = append(out, x)
				}
				if !s.Scoped.Seen {
					return foundBut(unseenPart("settings of roles and databases", s.Scoped.Why), out...)
				}
				return found(out...)
			})
		},
	}
}
