package backup

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/refloat-db/refloat/internal/repository"
	"github.com/refloat-db/refloat/internal/target"
)

func TestDeltaHeader(t *testing.T) {
	for name, tc := range map[string]struct {
		inc  target.Incremental
		size int
	}{
		"no pages":  {target.Incremental{TruncationBlocks: 7, Blocks: []uint32{}}, 12},
		"one":       {target.Incremental{TruncationBlocks: 7, Blocks: []uint32{3}}, 8192},
		"just fits": {target.Incremental{Blocks: make([]uint32, 2045)}, 8192},
		"one over":  {target.Incremental{Blocks: make([]uint32, 2046)}, 2 * 8192},
	} {
		for i := range tc.inc.Blocks {
			tc.inc.Blocks[i] += uint32(i)
		}
		head := encodeDeltaHeader(tc.inc)
		if len(head) != tc.size {
			t.Errorf("%s: header of %d bytes, want %d", name, len(head), tc.size)
		}
		got, err := readDeltaHeader(bytes.NewReader(head), int64(len(head)+len(tc.inc.Blocks)*target.PageSize))
		if err != nil || got.TruncationBlocks != tc.inc.TruncationBlocks || len(got.Blocks) != len(tc.inc.Blocks) {
			t.Errorf("%s: read back %+v, %v", name, got, err)
		}
	}
	// The first bytes of a file that PostgreSQL 17 made.
	known := []byte{0x0d, 0x1f, 0xae, 0xd3, 1, 0, 0, 0, 4, 0, 0, 0, 2, 0, 0, 0}
	if got := encodeDeltaHeader(target.Incremental{TruncationBlocks: 4, Blocks: []uint32{2}}); !bytes.HasPrefix(got, known) {
		t.Errorf("header begins with % x", got[:16])
	}
}

func TestDeltaPaths(t *testing.T) {
	if got := deltaPath("base/1/2"); got != "base/1/INCREMENTAL.2" {
		t.Error(got)
	}
	for p, want := range map[string]bool{"base/1/INCREMENTAL.2": true, "INCREMENTAL.": false, "base/INCREMENTAL.1/2": false, "base/1/2": false} {
		if _, ok := undeltaPath(p); ok != want {
			t.Errorf("%s: %v", p, ok)
		}
	}
}

func FuzzDeltaHeader(f *testing.F) {
	f.Add(encodeDeltaHeader(target.Incremental{TruncationBlocks: 1, Blocks: []uint32{0, 5}}), int64(3*8192))
	f.Add([]byte{}, int64(0))
	f.Fuzz(func(t *testing.T, b []byte, size int64) {
		inc, err := readDeltaHeader(bytes.NewReader(b), size)
		if err == nil && size != deltaHeaderSize(len(inc.Blocks))+int64(len(inc.Blocks))*target.PageSize {
			t.Fatalf("accepted %d blocks in %d bytes", len(inc.Blocks), size)
		}
	})
}

func FuzzPageTable(f *testing.F) {
	var good bytes.Buffer
	w := newPageTableWriter(&good)
	_ = w.add("base/1/2", make([]byte, 32))
	_ = w.add("base/1/1", make([]byte, 16))
	_ = w.close()
	f.Add(good.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		tab, err := openPageTable(t.Context(), openBytes(b), int64(len(b)))
		if err != nil {
			return
		}
		for p := range tab.files {
			if _, err := tab.hashes(t.Context(), p); err != nil {
				t.Fatalf("the index was accepted, but %s cannot be read: %v", p, err)
			}
		}
	})
}

func FuzzManifest(f *testing.F) {
	f.Add(`{"Files":[{"Path":"a","Checksum-Algorithm":"CRC32C","Checksum":"78563412"}]}`)
	f.Fuzz(func(t *testing.T, s string) { _, _ = parseManifest(strings.NewReader(s)) })
}

func FuzzEntry(f *testing.F) {
	f.Add(`{"format":1,"id":"x","kind":"full","segment_size":16777216,"start":{"timeline":1,"lsn":"0/1"},"end":{"timeline":1,"lsn":"0/2"},"system_id":"1"}`)
	f.Fuzz(func(t *testing.T, s string) {
		if b, err := parseEntry([]byte(s)); err == nil && (b.ID == "" || (b.Kind == Delta) != (b.Parent != "")) {
			t.Fatalf("accepted %+v", b)
		}
	})
}

func TestManifestSums(t *testing.T) {
	got, err := parseManifest(strings.NewReader(`{"Files":[{"Path":"a","Checksum-Algorithm":"CRC32C","Checksum":"78563412"},{"Path":"b","Checksum-Algorithm":"SHA256","Checksum":"00"},{"Path":"c"}]}`))
	if err != nil || len(got) != 1 || got["a"] != 0x12345678 {
		t.Errorf("%v, %v", got, err)
	}
}

func openBytes(b []byte) openFunc {
	return func(context.Context) (io.ReadSeekCloser, error) {
		return struct {
			io.ReadSeeker
			io.Closer
		}{bytes.NewReader(b), io.NopCloser(nil)}, nil
	}
}

func TestPageTable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var buf bytes.Buffer
		w := newPageTableWriter(&buf)
		want := map[string][]byte{}
		for range rapid.IntRange(0, 5).Draw(t, "files") {
			p := rapid.StringMatching(`base/[1-9]/[0-9]{1,5}`).Draw(t, "path")
			h := make([]byte, hashSize*rapid.IntRange(0, 40000).Draw(t, "blocks"))
			for i := 0; i < len(h); i += 1000 {
				h[i] = byte(i)
			}
			err := w.add(p, h)
			if _, dup := want[p]; dup != (err != nil) {
				t.Fatalf("add %s twice: %v", p, err)
			}
			if err == nil {
				want[p] = h
			}
		}
		if err := w.close(); err != nil {
			t.Fatal(err)
		}
		b := buf.Bytes()
		tab, err := openPageTable(context.Background(), openBytes(b), int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		for p, h := range want {
			if got, err := tab.hashes(context.Background(), p); err != nil || !bytes.Equal(got, h) {
				t.Fatalf("%s: %d bytes, %v", p, len(got), err)
			}
		}
		// No altered byte outside the hashes goes unseen, nor a cut.
		at := rapid.IntRange(int(tab.indexAt()), len(b)-1).Draw(t, "flip")
		bad := bytes.Clone(b)
		bad[at] ^= 1
		if _, err := openPageTable(context.Background(), openBytes(bad), int64(len(bad))); !errors.Is(err, errPageTable) {
			t.Fatalf("byte %d of %d altered: %v", at, len(b), err)
		}
		if _, err := openPageTable(context.Background(), openBytes(b[:at]), int64(at)); !errors.Is(err, errPageTable) {
			t.Fatalf("cut at %d: %v", at, err)
		}
	})
}

// indexAt is where the index of a table begins.
func (t *pageTable) indexAt() int64 {
	var end int64 = int64(len(pageTableMagic))
	for _, e := range t.files {
		end = max(end, e.offset+e.blocks*hashSize)
	}
	return end
}

func TestPageHasherAtAnySplit(t *testing.T) {
	file := pagesOf(1, 2, 3, 4, 5)
	want := make([]byte, 0, 5*hashSize)
	for o := 0; o < len(file); o += target.PageSize {
		sum := hashPage(file[o : o+target.PageSize])
		want = append(want, sum[:]...)
	}
	rapid.Check(t, func(t *rapid.T) {
		h := newPageHasher(nil, 5)
		for rest := file; len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "n")
			h.write(rest[:n])
			rest = rest[n:]
		}
		if !bytes.Equal(h.hashes, want) || h.filled != 0 {
			t.Fatal("hashes depend on how the bytes arrive")
		}
	})
}

// memObjects is a store of objects in memory.
type memObjects map[repository.ObjectID][]byte

func (m memObjects) OpenObject(ctx context.Context, id repository.ObjectID) (io.ReadSeekCloser, error) {
	b, ok := m[id]
	if !ok {
		return nil, repository.ErrNotFound
	}
	return openBytes(b)(ctx)
}

// TestReaderSeesEveryAlteration alters what a merged file is made of.
func TestReaderSeesEveryAlteration(t *testing.T) {
	build := func() (*Image, memObjects) {
		inc := target.Incremental{TruncationBlocks: 3, Blocks: []uint32{1}}
		objects := memObjects{"base": pagesOf(1, 2, 3), "inc": append(encodeDeltaHeader(inc), pagesOf(9)...), "whole": pagesOf(4)}
		var table bytes.Buffer
		w := newPageTableWriter(&table)
		for p, b := range map[string][]byte{"a": pagesOf(1, 9, 3), "b": pagesOf(4)} {
			h := newPageHasher(nil, 3)
			h.write(b)
			if err := w.add(p, h.hashes); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.close(); err != nil {
			t.Fatal(err)
		}
		tab, err := openPageTable(t.Context(), openBytes(table.Bytes()), int64(table.Len()))
		if err != nil {
			t.Fatal(err)
		}
		node := func(id repository.ObjectID) repository.Node {
			return repository.Node{Object: id, Size: int64(len(objects[id]))}
		}
		return &Image{
			repo: objects, table: tab,
			files:  []ImageFile{{Node: repository.Node{Path: "a", Size: 3 * target.PageSize}}, {Node: repository.Node{Path: "b", Size: target.PageSize}}},
			byPath: map[string]imageEntry{"a": {0, []repository.Node{node("inc"), node("base")}}, "b": {1, []repository.Node{node("whole")}}},
		}, objects
	}
	read := func(i *Image, p string) ([]byte, error) {
		r, err := i.OpenFile(t.Context(), p)
		if err != nil {
			return nil, err
		}
		b, err := io.ReadAll(r)
		return b, errors.Join(err, r.Close())
	}
	i, _ := build()
	if b, err := read(i, "a"); err != nil || !bytes.Equal(b, pagesOf(1, 9, 3)) {
		t.Fatalf("unaltered: %v", err)
	}
	for name, tc := range map[string]struct {
		path  string
		alter func(m memObjects)
		says  string
	}{
		"base page":     {"a", func(m memObjects) { m["base"][2*target.PageSize+5] ^= 1 }, "block 2"},
		"delta page":    {"a", func(m memObjects) { m["inc"][target.PageSize+5] ^= 1 }, "block 1"},
		"delta header":  {"a", func(m memObjects) { m["inc"][12] = 2 }, "block"},
		"delta magic":   {"a", func(m memObjects) { m["inc"][0] = 0 }, "begins with"},
		"truncation":    {"a", func(m memObjects) { m["inc"][8] = 5 }, "5 pages"},
		"base cut":      {"a", func(m memObjects) { m["base"] = m["base"][:target.PageSize] }, "ends"},
		"base gone":     {"a", func(m memObjects) { delete(m, "base") }, "not found"},
		"whole page":    {"b", func(m memObjects) { m["whole"][0] ^= 1 }, "block 0"},
		"hidden page 1": {"a", func(m memObjects) { m["base"][target.PageSize] ^= 1 }, ""}, // the delta covers it
	} {
		i, m := build()
		tc.alter(m)
		_, err := read(i, tc.path)
		if tc.says == "" && err == nil {
			continue
		}
		if !errors.Is(err, ErrBroken) || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
