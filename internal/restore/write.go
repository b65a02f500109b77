package restore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"

	"github.com/zeebo/xxh3"

	"github.com/refloat-db/refloat/internal/backup"
	"github.com/refloat-db/refloat/internal/target"
)

func numCPU() int { return runtime.GOMAXPROCS(0) }

const writeWindow = 1 << 20 // bytes written at once: as large as the repository's chunks

// write brings one piece of a file to disk.
func (w *writer) write(ctx context.Context, p piece) (err error) {
	mode := p.file.Mode.Perm()
	if mode&0o600 != 0o600 {
		mode |= 0o600
	}
	f, err := w.open(p, mode)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if p.off == 0 {
		if err := w.shape(f.File, p.file, mode); err != nil {
			return err
		}
	}
	if p.len <= 0 {
		return nil
	}
	if err := reserve(f.File, p.off, p.len); err != nil {
		return fmt.Errorf("%s: %w", p.path, err)
	}
	r, err := w.img.OpenFile(ctx, p.file.Path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	if w.delta {
		have, err := w.img.PageHashes(ctx, p.file.Path) // of the pages that ought to be there
		if err != nil {
			return err
		}
		if have != nil {
			return w.writeDiffering(f.File, r, p, have)
		}
	}
	return w.copy(f, r, p)
}

// shape gives a file its mode, owner and length.
func (w *writer) shape(f *os.File, file backup.ImageFile, mode fs.FileMode) error {
	i, err := f.Stat()
	if err != nil {
		return err
	}
	if i.Mode().Perm() != mode {
		if err := f.Chmod(mode); err != nil {
			return err
		}
	}
	if w.o.Owner != nil {
		if err := f.Chown(w.o.Owner.UID, w.o.Owner.GID); err != nil {
			return err
		}
	}
	if i.Size() > file.Size {
		return f.Truncate(file.Size)
	}
	return nil
}

func (w *writer) count(done, written int64) {
	w.written.Add(written)
	w.done.Add(done)
	if w.o.Progress == nil {
		return
	}
	w.telling.Lock() // one at a time, whoever calls
	defer w.telling.Unlock()
	w.o.Progress(backup.Progress{Phase: "restore", Done: w.done.Load(), Total: w.plan.Bytes})
}

// copy writes a piece from front to back.
func (w *writer) copy(f *outFile, r backup.FileReader, p piece) error {
	buf := w.window()
	defer w.windows.Put(buf)
	whole := p.off == 0 && p.len == p.file.Size
	for off := p.off; off < p.off+p.len; {
		b := (*buf)[:min(writeWindow, p.off+p.len-off)]
		var err error
		if whole { // so that the file's own checksum is checked too
			_, err = io.ReadFull(r, b)
		} else {
			err = readFull(r, b, off)
		}
		if err != nil {
			return err
		}
		if err := f.put(b, off); err != nil {
			return err
		}
		off += int64(len(b))
		w.count(int64(len(b)), int64(len(b)))
	}
	return nil
}

func readFull(r io.ReaderAt, b []byte, off int64) error {
	n, err := r.ReadAt(b, off)
	if n == len(b) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return err
}

const hashSize = 16

// writeDiffering reads what is on disk and rewrites the runs of pages whose
// hash is not the recorded one.
func (w *writer) writeDiffering(f *os.File, r backup.FileReader, p piece, hashes []byte) error {
	local, fresh := w.window(), w.window()
	defer func() { w.windows.Put(local); w.windows.Put(fresh) }()
	for off := p.off; off < p.off+p.len; {
		b := (*local)[:min(writeWindow, p.off+p.len-off)]
		n, err := f.ReadAt(b, off)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		clear(b[n:]) // past the file's end
		changed, err := w.rewrite(f, r, b, *fresh, off, n, hashes)
		if err != nil {
			return err
		}
		w.count(int64(len(b)), changed)
		off += int64(len(b))
	}
	return nil
}

// rewrite writes the differing runs of one window; have is how much of it is
// on disk.
func (w *writer) rewrite(f *os.File, r backup.FileReader, b, fresh []byte, off int64, have int, hashes []byte) (changed int64, err error) {
	same := func(at int) bool {
		block := (off + int64(at)) / target.PageSize
		h := xxh3.Hash128(b[at : at+target.PageSize]).Bytes()
		return at+target.PageSize <= have && bytes.Equal(h[:], hashes[block*hashSize:(block+1)*hashSize])
	}
	for at := 0; at+target.PageSize <= len(b); {
		if same(at) {
			at += target.PageSize
			continue
		}
		end := at + target.PageSize
		for end+target.PageSize <= len(b) && !same(end) {
			end += target.PageSize
		}
		run := fresh[:end-at]
		if err := readFull(r, run, off+int64(at)); err != nil {
			return changed, err
		}
		if _, err := f.WriteAt(run, off+int64(at)); err != nil {
			return changed, err
		}
		changed += int64(len(run))
		at = end
	}
	return changed, nil
}
