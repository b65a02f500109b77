package audit

import (
	"fmt"
	"time"

	"github.com/refloat-db/refloat/internal/target"
)

// endOfLife is the day of a major version's last release, as PostgreSQL's
// project publishes it at https://www.postgresql.org/support/versioning/ .
func endOfLife(major int) (time.Time, bool) {
	day := map[int]string{
		10: "2022-11-10", 11: "2023-11-09", 12: "2024-11-21", 13: "2025-11-13", 14: "2026-11-12",
		15: "2027-11-11", 16: "2028-11-09", 17: "2029-11-08", 18: "2030-11-14",
	}[major]
	t, err := time.Parse(time.DateOnly, day)
	return t, err == nil
}

// serverVersionEOL: nobody mends this version any more.
func serverVersionEOL() Rule {
	const soon = 180 * 24 * time.Hour
	return Rule{
		ID: "server-version-eol", Area: AreaServer, Severity: High,
		Title: "the PostgreSQL version is at its end of life",
		Why:   "errors that lose or corrupt data, and holes in security, are not mended any more",
		Fix:   "plan the upgrade with pg_upgrade, and try it on a restored copy: refloat restore",
		Looks: "the server's version; every role may see it",
		Judge: func(f Facts) Result {
			return onServer(f, func(s target.ServerFacts) Result {
				major := s.Server.Version.Major()
				end, known := endOfLife(major)
				switch {
				case major == 0:
					return unknown("the server's version: nobody looked")
				case !known && major < 10:
					return found(Finding{Object: fmt.Sprint(major), Evidence: "version " + s.Server.Version.String()})
				case !known:
					return unknown(fmt.Sprintf("the end of life of version %d: this Refloat is older than it", major))
				case f.At.Before(end.Add(-soon)):
					return passed()
				}
				x := Finding{Object: fmt.Sprint(major), Evidence: fmt.Sprintf("version %s; the last release of %d was on %s", s.Server.Version, major, end.Format(time.DateOnly))}
				if f.At.Before(end) {
					x.Severity = Low
					x.Evidence = fmt.Sprintf("version %s; the last release of %d is on %s", s.Server.Version, major, end.Format(time.DateOnly))
				}
				return found(x)
			})
		},
	}
}
