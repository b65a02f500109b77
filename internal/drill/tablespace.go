package drill

import (
	"fmt"
	"sync"

	"github.com/refloat-db/refloat/internal/restore"
	"github.com/refloat-db/refloat/internal/target"
)

// tablespaceGuard looks through the log before the scratch server gets it.
// PostgreSQL replays CREATE TABLESPACE at the original location, which on
// production's host is the directory that production uses.
type tablespaceGuard struct {
	known map[uint32]bool

	mu   sync.Mutex
	held map[target.Segment][]byte
	err  error
}

func newTablespaceGuard(p restore.Plan) *tablespaceGuard {
	g := &tablespaceGuard{known: map[uint32]bool{}, held: map[target.Segment][]byte{}}
	for _, t := range p.Backup.Tablespaces {
		g.known[t.OID] = true
	}
	return g
}

// look refuses a segment in which, or out of which into the next, a tablespace
// is made that the backup does not have. Segments may come in any order, so a
// segment's neighbours are kept: a record may begin in one and end in another.
func (g *tablespaceGuard) look(name string, content []byte) error {
	seg, err := target.ParseSegmentName(name, int64(len(content)))
	if err != nil {
		return nil //nolint:nilerr // a history file, which makes nothing
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held[seg] = content
	before := seg
	before.Number--
	g.walk(seg)
	if _, ok := g.held[before]; ok {
		g.walk(before)
	}
	// Of older segments only the last can still have a record that goes on.
	for s := range g.held {
		if s.Number+8 < seg.Number || s.Number > seg.Number+8 {
			delete(g.held, s)
		}
	}
	return g.err
}

// walk visits the records that begin in a segment, as far as they are held.
func (g *tablespaceGuard) walk(seg target.Segment) {
	read := func(n uint64) ([]byte, error) {
		return g.held[target.Segment{Timeline: seg.Timeline, Number: n, Size: seg.Size}], nil
	}
	_, _ = target.WalkLog(seg.Start(), seg.Size, read, func(r target.LogRecord) bool {
		oid, location, makes := r.MakesTablespace()
		if makes && !g.known[oid] && g.err == nil {
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
