package target

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"time"
)

// BaseBackupRequest says how a base backup is to be read from a server.
type BaseBackupRequest struct {
	Label        string
	FastStart    bool                          // ask for an immediate checkpoint
	ReadFiles    bool                          // read the data directory on this host instead of the protocol
	Workers      int                           // parallel readers when ReadFiles; 0 picks one a core
	PrevManifest func() (io.ReadCloser, error) // backup_manifest of the backup to build on; nil for no server-side incremental
}

// BackupStart is known before the first file arrives.
type BackupStart struct {
	Position      Position
	At            time.Time // server's clock
	Tablespaces   []Tablespace
	EstimatedSize int64 // bytes to come; 0 when unknown
	Incremental   bool  // the server sends only changed blocks (PostgreSQL 17+)
}

// BackupEnd is known after the last.
type BackupEnd struct {
	Position  Position
	At        time.Time // server's clock
	Findings  []PageFinding
	TornPages int64 // pages with a bad checksum that were being written during the backup; the log repairs them
}

// PageFinding is a page, or a file, that is not what it should be.
type PageFinding struct {
	File   string `json:"file"`
	Block  int64  `json:"block"` // block within the file; -1 for the file as a whole
	Detail string `json:"detail"`
}

// File describes one file of a base backup.
type File struct {
	Path    string // slash-separated, relative to the data directory; tablespaces below pg_tblspc/OID/
	Mode    fs.FileMode
	Size    int64 // bytes; for an incremental file the size of the incremental form
	ModTime time.Time
	Pages   bool // whole pages of a relation (or its fork): size is a multiple of PageSize and pages can be compared one by one
}

// Incremental is the header of a server-made incremental file
// (PostgreSQL 17, backup/basebackup_incremental.h).
type Incremental struct {
	TruncationBlocks uint32   // the file has at least this many blocks that are unchanged unless listed; see docs/formats
	Blocks           []uint32 // changed blocks in ascending order; their pages follow in this order
}

// BackupSink receives a base backup. Begin comes first, once. The other
// methods may then be called from several goroutines at once when the request
// asked for ReadFiles, otherwise one after the other. Each reader is valid
// until the method returns and must be read to its end. An error aborts the
// backup and is returned, wrapped, by the source.
type BackupSink interface {
	Begin(ctx context.Context, start BackupStart) error
	Dir(ctx context.Context, path string, mode fs.FileMode) error
	File(ctx context.Context, f File, r io.Reader) error
	// IncrementalFile receives the changed pages of the relation file f.Path
	// (its own name, without PostgreSQL's INCREMENTAL. prefix), PageSize bytes
	// for each of inc.Blocks.
	IncrementalFile(ctx context.Context, f File, inc Incremental, pages io.Reader) error
}

// LogIdentity is the answer to IDENTIFY_SYSTEM and the segment size.
type LogIdentity struct {
	SystemID    SystemID
	Timeline    Timeline
	Flushed     LSN
	SegmentSize int64
	Version     Version
}

// LogRequest says from where and how to stream the log.
type LogRequest struct {
	Slot        string
	From        Position // start of a segment
	Application string   // application_name, by which synchronous_standby_names knows us
}

// LogHandler receives streamed log. Write is called in order, without gaps.
type LogHandler interface {
	// Write takes bytes that start at lsn. serverEnd and serverTime are the
	// server's write position and clock when it sent them.
	Write(lsn LSN, data []byte, serverEnd LSN, serverTime time.Time) error
	// Idle reports a keep-alive: at serverTime the log ended at serverEnd.
	Idle(serverEnd LSN, serverTime time.Time) error
	// Progress is what may be reported to the server: written, and durably
	// flushed. The stream asks after each write, when woken, and on a timer.
	Progress() (written, flushed LSN)
	// Wake delivers a value whenever Progress advanced and should be reported
	// at once.
	Wake() <-chan struct{}
}

// LogEnd says why a stream ended without error: the server's timeline ended.
type LogEnd struct {
	Next Position // start of the next timeline
}

// ErrLogRemoved means that the server no longer has the log asked for.
var ErrLogRemoved = errors.New("the server no longer has this part of the log")

// ErrStalled means that the server was silent for longer than can be explained.
var ErrStalled = errors.New("the server has stopped sending")

// ErrNoIncremental means that the server cannot say which blocks changed since
// the backup to build on: it lacks the summaries, or does not know the backup.
var ErrNoIncremental = errors.New("the server cannot make an incremental backup")
