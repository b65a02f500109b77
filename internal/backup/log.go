package backup

import (
	"context"
	"time"

	"github.com/refloat-db/refloat/internal/repository"
	"github.com/refloat-db/refloat/internal/target"
)

// Log reads a target's log in a repository.
//
// Sealed names: log/TARGET/SEGMENT whole segments, log/TARGET/SEGMENT.partial
// their beginning, log/TARGET/TIMELINE.history, log/TARGET/index/LOG (LOG is
// the first 16 digits of the segments in it), log/TARGET/position,
// log/TARGET/gap/START.
type Log struct {
	Repo   *repository.Repository
	Target target.ID
}

// SegmentInfo is one segment as index and storage show it.
type SegmentInfo struct {
	Name    string     `json:"name"`
	End     target.LSN `json:"end"` // end of what is stored; less than the segment's end when partial
	Partial bool       `json:"partial,omitempty"`
	SHA256  string     `json:"sha256,omitempty"` // of the plain bytes
	From    time.Time  `json:"from"`             // server's clock when its first byte was sent
	To      time.Time  `json:"to"`               // and its last
	Stored  bool       `json:"-"`                // the object is there
	Indexed bool       `json:"-"`                // the index knows it
}

// LogPosition is how far the log in the repository reaches.
type LogPosition struct {
	SystemID    target.SystemID `json:"system_id"`
	SegmentSize int64           `json:"segment_size"`
	Position    target.Position `json:"position"`
	ServerTime  time.Time       `json:"server_time"` // everything committed before it is in the log up to Position
	WrittenAt   time.Time       `json:"written_at"`  // our clock
}

// Gap is a stretch of log that is lost for good.
type Gap struct {
	From   target.Position `json:"from"`
	To     target.Position `json:"to"`
	At     time.Time       `json:"at"`
	Reason string          `json:"reason"`
}

// Segments lists what is stored and what the index says, in name order; a
// segment that is in only one of the two is listed too.
func (l *Log) Segments(ctx context.Context) ([]SegmentInfo, error) { return nil, errSkeleton }

// Position reads how far the log reaches; repository.ErrNotFound before the first.
func (l *Log) Position(ctx context.Context) (LogPosition, error) { return LogPosition{}, errSkeleton }

// Gaps lists recorded gaps.
func (l *Log) Gaps(ctx context.Context) ([]Gap, error) { return nil, errSkeleton }

// Histories returns the stored timeline history files by timeline.
func (l *Log) Histories(ctx context.Context) (map[target.Timeline][]byte, error) {
	return nil, errSkeleton
}

// Fetch returns a segment's or history file's bytes for recovery, checked
// against index and page header; a partial segment is filled with zeros.
// ErrEndOfLog or ErrLogBroken.
func (l *Log) Fetch(ctx context.Context, name string) ([]byte, error) { return nil, errSkeleton }
