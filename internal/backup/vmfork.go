package backup

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"

	"github.com/refloat-db/refloat/internal/target"
)

// The visibility map (PostgreSQL's visibilitymap.c): two bits for each block of
// a table, after the page's header.
const (
	mapHeader      = 24
	blocksPerByte  = 4
	blocksPerMap   = (target.PageSize - mapHeader) * blocksPerByte
	pageChecksumAt = 8

	defaultSegmentBlocks = 131072 // blocks in each file of a relation
)

// A server-side incremental does not know of every change to the visibility
// map: an insert, update or delete clears a block's bits without saying in the
// log that it touched the map (PostgreSQL 17 and 18, as of 17.10 and 18.4).
// Merged as it comes, the map would call a changed block all-visible, and index-
// only scans would show deleted rows and hide new ones. Setting bits is logged
// with the map's page. So a page of the map that the server did not send is
// right except for blocks of the table that changed; their bits are cleared
// here, which is always safe: a cleared bit claims nothing.

// relationFork is what a relation file's path says.
type relationFork struct {
	relation string // path without fork and segment
	fork     string // "", "_vm" and the like
	segment  uint32
}

var forkPath = regexp.MustCompile(`^(.*/[0-9]+)(_[a-z]+)?(?:\.([0-9]+))?$`)

func parseFork(p string) (relationFork, bool) {
	m := forkPath.FindStringSubmatch(p)
	if m == nil {
		return relationFork{}, false
	}
	n, err := strconv.ParseUint("0"+m[3], 10, 32)
	return relationFork{m[1], m[2], uint32(n)}, err == nil
}

// changedBlocks are those of one file of a table that changed.
type changedBlocks struct {
	segment uint32
	all     bool
	blocks  []uint32 // within the file, ascending
}

// mapDelta is a delta of a visibility map as the server sent it.
type mapDelta struct {
	file  target.File
	inc   target.Incremental
	pages []byte
}

// visibility collects what is needed to mend visibility maps.
type visibility struct {
	segmentBlocks int64
	changed       map[string][]changedBlocks // by relation
	maps          map[string]mapDelta        // by path
}

// noteTable remembers which blocks of a table changed.
func (v *visibility) noteTable(p string, all bool, blocks []uint32) {
	f, ok := parseFork(p)
	if !ok || f.fork != "" || !all && len(blocks) == 0 {
		return
	}
	v.changed[f.relation] = append(v.changed[f.relation], changedBlocks{f.segment, all, blocks})
}

// clearChanged clears the bits of changed blocks in page number n of a
// relation's map, and reports whether any was set.
func (v *visibility) clearChanged(relation string, n int64, page []byte) bool {
	cleared := false
	first := n * blocksPerMap
	clear := func(block int64) { // of the table as a whole, within this page of the map
		at := block - first
		mask := byte(3) << (2 * (at % blocksPerByte))
		b := &page[mapHeader+at/blocksPerByte]
		if *b&mask != 0 {
			*b &^= mask
			cleared = true
		}
	}
	for _, c := range v.changed[relation] {
		base := int64(c.segment) * v.segmentBlocks
		from, until := max(first-base, 0), min(first+blocksPerMap-base, v.segmentBlocks)
		if c.all {
			for b := from; b < until; b++ {
				clear(base + b)
			}
			continue
		}
		i, _ := slices.BinarySearch(c.blocks, uint32(min(from, v.segmentBlocks)))
		for ; i < len(c.blocks) && int64(c.blocks[i]) < until; i++ {
			clear(base + int64(c.blocks[i]))
		}
	}
	return cleared
}

// mend gives the delta of a map with the pages added whose bits had to be
// cleared. below reads the map as it was in the parent, which has so many
// blocks.
func (v *visibility) mend(m mapDelta, below io.ReaderAt, blocks int64) (target.Incremental, []byte, error) {
	f, ok := parseFork(m.file.Path)
	if !ok {
		return m.inc, m.pages, nil
	}
	out := target.Incremental{TruncationBlocks: m.inc.TruncationBlocks}
	var pages []byte
	known := min(blocks, int64(m.inc.TruncationBlocks))
	end := max(known, deltaLength(target.Incremental{Blocks: m.inc.Blocks}))
	// A server may give the length of the table for that of the map after a
	// truncation. Pages past all that is stored would be zeros: leave them away.
	out.TruncationBlocks = uint32(min(int64(out.TruncationBlocks), end))
	sent := 0
	for b := range end {
		if sent < len(m.inc.Blocks) && int64(m.inc.Blocks[sent]) == b {
			out.Blocks = append(out.Blocks, uint32(b))
			pages = append(pages, m.pages[sent*target.PageSize:(sent+1)*target.PageSize]...)
			sent++
			continue
		}
		if b >= known || len(v.changed[f.relation]) == 0 {
			continue
		}
		var page [target.PageSize]byte
		if _, err := below.ReadAt(page[:], b*target.PageSize); err != nil && !errors.Is(err, io.EOF) {
			return out, nil, err
		}
		number := int64(f.segment)*v.segmentBlocks + b
		if !v.clearChanged(f.relation, number, page[:]) {
			continue
		}
		if sum := page[pageChecksumAt : pageChecksumAt+2]; binary.LittleEndian.Uint16(sum) != 0 {
			binary.LittleEndian.PutUint16(sum, target.PageChecksum(&page, uint32(number)))
		}
		out.Blocks = append(out.Blocks, uint32(b))
		pages = append(pages, page[:]...)
	}
	return out, pages, nil
}

// holdMap keeps the delta of a visibility map until all of its table came.
func (s *sink) holdMap(_ context.Context, f target.File, inc target.Incremental, r io.Reader) error {
	pages, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if len(pages) != len(inc.Blocks)*target.PageSize {
		return fmt.Errorf("%d bytes came for %d pages", len(pages), len(inc.Blocks))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, dup := s.visible.maps[f.Path]; dup {
		return errors.New("it came twice")
	}
	s.visible.maps[f.Path] = mapDelta{f, inc, pages}
	return nil
}

// storeMaps mends the maps that were held and stores them.
func (s *sink) storeMaps(ctx context.Context) error {
	for p, m := range s.visible.maps {
		if err := s.storeMap(ctx, m); err != nil {
			return fmt.Errorf("mend visibility map %s: %w", p, err)
		}
	}
	return nil
}

func (s *sink) storeMap(ctx context.Context, m mapDelta) error {
	blocks, _ := s.parent.blocks(m.file.Path)
	below := &lazyFile{open: func() (FileReader, error) { return s.below(ctx, m.file.Path) }}
	inc, pages, err := s.visible.mend(m, below, blocks)
	if err := errors.Join(err, below.close()); err != nil {
		return err
	}
	return s.storeIncremental(ctx, m.file, inc, bytes.NewReader(pages))
}

// lazyFile opens a file when it is first read.
type lazyFile struct {
	open func() (FileReader, error)
	r    FileReader
}

// ReadAt reads from the file.
func (l *lazyFile) ReadAt(p []byte, off int64) (int, error) {
	if l.r == nil {
		r, err := l.open()
		if err != nil {
			return 0, err
		}
		l.r = r
	}
	return l.r.ReadAt(p, off)
}

func (l *lazyFile) close() error {
	if l.r == nil {
		return nil
	}
	return l.r.Close()
}
