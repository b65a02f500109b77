package postgres

import (
	"encoding/binary"
	"regexp"
	"strconv"

	"github.com/refloat-db/refloat/internal/target"
)

const checksumAt = 8 // pd_checksum in the page's header

// pageChecksum is the checksum that block of a relation should carry.
func pageChecksum(page *[target.PageSize]byte, block uint32) uint16 {
	return target.PageChecksum(page, block)
}

// pageLSN is the position of the last log record that changed the page.
func pageLSN(page *[target.PageSize]byte) target.LSN {
	le := binary.LittleEndian
	return target.LSN(uint64(le.Uint32(page[0:]))<<32 | uint64(le.Uint32(page[4:])))
}

// pageIsNew reports a page of zeros, which carries no checksum.
func pageIsNew(page *[target.PageSize]byte) bool {
	if page[14] != 0 || page[15] != 0 { // pd_upper, zero on a new page only
		return false
	}
	return *page == [target.PageSize]byte{}
}

// pageIsGood reports whether the page is new or its checksum fits.
func pageIsGood(page *[target.PageSize]byte, block uint32) bool {
	return pageIsNew(page) || binary.LittleEndian.Uint16(page[checksumAt:]) == pageChecksum(page, block)
}

// relationFile is what the name of a relation's file says.
type relationFile struct {
	segment uint32 // number after the dot: the file holds blocks from segment × segment size on
}

var relationPath = regexp.MustCompile(`^(?:base/[0-9]+|global|pg_tblspc/[0-9]+/PG_[^/]+/[0-9]+)/[0-9]+(?:_(?:fsm|vm|init))?(?:\.([0-9]+))?$`)

// parseRelationPath reads the path of a file that holds pages of a relation:
// its main fork, free space map, visibility map or init fork. False for any
// other file.
func parseRelationPath(p string) (relationFile, bool) {
	m := relationPath.FindStringSubmatch(p)
	if m == nil {
		return relationFile{}, false
	}
	if m[1] == "" {
		return relationFile{}, true
	}
	n, err := strconv.ParseUint(m[1], 10, 32)
	return relationFile{segment: uint32(n)}, err == nil
}

// suspect is a page whose checksum does not fit.
type suspect struct {
	block int64 // within the file
	lsn   target.LSN
}

// pageChecker checks pages as a file's bytes pass. A file's pages follow each
// other from first on, or are those of blocks.
type pageChecker struct {
	first   uint32   // block number, within the relation, of the file's first block
	blocks  []uint32 // for an incremental file: the block, within the file, of each page
	next    int      // pages seen
	partial [target.PageSize]byte
	filled  int
	bad     func(suspect)
}

// write takes the next bytes of the file.
func (c *pageChecker) write(b []byte) {
	if c.filled > 0 {
		n := copy(c.partial[c.filled:], b)
		c.filled, b = c.filled+n, b[n:]
		if c.filled < target.PageSize {
			return
		}
		c.check(&c.partial)
		c.filled = 0
	}
	for len(b) >= target.PageSize {
		c.check((*[target.PageSize]byte)(b))
		b = b[target.PageSize:]
	}
	c.filled = copy(c.partial[:], b)
}

func (c *pageChecker) check(page *[target.PageSize]byte) {
	at := int64(c.next)
	if c.blocks != nil && c.next < len(c.blocks) {
		at = int64(c.blocks[c.next])
	}
	c.next++
	if !pageIsGood(page, c.first+uint32(at)) {
		c.bad(suspect{block: at, lsn: pageLSN(page)})
	}
}
