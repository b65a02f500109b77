package backup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/repository"
	"github.com/refloat-db/refloat/internal/target"
)

// SealedStore is the part of a repository that the log needs:
// *repository.Repository. Its methods may be called concurrently.
type SealedStore interface {
	PutSealed(ctx context.Context, name string, content []byte) error
	GetSealed(ctx context.Context, name string) ([]byte, error)
	ListSealed(ctx context.Context, prefix string) iter.Seq2[repository.SealedInfo, error]
	DeleteSealed(ctx context.Context, name string) error
}

// Log reads a target's log in a repository.
//
// Sealed names: log/TARGET/SEGMENT whole segments, log/TARGET/SEGMENT.partial
// their beginning, log/TARGET/TIMELINE.history, log/TARGET/index/LOG (LOG is
// the first 16 digits of the segments in it), log/TARGET/position,
// log/TARGET/gap/START, log/TARGET/deleted.
type Log struct {
	Repo   SealedStore
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

const (
	partialSuffix = ".partial"
	historySuffix = ".history"
)

var (
	wholeName   = regexp.MustCompile(`^[0-9A-F]{24}$`)
	historyName = regexp.MustCompile(`^([0-9A-F]{8})\.history$`)
)

func (l *Log) name(rest string) string { return "log/" + string(l.Target) + "/" + rest }

// list yields the names below the log's own, without the common prefix.
func (l *Log) list(ctx context.Context, prefix string) ([]string, error) {
	var out []string
	for info, err := range l.Repo.ListSealed(ctx, l.name(prefix)) {
		if err != nil {
			return nil, fmt.Errorf("list the log of %s: %w", l.Target, err)
		}
		out = append(out, strings.TrimPrefix(info.Name, l.name("")))
	}
	return out, nil
}

// Segments lists what is stored and what the index says, in name order; a
// segment that is in only one of the two is listed too. Segments that Delete
// removed, or was removing when it was interrupted, are left out. An index
// that cannot be read counts as missing, so that its segments show as not
// indexed.
func (l *Log) Segments(ctx context.Context) ([]SegmentInfo, error) {
	names, err := l.list(ctx, "")
	if err != nil {
		return nil, err
	}
	gone, err := l.deleted(ctx)
	if err != nil {
		return nil, err
	}
	all, size, err := l.indexed(ctx, names)
	if err != nil {
		return nil, err
	}
	pos, err := l.Position(ctx)
	switch {
	case err == nil:
		size = pos.SegmentSize
	case !errors.Is(err, repository.ErrNotFound) && !errors.Is(err, ErrLogBroken):
		return nil, err
	}
	if size == 0 {
		size = defaultSegmentSize
	}
	for _, n := range names {
		base, partial := strings.CutSuffix(n, partialSuffix)
		seg, err := target.ParseSegmentName(base, size)
		if err != nil {
			continue
		}
		if info, ok := all[base]; ok && (!partial || info.Stored) {
			info.Stored = info.Stored || !partial // a partial beside its whole segment is a leftover
			all[base] = info
			continue
		}
		info := SegmentInfo{Name: base, End: seg.End(), Partial: partial, Stored: true}
		if partial {
			if info, err = l.partial(ctx, seg, pos); err != nil {
				return nil, err
			}
		}
		all[base] = info
	}
	out := make([]SegmentInfo, 0, len(all))
	for _, info := range all {
		if seg, err := target.ParseSegmentName(info.Name, size); err == nil && !gone.has(seg) {
			out = append(out, info)
		}
	}
	slices.SortFunc(out, func(a, b SegmentInfo) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

const defaultSegmentSize = 16 << 20

// partial describes a stored beginning of a segment. One that cannot be read
// is listed as empty.
func (l *Log) partial(ctx context.Context, seg target.Segment, pos LogPosition) (SegmentInfo, error) {
	info := SegmentInfo{Name: seg.Name(), Partial: true, Stored: true, End: seg.Start()}
	if pos.Position.Timeline == seg.Timeline && pos.Position.LSN >= seg.Start() && pos.Position.LSN < seg.End() {
		info.End, info.To = pos.Position.LSN, pos.ServerTime
		return info, nil
	}
	content, err := l.Repo.GetSealed(ctx, l.name(seg.Name()+partialSuffix))
	switch {
	case errors.Is(err, repository.ErrNotFound), errors.Is(err, repository.ErrCorrupt):
		return info, nil
	case err != nil:
		return info, fmt.Errorf("read the beginning of segment %s: %w", seg.Name(), err)
	}
	info.End = seg.Start() + target.LSN(len(content))
	return info, nil
}

// Position reads how far the log reaches; repository.ErrNotFound before the
// first, ErrLogBroken when the record cannot be read.
func (l *Log) Position(ctx context.Context) (LogPosition, error) {
	var p LogPosition
	if err := l.record(ctx, "position", &p); err != nil {
		return LogPosition{}, err
	}
	if !target.ValidSegmentSize(p.SegmentSize) || p.Position.Timeline == 0 || p.SystemID == 0 {
		return LogPosition{}, fmt.Errorf("log position of %s: the record makes no sense: %w", l.Target, ErrLogBroken)
	}
	return p, nil
}

// Gaps lists recorded gaps, oldest first.
func (l *Log) Gaps(ctx context.Context) ([]Gap, error) {
	names, err := l.list(ctx, "gap/")
	if err != nil {
		return nil, err
	}
	out := make([]Gap, len(names))
	for i, n := range names {
		if err := l.record(ctx, n, &out[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Histories returns the stored timeline history files by timeline.
func (l *Log) Histories(ctx context.Context) (map[target.Timeline][]byte, error) {
	names, err := l.list(ctx, "")
	if err != nil {
		return nil, err
	}
	out := map[target.Timeline][]byte{}
	for _, n := range names {
		if !historyName.MatchString(n) {
			continue
		}
		content, err := l.Repo.GetSealed(ctx, l.name(n))
		if err != nil {
			return nil, l.broken(n, err)
		}
		out[timelineOf(n)] = content
	}
	return out, nil
}

// record reads a JSON record. ErrNotFound stays what it is; damage becomes
// ErrLogBroken.
func (l *Log) record(ctx context.Context, name string, into any) error {
	content, err := l.Repo.GetSealed(ctx, l.name(name))
	if err != nil {
		if errors.Is(err, repository.ErrNotFound) {
			return fmt.Errorf("log of %s: %s: %w", l.Target, name, err)
		}
		return l.broken(name, err)
	}
	if err := json.Unmarshal(content, into); err != nil {
		return l.broken(name, fmt.Errorf("%w: %w", repository.ErrCorrupt, err))
	}
	return nil
}

// broken wraps an error from reading an object: damage is ErrLogBroken,
// anything else (storage cannot be reached, say) stays what it is.
func (l *Log) broken(object string, err error) error {
	if errors.Is(err, repository.ErrCorrupt) || errors.Is(err, repository.ErrNotFound) {
		return fmt.Errorf("log of %s: %s: %w: %w", l.Target, object, ErrLogBroken, err)
	}
	return fmt.Errorf("log of %s: %s: %w", l.Target, object, err)
}
