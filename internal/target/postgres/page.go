package postgres

import (
	"encoding/binary"
	"regexp"
	"strconv"

	"github.com/refloat-db/refloat/internal/target"
)

// How PostgreSQL sums a page (storage/checksum_impl.h): 32 interleaved FNV-1a
// sums over 32-bit words, folded together with the block's number.
const (
	fnvPrime     = 16777619
	checksumAt   = 8 // pd_checksum in the page's header
	sumLanes     = 32
	sumRowBytes  = sumLanes * 4
	lanesAtATime = 8 // so many sums fit in registers
)

// pageSums are the start values of the 32 sums.
var pageSums = [sumLanes]uint32{
	0x5B1F36E9, 0xB8525960, 0x02AB50AA, 0x1DE66D2A, 0x79FF467A, 0x9BB9F8A3, 0x217E7CD2, 0x83E13D2C,
	0xF8D4474F, 0xE39EB970, 0x42C6AE16, 0x993216FA, 0x7B093B5D, 0x98DAFF3C, 0xF718902A, 0x0B1C9CDB,
	0xE58F764B, 0x187636BC, 0x5D7B3BB1, 0xE73DE7DE, 0x92BEC979, 0xCCA6C0B2, 0x304A0979, 0x85AA43D4,
	0x783125BB, 0x6CA8EAA2, 0xE407EAC6, 0x4B5CFC3E, 0x9FBF8C76, 0x15CA20BE, 0xF2CA9FD3, 0x959BD756,
}

func mixSum(sum, word uint32) uint32 {
	t := sum ^ word
	return t*fnvPrime ^ t>>17
}

// pageChecksum is the checksum that block of a relation should carry. The
// page's own checksum field counts as zero; page is the same after the call.
func pageChecksum(page *[target.PageSize]byte, block uint32) uint16 {
	kept := [2]byte{page[checksumAt], page[checksumAt+1]}
	page[checksumAt], page[checksumAt+1] = 0, 0
	var sum uint32
	for lane := 0; lane < sumLanes; lane += lanesAtATime {
		sum ^= sumEight(page, lane)
	}
	page[checksumAt], page[checksumAt+1] = kept[0], kept[1]
	return uint16((sum^block)%65535 + 1)
}

// sumEight works out eight neighbouring sums and folds them.
func sumEight(page *[target.PageSize]byte, lane int) uint32 {
	le := binary.LittleEndian
	start := pageSums[lane : lane+lanesAtATime : lane+lanesAtATime]
	s0, s1, s2, s3, s4, s5, s6, s7 := start[0], start[1], start[2], start[3], start[4], start[5], start[6], start[7]
	for o := lane * 4; o <= target.PageSize-lanesAtATime*4; o += sumRowBytes {
		b := (*[lanesAtATime * 4]byte)(page[o:])
		s0 = mixSum(s0, le.Uint32(b[0:]))
		s1 = mixSum(s1, le.Uint32(b[4:]))
		s2 = mixSum(s2, le.Uint32(b[8:]))
		s3 = mixSum(s3, le.Uint32(b[12:]))
		s4 = mixSum(s4, le.Uint32(b[16:]))
		s5 = mixSum(s5, le.Uint32(b[20:]))
		s6 = mixSum(s6, le.Uint32(b[24:]))
		s7 = mixSum(s7, le.Uint32(b[28:]))
	}
	for range 2 { // two rounds of zeros, for mixing
		s0, s1, s2, s3 = mixSum(s0, 0), mixSum(s1, 0), mixSum(s2, 0), mixSum(s3, 0)
		s4, s5, s6, s7 = mixSum(s4, 0), mixSum(s5, 0), mixSum(s6, 0), mixSum(s7, 0)
	}
	return s0 ^ s1 ^ s2 ^ s3 ^ s4 ^ s5 ^ s6 ^ s7
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
