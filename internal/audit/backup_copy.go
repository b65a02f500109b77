package audit

import (
	"fmt"
	"strings"
	"time"
)

// backupCopy: a copy of the repository is behind or is none.
func backupCopy() Rule {
	return Rule{
		ID: "backup-copy", Area: AreaBackup, Severity: High,
		Title: "a copy of the repository is missing, behind, or no copy",
		Why:   "the copy that is counted on when the repository is lost would not do",
		Fix:   "copy the repository again, with what the storage offers or with: kopia repository sync-to",
		Looks: "each place of repository.copies",
		Judge: func(f Facts) Result {
			return onBackups(f, func(c Care, all []BackupFacts) Result {
				if len(c.Copies) == 0 {
					return notApplicable("no copy is named")
				}
				var out []Finding
				var blind []string
				for _, k := range c.Copies {
					switch v := k.Value; {
					case !k.Seen:
						blind = append(blind, k.Why)
					case !v.Same:
						out = append(out, Finding{Object: v.Location, Evidence: v.Location + " is a repository of its own and no copy of this one"})
					case len(all) > 0 && v.Newest.Before(all[len(all)-1].EndedAt.Add(-copyBehind)):
						out = append(out, Finding{Object: v.Location, Evidence: fmt.Sprintf("the newest base backup of %s in %s ended at %s, here at %s", f.Target, v.Location, v.Newest.UTC().Format(time.RFC3339), all[len(all)-1].EndedAt.UTC().Format(time.RFC3339))})
					}
				}
				return foundBut(strings.Join(blind, "; "), out...)
			})
		},
	}
}

// copyBehind is how far a copy may be behind: it is made from time to time.
const copyBehind = 26 * time.Hour
