package audit

import "github.com/refloat-db/refloat/internal/target"

// serverMultixactWraparound: identifiers of shared row locks run out.
func serverMultixactWraparound() Rule {
	return Rule{
		ID: "server-multixact-wraparound", Area: AreaServer, Severity: Critical,
		Title: "multixact identifiers run out",
		Why:   "at the end the server refuses writes that lock rows, and vacuuming it back takes hours",
		Fix:   "end what holds vacuum back (long and prepared transactions, slots), then VACUUM (FREEZE) the tables with the oldest identifiers",
		Looks: "pg_database.datminmxid, which every role may see; the oldest table of each database: CONNECT",
		Judge: func(f Facts) Result {
			return part(f, "databases", databasesOf, func(s target.ServerFacts, all []target.DatabaseFacts) Result {
				var out []Finding
				for _, d := range all {
					out = append(out, wraparound("autovacuum_multixact_freeze_max_age", "multixacts", s, d, d.MultixactAge, d.Inside.Value.OldestMXID)...)
				}
				return found(out...)
			})
		},
	}
}
