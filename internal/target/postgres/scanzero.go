package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/refloat-db/refloat/internal/target"
)

// lost finds the blocks of zeros that the cluster knows to have held rows.
func (s *scanner) lost(ctx context.Context, relations []target.RelationFile) error {
	for _, r := range relations {
		if err := ctx.Err(); err != nil {
			return err
		}
		switch r.Kind {
		case "heap":
			if zeros := s.zeros[r.Path]; len(zeros) > 0 {
				if err := s.visible(r.Path, zeros); err != nil {
					return err
				}
			}
		case "btree":
			if zeros := s.zeros[r.Heap]; len(zeros) > 0 {
				if err := s.pointed(r, zeros); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (s *scanner) loss(heap string, block uint32, why string) {
	for _, f := range s.report.Lost {
		if f.File == heap && f.Block == int64(block) {
			return
		}
	}
	if len(s.report.Lost) < maxScanFindings {
		s.report.Lost = append(s.report.Lost, target.PageFinding{File: heap, Block: int64(block), Detail: why})
	}
}

// A visibility map has two bits for each heap block after its page header
// (visibilitymap.c).
const (
	mapHeader     = 24
	blocksPerByte = 4
	blocksPerMap  = (target.PageSize - mapHeader) * blocksPerByte
)

// visible looks whether the visibility map calls a page of zeros all-visible,
// which PostgreSQL never sets for a page that was not filled.
func (s *scanner) visible(heap string, zeros map[uint32]bool) error {
	return s.pages(heap+"_vm", func(number uint32, page []byte) {
		for i, b := range page[mapHeader:] {
			for k := range blocksPerByte {
				if b>>(2*k)&1 == 0 {
					continue
				}
				block := number*blocksPerMap + uint32(i*blocksPerByte+k)
				if zeros[block] {
					s.loss(heap, block, "the page is zeros, and the visibility map says that its rows are visible to all")
				}
			}
		}
	})
}

// pages reads every page of a fork, over its segments; none when it is not
// there.
func (s *scanner) pages(path string, visit func(number uint32, page []byte)) error {
	for segment := uint32(0); ; segment++ {
		name := path
		if segment > 0 {
			name = fmt.Sprintf("%s.%d", path, segment)
		}
		f, err := os.Open(filepath.Join(s.dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		page := make([]byte, target.PageSize)
		for number := segment * segmentBlocks; err == nil; number++ {
			if _, err = io.ReadFull(f, page); err == nil {
				visit(number, page)
			}
		}
		if closed := f.Close(); closed != nil {
			return closed
		}
		if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return err
		}
	}
}

// pointed looks whether a leaf of a btree index points to a page of zeros.
func (s *scanner) pointed(r target.RelationFile, zeros map[uint32]bool) error {
	return s.pages(r.Path, func(_ uint32, page []byte) {
		for _, block := range leafBlocks(page) {
			if zeros[block] {
				s.loss(r.Heap, block, "the page is zeros, and the index in "+r.Path+" points to rows on it")
			}
		}
	})
}

// Bits of a btree page and of its tuples (nbtree.h, itup.h, itemid.h).
const (
	btreeSpecial    = 16
	btreeLeaf       = 1 << 0
	btreeDeleted    = 1 << 2
	btreeMeta       = 1 << 3
	btreeHalfDead   = 1 << 4
	itemNormal      = 1
	tupleAltTID     = 0x2000 // INDEX_ALT_TID_MASK
	tupleIsPosting  = 0x2000 // BT_IS_POSTING
	tupleOffsetMask = 0x0FFF // BT_OFFSET_MASK
	tupleHeader     = 8
	pageHeader      = 24
)

// leafBlocks are the heap blocks that a btree's leaf page points to, nil for
// any other page. It never reads outside of the page.
func leafBlocks(page []byte) []uint32 {
	le := binary.LittleEndian
	special := int(le.Uint16(page[16:]))
	if special != target.PageSize-btreeSpecial {
		return nil
	}
	flags := le.Uint16(page[special+12:])
	if flags&btreeLeaf == 0 || flags&(btreeDeleted|btreeMeta|btreeHalfDead) != 0 {
		return nil
	}
	lower := min(int(le.Uint16(page[12:])), special)
	first := 0
	if le.Uint32(page[special+4:]) != 0 { // not rightmost: the first item is the high key
		first = 1
	}
	var out []uint32
	for i := pageHeader + 4*first; i+4 <= lower; i += 4 {
		id := le.Uint32(page[i:])
		off, state, length := int(id&0x7FFF), id>>15&3, int(id>>17)
		if state != itemNormal || length < tupleHeader || off < pageHeader || off+length > special {
			continue
		}
		out = append(out, tupleBlocks(page[off:off+length])...)
	}
	return out
}

func heapBlock(tid []byte) uint32 {
	le := binary.LittleEndian
	return uint32(le.Uint16(tid))<<16 | uint32(le.Uint16(tid[2:]))
}

// tupleBlocks are the heap blocks of one leaf tuple: one, or those of its
// posting list.
func tupleBlocks(t []byte) []uint32 {
	le := binary.LittleEndian
	if le.Uint16(t[6:])&tupleAltTID == 0 {
		return []uint32{heapBlock(t)}
	}
	offset := le.Uint16(t[4:])
	if offset&tupleIsPosting == 0 {
		return nil // a pivot
	}
	var out []uint32
	at, n := int(heapBlock(t)), int(offset&tupleOffsetMask)
	for ; n > 0 && at >= tupleHeader && at+6 <= len(t); n, at = n-1, at+6 {
		out = append(out, heapBlock(t[at:]))
	}
	return out
}
