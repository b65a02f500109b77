package target

import "time"

// ServerFacts is what an audit looks at on a live server: the inspection, and
// what only an audit asks. Each part says for itself why it is not known.
type ServerFacts struct {
	Server   Server             `json:"server"`
	Settings map[string]Setting `json:"settings"` // by name; only those that the role may see

	Scoped       Known[[]ScopedSetting] `json:"scoped_settings"` // settings of one role or database
	FileErrors   Known[[]FileError]     `json:"file_errors"`     // in the configuration files
	Connection   Known[Connection]      `json:"connection"`      // how we reach the server
	Replication  Known[Connection]      `json:"replication"`     // the same for our replication connection
	Archiver     Known[Archiver]        `json:"archiver"`
	ArchiveQueue Known[ArchiveQueue]    `json:"archive_queue"`
	WAL          Known[WALDirectory]    `json:"wal"`
	Slots        Known[[]SlotFacts]     `json:"slots"`
	Senders      Known[[]Sender]        `json:"senders"` // replication connections that the server feeds
	Standby      Known[StandbyFacts]    `json:"standby"` // only of a standby
	Prepared     Known[[]Prepared]      `json:"prepared"`
	Transactions Known[[]Transaction]   `json:"transactions"` // the oldest, of client connections
	Connections  Known[Connections]     `json:"connections"`
	HBA          Known[[]HBARule]       `json:"hba"`   // rules of pg_hba.conf, in order
	Roles        Known[[]RoleFacts]     `json:"roles"` // that may sign in and read or change everything
	Databases    Known[[]DatabaseFacts] `json:"databases"`
}

// Setting is one row of pg_settings.
type Setting struct {
	Value          string `json:"value"`
	Unit           string `json:"unit,omitempty"`
	Source         string `json:"source"`          // default, configuration file, command line …
	File           string `json:"file,omitempty"`  // where it is set, when the role may see that
	Line           int    `json:"line,omitempty"`  // in File
	PendingRestart bool   `json:"pending_restart"` // the file says something else since the start
}

// ScopedSetting is a setting of one role, one database, or one role in one
// database.
type ScopedSetting struct {
	Role     string `json:"role,omitempty"`
	Database string `json:"database,omitempty"`
	Name     string `json:"name"`
	Value    string `json:"value"`
}

// FileError is a line of a configuration file that the server cannot use.
type FileError struct {
	File  string `json:"file"`
	Line  int    `json:"line"`
	Name  string `json:"name,omitempty"`
	Error string `json:"error"`
}

// Connection is how a connection reaches the server, seen from our side.
type Connection struct {
	Address string `json:"address"` // the server's
	Local   bool   `json:"local"`   // a socket, or a loopback address
	TLS     bool   `json:"tls"`
}

// Archiver is what the archiver did since its counters were reset.
type Archiver struct {
	Archived   int64     `json:"archived"`
	LastWAL    string    `json:"last_wal,omitempty"`
	LastAt     time.Time `json:"last_at"` // zero when nothing was archived
	Failed     int64     `json:"failed"`
	FailedWAL  string    `json:"failed_wal,omitempty"`
	FailedAt   time.Time `json:"failed_at"` // zero when nothing failed
	CountsFrom time.Time `json:"counts_from"`
}

// ArchiveQueue is the log that waits to be archived.
type ArchiveQueue struct {
	Waiting int64     `json:"waiting"` // files
	Oldest  time.Time `json:"oldest"`  // since when the oldest waits; zero when none does
}

// WALDirectory is the log that the server keeps.
type WALDirectory struct {
	Files int64 `json:"files"`
	Bytes int64 `json:"bytes"`
}

// SlotFacts is one replication slot.
type SlotFacts struct {
	Name          string    `json:"name"`
	Logical       bool      `json:"logical"`
	Database      string    `json:"database,omitempty"` // of a logical slot
	Temporary     bool      `json:"temporary"`
	Active        bool      `json:"active"`
	InactiveSince time.Time `json:"inactive_since"` // zero when active, or unknown (before 17)
	Retained      int64     `json:"retained"`       // bytes of log that it holds on the server; 0 when it reserves none
	Reserves      bool      `json:"reserves"`       // it has a position
	WALStatus     string    `json:"wal_status,omitempty"`
	Invalid       string    `json:"invalid,omitempty"` // why it was invalidated
	XminAge       int64     `json:"xmin_age"`          // transactions; the older of its two horizons, 0 for none
}

// Sender is a replication connection that the server feeds.
type Sender struct {
	Role        string        `json:"role"`
	Application string        `json:"application"`
	Address     string        `json:"address,omitempty"` // empty over a socket
	Local       bool          `json:"local"`
	TLS         bool          `json:"tls"`
	Slot        string        `json:"slot,omitempty"`
	State       string        `json:"state"`      // streaming, catchup, backup …
	Sync        string        `json:"sync"`       // async, potential, sync, quorum
	Behind      int64         `json:"behind"`     // bytes
	ReplayLag   time.Duration `json:"replay_lag"` // 0 when unknown or none
	Since       time.Time     `json:"since"`
}

// StandbyFacts is what only a standby has.
type StandbyFacts struct {
	Paused       bool          `json:"paused"`
	Receiving    bool          `json:"receiving"`      // a receiver runs
	From         string        `json:"from,omitempty"` // the host that it receives from
	Conninfo     bool          `json:"conninfo"`       // primary_conninfo is set
	RestoresLog  bool          `json:"restores_log"`   // restore_command is set
	Unreplayed   int64         `json:"unreplayed"`     // bytes received and not replayed
	LastReplayed time.Time     `json:"last_replayed"`  // commit time of the last transaction replayed; zero for none
	LastMessage  time.Time     `json:"last_message"`   // from the sender; zero when not receiving
	ApplyDelay   time.Duration `json:"apply_delay"`    // recovery_min_apply_delay
}

// Prepared is a prepared transaction.
type Prepared struct {
	GID      string    `json:"gid"`
	Owner    string    `json:"owner"`
	Database string    `json:"database"`
	At       time.Time `json:"at"`
	XIDAge   int64     `json:"xid_age"`
}

// Transaction is an open transaction of a client.
type Transaction struct {
	PID         int       `json:"pid"`
	Role        string    `json:"role"`
	Database    string    `json:"database"`
	Application string    `json:"application"`
	State       string    `json:"state"`
	Began       time.Time `json:"began"`
	StateSince  time.Time `json:"state_since"`
	XminAge     int64     `json:"xmin_age"` // transactions; 0 when it holds none back
}

// Connections counts them against the limits.
type Connections struct {
	Used     int `json:"used"`     // by clients
	Max      int `json:"max"`      // max_connections
	Reserved int `json:"reserved"` // for superusers and pg_use_reserved_connections
	Senders  int `json:"senders"`  // replication connections
}

// HBARule is one line of pg_hba.conf as the server reads it.
type HBARule struct {
	File      string   `json:"file,omitempty"`
	Line      int      `json:"line"`
	Type      string   `json:"type"` // local, host, hostssl, hostnossl, hostgssenc, hostnogssenc
	Databases []string `json:"databases"`
	Users     []string `json:"users"`
	Address   string   `json:"address,omitempty"`
	Netmask   string   `json:"netmask,omitempty"`
	Method    string   `json:"method"`
	Error     string   `json:"error,omitempty"`
}

// RoleFacts is a role that may sign in and read or change the whole cluster.
type RoleFacts struct {
	Name        string    `json:"name"`
	Superuser   bool      `json:"superuser"`
	Replication bool      `json:"replication"`
	ValidUntil  time.Time `json:"valid_until"` // of its password; zero for no end
}

// DatabaseFacts is one database.
type DatabaseFacts struct {
	Name             string    `json:"name"`
	AllowsConn       bool      `json:"allows_connections"`
	Template         bool      `json:"template"`
	ConnLimit        int       `json:"connection_limit"` // -1 none; -2 half dropped
	XIDAge           int64     `json:"xid_age"`
	MultixactAge     int64     `json:"multixact_age"`
	ChecksumFailures int64     `json:"checksum_failures"`
	ChecksumFailedAt time.Time `json:"checksum_failed_at"`
	CollationMade    string    `json:"collation_made,omitempty"` // version that the database was made with; from 15 on
	CollationNow     string    `json:"collation_now,omitempty"`  // version that the host has
	// Inside is what was seen in the database itself.
	Inside Known[DatabaseInside] `json:"inside"`
}

// DatabaseInside is what a connection to one database sees.
type DatabaseInside struct {
	Unlogged       Examples            `json:"unlogged"`        // unlogged tables that hold data
	WithoutKey     Examples            `json:"without_key"`     // logged tables whose rows nothing identifies
	KeylessPublish Examples            `json:"keyless_publish"` // those among them whose updates are published
	Publications   int64               `json:"publications"`
	LargeObjects   int64               `json:"large_objects"` // counted to 10,001
	Extensions     []Extension         `json:"extensions"`
	Collations     []CollationMismatch `json:"collations"`
	InvalidIndexes Examples            `json:"invalid_indexes"` // those that are being built left out
	OldestXID      TableAge            `json:"oldest_xid"`
	OldestMXID     TableAge            `json:"oldest_multixact"`
}

// Examples counts objects and names a few.
type Examples struct {
	Count int64    `json:"count"`
	Names []string `json:"names"`
}

// Extension is one that is installed in a database.
type Extension struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Library bool   `json:"library"` // some of it is a shared library, which a restored server needs
}

// CollationMismatch is a collation in use whose rules the host has changed.
type CollationMismatch struct {
	Name string `json:"name"`
	Made string `json:"made"`
	Now  string `json:"now"`
}

// TableAge is the table with the oldest identifiers of a database.
type TableAge struct {
	Table string `json:"table"`
	Age   int64  `json:"age"`
}
