package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/refloat-db/refloat/internal/repository"
	"github.com/refloat-db/refloat/internal/target"
)

// Where things lie in a backup's tree (docs/formats/backup.md, "Backup tree").
const (
	dataRoot     = "pgdata"
	ownRoot      = "refloat"
	entryPath    = ownRoot + "/backup.json"
	manifestPath = ownRoot + "/backup_manifest"
	tablePath    = ownRoot + "/pages"

	manifestName = "backup_manifest" // as the source calls it
	labelName    = "backup_label"
)

const storeSlots = 4 // files stored at once

// objectWriter is the part of a repository's write session that files need.
type objectWriter interface {
	WriteObject(ctx context.Context, name string, r io.Reader) (repository.ObjectID, int64, error)
}

// sink receives a base backup and stores it: as a full, or as a delta over
// parent. Files are stored in the background; finish waits for them.
type sink struct {
	w      objectWriter
	parent *pageTable // of the backup that a delta builds on; nil for a full
	direct bool       // the source calls from many goroutines: store in them
	tell   func(Progress)
	spill  string                                                     // folder for changed pages that do not fit in memory
	below  func(ctx context.Context, path string) (FileReader, error) // reads a file of the parent

	ctx   context.Context // ends at the first failure
	fail  context.CancelCauseFunc
	files sync.WaitGroup
	pool  *bufferPool
	slots chan struct{}
	zero  [hashSize]byte

	table     *pageTableWriter
	tablePipe *io.PipeWriter
	tableDone chan struct{}
	tableNode repository.Node

	received, total atomic.Int64
	telling         sync.Mutex

	visible visibility // of an incremental; guarded by mu

	mu       sync.Mutex
	begun    bool
	start    target.BackupStart
	nodes    map[string]repository.Node // by path in the tree
	logs     []string                   // whole segments in pg_wal
	restored int64                      // bytes when restored
	count    int64                      // files when restored
	empty    map[uint32]repository.Node // deltas without pages, by length
}

func newSink(ctx context.Context, w objectWriter, parent *pageTable, o TakeOptions) *sink {
	s := &sink{
		w: w, parent: parent, direct: o.ReadFiles, tell: o.Progress, spill: o.SpillDir,
		pool: newBufferPool(relayBuffers), slots: make(chan struct{}, storeSlots), zero: zeroHash(),
		visible:   visibility{segmentBlocks: defaultSegmentBlocks, changed: map[string][]changedBlocks{}, maps: map[string]mapDelta{}},
		tableDone: make(chan struct{}), nodes: map[string]repository.Node{}, empty: map[uint32]repository.Node{},
	}
	s.ctx, s.fail = context.WithCancelCause(ctx)
	pr, pw := io.Pipe()
	s.table, s.tablePipe = newPageTableWriter(pw), pw
	context.AfterFunc(s.ctx, func() { _ = pw.CloseWithError(context.Cause(s.ctx)) }) // never fails
	go func() {
		defer close(s.tableDone)
		id, n, err := s.w.WriteObject(s.ctx, tablePath, pr)
		if err != nil {
			s.fail(fmt.Errorf("store the page table: %w", err))
		}
		s.tableNode = repository.Node{Path: tablePath, Mode: 0o600, Size: n, Object: id}
	}()
	return s
}

// finish waits until all is stored and returns the tree.
func (s *sink) finish() ([]repository.Node, error) {
	s.files.Wait()
	if err := s.failed(); err != nil {
		return nil, err
	}
	if err := s.storeMaps(s.ctx); err != nil {
		return nil, err
	}
	if err := errors.Join(s.table.close(), s.tablePipe.Close()); err != nil {
		return nil, err
	}
	<-s.tableDone
	if err := s.failed(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nodes[tablePath] = s.tableNode
	return completeTree(s.nodes), nil
}

// abort ends the work that is under way and waits for it.
func (s *sink) abort() {
	s.fail(errAborted)
	s.files.Wait()
	<-s.tableDone
}

var errAborted = errors.New("the backup was given up")

func (s *sink) failed() error {
	if s.ctx.Err() == nil {
		return nil
	}
	return context.Cause(s.ctx)
}

// completeTree adds the directories that lead to each node and sorts by path.
func completeTree(nodes map[string]repository.Node) []repository.Node {
	out := make([]repository.Node, 0, len(nodes))
	have := map[string]bool{".": true}
	for p := range nodes {
		have[p] = true
	}
	for p, n := range nodes {
		out = append(out, n)
		for d := path.Dir(p); !have[d]; d = path.Dir(d) {
			have[d] = true
			out = append(out, repository.Node{Path: d, Mode: fs.ModeDir | 0o700})
		}
	}
	slices.SortFunc(out, func(a, b repository.Node) int { return strings.Compare(a.Path, b.Path) })
	return out
}

// Begin notes what is known before the first file.
func (s *sink) Begin(_ context.Context, start target.BackupStart) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.begun {
		return errors.New("the backup began twice")
	}
	if start.Incremental && s.parent == nil {
		return errors.New("the server sends only changed blocks, but a full backup was asked for")
	}
	s.begun, s.start = true, start
	s.total.Store(start.EstimatedSize)
	return nil
}

// Dir notes a directory.
func (s *sink) Dir(_ context.Context, p string, mode fs.FileMode) error {
	if p == "" || p == "." {
		return nil
	}
	return s.put(repository.Node{Path: dataRoot + "/" + p, Mode: fs.ModeDir | mode.Perm()})
}

// File stores one file.
func (s *sink) File(ctx context.Context, f target.File, r io.Reader) error {
	if err := checkPath(f.Path); err != nil {
		return err
	}
	switch {
	case f.Path == manifestName:
		return s.store(ctx, f, r, s.storeManifest)
	case f.Path == labelName:
		return s.store(ctx, f, r, s.storeLabel)
	case !f.Pages:
		return s.store(ctx, f, r, s.storeWhole)
	case s.parent != nil:
		if blocks, ok := s.parent.blocks(f.Path); ok && blocks > 0 && f.Size > 0 {
			return s.store(ctx, f, r, s.storeChanged)
		}
	}
	if s.incremental() {
		s.mu.Lock()
		s.visible.noteTable(f.Path, true, nil)
		s.mu.Unlock()
	}
	return s.store(ctx, f, r, s.storePages)
}

func (s *sink) incremental() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.start.Incremental
}

// IncrementalFile stores the pages that the server found changed.
func (s *sink) IncrementalFile(ctx context.Context, f target.File, inc target.Incremental, pages io.Reader) error {
	if err := errors.Join(checkPath(f.Path), checkBlocks(inc)); err != nil {
		return fmt.Errorf("%s: %w", f.Path, err)
	}
	if s.parent == nil {
		return fmt.Errorf("%s: the server sent only changed blocks, but there is nothing to build on", f.Path)
	}
	if _, ok := s.parent.blocks(f.Path); !ok {
		return fmt.Errorf("%s: the backup to build on has no pages of this file: %w", f.Path, target.ErrNoIncremental)
	}
	f.Size = int64(len(inc.Blocks)) * target.PageSize
	keep := s.storeIncremental
	if fork, ok := parseFork(f.Path); ok && fork.fork == "_vm" {
		keep = s.holdMap
	}
	s.mu.Lock()
	s.visible.noteTable(f.Path, false, inc.Blocks)
	s.mu.Unlock()
	return s.store(ctx, f, pages, func(ctx context.Context, f target.File, r io.Reader) error {
		return keep(ctx, f, inc, r)
	})
}

type storeFunc func(ctx context.Context, f target.File, r io.Reader) error

// store gives r to f's store function: in this goroutine when the source has
// several, otherwise in the background, so that the server is read meanwhile.
func (s *sink) store(ctx context.Context, f target.File, r io.Reader, do storeFunc) error {
	if !s.started() {
		return fmt.Errorf("%s came before the backup began", f.Path)
	}
	if s.direct {
		c := &countReader{r: r, told: func(n int64) { s.progress(f.Path, n) }}
		if err := do(s.ctx, f, c); err != nil {
			return s.failWith(f.Path, err)
		}
		return s.checkSize(f, c.n)
	}
	select {
	case s.slots <- struct{}{}:
	case <-s.ctx.Done():
		return context.Cause(s.ctx)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	l := newRelay(s.ctx, s.pool)
	s.files.Go(func() {
		defer func() { <-s.slots }()
		if err := do(s.ctx, f, l); err != nil {
			_ = s.failWith(f.Path, err) // finish returns it
		}
	})
	n, err := l.fill(r, func(n int64) { s.progress(f.Path, n) })
	if err != nil {
		return s.failWith(f.Path, err)
	}
	return s.checkSize(f, n)
}

func (s *sink) failWith(name string, err error) error {
	err = fmt.Errorf("store %s: %w", name, err)
	s.fail(err)
	return err
}

func (s *sink) checkSize(f target.File, n int64) error {
	if n != f.Size {
		return s.failWith(f.Path, fmt.Errorf("%d bytes came instead of %d", n, f.Size))
	}
	return nil
}

func (s *sink) started() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.begun
}

// progress counts received bytes and tells of them.
func (s *sink) progress(name string, n int64) {
	s.received.Add(n)
	if s.tell == nil || n == 0 {
		return
	}
	phase := "copy"
	if strings.HasPrefix(name, "pg_wal/") {
		phase = "log"
	}
	s.telling.Lock() // one at a time, whoever calls
	defer s.telling.Unlock()
	s.tell(Progress{Phase: phase, Done: s.received.Load(), Total: s.total.Load(), File: name})
}

// put adds an entry of the tree.
func (s *sink) put(n repository.Node) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, dup := s.nodes[n.Path]; dup && !(old.Mode.IsDir() && n.Mode.IsDir()) {
		return fmt.Errorf("%s came twice", n.Path)
	}
	s.nodes[n.Path] = n
	return nil
}

// keep adds a file of the cluster, whose restored size is given.
func (s *sink) keep(f target.File, stored string, size, restored int64, id repository.ObjectID) error {
	n := repository.Node{Path: dataRoot + "/" + stored, Mode: f.Mode.Perm(), Size: size, ModTime: f.ModTime, Object: id}
	if err := s.put(n); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.restored += restored
	s.count++
	if dir, name := path.Split(f.Path); dir == "pg_wal/" && wholeName.MatchString(name) {
		s.logs = append(s.logs, name)
	}
	return nil
}

// checkPath refuses a path that would leave the tree, or be taken for
// something else in it.
func checkPath(p string) error {
	if !fs.ValidPath(p) || p == "." {
		return fmt.Errorf("file name %q cannot be stored", p)
	}
	if _, is := undeltaPath(p); is {
		return fmt.Errorf("file name %q: names that begin with %s are reserved", p, deltaPrefix)
	}
	return nil
}

// countReader counts what passes.
type countReader struct {
	r    io.Reader
	n    int64
	told func(int64)
}

func (c *countReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	c.told(int64(n))
	return n, err
}
