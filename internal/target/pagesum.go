package target

import "encoding/binary"

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

// PageChecksum is the checksum that block of a relation should carry. The
// page's own checksum field counts as zero; page is the same after the call, but
// no other goroutine may look at it meanwhile.
func PageChecksum(page *[PageSize]byte, block uint32) uint16 {
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
func sumEight(page *[PageSize]byte, lane int) uint32 {
	le := binary.LittleEndian
	start := pageSums[lane : lane+lanesAtATime : lane+lanesAtATime]
	s0, s1, s2, s3, s4, s5, s6, s7 := start[0], start[1], start[2], start[3], start[4], start[5], start[6], start[7]
	for o := lane * 4; o <= PageSize-lanesAtATime*4; o += sumRowBytes {
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
