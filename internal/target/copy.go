package target

// TableRead is what reading a table from beginning to end gave.
type TableRead struct {
	Database string
	Name     string // schema-qualified, quoted
	Rows     int64
	ByIndex  int64  // rows that a scan of an index alone counted; -1 when the table has none for it
	Problem  string // why it could not be read, in the server's words; empty when it could
}

// RelationFile says what the file of a relation's main fork is for.
type RelationFile struct {
	Path string // relative to the data directory, of the first segment
	Kind string // heap, btree or other
	Heap string // for a btree: the path of its table
}

// ScanReport is what a scan of a stopped cluster's pages found.
type ScanReport struct {
	Files   int64
	Pages   int64
	Damaged []PageFinding // checksum or header is wrong
	Lost    []PageFinding // zeros where the cluster knows that rows are
}
