package backup

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/refloat-db/refloat/internal/target"
)

// spool is the receiver's local copy of log that the repository does not have
// whole yet: one file a segment, SEGMENT.partial until it is whole and synced,
// then SEGMENT. The directory belongs to one target.
type spool struct {
	dir string
	pad bool // fill new files with zeros ahead, so that a sync writes data only
}

func openSpool(dir string, pad bool) (*spool, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the spool directory: %w", err)
	}
	return &spool{dir: dir, pad: pad}, nil
}

func (s *spool) path(seg target.Segment, whole bool) string {
	p := filepath.Join(s.dir, seg.Name())
	if !whole {
		p += partialSuffix
	}
	return p
}

// spooled is one file of the spool.
type spooled struct {
	seg   target.Segment
	whole bool
	path  string
	mod   time.Time // of a whole file: server's clock when its last byte was sent
}

// files lists the spool in name order.
func (s *spool) files(size int64) ([]spooled, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("read the spool: %w", err)
	}
	var out []spooled
	for _, e := range entries {
		base, partial := strings.CutSuffix(e.Name(), partialSuffix)
		seg, err := target.ParseSegmentName(base, size)
		if err != nil {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, os.ErrNotExist) {
			continue // stored and removed meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("read the spool: %w", err)
		}
		out = append(out, spooled{seg: seg, whole: !partial, path: filepath.Join(s.dir, e.Name()), mod: info.ModTime()})
	}
	slices.SortFunc(out, func(a, b spooled) int { return strings.Compare(a.path, b.path) })
	return out, nil
}

// validLength reads a spooled file's pages. complete says that every page is
// the log that the file's name says. length is how many bytes from the start
// are surely log: up to the first page that is not, without the zeros at the
// end (a file may be filled with zeros ahead of the log), and always less than
// a segment, since the last bytes of a whole one are vouched for by its name
// alone.
func validLength(r io.Reader, seg target.Segment, sys target.SystemID) (length int64, complete bool, err error) {
	page := make([]byte, walPage)
	var good int64
	for good < seg.Size {
		n, err := io.ReadFull(r, page)
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return 0, false, fmt.Errorf("read spooled segment %s: %w", seg.Name(), err)
		}
		clear(page[n:])
		if good == 0 && checkHeader(page[:n], seg, sys) != nil || !validPage(page, seg, seg.Start()+target.LSN(good)) {
			break
		}
		used := len(bytes.TrimRight(page[:n], "\x00"))
		length = good + int64(used+walAlign-1)/walAlign*walAlign
		if n < walPage {
			break
		}
		good += walPage
	}
	return min(length, seg.Size-walAlign), good == seg.Size, nil //nolint:nilerr // a short read ends the file, which is an answer
}

const (
	walPage  = 8192 // XLOG_BLCKSZ of every build we accept
	walAlign = 8    // MAXALIGN: records begin at multiples of it
)

// validPage checks a WAL page's short header (XLogPageHeaderData).
func validPage(page []byte, seg target.Segment, at target.LSN) bool {
	le := binary.LittleEndian
	return le.Uint16(page)&0xFF00 == 0xD100 && target.Timeline(le.Uint32(page[4:])) <= seg.Timeline && target.LSN(le.Uint64(page[8:])) == at
}

// valid is validLength of a spooled file.
func (s *spool) valid(f spooled, sys target.SystemID) (length int64, complete bool, err error) {
	file, err := os.Open(f.path)
	if err != nil {
		return 0, false, fmt.Errorf("open spooled segment: %w", err)
	}
	defer func() { _ = file.Close() }()
	return validLength(file, f.seg, sys)
}

// spoolFile is a segment that is being written.
type spoolFile struct {
	seg    target.Segment
	file   *os.File
	length int64        // bytes valid from the start: written now, or found from an earlier connection
	known  int64        // bytes held from an earlier connection: what arrives must equal them
	buf    []byte       // for that comparison
	from   time.Time    // server's clock when the first byte was sent
	to     time.Time    // and the latest
	mu     sync.RWMutex // held for writing while the file is closed
}

// create opens a segment's partial file for writing without dropping what is
// in it.
func (s *spool) create(seg target.Segment) (*spoolFile, error) {
	path := s.path(seg, false)
	if _, err := os.Stat(path); s.pad && errors.Is(err, os.ErrNotExist) {
		if err := os.Rename(s.aheadPath(), path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("make spool file: %w", err)
		}
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("make spool file: %w", err)
	}
	if s.pad {
		err = pad(f, seg.Size)
	}
	if err = errors.Join(err, syncDir(s.dir)); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &spoolFile{seg: seg, file: f}, nil
}

// pad fills a file with zeros up to a length, durably, unless it has it: a
// sync of a file that grows waits for its length too.
func pad(f *os.File, size int64) error {
	info, err := f.Stat()
	if err != nil || info.Size() >= size {
		return err
	}
	zeros := make([]byte, 1<<20)
	for at := info.Size(); at < size && err == nil; {
		n := min(int64(len(zeros)), size-at)
		_, err = f.WriteAt(zeros[:n], at)
		at += n
	}
	if err = errors.Join(err, f.Sync()); err != nil {
		return fmt.Errorf("prepare spool file: %w", err)
	}
	return nil
}

func (s *spool) aheadPath() string { return filepath.Join(s.dir, "ahead") }

// ahead makes the zero-filled file that the next segment will take, unless it
// is there.
func (s *spool) ahead(size int64) error {
	if _, err := os.Stat(s.aheadPath()); err == nil {
		return nil
	}
	tmp := s.aheadPath() + ".new"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("prepare spool file: %w", err)
	}
	err = errors.Join(pad(f, size), f.Close())
	if err == nil {
		err = os.Rename(tmp, s.aheadPath())
	}
	if err != nil {
		return fmt.Errorf("prepare spool file: %w", err)
	}
	return nil
}

// write puts data at the offset. Bytes that are there from an earlier
// connection must be the same again: ErrDiverged.
func (f *spoolFile) write(off int64, data []byte) error {
	if off < f.known {
		n := min(f.known-off, int64(len(data)))
		f.buf = slices.Grow(f.buf[:0], int(n))[:n]
		if _, err := f.file.ReadAt(f.buf, off); err != nil {
			return fmt.Errorf("read spool file: %w", err)
		}
		if !bytes.Equal(f.buf, data[:n]) {
			return fmt.Errorf("segment %s: %w", f.seg.Name(), ErrDiverged)
		}
		off, data = off+n, data[n:]
	}
	if _, err := f.file.WriteAt(data, off); err != nil {
		return fmt.Errorf("write spool file: %w", err)
	}
	return nil
}

// read returns the first n bytes.
func (f *spoolFile) read(n int64) ([]byte, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.file == nil {
		return nil, fmt.Errorf("segment %s: %w", f.seg.Name(), os.ErrClosed)
	}
	b := make([]byte, n)
	if _, err := f.file.ReadAt(b, 0); err != nil {
		return nil, fmt.Errorf("read spool file: %w", err)
	}
	return b, nil
}

// sync makes what was written durable. A file that was closed meanwhile is
// durable already.
func (f *spoolFile) sync() error {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.file == nil {
		return nil
	}
	if err := dataSync(f.file); err != nil {
		return fmt.Errorf("sync spool file: %w", err)
	}
	return nil
}

func (f *spoolFile) close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.file == nil {
		return nil
	}
	err := f.file.Close()
	f.file = nil
	return err
}

// finish makes a whole segment durable under its own name. Its modification
// time becomes the server's clock when its last byte was sent.
func (s *spool) finish(f *spoolFile) error {
	if err := errors.Join(f.sync(), f.close()); err != nil {
		return err
	}
	part := s.path(f.seg, false)
	if !f.to.IsZero() {
		if err := os.Chtimes(part, f.from, f.to); err != nil {
			return fmt.Errorf("finish spool file: %w", err)
		}
	}
	if err := os.Rename(part, s.path(f.seg, true)); err != nil {
		return fmt.Errorf("finish spool file: %w", err)
	}
	return syncDir(s.dir)
}

// remove deletes both forms of a segment; absence is fine.
func (s *spool) remove(seg target.Segment) error {
	for _, whole := range []bool{true, false} {
		if err := os.Remove(s.path(seg, whole)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("clear spool: %w", err)
		}
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync spool directory: %w", err)
	}
	err = errors.Join(d.Sync(), d.Close())
	if err != nil {
		return fmt.Errorf("sync spool directory: %w", err)
	}
	return nil
}
