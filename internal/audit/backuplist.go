package audit

// backupRules are those that look at backups that Refloat makes.
func backupRules() []Rule {
	return []Rule{
		backupNone(),
		backupOld(),
		backupDamaged(),
		backupGap(),
		backupLogOff(),
		backupLogLag(),
		backupLogPromise(),
		backupNoProof(),
		backupProofStale(),
		backupDrillFailed(),
		backupResolution(),
		backupOneCopy(),
		backupCopy(),
		backupSameDevice(),
		backupSameHost(),
		backupRetention(),
		backupMutable(),
		backupUnverified(),
		backupPassphrase(),
		backupSize(),
		backupStopped(),
		backupAlarm(),
		backupHeartbeat(),
		backupDrillOff(),
		backupSuppressionExpired(),
	}
}
