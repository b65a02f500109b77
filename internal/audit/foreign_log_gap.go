package audit

import (
	"fmt"

	"github.com/refloat-db/refloat/internal/foreign"
)

// foreignLogGap: a segment that a restore needs is not in the archive.
func foreignLogGap() Rule {
	return Rule{
		ID: "foreign-log-gap", Area: AreaForeign, Severity: Critical,
		Title: "log that a restore needs is missing from another tool's archive",
		Why:   "PostgreSQL takes a missing segment for the end of the log: the restore ends early and says that all is well, or the server does not start",
		Fix:   "take a new backup now; then find out who deleted the segment, or why it was never stored",
		Looks: "the name of each segment in the archive, from the first that a backup needs to the newest",
		Judge: func(f Facts) Result {
			return atPlaces(f, archiveOf, func(x foreign.Facts, a foreign.Archive) []Finding {
				if x.Backups == nil || !x.Backups.Seen {
					return nil // whoever cannot list them says so
				}
				return gaps(x, a, whole(x.Backups.Value))
			})
		},
	}
}

func gaps(x foreign.Facts, a foreign.Archive, all []foreign.Backup) []Finding {
	if len(all) == 0 {
		return nil
	}
	var out []Finding
	oldest, newest := all[0], all[len(all)-1]
	for _, b := range all {
		if name, n := a.Missing(b.First, b.Last); n > 0 {
			sev := Severity(0)
			if b.Label != newest.Label {
				sev = High
			}
			out = append(out, Finding{Severity: sev, Object: x.Source() + " " + b.Label, Evidence: fmt.Sprintf("backup %s needs the log from %s to %s; %s is not in %s (%d missing): a server restored from it does not start", b.Label, b.First, b.Last, name, a.Where, n)})
		}
	}
	if last := a.Newest(); last != "" {
		if name, n := a.Missing(newest.Last, last); n > 0 && name != newest.Last {
			out = append(out, Finding{Evidence: fmt.Sprintf("%s has log up to %s, but not %s (%d missing): a restore from the newest backup, %s, ends there and says nothing", a.Where, last, name, n, newest.Label)})
		}
	}
	if name, n := a.Missing(oldest.Last, newest.First); n > 0 && name != oldest.Last && name != newest.First {
		out = append(out, Finding{Severity: Medium, Object: x.Source() + " before " + newest.Label, Evidence: fmt.Sprintf("%s is not in %s (%d missing): moments between it and backup %s cannot be restored", name, a.Where, n, newest.Label)})
	}
	return out
}
