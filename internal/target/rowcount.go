package target

// TableCount is how many rows a table of production has.
type TableCount struct {
	Name  string // schema-qualified, quoted
	Rows  int64  // -1 when not even an estimate is known
	Exact bool   // counted, and not the server's own estimate
}
