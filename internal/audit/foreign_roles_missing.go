package audit

import (
	"fmt"
	"slices"
	"time"

	"github.com/refloat-db/refloat/internal/foreign"
)

// foreignRolesMissing: nothing dumps roles and tablespaces.
func foreignRolesMissing() Rule {
	return Rule{
		ID: "foreign-roles-missing", Area: AreaForeign, Severity: High,
		Title: "roles and tablespaces are not dumped",
		Why:   "pg_dump leaves them out: on a new server every owner and grant fails, and nobody can sign in",
		Fix:   "dump them beside the databases: pg_dumpall --globals-only > globals-$(date +%F).sql",
		Looks: "the dumps of a folder: one of pg_dumpall, or with CREATE ROLE, not much older than the rest",
		Judge: func(f Facts) Result {
			return atPlaces(f, filesOf, func(x foreign.Facts, all []foreign.File) []Finding {
				data := dumps(all)
				if len(data) == 0 {
					return nil
				}
				newest := data[len(data)-1].At
				unread := func(y foreign.File) bool {
					return y.Unread != "" && (onlyRoles(y) || y.Database == "" && y.Form == foreign.Other)
				}
				if slices.ContainsFunc(all, func(y foreign.File) bool {
					return (y.Globals || unread(y)) && y.Problem == "" && newest.Sub(y.At) < 8*24*time.Hour
				}) {
					return nil
				}
				return []Finding{{Evidence: fmt.Sprintf("none of the %d files in %s creates roles", len(all), x.Name)}}
			})
		},
	}
}
