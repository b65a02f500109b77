package restore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/refloat-db/refloat/internal/backup"
	"github.com/refloat-db/refloat/internal/target"
)

// maxLookBack bounds how many segments are read for the newest transaction.
const maxLookBack = 64

// LastTransaction is when the newest transaction in the log up to a position
// ended, by the server's clock; zero when none was found near the end, or the
// log near its end cannot be read (what lies before that can still be restored,
// so it is for the plan to say what is covered). fetch reads a segment:
// (*backup.Log).Fetch.
func LastTransaction(ctx context.Context, segments []backup.SegmentInfo, size int64, to target.Position, fetch func(ctx context.Context, name string) ([]byte, error)) (time.Time, error) {
	var numbers []uint64
	for _, s := range segments {
		seg, err := target.ParseSegmentName(s.Name, size)
		if err == nil && seg.Timeline == to.Timeline && seg.Start() < to.LSN && !slices.Contains(numbers, seg.Number) {
			numbers = append(numbers, seg.Number)
		}
	}
	slices.Sort(numbers)
	slices.Reverse(numbers)
	held := map[uint64][]byte{}
	for i, n := range numbers {
		if i == maxLookBack {
			break
		}
		read := func(number uint64) ([]byte, error) {
			if b, ok := held[number]; ok {
				return b, nil
			}
			b, err := fetch(ctx, target.Segment{Timeline: to.Timeline, Number: number, Size: size}.Name())
			if errors.Is(err, backup.ErrEndOfLog) {
				err = nil
			}
			held[number] = b
			return b, err
		}
		var last time.Time
		start := target.Segment{Timeline: to.Timeline, Number: n, Size: size}
		_, err := target.WalkLog(start.Start(), size, read, func(r target.LogRecord) bool {
			if r.Start >= to.LSN {
				return false
			}
			if at, is := r.EndOfTransaction(); is && at.After(last) {
				last = at
			}
			return r.Start < start.End()
		})
		if errors.Is(err, backup.ErrLogBroken) {
			return time.Time{}, nil
		}
		if err != nil {
			return time.Time{}, fmt.Errorf("look for the newest transaction: %w", err)
		}
		if !last.IsZero() {
			return last, nil
		}
		delete(held, n+1)
	}
	return time.Time{}, nil
}
