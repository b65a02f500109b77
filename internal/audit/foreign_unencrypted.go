package audit

import "github.com/refloat-db/refloat/internal/foreign"

// foreignUnencrypted: whoever reads the repository reads the data.
func foreignUnencrypted() Rule {
	return Rule{
		ID: "foreign-unencrypted", Area: AreaForeign, Severity: Medium,
		Title: "another tool's backups are not encrypted",
		Why:   "whoever can read the repository, or a copy of it, has every row and every password hash",
		Fix:   "encrypt: repo1-cipher-type=aes-256-cbc and a new stanza for pgBackRest, WALG_LIBSODIUM_KEY for WAL-G; keep the key in another place too",
		Looks: "the cipher in the tool's configuration; Barman has none, and dumps are looked at",
		Judge: func(f Facts) Result {
			return atPlaces(f, repositoryOf, func(_ foreign.Facts, all []foreign.Repository) []Finding {
				var out []Finding
				for _, r := range all {
					switch {
					case r.Encrypted:
					case r.CanBe:
						out = append(out, Finding{Evidence: r.Location + " has no cipher"})
					default:
						out = append(out, Finding{Severity: Info, Evidence: r.Location + " is readable by whoever gets at it", Fix: "encrypt the file system, or what is written there: pg_dump … | age -r KEY > FILE"})
					}
				}
				return out
			})
		},
	}
}
