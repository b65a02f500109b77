package audit

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/refloat-db/refloat/internal/target"
)

// serverHBATrust: somebody gets in without a password, or with one that
// everybody on the way reads.
func serverHBATrust() Rule {
	return Rule{
		ID: "server-hba-trust", Area: AreaServer, Severity: Critical,
		Title: "pg_hba.conf lets people in without a secret",
		Why:   "whoever reaches the server can read, change and delete everything, and over replication take a copy of the whole cluster",
		Fix:   "put scram-sha-256 (or peer, for local lines) in place of the method, give the roles passwords, then SELECT pg_reload_conf();",
		Looks: "the view pg_hba_file_rules: GRANT SELECT ON pg_hba_file_rules, and EXECUTE on the function of that name",
		Judge: func(f Facts) Result {
			return part(f, "pg_hba.conf", hbaOf, func(_ target.ServerFacts, rules []target.HBARule) Result {
				var out []Finding
				for _, r := range rules {
					severity, how := hbaRisk(r)
					if severity == 0 {
						continue
					}
					out = append(out, Finding{
						Object: fmt.Sprintf("pg_hba.conf:%d", r.Line), Severity: severity, File: r.File, Line: r.Line,
						Evidence: fmt.Sprintf("line %d (%s): %s", r.Line, hbaText(r), how),
					})
				}
				return found(out...)
			})
		},
	}
}

func hbaOf(s target.ServerFacts) target.Known[[]target.HBARule] { return s.HBA }

func hbaRisk(r target.HBARule) (Severity, string) {
	whole := slices.Contains(r.Databases, "replication")
	switch {
	case r.Error != "":
		return 0, ""
	case r.Method == "trust" && hbaLocal(r) && whole:
		return Medium, "everybody on the host can copy the whole cluster"
	case r.Method == "trust" && hbaLocal(r):
		return Medium, "everybody on the host gets in without a password"
	case r.Method == "trust" && whole:
		return Critical, "everybody on the network can copy the whole cluster"
	case r.Method == "trust":
		return Critical, "everybody on the network gets in without a password"
	case r.Method == "password" && !hbaLocal(r) && r.Type != "hostssl" && r.Type != "hostgssenc":
		return Medium, "the password goes over the network as it is"
	}
	return 0, ""
}

// hbaLocal reports whether a line holds for connections from the host only.
func hbaLocal(r target.HBARule) bool {
	if r.Type == "local" || r.Address == "samehost" || r.Address == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(r.Address)
	if err != nil || !a.IsLoopback() {
		return false
	}
	mask, err := netip.ParseAddr(r.Netmask)
	return err != nil || a.Is6() || mask.AsSlice()[0] == 255
}

func hbaText(r target.HBARule) string {
	out := []string{r.Type, strings.Join(r.Databases, ","), strings.Join(r.Users, ",")}
	if r.Address != "" {
		out = append(out, r.Address)
	}
	return strings.Join(append(out, r.Method), " ")
}
