// Package foreign holds what Refloat knows of backups that another tool makes:
// what an adapter found where that tool keeps them. Adapters only read; they
// live below this package, one a tool.
package foreign

// Tool is a backup tool that Refloat can read.
type Tool string

// The tools.
const (
	PgBackRest Tool = "pgbackrest"
	Barman     Tool = "barman"
	WALG       Tool = "wal-g"
	Dump       Tool = "dump" // files of pg_dump and pg_dumpall
)

// Facts is what an adapter found at one place.
type Facts struct {
	Tool Tool   `json:"tool"`
	Name string `json:"name"` // the stanza, server, prefix or path
}
