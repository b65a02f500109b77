package audit

// backupRules are those that look at backups that Refloat makes.
func backupRules() []Rule {
	return []Rule{
		backupSuppressionExpired(),
	}
}
