package backup

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/zeebo/xxh3"

	"github.com/refloat-db/refloat/internal/target"
)

// The page table: a hash of each page of each relation file of a backup
// (docs/formats/backup.md, "Page table").
const (
	pageTableMagic  = "RFLPAGE1"
	pageTableFooter = 48
	hashSize        = 16
	tableChunk      = 1 << 20 // the repository stores chunks of this size
	tableChunks     = 8       // kept in memory
	maxTableIndex   = 1 << 30
)

// tableEntry says where a file's hashes lie.
type tableEntry struct {
	offset int64
	blocks int64
}

// hashPage is XXH3-128 of a page, in canonical (big-endian) form.
func hashPage(page []byte) [hashSize]byte { return xxh3.Hash128(page).Bytes() }

// zeroHash is that of a page of zeros.
func zeroHash() [hashSize]byte { return hashPage(make([]byte, target.PageSize)) }

// pageTableWriter writes a table as files are done, in any order. It is safe
// for concurrent use.
type pageTableWriter struct {
	mu    sync.Mutex
	w     *bufio.Writer
	off   int64
	index map[string]tableEntry
}

func newPageTableWriter(w io.Writer) *pageTableWriter {
	t := &pageTableWriter{w: bufio.NewWriterSize(w, 256<<10), index: map[string]tableEntry{}}
	t.write([]byte(pageTableMagic))
	return t
}

// write keeps the offset; bufio keeps the first error until close.
func (t *pageTableWriter) write(b []byte) {
	n, _ := t.w.Write(b)
	t.off += int64(n)
}

// add records a file's hashes, hashSize bytes for each block.
func (t *pageTableWriter) add(path string, hashes []byte) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, dup := t.index[path]; dup {
		return fmt.Errorf("page table: %s came twice", path)
	}
	t.index[path] = tableEntry{t.off, int64(len(hashes) / hashSize)}
	if _, err := t.w.Write(hashes); err != nil {
		return fmt.Errorf("page table: %w", err)
	}
	t.off += int64(len(hashes))
	return nil
}

// close writes the index and the footer.
func (t *pageTableWriter) close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	paths := make([]string, 0, len(t.index))
	for p := range t.index {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	var index []byte
	le := binary.LittleEndian
	for _, p := range paths {
		e := t.index[p]
		index = le.AppendUint32(index, uint32(len(p)))
		index = append(index, p...)
		index = le.AppendUint64(index, uint64(e.offset))
		index = le.AppendUint64(index, uint64(e.blocks))
	}
	footer := make([]byte, 0, pageTableFooter)
	footer = le.AppendUint64(footer, uint64(t.off))
	footer = le.AppendUint64(footer, uint64(len(index)))
	footer = le.AppendUint64(footer, uint64(len(paths)))
	sum := hashPage(index)
	footer = append(footer, sum[:]...)
	footer = append(footer, pageTableMagic...)
	t.write(index)
	t.write(footer)
	if err := t.w.Flush(); err != nil {
		return fmt.Errorf("page table: %w", err)
	}
	return nil
}

// openFunc opens a stored object at its beginning.
type openFunc func(ctx context.Context) (io.ReadSeekCloser, error)

// pageTable reads a stored table: its index is in memory, hashes are read as
// they are asked for. It is safe for concurrent use.
type pageTable struct {
	open  openFunc
	size  int64
	files map[string]tableEntry

	mu     sync.Mutex
	chunks []tablePiece // most recently used first
}

type tablePiece struct {
	number int64
	data   []byte
}

var errPageTable = errors.New("the page table is damaged")

// openPageTable reads the footer and the index of a table of the given size.
func openPageTable(ctx context.Context, open openFunc, size int64) (*pageTable, error) {
	t := &pageTable{open: open, size: size}
	if size < int64(len(pageTableMagic))+pageTableFooter {
		return nil, fmt.Errorf("%w: it has %d bytes", errPageTable, size)
	}
	footer := make([]byte, pageTableFooter)
	if err := t.readAt(ctx, footer, size-pageTableFooter); err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	at, length, count := int64(le.Uint64(footer)), int64(le.Uint64(footer[8:])), int64(le.Uint64(footer[16:]))
	if string(footer[40:]) != pageTableMagic || at < int64(len(pageTableMagic)) || length < 0 || length > maxTableIndex || at != size-pageTableFooter-length {
		return nil, fmt.Errorf("%w: its footer makes no sense", errPageTable)
	}
	index := make([]byte, length)
	if err := t.readAt(ctx, index, at); err != nil {
		return nil, err
	}
	if sum := hashPage(index); !bytes.Equal(sum[:], footer[24:40]) {
		return nil, fmt.Errorf("%w: its index has another hash", errPageTable)
	}
	files, err := parseTableIndex(index, at)
	if err != nil {
		return nil, err
	}
	if int64(len(files)) != count {
		return nil, fmt.Errorf("%w: its index has %d files instead of %d", errPageTable, len(files), count)
	}
	t.files = files
	return t, nil
}

// parseTableIndex reads the index of a table whose hashes end at end.
func parseTableIndex(b []byte, end int64) (map[string]tableEntry, error) {
	le := binary.LittleEndian
	files := map[string]tableEntry{}
	last := ""
	for len(b) > 0 {
		if len(b) < 4 {
			return nil, fmt.Errorf("%w: its index is cut off", errPageTable)
		}
		n := int64(le.Uint32(b))
		if n == 0 || int64(len(b)) < 4+n+16 {
			return nil, fmt.Errorf("%w: its index is cut off", errPageTable)
		}
		p := string(b[4 : 4+n])
		e := tableEntry{int64(le.Uint64(b[4+n:])), int64(le.Uint64(b[12+n:]))}
		if p <= last && last != "" {
			return nil, fmt.Errorf("%w: its index is not sorted at %q", errPageTable, p)
		}
		if e.offset < int64(len(pageTableMagic)) || e.offset > end || e.blocks < 0 || e.blocks > (end-e.offset)/hashSize {
			return nil, fmt.Errorf("%w: the entry of %q points outside", errPageTable, p)
		}
		files[p], last = e, p
		b = b[4+n+16:]
	}
	return files, nil
}

// blocks is how many pages a file has; false when it is no relation file.
func (t *pageTable) blocks(path string) (int64, bool) {
	e, ok := t.files[path]
	return e.blocks, ok
}

// hashes reads those of a file, hashSize bytes for each block.
func (t *pageTable) hashes(ctx context.Context, path string) ([]byte, error) {
	e, ok := t.files[path]
	if !ok {
		return nil, fmt.Errorf("page table: %s is not in it", path)
	}
	out := make([]byte, e.blocks*hashSize)
	if err := t.readAt(ctx, out, e.offset); err != nil {
		return nil, fmt.Errorf("page hashes of %s: %w", path, err)
	}
	return out, nil
}

func (t *pageTable) readAt(ctx context.Context, p []byte, off int64) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(p) > 0 {
		data, err := t.chunk(ctx, off/tableChunk)
		if err != nil {
			return err
		}
		at := off % tableChunk
		if at >= int64(len(data)) {
			return fmt.Errorf("%w: it ends early", errPageTable)
		}
		n := copy(p, data[at:])
		p, off = p[n:], off+int64(n)
	}
	return nil
}

// chunk returns one chunk of the table; t.mu is held.
func (t *pageTable) chunk(ctx context.Context, number int64) ([]byte, error) {
	if i := slices.IndexFunc(t.chunks, func(c tablePiece) bool { return c.number == number }); i >= 0 {
		c := t.chunks[i]
		copy(t.chunks[1:i+1], t.chunks[:i])
		t.chunks[0] = c
		return c.data, nil
	}
	at := number * tableChunk
	data := make([]byte, max(0, min(tableChunk, t.size-at)))
	r, err := t.open(ctx)
	if err != nil {
		return nil, fmt.Errorf("open page table: %w", err)
	}
	_, err = r.Seek(at, io.SeekStart)
	if err == nil {
		_, err = io.ReadFull(r, data)
	}
	if err := errors.Join(err, r.Close()); err != nil {
		return nil, fmt.Errorf("read page table: %w", err)
	}
	t.chunks = slices.Insert(t.chunks, 0, tablePiece{number, data})
	if len(t.chunks) > tableChunks {
		t.chunks = t.chunks[:tableChunks]
	}
	return data, nil
}

// pageHasher hashes whole pages as they pass through it.
type pageHasher struct {
	r      io.Reader
	hashes []byte
	filled int // bytes of an unfinished page
	part   *xxh3.Hasher
}

func newPageHasher(r io.Reader, blocks int64) *pageHasher {
	return &pageHasher{r: r, hashes: make([]byte, 0, blocks*hashSize)}
}

// Read passes on what r gives.
func (h *pageHasher) Read(p []byte) (int, error) {
	n, err := h.r.Read(p)
	h.write(p[:n])
	return n, err
}

func (h *pageHasher) write(b []byte) {
	for len(b) > 0 {
		if h.filled == 0 && len(b) >= target.PageSize {
			sum := hashPage(b[:target.PageSize])
			h.hashes = append(h.hashes, sum[:]...)
			b = b[target.PageSize:]
			continue
		}
		if h.part == nil {
			h.part = xxh3.New()
		}
		n := min(target.PageSize-h.filled, len(b))
		_, _ = h.part.Write(b[:n]) // never fails
		h.filled += n
		b = b[n:]
		if h.filled == target.PageSize {
			sum := h.part.Sum128().Bytes()
			h.hashes = append(h.hashes, sum[:]...)
			h.part.Reset()
			h.filled = 0
		}
	}
}
