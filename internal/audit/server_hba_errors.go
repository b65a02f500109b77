package audit

import (
	"fmt"

	"github.com/refloat-db/refloat/internal/target"
)

// serverHBAErrors: pg_hba.conf has lines that the server cannot read.
func serverHBAErrors() Rule {
	return Rule{
		ID: "server-hba-errors", Area: AreaServer, Severity: High,
		Title: "pg_hba.conf has errors",
		Why:   "a reload changes nothing any more, and after a restart nobody gets in",
		Fix:   "mend the line, then SELECT pg_reload_conf();",
		Looks: "the view pg_hba_file_rules: GRANT SELECT ON pg_hba_file_rules, and EXECUTE on the function of that name",
		Judge: func(f Facts) Result {
			return part(f, "pg_hba.conf", hbaOf, func(_ target.ServerFacts, rules []target.HBARule) Result {
				var out []Finding
				for _, r := range rules {
					if r.Error == "" {
						continue
					}
					x := Finding{Object: fmt.Sprintf("pg_hba.conf:%d", r.Line), File: r.File, Line: r.Line, Evidence: fmt.Sprintf("line %d: %s", r.Line, r.Error)}
					if r.Type != "" { // it was understood, and can never fit, as hostssl without TLS
						x.Severity = Low
						x.Why = "nobody gets in by this line"
						x.Fix = "ALTER SYSTEM SET ssl = on, with a certificate; or take the line out"
					}
					out = append(out, x)
				}
				return found(out...)
			})
		},
	}
}
