package audit

// serverRules are those that look at the database server.
func serverRules() []Rule {
	return []Rule{
		serverFsync(),
	}
}
