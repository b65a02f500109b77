package audit

import (
	"fmt"

	"github.com/refloat-db/refloat/internal/target"
)

// Ages at which identifiers matter. The server stops to write three million
// before 2^31 (PostgreSQL docs, "Preventing Transaction ID Wraparound
// Failures").
const (
	ageStops    = 1<<31 - 3_000_000
	ageCritical = 1_900_000_000
	ageHigh     = 1_500_000_000
)

// serverXIDWraparound: transaction identifiers run out.
func serverXIDWraparound() Rule {
	return Rule{
		ID: "server-xid-wraparound", Area: AreaServer, Severity: Critical,
		Title: "transaction identifiers run out",
		Why:   "at the end the server refuses every write, and vacuuming it back takes hours",
		Fix:   "end what holds vacuum back (long and prepared transactions, slots), then VACUUM (FREEZE) the tables with the oldest identifiers",
		Looks: "pg_database.datfrozenxid, which every role may see; the oldest table of each database: CONNECT",
		Judge: func(f Facts) Result {
			return part(f, "databases", databasesOf, func(s target.ServerFacts, all []target.DatabaseFacts) Result {
				var out []Finding
				for _, d := range all {
					out = append(out, wraparound("autovacuum_freeze_max_age", "transactions", s, d, d.XIDAge, d.Inside.Value.OldestXID)...)
				}
				return found(out...)
			})
		},
	}
}

// wraparound judges an age: vacuum starts by itself at the setting, so that
// far above it vacuum does not come through.
func wraparound(setting, of string, s target.ServerFacts, d target.DatabaseFacts, age int64, oldest target.TableAge) []Finding {
	severity := Medium
	switch {
	case age >= ageCritical:
		severity = Critical
	case age >= ageHigh:
		severity = High
	case age < min(ageHigh, max(2*number(s, setting), 400_000_000)):
		return nil
	}
	x := Finding{
		Object: "database " + d.Name, Severity: severity,
		Evidence: fmt.Sprintf("the oldest row of database %s is %d %s old; writes stop at %d, and vacuum begins by itself at %s = %d", d.Name, age, of, ageStops, setting, number(s, setting)),
	}
	if oldest.Table != "" {
		x.Evidence += fmt.Sprintf("; the oldest table is %s with %d", oldest.Table, oldest.Age)
		x.Fix = fmt.Sprintf("end what holds vacuum back (long and prepared transactions, slots), then in database %s: VACUUM (FREEZE, VERBOSE) %s;", d.Name, oldest.Table)
	}
	return []Finding{x}
}
