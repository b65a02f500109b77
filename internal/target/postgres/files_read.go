package postgres

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/refloat-db/refloat/internal/target"
)

const (
	readAgain  = 10 // times a page with a wrong checksum is read again
	againAfter = time.Millisecond
	smallRead  = 32 * target.PageSize
)

// fileReader reads a file of a running server, as long as it was when opened:
// what a server adds meanwhile comes back with the log, and what it cuts off
// reads as zeros.
type fileReader struct {
	ctx   context.Context
	f     *os.File
	size  int64
	off   int64
	first uint32 // block number, within the relation, of the file's first block
	check bool   // pages carry checksums
	bad   func(suspect)
	buf   []byte
	rest  []byte
}

func (r *fileReader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		left := r.size - r.off
		if left == 0 {
			return 0, io.EOF
		}
		if len(p) >= target.PageSize {
			n := min(int64(len(p)/target.PageSize*target.PageSize), left)
			return int(n), r.fill(p[:n])
		}
		if r.buf == nil {
			r.buf = make([]byte, min(smallRead, left))
		}
		b := r.buf[:min(int64(len(r.buf)), left)]
		if err := r.fill(b); err != nil {
			return 0, err
		}
		r.rest = b
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// fill reads the next len(b) bytes.
func (r *fileReader) fill(b []byte) error {
	if r.ctx.Err() != nil {
		return context.Cause(r.ctx)
	}
	if err := r.readAt(b, r.off); err != nil {
		return err
	}
	for o := 0; r.check && o < len(b); o += target.PageSize {
		if err := r.page((*[target.PageSize]byte)(b[o:]), (r.off+int64(o))/target.PageSize); err != nil {
			return err
		}
	}
	r.off += int64(len(b))
	return nil
}

func (r *fileReader) readAt(b []byte, off int64) error {
	n, err := r.f.ReadAt(b, off)
	if errors.Is(err, io.EOF) {
		clear(b[n:])
		return nil
	}
	return err
}

// page checks one page. The server may be writing it at this moment, so it is
// read again before it is thought bad.
func (r *fileReader) page(page *[target.PageSize]byte, block int64) error {
	for try := 0; !pageIsGood(page, r.first+uint32(block)); try++ {
		if try == readAgain {
			r.bad(suspect{block: block, lsn: pageLSN(page)})
			return nil
		}
		select {
		case <-time.After(againAfter):
		case <-r.ctx.Done():
			return context.Cause(r.ctx)
		}
		if err := r.readAt(page[:], block*target.PageSize); err != nil {
			return err
		}
	}
	return nil
}

// readFound hands one file to the sink. A file that is gone is left out.
func (b *filesBackup) readFound(ctx context.Context, found foundFile) error {
	f, err := found.place.root.Open(found.inner)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("%s: %w", found.name, err)
	}
	if !info.Mode().IsRegular() {
		return nil
	}
	file := target.File{Path: found.name, Mode: info.Mode().Perm(), Size: info.Size(), ModTime: info.ModTime()}
	rel, is := parseRelationPath(found.name)
	file.Pages = is && file.Size%target.PageSize == 0
	r := &fileReader{
		ctx: ctx, f: f, size: file.Size, first: rel.segment * b.facts.segmentBlocks,
		check: file.Pages && b.facts.checksums, bad: func(s suspect) { b.verdicts.suspect(found.name, s) },
	}
	return b.deliver(ctx, file, r)
}

// deliver hands a file to the sink and notes it for the manifest.
func (b *filesBackup) deliver(ctx context.Context, file target.File, r io.Reader) error {
	s := &summing{r: r}
	if err := b.sink.File(ctx, file, s); err != nil {
		return fmt.Errorf("%s: %w", file.Path, err)
	}
	if _, err := io.Copy(io.Discard, s); err != nil {
		return fmt.Errorf("%s: %w", file.Path, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.listed = append(b.listed, listedFile{file.Path, fileSum{s.n, s.crc}, file.ModTime})
	return nil
}

// readControl reads pg_control whole: the server may be writing it.
func readControl(ctx context.Context, root *os.Root) ([]byte, error) {
	for try := 0; ; try++ {
		b, err := root.ReadFile(controlFile)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", controlFile, err)
		}
		if controlIsWhole(b) {
			return b, nil
		}
		if try == 20*readAgain {
			return nil, fmt.Errorf("%s: its checksum is wrong, each of %d times it was read", controlFile, try)
		}
		select {
		case <-time.After(againAfter):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// controlIsWhole checks pg_control's CRC-32C, which is its last field; where
// that lies differs between versions (catalog/pg_control.h).
func controlIsWhole(b []byte) bool {
	const shortest, longest = 128, 512
	for o := shortest; o+4 <= min(len(b), longest); o += 4 {
		if binary.LittleEndian.Uint32(b[o:]) == crc32.Checksum(b[:o], castagnoli) && !bytes.Equal(b[:o], make([]byte, o)) {
			return true
		}
	}
	return false
}

// controlRedo is where recovery from the last checkpoint begins. b has passed
// controlIsWhole. The fields before it have kept their places since 11.
func controlRedo(b []byte) target.LSN {
	const redoAt = 40
	return target.LSN(binary.LittleEndian.Uint64(b[redoAt:]))
}

// controlIdentity reads the first fields of pg_control: which cluster it is,
// and the version of its catalogues.
func controlIdentity(b []byte) (id target.SystemID, catalog uint32, err error) {
	if len(b) < 16 {
		return 0, 0, fmt.Errorf("%s has only %d bytes", controlFile, len(b))
	}
	return target.SystemID(binary.LittleEndian.Uint64(b)), binary.LittleEndian.Uint32(b[12:]), nil
}
