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
					x, risky := hbaRisk(r)
					if !risky {
						continue
					}
					x.File, x.Line = r.File, r.Line
					line := fmt.Sprintf("line %d (%s)", r.Line, hbaText(r))
					// Lines that let the same people in are one finding.
					if i := slices.IndexFunc(out, func(y Finding) bool { return y.Object == x.Object }); i >= 0 {
						out[i].Evidence += ", " + line
						continue
					}
					x.Evidence += ": " + line
					out = append(out, x)
				}
				return found(out...)
			})
		},
	}
}

func hbaOf(s target.ServerFacts) target.Known[[]target.HBARule] { return s.HBA }

// hbaRisk says who gets in by a line who should not.
func hbaRisk(r target.HBARule) (Finding, bool) {
	whole := slices.Contains(r.Databases, "replication")
	switch {
	case r.Error != "":
		return Finding{}, false
	case r.Method == "trust" && hbaLocal(r) && whole:
		return Finding{Object: "replication trust on the host", Severity: Medium, Evidence: "everybody on the host can copy the whole cluster"}, true
	case r.Method == "trust" && hbaLocal(r):
		return Finding{Object: "trust on the host", Severity: Medium, Evidence: "everybody on the host gets in without a password"}, true
	case r.Method == "trust" && whole:
		return Finding{Object: "replication trust for " + r.Address, Severity: Critical, Evidence: "everybody at " + r.Address + " can copy the whole cluster"}, true
	case r.Method == "trust":
		return Finding{Object: "trust for " + r.Address, Severity: Critical, Evidence: "everybody at " + r.Address + " gets in without a password"}, true
	case r.Method == "password" && !hbaLocal(r) && r.Type != "hostssl" && r.Type != "hostgssenc":
		return Finding{Object: "password for " + r.Address, Severity: Medium, Evidence: "the password goes over the network as it is"}, true
	}
	return Finding{}, false
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
