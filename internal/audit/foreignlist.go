package audit

// foreignRules are those that look at backups that another tool makes.
func foreignRules() []Rule {
	return []Rule{
		foreignNone(),
		foreignOld(),
		foreignUnhealthy(),
		foreignBackupError(),
		foreignLogGap(),
		foreignLogBehind(),
		foreignQueueDrops(),
		foreignRetention(),
		foreignSameDisk(),
		foreignUnencrypted(),
		foreignUntested(),
		foreignFileDamaged(),
		foreignFileSmall(),
		foreignFileRows(),
		foreignClientOlder(),
		foreignRolesMissing(),
		foreignDatabase(),
		foreignJobSwallows(),
		foreignJobUnheard(),
	}
}
