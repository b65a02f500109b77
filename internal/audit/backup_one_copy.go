package audit

// backupOneCopy: there is one copy of the repository.
func backupOneCopy() Rule {
	return Rule{
		ID: "backup-one-copy", Area: AreaBackup, Severity: Medium,
		Title: "there is only one copy of the repository",
		Why:   "one fire, one stolen credential or one deleted bucket takes every backup at once",
		Fix:   "keep a copy in another place and name it under repository.copies (docs/configuration.md)",
		Looks: "repository.copies in refloat.yaml",
		Judge: func(f Facts) Result {
			return onRepository(f, func(c Care, r RepositoryFacts) Result {
				if len(c.Copies) > 0 {
					return passed()
				}
				x := Finding{Evidence: "no copy of " + r.Location + " is named in " + c.Configured.File, File: c.Configured.File}
				if !r.Local {
					x.Severity = Low // the storage keeps several
				}
				return found(x)
			})
		},
	}
}
