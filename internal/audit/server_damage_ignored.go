package audit

import (
	"fmt"
	"slices"

	"github.com/refloat-db/refloat/internal/target"
)

// serverDamageIgnored: a setting makes the server go on over damaged data.
func serverDamageIgnored() Rule {
	names := []string{"zero_damaged_pages", "ignore_checksum_failure", "ignore_invalid_pages", "ignore_system_indexes", "data_sync_retry"}
	return Rule{
		ID: "server-damage-ignored", Area: AreaServer, Severity: Critical,
		Title: "the server is told to go on over damaged data",
		Why:   "damaged pages are taken for good or for empty, so that rows are gone without an error, from later backups too",
		Fix:   "ALTER SYSTEM RESET the setting (and ALTER ROLE or DATABASE … RESET it where it is set there); SELECT pg_reload_conf();",
		Looks: "the settings zero_damaged_pages, ignore_checksum_failure, ignore_invalid_pages, ignore_system_indexes and data_sync_retry, of the server and of single roles and databases; every role may see them",
		Judge: func(f Facts) Result {
			return settings(f, []string{"zero_damaged_pages"}, func(s target.ServerFacts) Result {
				var out []Finding
				for _, name := range names {
					if v, ok := s.Settings[name]; ok && v.Value != "off" {
						x := ofSetting(name, v)
						x.Fix = fmt.Sprintf("ALTER SYSTEM RESET %s; SELECT pg_reload_conf();", name)
						out = append(out, x)
					}
				}
				for _, v := range s.Scoped.Value {
					if slices.Contains(names, v.Name) && v.Value != "off" {
						out = append(out, ofScoped(v))
					}
				}
				if !s.Scoped.Seen {
					return foundBut(unseenPart("settings of roles and databases", s.Scoped.Why), out...)
				}
				return found(out...)
			})
		},
	}
}

// ofScoped is a finding about a setting of a role or database.
func ofScoped(v target.ScopedSetting) Finding {
	whose, reset := "database "+v.Database, "ALTER DATABASE "+quoteID(v.Database)
	switch {
	case v.Role != "" && v.Database != "":
		whose, reset = fmt.Sprintf("role %s in database %s", v.Role, v.Database), fmt.Sprintf("ALTER ROLE %s IN DATABASE %s", quoteID(v.Role), quoteID(v.Database))
	case v.Role != "":
		whose, reset = "role "+v.Role, "ALTER ROLE "+quoteID(v.Role)
	}
	return Finding{
		Object:   v.Name + " of " + whose,
		Evidence: fmt.Sprintf("%s = %s for %s", v.Name, v.Value, whose),
		Fix:      reset + " RESET " + v.Name + ";",
	}
}
