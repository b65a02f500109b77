package audit

import (
	"fmt"

	"github.com/refloat-db/refloat/internal/target"
)

// serverTablesWithoutKey: logical replication cannot tell rows apart.
func serverTablesWithoutKey() Rule {
	return Rule{
		ID: "server-tables-without-key", Area: AreaServer, Severity: Medium,
		Title: "tables of a logical replication have no key",
		Why:   "their UPDATE and DELETE are refused, or do not reach the copy that somebody counts on",
		Fix:   "ALTER TABLE … ADD PRIMARY KEY (…); or ALTER TABLE … REPLICA IDENTITY FULL;",
		Looks: "publications, logical slots, and the keys of tables in each database: CONNECT",
		Judge: func(f Facts) Result {
			return settings(f, []string{"wal_level"}, func(s target.ServerFacts) Result {
				logical := map[string]string{}
				for _, slot := range s.Slots.Value {
					if slot.Logical {
						logical[slot.Database] = slot.Name
					}
				}
				res := insideDatabases(f, func(s target.ServerFacts, d target.DatabaseFacts) []Finding {
					return keyless(d.Name, d.Inside.Value, logical[d.Name], value(s, "wal_level") == "logical")
				})
				if !s.Slots.Seen && res.Outcome == Passed {
					return unknown(unseenPart("slots", s.Slots.Why))
				}
				return res
			})
		},
	}
}

func keyless(database string, d target.DatabaseInside, slot string, logical bool) []Finding {
	x := Finding{Object: "database " + database}
	tables := d.WithoutKey
	switch {
	case d.KeylessPublish.Count > 0:
		tables = d.KeylessPublish
		x.Evidence = fmt.Sprintf("%d published tables in database %s have neither a primary key nor a replica identity: %s", tables.Count, database, examplesText(tables))
	case slot != "" && tables.Count > 0:
		x.Evidence = fmt.Sprintf("slot %s decodes database %s, in which %d tables have no key: %s", slot, database, tables.Count, examplesText(tables))
	case logical && d.Publications == 0 && tables.Count > 0:
		x.Severity = Info
		x.Evidence = fmt.Sprintf("wal_level is logical, and %d tables in database %s have no key: %s", tables.Count, database, examplesText(tables))
	default:
		return nil
	}
	x.Fix = fmt.Sprintf("in database %s: ALTER TABLE %s ADD PRIMARY KEY (…); or ALTER TABLE %s REPLICA IDENTITY FULL;", database, tables.Names[0], tables.Names[0])
	return []Finding{x}
}
