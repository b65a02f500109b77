package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/refloat-db/refloat/internal/repository"
	"github.com/refloat-db/refloat/internal/target"
)

const readWindow = 1 << 20 // bytes read at once: as large as the repository's chunks

// OpenFile returns a reader of one file's merged content. Pages are checked
// against the page hashes recorded at backup time; ErrBroken, with file and
// block, when they differ. A file that is not made of pages is checked against
// the server's own checksum when it is read from beginning to end. The context
// governs every read.
func (i *Image) OpenFile(ctx context.Context, p string) (FileReader, error) {
	e, ok := i.byPath[p]
	if !ok {
		return nil, i.noFile("open", p)
	}
	f := i.files[e.file]
	r := &fileReader{path: p, id: i.backup.ID, size: f.Size, sum: f.CRC32C, winAt: -1}
	if err := r.open(ctx, i, e); err != nil {
		return nil, errors.Join(r.wrap(err), r.Close())
	}
	return r, nil
}

// fileReader merges one file's layers.
type fileReader struct {
	path, id string
	size     int64
	layers   []*layer
	pages    []pageAt // where each page lies; nil when the file is one object
	hashes   []byte   // of each page; nil when the file has none

	pos   int64 // of Read
	win   []byte
	winAt int64 // offset of win in the file, -1 when empty
	sum   *uint32
	crc   uint32
	crcAt int64 // bytes that crc covers
}

// layer is one stored object that holds pages of the file.
type layer struct {
	obj   io.ReadSeekCloser // nil when it holds no pages
	first int64             // offset of its first page
	at    int64
}

func (l *layer) readAt(p []byte, off int64) error {
	if l.at != off {
		if _, err := l.obj.Seek(off, io.SeekStart); err != nil {
			return err
		}
	}
	n, err := io.ReadFull(l.obj, p)
	l.at = off + int64(n)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: the stored object ends at byte %d", ErrBroken, l.at)
	}
	return err
}

func (r *fileReader) open(ctx context.Context, i *Image, e imageEntry) error {
	if _, ok := i.table.blocks(r.path); ok {
		var err error
		if r.hashes, err = i.table.hashes(ctx, r.path); err != nil {
			return err
		}
	}
	last := len(e.layers) - 1
	var deltas []target.Incremental
	for _, n := range e.layers[:last] {
		inc, l, err := i.openDelta(ctx, n)
		if err != nil {
			return err
		}
		deltas, r.layers = append(deltas, inc), append(r.layers, l)
	}
	obj, err := i.repo.OpenObject(ctx, e.layers[last].Object)
	if err != nil {
		return err
	}
	r.layers = append(r.layers, &layer{obj: obj})
	if last == 0 {
		return nil
	}
	r.pages = mergePages(deltas, e.layers[last].Size/target.PageSize)
	if len(r.pages) != len(r.hashes)/hashSize {
		return fmt.Errorf("%w: its deltas make %d pages, the page table knows %d", ErrBroken, len(r.pages), len(r.hashes)/hashSize)
	}
	return nil
}

// openDelta opens a delta file and reads its header.
func (i *Image) openDelta(ctx context.Context, n repository.Node) (target.Incremental, *layer, error) {
	if inc, ok := i.empty.Load(n.Object); ok {
		return inc.(target.Incremental), &layer{}, nil
	}
	obj, err := i.repo.OpenObject(ctx, n.Object)
	if err != nil {
		return target.Incremental{}, nil, err
	}
	inc, err := readDeltaHeader(obj, n.Size)
	if err != nil {
		return inc, nil, errors.Join(fmt.Errorf("%w: %w", ErrBroken, err), obj.Close())
	}
	if len(inc.Blocks) == 0 {
		i.empty.Store(n.Object, inc)
		return inc, &layer{}, obj.Close()
	}
	first := deltaHeaderSize(len(inc.Blocks))
	return inc, &layer{obj: obj, first: first, at: -1}, nil
}

func (r *fileReader) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("backup %s: read %s: %w", r.id, r.path, broken(err))
}

// Close closes what was opened.
func (r *fileReader) Close() error {
	var errs []error
	for _, l := range r.layers {
		if l.obj != nil {
			errs = append(errs, l.obj.Close())
		}
	}
	r.layers = nil
	return errors.Join(errs...)
}

// Read reads on from where the last Read ended.
func (r *fileReader) Read(p []byte) (int, error) {
	if r.pos >= r.size {
		return 0, io.EOF
	}
	n, err := r.readSome(p, r.pos)
	if err != nil {
		return n, r.wrap(err)
	}
	err = r.check(p[:n], r.pos)
	r.pos += int64(n)
	return n, r.wrap(err)
}

// WriteTo writes the rest of the file to w, a window at a time.
func (r *fileReader) WriteTo(w io.Writer) (int64, error) {
	var total int64
	for r.pos < r.size {
		if err := r.load(r.pos); err != nil {
			return total, r.wrap(err)
		}
		b := r.win[r.pos-r.winAt:]
		if err := r.check(b, r.pos); err != nil {
			return total, r.wrap(err)
		}
		n, err := w.Write(b)
		total += int64(n)
		r.pos += int64(n)
		if err != nil {
			return total, err
		}
	}
	return total, nil
}

// ReadAt reads at any offset; it does not move Read.
func (r *fileReader) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("read %s: negative offset", r.path)
	}
	total := 0
	for total < len(p) && off < r.size {
		n, err := r.readSome(p[total:], off)
		if err != nil {
			return total, r.wrap(err)
		}
		total, off = total+n, off+int64(n)
	}
	if total < len(p) {
		return total, io.EOF
	}
	return total, nil
}

// readSome reads at least a byte at off, which is inside the file.
func (r *fileReader) readSome(p []byte, off int64) (int, error) {
	inWindow := r.winAt >= 0 && off >= r.winAt && off < r.winAt+int64(len(r.win))
	aligned := off%target.PageSize == 0
	if whole := min(int64(len(p)), r.size-off) / target.PageSize * target.PageSize; !inWindow && aligned && whole > 0 {
		whole = min(whole, readWindow)
		return int(whole), r.fill(p[:whole], off)
	}
	if err := r.load(off); err != nil {
		return 0, err
	}
	return copy(p, r.win[off-r.winAt:]), nil
}

// load makes the window hold off.
func (r *fileReader) load(off int64) error {
	if r.winAt >= 0 && off >= r.winAt && off < r.winAt+int64(len(r.win)) {
		return nil
	}
	at := off / readWindow * readWindow
	n := min(readWindow, r.size-at)
	if int64(cap(r.win)) < n {
		r.win = make([]byte, n)
	}
	r.win, r.winAt = r.win[:n], -1
	if err := r.fill(r.win, at); err != nil {
		return err
	}
	r.winAt = at
	return nil
}

// fill reads and checks len(p) bytes at off, which is a page's start.
func (r *fileReader) fill(p []byte, off int64) error {
	if r.pages == nil {
		if err := r.layers[0].readAt(p, off); err != nil {
			return err
		}
		return r.checkPages(p, off/target.PageSize)
	}
	first := off / target.PageSize
	pages := r.pages[first : first+int64(len(p))/target.PageSize]
	for len(pages) > 0 {
		n := runLength(pages)
		run := p[:n*target.PageSize]
		if at := pages[0]; at.layer == zeroLayer {
			clear(run)
		} else {
			l := r.layers[at.layer]
			if err := l.readAt(run, l.first+int64(at.index)*target.PageSize); err != nil {
				return err
			}
		}
		if err := r.checkPages(run, first); err != nil {
			return err
		}
		p, pages, first = p[len(run):], pages[n:], first+int64(n)
	}
	return nil
}

// runLength is how many pages lie one after the other in one layer.
func runLength(pages []pageAt) int {
	n := 1
	for n < len(pages) && pages[n].layer == pages[0].layer &&
		(pages[0].layer == zeroLayer || pages[n].index == pages[0].index+uint32(n)) {
		n++
	}
	return n
}

// checkPages compares pages, the first of which is block, with the page table.
func (r *fileReader) checkPages(p []byte, block int64) error {
	if r.hashes == nil {
		return nil
	}
	for ; len(p) >= target.PageSize; block++ {
		sum := hashPage(p[:target.PageSize])
		if !bytes.Equal(sum[:], r.hashes[block*hashSize:(block+1)*hashSize]) {
			return fmt.Errorf("%w: block %d is not what was backed up", ErrBroken, block)
		}
		p = p[target.PageSize:]
	}
	return nil
}

// check follows a file without page hashes and compares its checksum at the
// end.
func (r *fileReader) check(p []byte, off int64) error {
	if r.sum == nil || r.hashes != nil || off != r.crcAt {
		return nil
	}
	r.crc = crc32.Update(r.crc, crc32.MakeTable(crc32.Castagnoli), p)
	r.crcAt += int64(len(p))
	if r.crcAt == r.size && r.crc != *r.sum {
		return fmt.Errorf("%w: its checksum is %08x, the server's manifest has %08x", ErrBroken, r.crc, *r.sum)
	}
	return nil
}
