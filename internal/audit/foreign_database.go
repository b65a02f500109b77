package audit

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/refloat-db/refloat/internal/foreign"
	"github.com/refloat-db/refloat/internal/target"
)

// foreignDatabase: dumps are of another database, or of an empty one.
func foreignDatabase() Rule {
	return Rule{
		ID: "foreign-database", Area: AreaForeign, Severity: High,
		Title: "dumps are of the wrong database, or leave one out",
		Why:   "a new or renamed database is in no dump until somebody adds it, and a dump of an empty one succeeds",
		Fix:   "dump every database: pg_dumpall, or pg_dump for each that SELECT datname FROM pg_database lists",
		Looks: "the databases that the dumps name, by content or file name, against the server's",
		Judge: func(f Facts) Result {
			return atPlaces(f, filesOf, func(x foreign.Facts, all []foreign.File) []Finding {
				var out []Finding
				data := newestOfEach(dumps(all))
				for _, y := range data {
					if y.Tables == 0 && y.Problem == "" && y.Unread == "" {
						out = append(out, Finding{Object: y.Path, Evidence: path.Base(y.Path) + " holds no table with rows", File: y.Path})
					}
				}
				if !f.Server.Seen || !f.Server.Value.Databases.Seen {
					return out
				}
				return append(out, leftOut(x, data, f.Server.Value.Databases.Value)...)
			})
		},
	}
}

// leftOut names the databases that no dump is of, and dumps of databases that
// are not there.
func leftOut(x foreign.Facts, data []foreign.File, databases []target.DatabaseFacts) []Finding {
	if len(data) == 0 || slices.ContainsFunc(data, func(y foreign.File) bool { return y.Globals || y.Form == foreign.Other }) {
		return nil // of the whole server, or not to be told
	}
	var names, missing []string
	for _, d := range databases {
		if d.Template || !d.AllowsConn {
			continue
		}
		names = append(names, d.Name)
		if d.Name != "postgres" && !slices.ContainsFunc(data, func(y foreign.File) bool { return isOf(y, d.Name) }) {
			missing = append(missing, d.Name)
		}
	}
	var out []Finding
	if len(missing) > 0 {
		out = append(out, Finding{Object: x.Source() + " without " + missing[0], Evidence: fmt.Sprintf("%s holds no dump of %s", x.Name, strings.Join(missing, ", "))})
	}
	for _, y := range data {
		if y.Database != "" && !slices.Contains(names, y.Database) {
			out = append(out, Finding{Object: y.Path, Evidence: fmt.Sprintf("%s is of database %s, which the server does not have", path.Base(y.Path), y.Database), File: y.Path})
		}
	}
	return out
}

func isOf(y foreign.File, database string) bool {
	if y.Database != "" {
		return y.Database == database
	}
	return strings.Contains(path.Base(y.Path), database) || strings.Contains(path.Base(path.Dir(y.Path)), database)
}
