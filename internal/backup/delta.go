package backup

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/refloat-db/refloat/internal/target"
)

// A delta holds the changed pages of a relation file in PostgreSQL 17's
// incremental file format (PostgreSQL's reconstruct.c and
// basebackup_incremental.c; docs/formats/backup.md, "Delta files").
const (
	deltaPrefix    = "INCREMENTAL."
	deltaMagic     = 0xd3ae1f0d
	deltaFixedSize = 12 // magic, number of blocks, truncation block length
	zeroLayer      = 0xff
)

// deltaPath is where a delta keeps the changed pages of a file.
func deltaPath(name string) string {
	dir, base := path.Split(name)
	return dir + deltaPrefix + base
}

// undeltaPath is the reverse; false when p is no delta file's path.
func undeltaPath(p string) (string, bool) {
	dir, base := path.Split(p)
	rest, ok := strings.CutPrefix(base, deltaPrefix)
	return dir + rest, ok && rest != ""
}

// deltaHeaderSize is how many bytes come before the first page: padded to
// whole pages when there are pages.
func deltaHeaderSize(blocks int) int64 {
	n := int64(deltaFixedSize) + 4*int64(blocks)
	if blocks > 0 {
		n = (n + target.PageSize - 1) / target.PageSize * target.PageSize
	}
	return n
}

// encodeDeltaHeader renders what comes before the pages.
func encodeDeltaHeader(inc target.Incremental) []byte {
	out := make([]byte, deltaHeaderSize(len(inc.Blocks)))
	le := binary.LittleEndian
	le.PutUint32(out, deltaMagic)
	le.PutUint32(out[4:], uint32(len(inc.Blocks)))
	le.PutUint32(out[8:], inc.TruncationBlocks)
	for i, b := range inc.Blocks {
		le.PutUint32(out[deltaFixedSize+4*i:], b)
	}
	return out
}

// readDeltaHeader reads the header of a delta file of the given size.
func readDeltaHeader(r io.Reader, size int64) (target.Incremental, error) {
	var fixed [deltaFixedSize]byte
	if _, err := io.ReadFull(r, fixed[:]); err != nil {
		return target.Incremental{}, fmt.Errorf("delta file of %d bytes: %w", size, err)
	}
	le := binary.LittleEndian
	if magic := le.Uint32(fixed[:]); magic != deltaMagic {
		return target.Incremental{}, fmt.Errorf("delta file begins with %#08x instead of %#08x", magic, uint32(deltaMagic))
	}
	n := int64(le.Uint32(fixed[4:]))
	if n > size/target.PageSize || size != deltaHeaderSize(int(n))+n*target.PageSize {
		return target.Incremental{}, fmt.Errorf("delta file of %d bytes says that it holds %d pages", size, n)
	}
	inc := target.Incremental{TruncationBlocks: le.Uint32(fixed[8:]), Blocks: make([]uint32, n)}
	raw := make([]byte, 4*n)
	if _, err := io.ReadFull(r, raw); err != nil {
		return target.Incremental{}, fmt.Errorf("delta file: block numbers: %w", err)
	}
	for i := range inc.Blocks {
		inc.Blocks[i] = le.Uint32(raw[4*i:])
	}
	return inc, checkBlocks(inc)
}

var errBlockOrder = errors.New("block numbers do not ascend")

func checkBlocks(inc target.Incremental) error {
	for i := 1; i < len(inc.Blocks); i++ {
		if inc.Blocks[i] <= inc.Blocks[i-1] {
			return fmt.Errorf("delta: block %d after %d: %w", inc.Blocks[i], inc.Blocks[i-1], errBlockOrder)
		}
	}
	return nil
}

// deltaLength is how many blocks the file has after the delta is applied.
func deltaLength(inc target.Incremental) int64 {
	n := int64(inc.TruncationBlocks)
	if len(inc.Blocks) > 0 {
		n = max(n, int64(inc.Blocks[len(inc.Blocks)-1])+1)
	}
	return n
}

// pageAt says where a merged file's page lies: the layer, counted from the
// newest, and the page's number among the pages that the layer stores.
type pageAt struct {
	layer uint8 // zeroLayer: the page is all zeros and stored nowhere
	index uint32
}

// mergePages finds each page of a file: deltas newest first, over a whole file
// of base blocks (the last layer). A block that a delta does not list is as in
// the layer below, up to the truncation length of every delta above; past it,
// it is zeros.
func mergePages(deltas []target.Incremental, base int64) []pageAt {
	if len(deltas) == 0 {
		return nil
	}
	out := make([]pageAt, deltaLength(deltas[0]))
	for i := range out {
		out[i].layer = zeroLayer
	}
	limit := int64(len(out))
	for l, d := range deltas {
		for i, b := range d.Blocks {
			if int64(b) < limit && out[b].layer == zeroLayer {
				out[b] = pageAt{uint8(l), uint32(i)}
			}
		}
		limit = min(limit, int64(d.TruncationBlocks))
	}
	for b := range min(limit, base) {
		if out[b].layer == zeroLayer {
			out[b] = pageAt{uint8(len(deltas)), uint32(b)}
		}
	}
	return out
}
