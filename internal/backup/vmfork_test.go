package backup

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"github.com/refloat-db/refloat/internal/target"
)

func TestParseFork(t *testing.T) {
	for p, want := range map[string]relationFork{
		"base/5/16384":             {"base/5/16384", "", 0},
		"base/5/16384.3":           {"base/5/16384", "", 3},
		"base/5/16384_vm":          {"base/5/16384", "_vm", 0},
		"base/5/16384_fsm.12":      {"base/5/16384", "_fsm", 12},
		"pg_tblspc/9/PG_17/5/7_vm": {"pg_tblspc/9/PG_17/5/7", "_vm", 0},
	} {
		if got, ok := parseFork(p); !ok || got != want {
			t.Errorf("%s: %+v, %v", p, got, ok)
		}
	}
	if _, ok := parseFork("base/5/PG_VERSION"); ok {
		t.Error("a file that is no relation")
	}
}

// TestMendedMapClaimsNothingOfChangedBlocks compares mending with the plain
// rule, block by block.
func TestMendedMapClaimsNothingOfChangedBlocks(t *testing.T) {
	const segmentBlocks = 40000 // so that a page of the map spans two files
	rapid.Check(t, func(t *rapid.T) {
		v := visibility{segmentBlocks: segmentBlocks, changed: map[string][]changedBlocks{}}
		changed := map[int64]bool{}
		for seg := range uint32(3) {
			name := "base/1/7"
			if seg > 0 {
				name += "." + string(rune('0'+seg))
			}
			if rapid.IntRange(0, 5).Draw(t, "whole") == 0 {
				v.noteTable(name, true, nil)
				for b := range int64(segmentBlocks) {
					changed[int64(seg)*segmentBlocks+b] = true
				}
				continue
			}
			var blocks []uint32
			step := rapid.IntRange(1, 900).Draw(t, "step")
			for b := range uint32(segmentBlocks) {
				if b%uint32(step) == 0 {
					blocks = append(blocks, b)
					changed[int64(seg)*segmentBlocks+int64(b)] = true
				}
			}
			v.noteTable(name, false, blocks)
		}
		below := bytes.Repeat([]byte{0xff}, 4*target.PageSize)
		inc := target.Incremental{TruncationBlocks: 4}
		var sent []byte
		if rapid.Bool().Draw(t, "second page sent") {
			inc.Blocks, sent = []uint32{1}, bytes.Repeat([]byte{0x55}, target.PageSize)
		}
		got, pages, err := v.mend(mapDelta{target.File{Path: "base/1/7_vm"}, inc, sent}, bytes.NewReader(below), 4)
		if err != nil {
			t.Fatal(err)
		}
		merged := bytes.Clone(below)
		for i, b := range got.Blocks {
			page := (*[target.PageSize]byte)(pages[i*target.PageSize:])
			copy(merged[int64(b)*target.PageSize:], page[:])
			if len(inc.Blocks) > 0 && b == 1 {
				if !bytes.Equal(page[:], sent) {
					t.Fatal("a page that the server sent was altered")
				}
			} else if sum := uint16(page[8]) | uint16(page[9])<<8; sum != target.PageChecksum(page, b) {
				t.Fatalf("page %d has checksum %x", b, sum)
			}
		}
		for n := range int64(4 * blocksPerMap) {
			page, at := n/blocksPerMap, n%blocksPerMap
			if page == 1 && len(inc.Blocks) > 0 {
				continue
			}
			bits := merged[page*target.PageSize+mapHeader+at/4] >> (2 * (at % 4)) & 3
			if (bits == 0) != changed[n] {
				t.Fatalf("block %d: bits %b, changed %v", n, bits, changed[n])
			}
		}
	})
}

func TestMapOfInsaneLengthIsCut(t *testing.T) {
	v := visibility{segmentBlocks: defaultSegmentBlocks, changed: map[string][]changedBlocks{}}
	inc, _, err := v.mend(mapDelta{target.File{Path: "base/1/7_vm"}, target.Incremental{TruncationBlocks: 131072, Blocks: []uint32{4}}, pagesOf(1)}, nil, 3)
	if err != nil || deltaLength(inc) != 5 || len(inc.Blocks) != 1 {
		t.Errorf("%+v, %v", inc, err)
	}
}
