package target

import "time"

// Server is what an inspection of a live server saw.
type Server struct {
	Version         Version           `json:"version"`
	SystemID        SystemID          `json:"system_id"`
	Timeline        Timeline          `json:"timeline"`
	Position        LSN               `json:"position"` // write position; replay position on a standby
	InRecovery      bool              `json:"in_recovery"`
	DataDirectory   string            `json:"data_directory,omitempty"` // empty when the role may not see it
	DataChecksums   bool              `json:"data_checksums"`
	SegmentSize     int64             `json:"segment_size"` // bytes
	SummarizeWAL    bool              `json:"summarize_wal"`
	Size            int64             `json:"size"` // bytes in all databases
	StartedAt       time.Time         `json:"started_at"`
	ClockOffset     time.Duration     `json:"clock_offset"` // server's clock minus ours, at half the round trip
	Settings        map[string]string `json:"settings"`     // every visible row of pg_settings
	Databases       []string          `json:"databases"`    // that allow connections
	Tablespaces     []Tablespace      `json:"tablespaces"`  // outside the data directory
	Role            Role              `json:"role"`
	BootstrapRole   string            `json:"bootstrap_role"`        // the role with OID 10, superuser since initdb
	ReplicationNote string            `json:"replication,omitempty"` // why a replication connection failed; empty when it works
}

// Role is the role that Refloat signs in as, and what it may do.
type Role struct {
	Name          string `json:"name"`
	Superuser     bool   `json:"superuser"`
	Replication   bool   `json:"replication"`
	Monitor       bool   `json:"monitor"`        // member of pg_monitor
	Heartbeat     bool   `json:"heartbeat"`      // may write refloat.heartbeat
	BackupControl bool   `json:"backup_control"` // may call pg_backup_start and pg_backup_stop
}

// Tablespace is one outside the data directory.
type Tablespace struct {
	OID      uint32 `json:"oid"`
	Name     string `json:"name"`
	Location string `json:"location"`
	Size     int64  `json:"size"` // bytes; -1 when unknown
}

// Slot is the state of a physical replication slot.
type Slot struct {
	Name       string `json:"name"`
	Exists     bool   `json:"exists"`
	Active     bool   `json:"active"`
	RestartLSN LSN    `json:"restart_lsn"` // 0 when nothing is reserved
	Retained   int64  `json:"retained"`    // bytes of log that the slot holds on the server
	WALStatus  string `json:"wal_status"`  // reserved, extended, unreserved or lost
}

// Beat is one row of the heartbeat: a hash chain that Refloat writes to the
// target, so that a restored copy can show which acknowledged writes it has.
type Beat struct {
	Seq  int64     `json:"seq"`
	At   time.Time `json:"at"`   // Refloat's clock, when the beat was made
	Prev string    `json:"prev"` // hash of the beat before, hexadecimal
	Hash string    `json:"hash"` // SHA-256 over target, seq, at and prev, hexadecimal
}

// Schema is the part of a cluster's definition that a restored copy must share
// with production.
type Schema struct {
	Roles       []string         `json:"roles"` // name and attributes, one string each, sorted
	Tablespaces []string         `json:"tablespaces"`
	Databases   []DatabaseSchema `json:"databases"` // sorted by name; templates that refuse connections left out
}

// DatabaseSchema is one database's objects; every list is sorted by its text.
type DatabaseSchema struct {
	OID         uint32     `json:"oid"`
	Name        string     `json:"name"`
	Extensions  []Object   `json:"extensions"`  // name and version
	Relations   []Relation `json:"relations"`   // user relations
	Indexes     []Object   `json:"indexes"`     // definitions
	Constraints []Object   `json:"constraints"` // relation, name and definition
	Functions   []Object   `json:"functions"`   // signature and hash of the body
}

// Object is one that is described by a line of text.
type Object struct {
	OID  uint32 `json:"oid"`
	Text string `json:"text"`
}

// Relation is a table, view, sequence or the like.
type Relation struct {
	OID      uint32   `json:"oid"`
	Name     string   `json:"name"` // schema-qualified, quoted
	Kind     string   `json:"kind"` // table, partitioned, view, matview, sequence, foreign
	Unlogged bool     `json:"unlogged,omitempty"`
	Bytes    int64    `json:"bytes"`   // main fork, when the schema was read
	Columns  []string `json:"columns"` // name, type, not null, default
}
