package audit

// serverRules are those that look at the database server.
func serverRules() []Rule {
	return []Rule{
		// what is written stays
		serverFsync(), serverFullPageWrites(), serverSynchronousCommit(), serverChecksums(), serverChecksumFailures(), serverDamageIgnored(),
		// the log
		serverWALLevel(), serverSenders(), serverSlotsExhausted(),
		serverArchivingMissing(), serverArchiveDiscards(), serverArchiveSwallows(), serverArchiveOverwrites(), serverArchiveDataDisk(), serverArchiveTimeout(),
		serverArchiverFailing(), serverArchiverStalled(),
		serverSlotUnbounded(), serverSlotInactive(), serverSlotLost(), serverSlotBehind(), serverWALKeep(), serverWALSize(),
		// standbys
		serverSynchronousStandby(), serverStandbyLag(), serverStandbyPaused(), serverStandbyDisconnected(),
		// what a restore needs or lacks
		serverUnloggedTables(), serverTablesWithoutKey(), serverTablespaces(), serverLargeObjects(), serverExtensions(),
		serverCollationVersion(), serverInvalidIndexes(), serverDatabases(),
		// what stops the server
		serverPreparedTransactions(), serverLongTransactions(), serverXIDWraparound(), serverMultixactWraparound(), serverAutovacuum(),
		serverConnections(), serverDefaultReadOnly(), serverPendingRestart(), serverFileErrors(), serverHBAErrors(),
		// who gets in, and what runs
		serverHBATrust(), serverReplicationTLS(), serverSuperuser(), serverVersionEOL(), serverVersionOutdated(), serverClock(),
	}
}
