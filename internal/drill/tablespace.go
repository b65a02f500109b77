package drill

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/refloat-db/refloat/internal/restore"
	"github.com/refloat-db/refloat/internal/target"
)

// tablespaceGuard looks through the log before the scratch server gets it.
// PostgreSQL replays CREATE TABLESPACE at the original location, which on
// production's host is the directory that production uses.
type tablespaceGuard struct {
	from target.LSN // where replay begins

	mu   sync.Mutex
	held map[target.Segment][]byte
	err  error
}

func newTablespaceGuard(p restore.Plan) *tablespaceGuard {
	return &tablespaceGuard{from: p.Backup.Start.LSN, held: map[target.Segment][]byte{}}
}

// look refuses a segment in which, or out of which into the next, a tablespace
// is made. One that the backup has is no better: replay would point its link
// back to the original place. Segments may come in any order, so a segment's
// neighbours are kept: a record may begin in one and end in another.
func (g *tablespaceGuard) look(name string, content []byte) error {
	seg, err := target.ParseSegmentName(name, int64(len(content)))
	if err != nil {
		return nil //nolint:nilerr // a history file, which makes nothing
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held[seg] = content
	g.walk(seg)
	for s := range g.held {
		switch {
		case s.Number+1 == seg.Number: // on whichever timeline: the new one may begin in this segment
			g.walk(s)
		case s.Number+8 < seg.Number || s.Number > seg.Number+8:
			// Of older segments only the last can still have a record that goes on.
			delete(g.held, s)
		}
	}
	return g.err
}

// lookAtBackup looks through the log that a backup carries, which the server
// replays without asking for it.
func (g *tablespaceGuard) lookAtBackup(data string) error {
	dir := filepath.Join(data, "pg_wal")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("look through the backup's own log: %w", err)
	}
	for _, e := range entries {
		if !e.Type().IsRegular() || len(e.Name()) != 24 {
			continue
		}
		content, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return fmt.Errorf("look through the backup's own log: %w", err)
		}
		if err := g.look(e.Name(), content); err != nil {
			return err
		}
	}
	return nil
}

// segment is what is held of a number: on a segment's own timeline, or else on
// the next that has it.
func (g *tablespaceGuard) segment(tl target.Timeline, number uint64, size int64) []byte {
	best, content := target.Timeline(0), []byte(nil)
	for s, c := range g.held {
		if s.Number == number && s.Size == size && s.Timeline >= tl && (content == nil || s.Timeline < best) {
			best, content = s.Timeline, c
		}
	}
	return content
}

// walk visits the records that begin in a segment, as far as they are held.
func (g *tablespaceGuard) walk(seg target.Segment) {
	read := func(n uint64) ([]byte, error) { return g.segment(seg.Timeline, n, seg.Size), nil }
	_, _ = target.WalkLog(seg.Start(), seg.Size, read, func(r target.LogRecord) bool {
		oid, location, makes := r.MakesTablespace()
		if makes && r.Start >= g.from && g.err == nil {
			g.err = fmt.Errorf("%w: tablespace %d at %s, by the record at %s; take a new base backup, then drill that", errForeignTablespace, oid, location, r.Start)
		}
		return r.Start < seg.End()
	})
}

func (g *tablespaceGuard) found() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.err
}
