package audit

import (
	"fmt"
	"strings"

	"github.com/refloat-db/refloat/internal/target"
)

// serverFileErrors: the configuration files have errors.
func serverFileErrors() Rule {
	return Rule{
		ID: "server-file-errors", Area: AreaServer, Severity: High,
		Title: "the configuration files have errors",
		Why:   "a reload changes nothing any more, and the server does not start again after a restart",
		Fix:   "mend the line, then SELECT pg_reload_conf();",
		Looks: "the view pg_file_settings: GRANT SELECT ON pg_file_settings, and EXECUTE on pg_show_all_file_settings()",
		Judge: func(f Facts) Result {
			return part(f, "the configuration files", func(s target.ServerFacts) target.Known[[]target.FileError] { return s.FileErrors }, func(_ target.ServerFacts, all []target.FileError) Result {
				var out []Finding
				for _, e := range all {
					out = append(out, Finding{
						Object: fmt.Sprintf("%s:%d", e.File, e.Line), File: e.File, Line: e.Line,
						Evidence: strings.TrimSpace(fmt.Sprintf("%s line %d: %s %s", e.File, e.Line, e.Name, e.Error)),
					})
				}
				return found(out...)
			})
		},
	}
}
