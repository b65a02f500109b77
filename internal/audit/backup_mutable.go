package audit

// backupMutable: backups can be deleted by whoever holds the credentials.
func backupMutable() Rule {
	return Rule{
		ID: "backup-mutable", Area: AreaBackup, Severity: Medium,
		Title: "the storage could make backups immutable, and does not",
		Why:   "whoever gets hold of the credentials, or of the machine, can delete every backup: the first thing that ransomware does",
		Fix:   "turn on object lock with a default retention for the bucket",
		Looks: "the bucket's object lock; the credentials need s3:GetBucketObjectLockConfiguration",
		Judge: func(f Facts) Result {
			return onRepository(f, func(_ Care, r RepositoryFacts) Result {
				switch {
				case !r.Offers:
					return notApplicable("the storage does not offer it, or cannot say")
				case !r.Immutable.Seen:
					return unknown("object lock: " + r.Immutable.Why)
				case r.Immutable.Value:
					return passed()
				}
				return found(Finding{Evidence: r.Location + ": the bucket has no default object lock"})
			})
		},
	}
}
