package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/refloat-db/refloat/internal/repository"
	"github.com/refloat-db/refloat/internal/target"
)

// Fetch returns a segment's or history file's bytes for recovery, checked
// against index and page header; a partial segment is filled with zeros.
//
// ErrEndOfLog means that the log truly ends before this file. ErrLogBroken
// means that it should be there, or is not what was stored. Any other error
// means that the repository could not be read. Recovery may end at the first
// and must abort at the others.
func (l *Log) Fetch(ctx context.Context, name string) ([]byte, error) {
	if historyName.MatchString(name) {
		return l.fetchHistory(ctx, name)
	}
	if !wholeName.MatchString(name) {
		return nil, fmt.Errorf("log of %s: %q is no WAL segment and no timeline history: %w", l.Target, name, ErrEndOfLog)
	}
	pos, err := l.Position(ctx)
	if errors.Is(err, repository.ErrNotFound) {
		return l.withoutPosition(ctx, name)
	}
	if err != nil {
		return nil, err
	}
	seg, err := target.ParseSegmentName(name, pos.SegmentSize)
	if err != nil {
		return nil, fmt.Errorf("log of %s: %w: %w", l.Target, ErrLogBroken, err)
	}
	gone, err := l.deleted(ctx)
	if err != nil {
		return nil, err
	}
	if gone.has(seg) {
		return nil, fmt.Errorf("log of %s: segment %s was deleted by retention: %w", l.Target, name, ErrLogBroken)
	}
	content, err := l.fetchSegment(ctx, seg, pos)
	if errors.Is(err, errAbsent) {
		return nil, l.absent(ctx, seg, pos)
	}
	return content, err
}

var errAbsent = errors.New("absent")

// withoutPosition answers for a log that has no position record: nothing was
// ever promised, unless segments are there.
func (l *Log) withoutPosition(ctx context.Context, name string) ([]byte, error) {
	names, err := l.list(ctx, "")
	if err != nil {
		return nil, err
	}
	for _, n := range names {
		if wholeName.MatchString(strings.TrimSuffix(n, partialSuffix)) || strings.HasPrefix(n, "index/") {
			return nil, fmt.Errorf("log of %s: its position record is missing though segments are stored: %w", l.Target, ErrLogBroken)
		}
	}
	return nil, fmt.Errorf("log of %s: nothing is stored, so %s is not: %w", l.Target, name, ErrEndOfLog)
}

// fetchSegment reads the whole segment, or its beginning. The receiver may
// complete the segment between the two looks, so absence is looked at twice.
func (l *Log) fetchSegment(ctx context.Context, seg target.Segment, pos LogPosition) ([]byte, error) {
	for range 2 {
		content, err := l.fetchWhole(ctx, seg, pos)
		if !errors.Is(err, errAbsent) {
			return content, err
		}
		content, err = l.fetchPartial(ctx, seg, pos)
		if !errors.Is(err, errAbsent) {
			return content, err
		}
	}
	return nil, errAbsent
}

func (l *Log) fetchWhole(ctx context.Context, seg target.Segment, pos LogPosition) ([]byte, error) {
	name := seg.Name()
	content, err := l.Repo.GetSealed(ctx, l.name(name))
	if errors.Is(err, repository.ErrNotFound) {
		return nil, errAbsent
	}
	if err != nil {
		return nil, l.broken("segment "+name, err)
	}
	if int64(len(content)) != seg.Size {
		return nil, l.damaged(name, fmt.Errorf("it has %d bytes instead of %d", len(content), seg.Size))
	}
	if err := checkHeader(content, seg, pos.SystemID); err != nil {
		return nil, l.damaged(name, err)
	}
	x, err := l.readIndex(ctx, name)
	if err != nil && !errors.Is(err, repository.ErrNotFound) {
		return nil, err
	}
	entry, ok := x.find(name)
	sum := sha256.Sum256(content)
	switch {
	case ok && entry.SHA256 != hex.EncodeToString(sum[:]):
		return nil, l.damaged(name, errors.New("its hash is not the one in the index"))
	case !ok:
		// A crash between object and index leaves such a segment, but then
		// nothing past its beginning was promised.
		reach, err := l.promised(ctx, seg, pos)
		if err != nil {
			return nil, err
		}
		if reach >= seg.End() {
			return nil, l.damaged(name, errors.New("the index has lost it"))
		}
	}
	return content, nil
}

// promised is how far on seg's timeline the position record says that the log
// is stored; at least seg's start.
func (l *Log) promised(ctx context.Context, seg target.Segment, pos LogPosition) (target.LSN, error) {
	if pos.Position.Timeline == seg.Timeline {
		return max(seg.Start(), pos.Position.LSN), nil
	}
	left, ok, err := l.leftAt(ctx, seg.Timeline, pos.Position.Timeline)
	if err != nil || !ok {
		return seg.Start(), err
	}
	return max(seg.Start(), left), nil
}

func (l *Log) fetchPartial(ctx context.Context, seg target.Segment, pos LogPosition) ([]byte, error) {
	name := seg.Name() + partialSuffix
	content, err := l.Repo.GetSealed(ctx, l.name(name))
	if errors.Is(err, repository.ErrNotFound) {
		return nil, errAbsent
	}
	if err != nil {
		return nil, l.broken("segment "+name, err)
	}
	if int64(len(content)) > seg.Size {
		return nil, l.damaged(name, fmt.Errorf("it has %d bytes, more than a segment", len(content)))
	}
	if err := checkHeader(content, seg, pos.SystemID); err != nil {
		return nil, l.damaged(name, err)
	}
	must, err := l.mustReach(ctx, seg, pos)
	if err != nil {
		return nil, err
	}
	if end := seg.Start() + target.LSN(len(content)); end < must {
		if must >= seg.End() {
			return nil, errAbsent // the whole segment should be there: absent says so
		}
		return nil, l.damaged(name, fmt.Errorf("it ends at %s, but the log was stored up to %s", end, must))
	}
	return append(content, make([]byte, seg.Size-int64(len(content)))...), nil
}

// mustReach is how far into the segment the log is known to have been stored;
// past its end when later log exists, its start when nothing is known.
func (l *Log) mustReach(ctx context.Context, seg target.Segment, pos LogPosition) (target.LSN, error) {
	reach, err := l.promised(ctx, seg, pos)
	if err != nil {
		return 0, err
	}
	x, err := l.readIndex(ctx, seg.Name())
	if err != nil && !errors.Is(err, repository.ErrNotFound) {
		return 0, err
	}
	if n := len(x.Segments); n > 0 && x.Segments[n-1].Name >= seg.Name() {
		return seg.End(), nil
	}
	later, err := l.laterStored(ctx, seg)
	if err != nil {
		return 0, err
	}
	if later {
		reach = seg.End()
	}
	return reach, nil
}

// leftAt says where timeline from was left on the way to timeline to. A
// history that should be there and is not is ErrLogBroken.
func (l *Log) leftAt(ctx context.Context, from, to target.Timeline) (target.LSN, bool, error) {
	if from >= to {
		return 0, false, nil
	}
	content, err := l.Repo.GetSealed(ctx, l.name(to.HistoryName()))
	if err != nil {
		return 0, false, l.broken(to.HistoryName(), err)
	}
	line, err := target.ParseHistory(content)
	if err != nil {
		return 0, false, l.damaged(to.HistoryName(), err)
	}
	for _, s := range line {
		if s.Timeline == from {
			return s.LSN, true, nil
		}
	}
	return 0, false, nil
}

// laterStored reports whether a later segment of the same timeline is stored
// that the receiver would not have stored before this one. It stores whole
// segments a little out of order, up to uploadWindow ahead.
func (l *Log) laterStored(ctx context.Context, seg target.Segment) (bool, error) {
	tl := fmt.Sprintf("%08X", uint32(seg.Timeline))
	stored, err := l.list(ctx, tl)
	if err != nil {
		return false, err
	}
	for _, n := range stored {
		base, partial := strings.CutSuffix(n, partialSuffix)
		later, err := target.ParseSegmentName(base, seg.Size)
		if err == nil && later.Number > seg.Number && (partial || later.Number >= seg.Number+uploadWindow) {
			return true, nil
		}
	}
	indexes, err := l.list(ctx, "index/"+tl)
	if err != nil {
		return false, err
	}
	return len(indexes) > 0 && indexes[len(indexes)-1] > indexName(seg.Name()), nil
}

// absent decides what it means that neither form of a segment is stored.
func (l *Log) absent(ctx context.Context, seg target.Segment, pos LogPosition) error {
	reach, err := l.mustReach(ctx, seg, pos)
	if err != nil {
		return err
	}
	if reach > seg.Start() {
		return fmt.Errorf("log of %s: segment %s is missing, though the log goes on to %s: %w",
			l.Target, seg.Name(), max(reach, pos.Position.LSN), ErrLogBroken)
	}
	return fmt.Errorf("log of %s: it ends at %s, before segment %s: %w", l.Target, pos.Position, seg.Name(), ErrEndOfLog)
}

func (l *Log) damaged(object string, err error) error {
	return fmt.Errorf("log of %s: %s: %w: %w", l.Target, object, err, ErrLogBroken)
}

func (l *Log) fetchHistory(ctx context.Context, name string) ([]byte, error) {
	content, err := l.Repo.GetSealed(ctx, l.name(name))
	switch {
	case err == nil:
		if _, err := target.ParseHistory(content); err != nil || len(bytes.TrimSpace(content)) == 0 {
			return nil, l.damaged(name, fmt.Errorf("not a timeline history: %w", err))
		}
		return content, nil
	case !errors.Is(err, repository.ErrNotFound):
		return nil, l.broken(name, err)
	}
	tl := timelineOf(name)
	if tl > 1 {
		for _, prefix := range []string{name[:8], "index/" + name[:8]} {
			names, err := l.list(ctx, prefix)
			if err != nil {
				return nil, err
			}
			if len(names) > 0 {
				return nil, fmt.Errorf("log of %s: %s is missing, though segments of its timeline are stored: %w", l.Target, name, ErrLogBroken)
			}
		}
		if pos, err := l.Position(ctx); err == nil && pos.Position.Timeline >= tl {
			if pos.Position.Timeline == tl {
				return nil, fmt.Errorf("log of %s: %s is missing, though the log is on that timeline: %w", l.Target, name, ErrLogBroken)
			}
		} else if err != nil && !errors.Is(err, repository.ErrNotFound) {
			return nil, err
		}
	}
	return nil, fmt.Errorf("log of %s: there is no timeline %d: %w", l.Target, tl, ErrEndOfLog)
}

// checkHeader compares a segment's first page with what the segment's name and
// the log's position record say it is.
func checkHeader(content []byte, seg target.Segment, sys target.SystemID) error {
	tl, addr, system, size, err := target.FirstPage(content)
	switch {
	case err != nil:
		return err
	case tl > seg.Timeline:
		// The first segment of a timeline may begin with pages of the one before.
		return fmt.Errorf("its first page is of timeline %d", tl)
	case addr != seg.Start():
		return fmt.Errorf("its first page is that of position %s", addr)
	case system != sys:
		return fmt.Errorf("it belongs to the cluster with system identifier %s, not %s", system, sys)
	case size != seg.Size:
		return fmt.Errorf("its segment size is %d, not %d", size, seg.Size)
	}
	return nil
}
