package repository

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"github.com/kopia/kopia/repo"
	"github.com/kopia/kopia/repo/object"
)

// chunkSize is the splitter's: an object up to this length is one content.
const chunkSize = 1 << 20

// asyncChunks is how many chunks of one object are compressed at once. Two
// keep two cores busy; more costs memory and gained nothing.
const asyncChunks = 2

// Writer writes objects and commits them as one snapshot. WriteObject may be
// called concurrently. What is not committed is invisible, and is reclaimed by
// Maintain.
type Writer struct {
	r      *Repository
	w      repo.DirectRepositoryWriter
	stored atomic.Int64
	bufs   sync.Pool

	mu   sync.Mutex
	done bool
}

// NewWriter starts a write session; end it with Commit or Abort.
func (r *Repository) NewWriter(ctx context.Context, purpose string) (*Writer, error) {
	if r.readOnly {
		return nil, r.wrap(ctx, "write", nil, errors.New("it was opened read-only"))
	}
	w := &Writer{r: r}
	_, dw, err := r.rep.NewDirectWriter(ctx, repo.WriteSessionOptions{
		Purpose:  purpose,
		OnUpload: func(n int64) { w.stored.Add(n) },
	})
	if err != nil {
		return nil, r.wrap(ctx, "start writing", nil, err)
	}
	w.w = dw
	w.bufs.New = func() any { b := make([]byte, chunkSize); return &b }
	return w, nil
}

// WriteObject stores r's bytes to its end and returns their identity and
// length. An error of r ends it and is returned as it is, wrapped.
func (w *Writer) WriteObject(ctx context.Context, name string, r io.Reader) (ObjectID, int64, error) {
	op := "store " + name
	if err := w.open(); err != nil {
		return "", 0, w.r.wrap(ctx, op, nil, err)
	}
	buf, _ := w.bufs.Get().(*[]byte)
	defer w.bufs.Put(buf)
	// The first chunk decides: most files of a cluster are one chunk, and need
	// neither goroutines nor a copy.
	n, rerr := fill(r, *buf)
	opts := object.WriterOptions{Description: name, Compressor: formatCompressor, MetadataCompressor: formatCompressor}
	if n == chunkSize {
		opts.AsyncWrites = asyncChunks
	}
	ow := w.w.NewObjectWriter(ctx, opts)
	total := int64(0)
	for {
		if n > 0 {
			if _, err := ow.Write((*buf)[:n]); err != nil {
				return "", 0, w.r.wrap(ctx, op, nil, errors.Join(err, ow.Close()))
			}
			total += int64(n)
		}
		if rerr == io.EOF { //nolint:errorlint // a wrapped EOF is a failure, as for io.Copy
			break
		}
		if rerr == nil {
			rerr = ctx.Err()
		}
		if rerr != nil {
			return "", 0, w.r.wrap(ctx, op, nil, errors.Join(rerr, ow.Close()))
		}
		n, rerr = fill(r, *buf)
	}
	id, err := ow.Result()
	if err = errors.Join(err, ow.Close()); err != nil {
		return "", 0, w.r.wrap(ctx, op, nil, err)
	}
	return ObjectID(id.String()), total, nil
}

// fill reads until b is full. Unlike io.ReadFull it leaves r's error as it is,
// since io.ErrUnexpectedEOF from r means that r was cut off.
func fill(r io.Reader, b []byte) (int, error) {
	n := 0
	for n < len(b) {
		m, err := r.Read(b[n:])
		n += m
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

func (w *Writer) open() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.done {
		return errors.New("the write session has ended")
	}
	return nil
}

// Stored is how many bytes the session has sent to storage so far (after
// compression and deduplication).
func (w *Writer) Stored() int64 { return w.stored.Load() }

// Checkpoint makes the objects so far durable without making them visible.
func (w *Writer) Checkpoint(ctx context.Context) error {
	if err := w.open(); err != nil {
		return w.r.wrap(ctx, "checkpoint", nil, err)
	}
	if err := w.w.Flush(ctx); err != nil {
		return w.r.wrap(ctx, "checkpoint", nil, err)
	}
	return nil
}

// Commit writes the tree and the snapshot. When it returns nil the snapshot is
// durable and visible. After an error, call Abort.
func (w *Writer) Commit(ctx context.Context, s Snapshot, tree []Node) (Snapshot, error) {
	if err := w.open(); err != nil {
		return Snapshot{}, w.r.wrap(ctx, "commit", nil, err)
	}
	op := "commit a snapshot of " + s.Source
	m, err := w.saveSnapshot(ctx, s, tree)
	if err != nil {
		return Snapshot{}, w.r.wrap(ctx, op, nil, err)
	}
	if err := w.w.Flush(ctx); err != nil {
		return Snapshot{}, w.r.wrap(ctx, op, nil, err)
	}
	if err := w.end(ctx); err != nil {
		return Snapshot{}, w.r.wrap(ctx, op, nil, err)
	}
	if err := w.r.putRecord(ctx, m); err != nil {
		return Snapshot{}, w.r.wrap(ctx, op, nil, err)
	}
	return fromManifest(m), nil
}

// Abort drops the session; a no-op after Commit.
func (w *Writer) Abort(ctx context.Context) error {
	if err := w.end(ctx); err != nil {
		return w.r.wrap(ctx, "abort", nil, err)
	}
	return nil
}

func (w *Writer) end(ctx context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.done {
		return nil
	}
	w.done = true
	return w.w.Close(ctx)
}
