package audit

import (
	"fmt"
	"strings"

	"github.com/refloat-db/refloat/internal/target"
)

// serverReplicationTLS: the whole cluster goes over the network in the clear.
func serverReplicationTLS() Rule {
	return Rule{
		ID: "server-replication-tls", Area: AreaServer, Severity: High,
		Title: "replication crosses the network without TLS",
		Why:   "every byte of the cluster can be read on the way, and changed",
		Fix:   "ssl = on with a certificate on the server, hostssl lines for replication in pg_hba.conf, and sslmode=verify-full at the client",
		Looks: "our own replication connection: REPLICATION and a line in pg_hba.conf; those of others: GRANT pg_monitor",
		Judge: func(f Facts) Result {
			return onServer(f, func(s target.ServerFacts) Result {
				var out []Finding
				var unseen []string
				if r := s.Replication; r.Seen && !r.Value.Local && !r.Value.TLS {
					severity := High
					if f.Care == nil { // nothing is sent over it, but it could be
						severity = Low
					}
					out = append(out, Finding{
						Severity: severity, Object: "our own connection", Evidence: "our replication connection to " + r.Value.Address + " has no TLS",
						Fix: "take sslmode=disable out of the target's DSN; on the server ssl = on and a hostssl line for replication",
					})
				} else if !r.Seen {
					unseen = append(unseen, unseenPart("our own replication connection", r.Why))
				}
				for _, w := range s.Senders.Value {
					if !w.Local && !w.TLS {
						out = append(out, Finding{Object: w.Application + " " + w.Address, Evidence: fmt.Sprintf("%s at %s (role %s) receives the log without TLS", w.Application, w.Address, w.Role)})
					}
				}
				if !s.Senders.Seen {
					unseen = append(unseen, unseenPart("replication connections of others", s.Senders.Why))
				}
				return foundBut(strings.Join(unseen, "; "), firstOfEach(out)...)
			})
		},
	}
}
