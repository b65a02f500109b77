package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
)

const (
	relayBuffer  = 1 << 20
	relayBuffers = 24      // for all files under way together
	spillAfter   = 4 << 20 // bytes of changed pages of one file kept in memory
)

// bufferPool lends a bounded number of buffers, made when first needed.
type bufferPool struct{ free chan []byte }

func newBufferPool(n int) *bufferPool {
	p := &bufferPool{free: make(chan []byte, n)}
	for range n {
		p.free <- nil
	}
	return p
}

func (p *bufferPool) get(ctx context.Context) ([]byte, error) {
	select {
	case b := <-p.free:
		if b == nil {
			b = make([]byte, relayBuffer)
		}
		return b, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (p *bufferPool) put(b []byte) { p.free <- b[:cap(b)] }

// relay carries a file's bytes from the source, whose reader is valid only
// during its call, to the goroutine that stores them.
type relay struct {
	ctx  context.Context // ends when storing any file failed
	pool *bufferPool
	full chan []byte
	cur  []byte // what Read gives
	buf  []byte // the buffer that cur is a part of
	err  error  // from fill, set before full is closed
}

func newRelay(ctx context.Context, pool *bufferPool) *relay {
	return &relay{ctx: ctx, pool: pool, full: make(chan []byte, relayBuffers)}
}

// fill reads r to its end and hands it over; told is called with each count.
func (l *relay) fill(r io.Reader, told func(int64)) (int64, error) {
	defer close(l.full)
	var total int64
	for {
		b, err := l.pool.get(l.ctx)
		if err != nil {
			l.err = err
			return total, err
		}
		n, err := io.ReadFull(r, b)
		total += int64(n)
		told(int64(n))
		l.full <- b[:n] // never blocks: it holds as many as the pool has
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return total, nil
		}
		if err != nil {
			l.err = err
			return total, err
		}
	}
}

// Read gives the bytes in order, and fill's error at the end.
func (l *relay) Read(p []byte) (int, error) {
	for len(l.cur) == 0 {
		if l.buf != nil {
			l.pool.put(l.buf)
			l.buf = nil
		}
		b, ok := <-l.full
		if !ok {
			if l.err != nil {
				return 0, l.err
			}
			return 0, io.EOF
		}
		l.buf, l.cur = b, b
	}
	n := copy(p, l.cur)
	l.cur = l.cur[n:]
	return n, nil
}

// spill holds the changed pages of one file until their number is known: in
// memory at first, then in a file without a name that no crash leaves behind.
type spill struct {
	dir  string
	mem  bytes.Buffer
	file *os.File
	n    int64
}

// Write adds pages.
func (s *spill) Write(p []byte) (int, error) {
	s.n += int64(len(p))
	if s.file == nil && s.mem.Len()+len(p) <= spillAfter {
		return s.mem.Write(p)
	}
	if s.file == nil {
		f, err := os.CreateTemp(s.dir, "refloat-pages-")
		if err != nil {
			return 0, fmt.Errorf("hold changed pages: %w", err)
		}
		s.file = f
		if err := os.Remove(f.Name()); err != nil {
			return 0, fmt.Errorf("hold changed pages: %w", err)
		}
	}
	n, err := s.file.Write(p)
	if err != nil {
		return n, fmt.Errorf("hold changed pages: %w", err)
	}
	return n, nil
}

// reader gives what was written, from the beginning.
func (s *spill) reader() (io.Reader, error) {
	if s.file == nil {
		return bytes.NewReader(s.mem.Bytes()), nil
	}
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("read changed pages: %w", err)
	}
	return io.MultiReader(bytes.NewReader(s.mem.Bytes()), s.file), nil
}

func (s *spill) close() error {
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}
