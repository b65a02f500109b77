package repository

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sort"

	"github.com/kopia/kopia/repo/blob"
	"github.com/kopia/kopia/repo/content"
	"github.com/kopia/kopia/repo/object"
)

// OpenObject reads an object; every byte is authenticated before it is
// returned. Errors of Read are an *Error too. The context governs every read.
// A read of a whole chunk (1 MiB, at its start) is decoded straight into the
// caller's buffer.
func (r *Repository) OpenObject(ctx context.Context, id ObjectID) (io.ReadSeekCloser, error) {
	op := "read object " + string(id)
	oid, err := object.ParseID(string(id))
	if err != nil {
		return nil, r.wrap(ctx, op, ErrNotFound, err)
	}
	chunks, err := r.layout(ctx, oid)
	if err != nil {
		return nil, r.wrap(ctx, op, nil, err)
	}
	o := &objectReader{chunks: chunks, held: -1, buffers: r.takeBuffers()}
	o.letGo = func() { r.readers.Put(o.buffers) }
	o.decode = func(i int, dst []byte) error { return r.decode(ctx, o, i, dst) }
	o.fail = func(kind, err error) error { return r.wrap(ctx, op, kind, err) }
	return o, nil
}

// chunk is a stretch of an object that is stored as one content.
type chunk struct {
	start, length int64
	id            content.ID
	info          content.Info
}

// layout finds out of which chunks an object is made.
func (r *Repository) layout(ctx context.Context, id object.ID) ([]chunk, error) {
	entries := []object.IndirectObjectEntry{{Length: -1, Object: id}}
	if index, ok := id.IndexObjectID(); ok {
		var err error
		if entries, err = r.chunks(ctx, index); err != nil {
			return nil, err
		}
	}
	rd := r.rep.ContentReader()
	out := make([]chunk, 0, len(entries))
	var at int64
	for _, e := range entries {
		cid, packed, ok := e.Object.ContentID()
		if !ok || packed {
			return nil, fmt.Errorf("%w: part %s is of an unknown kind", ErrCorrupt, e.Object)
		}
		info, err := rd.ContentInfo(ctx, cid)
		if err != nil {
			return nil, fmt.Errorf("part %s: %w", cid, err)
		}
		if e.Length < 0 {
			e.Length = int64(info.OriginalLength)
		}
		if e.Start != at || e.Length == 0 && len(entries) > 1 {
			return nil, fmt.Errorf("%w: its parts do not fit together at byte %d", ErrCorrupt, at)
		}
		out = append(out, chunk{start: at, length: e.Length, id: cid, info: info})
		at += e.Length
	}
	return out, nil
}

// objectReader reads one object.
type objectReader struct {
	chunks []chunk
	pos    int64
	decode func(i int, dst []byte) error // puts a whole chunk into dst
	letGo  func()
	fail   func(kind, err error) error

	*buffers
	held int       // which chunk data holds; -1 for none
	next int       // the chunk after the last one that was read
	from blobRange // what ahead holds
}

// buffers are what a reader needs; the next one takes them over.
type buffers struct {
	data  []byte // a decoded chunk, for reads of less than one
	ahead buffer // stored bytes, of several chunks where they lie together
}

func (r *Repository) takeBuffers() *buffers {
	if b, ok := r.readers.Get().(*buffers); ok {
		return b
	}
	return &buffers{}
}

// blobRange is a stretch of a blob.
type blobRange struct {
	id         blob.ID
	start, end int64
}

func (o *objectReader) size() int64 {
	if len(o.chunks) == 0 {
		return 0
	}
	last := o.chunks[len(o.chunks)-1]
	return last.start + last.length
}

// Read reads up to the end of a chunk.
func (o *objectReader) Read(b []byte) (int, error) {
	if o.pos >= o.size() {
		return 0, io.EOF
	}
	i := sort.Search(len(o.chunks), func(i int) bool { return o.chunks[i].start > o.pos }) - 1
	c := o.chunks[i]
	n := int(c.length)
	if o.pos == c.start && len(b) >= n && i != o.held {
		if err := o.decode(i, b[:n:n]); err != nil {
			return 0, o.failed(err)
		}
	} else {
		if err := o.hold(i); err != nil {
			return 0, o.failed(err)
		}
		n = copy(b, o.data[o.pos-c.start:])
	}
	o.pos += int64(n)
	return n, nil
}

// hold makes data hold a chunk.
func (o *objectReader) hold(i int) error {
	if o.held == i {
		return nil
	}
	n := int(o.chunks[i].length)
	if cap(o.data) < n {
		o.data = make([]byte, n)
	}
	o.data, o.held = o.data[:n], -1
	if err := o.decode(i, o.data); err != nil {
		return err
	}
	o.held = i
	return nil
}

func (o *objectReader) failed(err error) error {
	kind := classify(err)
	if kind == nil && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		// Whatever keeps stored bytes from being decoded is damage.
		kind = ErrCorrupt
	}
	return o.fail(kind, err)
}

// Seek moves Read; it does not look at what is stored.
func (o *objectReader) Seek(off int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		off += o.pos
	case io.SeekEnd:
		off += o.size()
	}
	if off < 0 {
		return o.pos, errors.New("seek before the beginning")
	}
	o.pos = off
	return off, nil
}

// Close lets go of the buffers. A closed reader reads nothing any more.
func (o *objectReader) Close() error {
	if o.letGo != nil && o.buffers != nil {
		o.letGo()
	}
	o.buffers, o.chunks, o.held, o.from = nil, nil, -1, blobRange{}
	return nil
}
