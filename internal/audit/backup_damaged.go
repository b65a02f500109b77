package audit

import "fmt"

// backupDamaged: a base backup is damaged.
func backupDamaged() Rule {
	return Rule{
		ID: "backup-damaged", Area: AreaBackup, Severity: High,
		Title: "a base backup is damaged, or was taken of a damaged cluster",
		Why:   "a restore from it fails, or brings the damage back",
		Fix:   "refloat backup TARGET --full; for damaged pages in production, see docs/drill.md",
		Looks: "the catalogue: records, chains and findings of base backups",
		Judge: func(f Facts) Result {
			return onBackups(f, func(_ Care, all []BackupFacts) Result {
				var out []Finding
				for i, b := range all {
					switch {
					case !b.Readable:
						out = append(out, Finding{Object: b.ID, Evidence: "base backup " + b.ID + ": its record cannot be read, or one that it builds on is gone", Fix: "refloat repo verify --full; then refloat backup " + f.Target})
					case b.Damage > 0 && i == len(all)-1:
						out = append(out, Finding{Object: b.ID, Evidence: fmt.Sprintf("base backup %s met %d damaged pages in production", b.ID, b.Damage), Fix: "refloat backups " + f.Target + " --json names files and blocks; restore those from an older backup"})
					}
				}
				return found(out...)
			})
		},
	}
}
