package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/refloat-db/refloat/internal/repository"
	"github.com/refloat-db/refloat/internal/target"
)

const maxLabel = 64 << 10

// storeWhole stores a file that is not made of pages.
func (s *sink) storeWhole(ctx context.Context, f target.File, r io.Reader) error {
	id, n, err := s.w.WriteObject(ctx, f.Path, r)
	if err != nil {
		return err
	}
	return s.keep(f, f.Path, n, n, id)
}

// storeManifest puts the server's manifest beside the cluster, not into it.
func (s *sink) storeManifest(ctx context.Context, f target.File, r io.Reader) error {
	id, n, err := s.w.WriteObject(ctx, manifestPath, r)
	if err != nil {
		return err
	}
	return s.put(repository.Node{Path: manifestPath, Mode: 0o600, Size: n, ModTime: f.ModTime, Object: id})
}

// storeLabel stores backup_label without the lines that make PostgreSQL 17
// refuse to start on an incremental backup: what is restored is whole.
func (s *sink) storeLabel(ctx context.Context, f target.File, r io.Reader) error {
	b, err := io.ReadAll(io.LimitReader(r, maxLabel+1))
	if err != nil {
		return err
	}
	if len(b) > maxLabel {
		return fmt.Errorf("it has more than %d bytes", maxLabel)
	}
	var out []byte
	for line := range strings.Lines(string(b)) {
		if !strings.HasPrefix(line, "INCREMENTAL FROM ") {
			out = append(out, line...)
		}
	}
	return s.storeWhole(ctx, f, bytes.NewReader(out))
}

// storePages stores a relation file whole and notes its pages' hashes.
func (s *sink) storePages(ctx context.Context, f target.File, r io.Reader) error {
	h := newPageHasher(r, f.Size/target.PageSize)
	id, n, err := s.w.WriteObject(ctx, f.Path, h)
	if err != nil {
		return err
	}
	if h.filled != 0 {
		return fmt.Errorf("its %d bytes are not whole pages", n)
	}
	if err := s.table.add(f.Path, h.hashes); err != nil {
		return err
	}
	return s.keep(f, f.Path, n, n, id)
}

// storeChanged stores those pages of a relation file whose hashes differ from
// the parent's.
func (s *sink) storeChanged(ctx context.Context, f target.File, r io.Reader) (err error) {
	old, err := s.parent.hashes(ctx, f.Path)
	if err != nil {
		return err
	}
	changed := &spill{dir: s.spill}
	defer func() { err = errors.Join(err, changed.close()) }()
	hashes, blocks, err := comparePages(r, old, changed)
	if err != nil {
		return err
	}
	if err := s.table.add(f.Path, hashes); err != nil {
		return err
	}
	// Pages past the parent's end are all listed, so this is how far pages
	// that are not listed are to be found below.
	n := min(len(hashes), len(old)) / hashSize
	pages, err := changed.reader()
	if err != nil {
		return err
	}
	return s.storeDelta(ctx, f, target.Incremental{TruncationBlocks: uint32(n), Blocks: blocks}, pages)
}

// comparePages reads a file of pages, writes those that differ from old to
// changed, and returns all hashes and the numbers of the changed ones.
func comparePages(r io.Reader, old []byte, changed io.Writer) (hashes []byte, blocks []uint32, err error) {
	buf := make([]byte, 32*target.PageSize)
	hashes = make([]byte, 0, len(old))
	for {
		n, err := io.ReadFull(r, buf)
		if n%target.PageSize != 0 {
			return nil, nil, fmt.Errorf("its bytes are not whole pages")
		}
		for o := 0; o < n; o += target.PageSize {
			page := buf[o : o+target.PageSize]
			sum := hashPage(page)
			at := len(hashes)
			hashes = append(hashes, sum[:]...)
			if at < len(old) && bytes.Equal(old[at:at+hashSize], sum[:]) {
				continue
			}
			blocks = append(blocks, uint32(at/hashSize))
			if _, err := changed.Write(page); err != nil {
				return nil, nil, err
			}
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return hashes, blocks, nil
		}
		if err != nil {
			return nil, nil, err
		}
	}
}

// storeIncremental stores pages that the server found, and works out the hash
// of every page of the merged file.
func (s *sink) storeIncremental(ctx context.Context, f target.File, inc target.Incremental, r io.Reader) error {
	old, err := s.parent.hashes(ctx, f.Path)
	if err != nil {
		return err
	}
	h := newPageHasher(r, int64(len(inc.Blocks)))
	if err := s.storeDelta(ctx, f, inc, h); err != nil {
		return err
	}
	if h.filled != 0 || len(h.hashes) != len(inc.Blocks)*hashSize {
		return fmt.Errorf("%d pages came instead of %d", len(h.hashes)/hashSize, len(inc.Blocks))
	}
	return s.table.add(f.Path, mergeHashes(old, inc, h.hashes, s.zero))
}

// mergeHashes gives the hashes of a file after a delta, by the rules of
// mergePages.
func mergeHashes(old []byte, inc target.Incremental, changed []byte, zero [hashSize]byte) []byte {
	out := make([]byte, deltaLength(inc)*hashSize)
	known := copy(out, old[:min(len(old), int(inc.TruncationBlocks)*hashSize)])
	for o := known; o < len(out); o += hashSize {
		copy(out[o:], zero[:])
	}
	for i, b := range inc.Blocks {
		copy(out[int(b)*hashSize:], changed[i*hashSize:(i+1)*hashSize])
	}
	return out
}

// storeDelta stores a delta file.
func (s *sink) storeDelta(ctx context.Context, f target.File, inc target.Incremental, pages io.Reader) error {
	restored := deltaLength(inc) * target.PageSize
	if len(inc.Blocks) == 0 {
		n, err := s.emptyDelta(ctx, inc)
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, pages); err != nil {
			return err
		}
		return s.keep(f, deltaPath(f.Path), n.Size, restored, n.Object)
	}
	id, n, err := s.w.WriteObject(ctx, deltaPath(f.Path), io.MultiReader(bytes.NewReader(encodeDeltaHeader(inc)), pages))
	if err != nil {
		return err
	}
	return s.keep(f, deltaPath(f.Path), n, restored, id)
}

// emptyDelta stores a delta without pages once for each length: most files of
// a cluster do not change between two backups.
func (s *sink) emptyDelta(ctx context.Context, inc target.Incremental) (repository.Node, error) {
	s.mu.Lock()
	n, ok := s.empty[inc.TruncationBlocks]
	s.mu.Unlock()
	if ok {
		return n, nil
	}
	id, size, err := s.w.WriteObject(ctx, "unchanged file", bytes.NewReader(encodeDeltaHeader(inc)))
	if err != nil {
		return repository.Node{}, err
	}
	n = repository.Node{Size: size, Object: id}
	s.mu.Lock()
	s.empty[inc.TruncationBlocks] = n
	s.mu.Unlock()
	return n, nil
}
