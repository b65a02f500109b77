package target

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// slowChecksum is PostgreSQL's algorithm, written as its comment describes it.
func slowChecksum(page [PageSize]byte, block uint32) uint16 {
	page[8], page[9] = 0, 0
	sums := pageSums
	for i := 0; i < PageSize/4; i++ {
		sums[i%32] = mixSum(sums[i%32], binary.LittleEndian.Uint32(page[4*i:]))
	}
	var out uint32
	for _, s := range sums {
		out ^= mixSum(mixSum(s, 0), 0)
	}
	return uint16((out^block)%65535 + 1)
}

func TestPageChecksum(t *testing.T) {
	for block := range uint32(50) {
		var page [PageSize]byte
		r := rand.New(rand.NewPCG(uint64(block), 1))
		for i := range page {
			page[i] = byte(r.Uint32())
		}
		block *= 77777
		before := page
		if got, want := PageChecksum(&page, block), slowChecksum(page, block); got != want || page != before {
			t.Fatalf("block %d: %#x instead of %#x", block, got, want)
		}
	}
}
