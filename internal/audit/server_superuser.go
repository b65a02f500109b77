package audit

import (
	"fmt"
	"slices"

	"github.com/refloat-db/refloat/internal/target"
)

// serverSuperuser: a superuser is used where a lesser role serves.
func serverSuperuser() Rule {
	return Rule{
		ID: "server-superuser", Area: AreaServer, Severity: Medium,
		Title: "a superuser is used where a lesser role serves",
		Why:   "whoever gets the password of a backup or a standby can delete the database and run programs on its host",
		Fix:   "for Refloat: refloat init --grants; for a standby: a role with LOGIN REPLICATION",
		Looks: "our own role, which every role may see, and who receives the log: GRANT pg_monitor",
		Judge: func(f Facts) Result {
			return onServer(f, func(s target.ServerFacts) Result {
				if s.Server.Role.Name == "" {
					return unknown("nobody looked at the role")
				}
				var out []Finding
				if r := s.Server.Role; r.Superuser {
					severity := Medium
					if f.Care == nil { // whoever looks once may be the administrator
						severity = Info
					}
					out = append(out, Finding{Severity: severity, Object: "role " + r.Name, Evidence: "we sign in as " + r.Name + ", a superuser", Fix: "refloat init --grants prints what a lesser role needs; then name it in the target's DSN"})
				}
				if !s.Roles.Seen || !s.Senders.Seen {
					why := unseenPart("roles", s.Roles.Why)
					if s.Roles.Seen {
						why = unseenPart("who receives the log", s.Senders.Why)
					}
					return foundBut(why, out...)
				}
				for _, r := range s.Roles.Value {
					i := slices.IndexFunc(s.Senders.Value, func(w target.Sender) bool { return w.Role == r.Name })
					if r.Superuser && i >= 0 && r.Name != s.Server.Role.Name {
						w := s.Senders.Value[i]
						out = append(out, Finding{
							Object: "role " + r.Name, Severity: Low, Evidence: fmt.Sprintf("%s (%s) receives the log as %s, a superuser", w.Application, addressText(w), r.Name),
							Fix: "CREATE ROLE standby LOGIN REPLICATION; and put it in primary_conninfo or the tool's settings",
						})
					}
				}
				return found(out...)
			})
		},
	}
}
