package postgres

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"path"
	"strings"
	"sync"

	"github.com/refloat-db/refloat/internal/target"
)

const (
	labelFile         = "backup_label"
	mapFile           = "tablespace_map"
	manifestFile      = "backup_manifest"
	incrementalPrefix = "INCREMENTAL."
	maxLabel          = 64 << 10 // bytes
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// fileSum is what arrived of a file, to be compared with the manifest.
type fileSum struct {
	size int64
	crc  uint32
}

// fileReceiver hands files to the sink and checks them as they pass.
type fileReceiver struct {
	sink          target.BackupSink
	checksums     bool   // pages carry checksums
	segmentBlocks uint32 // blocks in each file of a relation
	incremental   bool
	verdicts      *pageVerdicts
	mu            sync.Mutex
	files         map[string]fileSum
}

// archive takes one tar. oid is the tablespace's, 0 for the data directory.
func (f *fileReceiver) archive(ctx context.Context, oid uint32, r io.Reader) error {
	prefix := ""
	if oid != 0 {
		prefix = fmt.Sprintf("pg_tblspc/%d", oid)
		if err := f.sink.Dir(ctx, prefix, 0o700); err != nil {
			return fmt.Errorf("%s: %w", prefix, err)
		}
	}
	tr := tar.NewReader(r)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("archive of the server: %w", err)
		}
		name := path.Join(prefix, h.Name)
		if name == "." || h.Typeflag == tar.TypeDir && name == prefix {
			continue
		}
		if !fs.ValidPath(name) || strings.HasPrefix(h.Name, "/") || prefix != "" && !strings.HasPrefix(name, prefix+"/") {
			return fmt.Errorf("archive of the server: file name %q leads out of the data directory", h.Name)
		}
		switch h.Typeflag {
		case tar.TypeDir:
			err = f.sink.Dir(ctx, name, fs.FileMode(h.Mode).Perm())
		case tar.TypeReg:
			err = f.file(ctx, target.File{Path: name, Mode: fs.FileMode(h.Mode).Perm(), Size: h.Size, ModTime: h.ModTime}, tr)
		case tar.TypeSymlink: // of a tablespace, which comes as an archive of its own
		default:
			err = fmt.Errorf("unknown type %q in the archive", h.Typeflag)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
}

// file takes one file.
func (f *fileReceiver) file(ctx context.Context, file target.File, r io.Reader) error {
	s := &summing{r: r}
	if err := f.deliver(ctx, file, s); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, s); err != nil { // what the sink left
		return err
	}
	return f.record(file.Path, fileSum{s.n, s.crc})
}

// record notes what arrived.
func (f *fileReceiver) record(name string, sum fileSum) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, twice := f.files[name]; twice {
		return errors.New("it came twice")
	}
	f.files[name] = sum
	return nil
}

func (f *fileReceiver) deliver(ctx context.Context, file target.File, s *summing) error {
	dir, base := path.Split(file.Path)
	switch {
	case file.Path == mapFile:
		return nil
	case file.Path == labelFile:
		return f.label(ctx, file, s)
	case f.incremental && strings.HasPrefix(base, incrementalPrefix):
		file.Path = dir + strings.TrimPrefix(base, incrementalPrefix)
		return f.changedPages(ctx, file, s)
	}
	rel, is := parseRelationPath(file.Path)
	file.Pages = is && file.Size%target.PageSize == 0
	if file.Pages {
		s.check = f.checker(file.Path, rel, nil)
	}
	return f.sink.File(ctx, file, s)
}

// checker returns what checks a file's pages, nil when they carry no checksums.
func (f *fileReceiver) checker(name string, rel relationFile, blocks []uint32) *pageChecker {
	if !f.checksums {
		return nil
	}
	return &pageChecker{first: rel.segment * f.segmentBlocks, blocks: blocks, bad: func(s suspect) { f.verdicts.suspect(name, s) }}
}

// label passes backup_label on without the lines that make PostgreSQL 17
// refuse to start on an incremental backup: what is restored is whole.
func (f *fileReceiver) label(ctx context.Context, file target.File, r io.Reader) error {
	b, err := io.ReadAll(io.LimitReader(r, maxLabel+1))
	if err != nil {
		return err
	}
	if len(b) > maxLabel {
		return fmt.Errorf("it has more than %d bytes", maxLabel)
	}
	b = wholeLabel(b)
	file.Size = int64(len(b))
	return f.sink.File(ctx, file, bytes.NewReader(b))
}

func wholeLabel(b []byte) []byte {
	var out []byte
	for line := range bytes.Lines(b) {
		if !bytes.HasPrefix(line, []byte("INCREMENTAL FROM ")) {
			out = append(out, line...)
		}
	}
	return out
}

// changedPages takes a file of which the server sends only changed blocks.
func (f *fileReceiver) changedPages(ctx context.Context, file target.File, s *summing) error {
	rel, is := parseRelationPath(file.Path)
	if !is {
		return errors.New("only files of relations can come as changed blocks")
	}
	inc, err := readIncremental(s, file.Size, f.segmentBlocks)
	if err != nil {
		return err
	}
	file.Pages = true
	s.check = f.checker(file.Path, rel, inc.Blocks)
	return f.sink.IncrementalFile(ctx, file, inc, s)
}

// summing counts, sums and checks what is read.
type summing struct {
	r     io.Reader
	n     int64
	crc   uint32
	check *pageChecker // nil for none
}

func (s *summing) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.n += int64(n)
	s.crc = crc32.Update(s.crc, castagnoli, p[:n])
	if s.check != nil {
		s.check.write(p[:n])
	}
	return n, err
}
