package backup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/refloat-db/refloat/internal/repository"
	"github.com/refloat-db/refloat/internal/target"
)

const indexFormat = 1

// logIndex is one log/TARGET/index/LOG object: the whole segments whose names
// begin with LOG, in name order.
type logIndex struct {
	Format      int           `json:"format"`
	SegmentSize int64         `json:"segment_size"`
	Segments    []SegmentInfo `json:"segments"`
}

// indexName is the index object that knows a segment.
func indexName(segment string) string { return "index/" + segment[:16] }

// parseIndex reads an index object and checks it against its own name.
func parseIndex(log string, content []byte) (logIndex, error) {
	var x logIndex
	if err := json.Unmarshal(content, &x); err != nil {
		return logIndex{}, fmt.Errorf("log index %s: %w", log, err)
	}
	if x.Format != indexFormat {
		return logIndex{}, fmt.Errorf("log index %s has format %d; this program knows %d", log, x.Format, indexFormat)
	}
	for i, s := range x.Segments {
		seg, err := target.ParseSegmentName(s.Name, x.SegmentSize)
		if err != nil {
			return logIndex{}, fmt.Errorf("log index %s: %w", log, err)
		}
		if !strings.HasPrefix(s.Name, log) || s.End != seg.End() || s.Partial || len(s.SHA256) != 64 || i > 0 && x.Segments[i-1].Name >= s.Name {
			return logIndex{}, fmt.Errorf("log index %s: the entry of %s does not fit", log, s.Name)
		}
	}
	return x, nil
}

func (x *logIndex) encode() ([]byte, error) {
	b, err := json.Marshal(x)
	if err != nil {
		return nil, fmt.Errorf("encode log index: %w", err)
	}
	return b, nil
}

func (x *logIndex) find(name string) (SegmentInfo, bool) {
	i, ok := slices.BinarySearchFunc(x.Segments, name, func(s SegmentInfo, n string) int { return strings.Compare(s.Name, n) })
	if !ok {
		return SegmentInfo{}, false
	}
	return x.Segments[i], true
}

// put adds or replaces an entry.
func (x *logIndex) put(s SegmentInfo) {
	i, ok := slices.BinarySearchFunc(x.Segments, s.Name, func(s SegmentInfo, n string) int { return strings.Compare(s.Name, n) })
	if ok {
		x.Segments[i] = s
		return
	}
	x.Segments = slices.Insert(x.Segments, i, s)
}

// readIndex reads the index that knows a segment; repository.ErrNotFound when
// there is none, ErrLogBroken when it is damaged.
func (l *Log) readIndex(ctx context.Context, segment string) (logIndex, error) {
	name := indexName(segment)
	content, err := l.Repo.GetSealed(ctx, l.name(name))
	if errors.Is(err, repository.ErrNotFound) {
		return logIndex{}, fmt.Errorf("log of %s: %s: %w", l.Target, name, err)
	}
	if err != nil {
		return logIndex{}, l.broken(name, err)
	}
	x, err := parseIndex(segment[:16], content)
	if err != nil {
		return logIndex{}, l.broken(name, fmt.Errorf("%w: %w", repository.ErrCorrupt, err))
	}
	return x, nil
}

// indexed reads every index object among names.
func (l *Log) indexed(ctx context.Context, names []string) (map[string]SegmentInfo, int64, error) {
	out, size := map[string]SegmentInfo{}, int64(0)
	for _, n := range names {
		log, ok := strings.CutPrefix(n, "index/")
		if !ok || len(log) != 16 {
			continue
		}
		x, err := l.readIndex(ctx, log)
		if errors.Is(err, ErrLogBroken) || errors.Is(err, repository.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, 0, err
		}
		size = x.SegmentSize
		for _, s := range x.Segments {
			s.Indexed = true
			out[s.Name] = s
		}
	}
	return out, size, nil
}

// span is a run of segments of one timeline, From to Until-1 by number.
type span struct {
	Timeline target.Timeline `json:"timeline"`
	From     uint64          `json:"from"`
	Until    uint64          `json:"until"`
}

// deletedSpans is log/TARGET/deleted: segments that were deleted on purpose,
// so that their absence is not taken for damage. Written before they go.
type deletedSpans struct {
	Format int    `json:"format"`
	Spans  []span `json:"spans"`
}

func (d deletedSpans) has(s target.Segment) bool {
	for _, sp := range d.Spans {
		if sp.Timeline == s.Timeline && s.Number >= sp.From && s.Number < sp.Until {
			return true
		}
	}
	return false
}

// add returns d with the segments in it as well, runs merged.
func (d deletedSpans) add(segs []target.Segment) deletedSpans {
	all := slices.Clone(d.Spans)
	for _, s := range segs {
		all = append(all, span{s.Timeline, s.Number, s.Number + 1})
	}
	slices.SortFunc(all, func(a, b span) int {
		if a.Timeline != b.Timeline {
			return int(int64(a.Timeline) - int64(b.Timeline))
		}
		if a.From < b.From {
			return -1
		}
		return 1
	})
	out := deletedSpans{Format: indexFormat}
	for _, s := range all {
		if n := len(out.Spans); n > 0 && out.Spans[n-1].Timeline == s.Timeline && s.From <= out.Spans[n-1].Until {
			out.Spans[n-1].Until = max(out.Spans[n-1].Until, s.Until)
			continue
		}
		out.Spans = append(out.Spans, s)
	}
	return out
}

func (l *Log) deleted(ctx context.Context) (deletedSpans, error) {
	var d deletedSpans
	err := l.record(ctx, "deleted", &d)
	if errors.Is(err, repository.ErrNotFound) && !errors.Is(err, ErrLogBroken) {
		return deletedSpans{Format: indexFormat}, nil
	}
	return d, err
}

// Delete removes segments, whole or partial, by name. It first records them as
// deleted on purpose, so that a deletion that is cut short never looks like
// damage; calling it again finishes it. An index object goes when every
// segment in it has gone and a later one of its timeline exists.
func (l *Log) Delete(ctx context.Context, names []string) error {
	if len(names) == 0 {
		return nil
	}
	pos, err := l.Position(ctx)
	if err != nil {
		return fmt.Errorf("delete from the log of %s: %w", l.Target, err)
	}
	segs := make([]target.Segment, len(names))
	for i, n := range names {
		if segs[i], err = target.ParseSegmentName(n, pos.SegmentSize); err != nil {
			return fmt.Errorf("delete from the log of %s: %w", l.Target, err)
		}
		if segs[i].Timeline == pos.Position.Timeline && segs[i].End() > pos.Position.LSN {
			return fmt.Errorf("delete from the log of %s: %s is still being written", l.Target, n)
		}
	}
	d, err := l.deleted(ctx)
	if err != nil {
		return err
	}
	d = d.add(segs)
	content, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("encode the list of deleted segments: %w", err)
	}
	if err := l.Repo.PutSealed(ctx, l.name("deleted"), content); err != nil {
		return fmt.Errorf("record deleted segments of %s: %w", l.Target, err)
	}
	for _, n := range names {
		if err := errors.Join(l.Repo.DeleteSealed(ctx, l.name(n)), l.Repo.DeleteSealed(ctx, l.name(n+partialSuffix))); err != nil {
			return fmt.Errorf("delete segment %s of %s: %w", n, l.Target, err)
		}
	}
	return l.dropIndexes(ctx, d)
}

// dropIndexes removes index objects all of whose segments were deleted. The
// last of a timeline stays: the receiver may be about to add to it.
func (l *Log) dropIndexes(ctx context.Context, d deletedSpans) error {
	names, err := l.list(ctx, "index/")
	if err != nil {
		return err
	}
	for i, n := range names {
		log := strings.TrimPrefix(n, "index/")
		if i+1 == len(names) || len(log) != 16 || names[i+1][:len("index/")+8] != n[:len("index/")+8] {
			continue
		}
		x, err := l.readIndex(ctx, log)
		if err != nil {
			return err
		}
		kept := slices.ContainsFunc(x.Segments, func(s SegmentInfo) bool {
			seg, err := target.ParseSegmentName(s.Name, x.SegmentSize)
			return err != nil || !d.has(seg)
		})
		if kept {
			continue
		}
		if err := l.Repo.DeleteSealed(ctx, l.name(n)); err != nil {
			return fmt.Errorf("delete log index %s of %s: %w", log, l.Target, err)
		}
	}
	return nil
}

func timelineOf(name string) target.Timeline {
	n, err := strconv.ParseUint(name[:8], 16, 32)
	if err != nil {
		return 0
	}
	return target.Timeline(n)
}
