// Package backup takes base backups and the continuous log of a target into a
// repository, keeps the catalogue, works out coverage and retention, and reads
// backups back file by file.
package backup

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/refloat-db/refloat/internal/repository"
	"github.com/refloat-db/refloat/internal/target"
)

// Source reads a live server for a base backup.
type Source interface {
	Inspect(ctx context.Context) (target.Server, error)
	BaseBackup(ctx context.Context, req target.BaseBackupRequest, sink target.BackupSink) (target.BackupEnd, error)
}

// LogSource streams a live server's log.
type LogSource interface {
	Identify(ctx context.Context) (target.LogIdentity, error)
	Slot(ctx context.Context, name string) (target.Slot, error)
	CreateSlot(ctx context.Context, name string) (target.Slot, error) // reserves the log at once; no error when it exists
	DropSlot(ctx context.Context, name string) error
	TimelineHistory(ctx context.Context, tl target.Timeline) ([]byte, error)
	// StreamLog delivers the log until the timeline ends (nil error), ctx ends,
	// or something breaks. target.ErrLogRemoved when the server no longer has From.
	StreamLog(ctx context.Context, req target.LogRequest, h target.LogHandler) (target.LogEnd, error)
}

// Kind says how a backup is stored.
type Kind string

// The kinds.
const (
	Full  Kind = "full"  // every file whole
	Delta Kind = "delta" // changed pages over Parent
)

// Backup is one entry of the catalogue, stored as refloat/backup.json in the
// snapshot (docs/formats/repository.md).
type Backup struct {
	Format        int                  `json:"format"`
	ID            string               `json:"id"` // 20261123T114300Z-0001 style: start time and a few random digits; sorts by time
	Target        target.ID            `json:"target"`
	Kind          Kind                 `json:"kind"`
	Parent        string               `json:"parent,omitempty"` // ID of the backup that a delta builds on
	Chain         int                  `json:"chain"`            // how many other backups it depends on
	Method        string               `json:"method"`           // protocol, files or incremental
	SystemID      target.SystemID      `json:"system_id"`
	Version       target.Version       `json:"version"`
	SegmentSize   int64                `json:"segment_size"`
	Checksums     bool                 `json:"data_checksums"`
	Start         target.Position      `json:"start"`      // redo position: log is needed from here
	End           target.Position      `json:"end"`        // consistent from here
	StartedAt     time.Time            `json:"started_at"` // server's clock
	EndedAt       time.Time            `json:"ended_at"`   // server's clock
	Took          time.Duration        `json:"took"`       // nanoseconds, ours
	Tablespaces   []target.Tablespace  `json:"tablespaces"`
	Files         int64                `json:"files"`
	Bytes         int64                `json:"bytes"`          // size when restored
	Received      int64                `json:"received_bytes"` // bytes that arrived from the server
	Stored        int64                `json:"stored_bytes"`   // bytes added to storage
	Findings      []target.PageFinding `json:"findings"`
	TornPages     int64                `json:"torn_pages"`
	BootstrapRole string               `json:"bootstrap_role"`
	Settings      map[string]string    `json:"settings"` // those a restored server must have at least: max_connections and the like
	Snapshot      string               `json:"-"`        // repository snapshot
}

// Errors that callers tell apart.
var (
	ErrWrongCluster = errors.New("the server is not the cluster that this target's backups belong to")
	ErrNoBackup     = errors.New("no backup")
	ErrBroken       = errors.New("backup cannot be read back")
	ErrEndOfLog     = errors.New("end of the log")         // not in the repository, and nothing after it is: recovery may end here
	ErrLogBroken    = errors.New("the log is broken here") // it should be in the repository: recovery must abort
)

// Catalogue lists and reads backups in a repository. Its methods read the
// repository; they keep no state that can go stale.
type Catalogue struct {
	Repo *repository.Repository
}

// Progress is told as a long operation goes on.
type Progress struct {
	Phase string // checkpoint, copy, log, commit
	Done  int64  // bytes
	Total int64  // bytes; 0 when unknown
	File  string
}

// TakeOptions say how to take a base backup.
type TakeOptions struct {
	Target    target.ID
	ReadFiles bool
	Workers   int
	Full      bool // do not build on an earlier backup
	MaxChain  int  // deltas in a row before the next full; 0 for 5
	FastStart bool
	SpillDir  string         // for changed pages of one file that do not fit in memory; default the system's folder for temporary files
	Progress  func(Progress) // called by one goroutine at a time
	Logger    *slog.Logger
}
