package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"time"

	"github.com/refloat-db/refloat/internal/target"
)

var historyName = regexp.MustCompile(`^[0-9A-F]{8}\.history$`)

// copyLog copies the segments from start to end and the timelines' histories,
// and returns the ranges for the manifest. Like the server's own base backup
// it takes a segment of any timeline, as the history may fork on the way.
func (b *filesBackup) copyLog(ctx context.Context) ([]manifestRange, error) {
	size := b.facts.walSegment
	first := target.SegmentAt(b.start, size)
	last := target.SegmentAt(target.Position{Timeline: b.end.Timeline, LSN: b.end.LSN - 1}, size)
	entries, err := fs.ReadDir(b.tree.wal.FS(), ".")
	if err != nil {
		return nil, fmt.Errorf("list the log: %w", err)
	}
	have := map[uint64]bool{}
	history := []byte(nil)
	for _, e := range entries {
		seg, serr := target.ParseSegmentName(e.Name(), size)
		switch {
		case historyName.MatchString(e.Name()):
			content, err := b.copyHistory(ctx, e.Name())
			if err != nil {
				return nil, err
			}
			if e.Name() == b.end.Timeline.HistoryName() {
				history = content
			}
		case serr == nil && seg.Number >= first.Number && seg.Number <= last.Number && seg.Timeline <= b.end.Timeline:
			if err := b.copySegment(ctx, seg); err != nil {
				return nil, err
			}
			have[seg.Number] = true
		}
	}
	for n := first.Number; n <= last.Number; n++ {
		if !have[n] {
			s := target.Segment{Timeline: b.end.Timeline, Number: n, Size: size}
			return nil, fmt.Errorf("the server removed log segment %s before the backup ended: raise wal_keep_size above what is written during a backup", s.Name())
		}
	}
	return logRanges(history, b.start, b.end)
}

// copySegment copies one segment and makes sure that it was not recycled
// meanwhile: the server renames a segment that it no longer needs and writes
// over it.
func (b *filesBackup) copySegment(ctx context.Context, seg target.Segment) error {
	name := seg.Name()
	f, err := b.tree.wal.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // found missing afterwards
	}
	if err != nil {
		return fmt.Errorf("log segment %s: %w", name, err)
	}
	defer func() { _ = f.Close() }() // only read
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("log segment %s: %w", name, err)
	}
	head := make([]byte, 64)
	if _, err := f.ReadAt(head, 0); err != nil {
		return fmt.Errorf("log segment %s: %w", name, err)
	}
	// The header may be of an older timeline: a fork begins inside a segment.
	tl, addr, id, _, err := target.FirstPage(head)
	if err != nil || info.Size() != seg.Size || addr != seg.Start() || id != b.facts.systemID || tl > seg.Timeline {
		return errors.Join(fmt.Errorf("log segment %s does not hold what its name says", name), err)
	}
	file := target.File{Path: "pg_wal/" + name, Mode: b.fileMode(), Size: seg.Size, ModTime: info.ModTime()}
	if err := b.sink.File(ctx, file, io.NewSectionReader(f, 0, seg.Size)); err != nil {
		return fmt.Errorf("%s: %w", file.Path, err)
	}
	now, err := b.tree.wal.Stat(name)
	if err != nil || !os.SameFile(info, now) {
		return fmt.Errorf("the server removed log segment %s while it was copied: raise wal_keep_size above what is written during a backup", name)
	}
	return b.markArchived(ctx, name, info.ModTime())
}

func (b *filesBackup) copyHistory(ctx context.Context, name string) ([]byte, error) {
	content, err := b.tree.wal.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("timeline history %s: %w", name, err)
	}
	now := time.Now()
	file := target.File{Path: "pg_wal/" + name, Mode: b.fileMode(), Size: int64(len(content)), ModTime: now}
	if err := b.sink.File(ctx, file, bytes.NewReader(content)); err != nil {
		return nil, fmt.Errorf("%s: %w", file.Path, err)
	}
	return content, b.markArchived(ctx, name, now)
}

// markArchived keeps a restored server from archiving this file again, as the
// server's own base backup does.
func (b *filesBackup) markArchived(ctx context.Context, name string, at time.Time) error {
	return b.deliver(ctx, target.File{Path: "pg_wal/archive_status/" + name + ".done", Mode: b.fileMode(), ModTime: at}, bytes.NewReader(nil))
}

// logRanges splits the log from start to end by timelines, the newest first as
// the server lists them.
func logRanges(history []byte, start, end target.Position) ([]manifestRange, error) {
	var out []manifestRange
	from, tl := start.LSN, start.Timeline
	if tl != end.Timeline {
		switches, err := target.ParseHistory(history)
		if err != nil {
			return nil, fmt.Errorf("history of timeline %d: %w", end.Timeline, err)
		}
		for i, s := range switches {
			if s.Timeline < tl || s.LSN < from {
				continue
			}
			out = append(out, manifestRange{Timeline: s.Timeline, Start: from, End: s.LSN})
			from, tl = s.LSN, end.Timeline
			if i+1 < len(switches) {
				tl = switches[i+1].Timeline
			}
		}
		if tl != end.Timeline {
			return nil, fmt.Errorf("the history of timeline %d does not lead there from %s", end.Timeline, start)
		}
	}
	out = append(out, manifestRange{Timeline: end.Timeline, Start: from, End: end.LSN})
	slices.Reverse(out)
	return out, nil
}
