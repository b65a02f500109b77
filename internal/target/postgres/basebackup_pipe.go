package postgres

import (
	"context"
	"io"
)

const (
	pipeBuffer  = 1 << 20
	pipeBuffers = 8
)

// archive is one part of the server's stream: the tar of the data directory
// or of a tablespace, or the manifest.
type archive struct {
	manifest bool
	oid      uint32 // tablespace; 0 for the data directory
}

// chunk is a piece of an archive, or the beginning of one.
type chunk struct {
	begins *archive
	data   []byte
}

// backupPipe carries the stream from the network to the sink through a bounded
// number of buffers, so that each can go on while the other waits.
type backupPipe struct {
	ctx    context.Context
	full   chan chunk
	free   chan []byte
	filled []byte // being filled by the writer
	err    error  // set before full is closed

	// The reader's side.
	cur, rest []byte
	pending   *archive
}

func newBackupPipe(ctx context.Context) *backupPipe {
	p := &backupPipe{ctx: ctx, full: make(chan chunk, pipeBuffers), free: make(chan []byte, pipeBuffers)}
	for range pipeBuffers {
		p.free <- nil // made when first needed
	}
	return p
}

// begin starts an archive. Writer's side.
func (p *backupPipe) begin(a archive) error {
	if err := p.flush(); err != nil {
		return err
	}
	return p.send(chunk{begins: &a})
}

// write adds bytes to the archive. b is not kept.
func (p *backupPipe) write(b []byte) error {
	for len(b) > 0 {
		if p.filled == nil {
			select {
			case p.filled = <-p.free:
			case <-p.ctx.Done():
				return context.Cause(p.ctx)
			}
			if p.filled == nil {
				p.filled = make([]byte, 0, pipeBuffer)
			}
			p.filled = p.filled[:0]
		}
		n := min(cap(p.filled)-len(p.filled), len(b))
		p.filled = append(p.filled, b[:n]...)
		b = b[n:]
		if len(p.filled) == cap(p.filled) {
			if err := p.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *backupPipe) flush() error {
	if len(p.filled) == 0 {
		return nil
	}
	b := p.filled
	p.filled = nil
	return p.send(chunk{data: b})
}

func (p *backupPipe) send(c chunk) error {
	select {
	case p.full <- c:
		return nil
	case <-p.ctx.Done():
		return context.Cause(p.ctx)
	}
}

// close ends the stream: with nil all of it was written.
func (p *backupPipe) close(err error) {
	if err == nil {
		err = p.flush()
	}
	p.err = err
	close(p.full)
}

// nextArchive skips to the next archive; io.EOF after the last. Reader's side.
func (p *backupPipe) nextArchive() (archive, error) {
	if _, err := io.Copy(io.Discard, p); err != nil {
		return archive{}, err
	}
	if p.pending == nil {
		return archive{}, io.EOF
	}
	a := *p.pending
	p.pending = nil
	return a, nil
}

// Read reads the current archive to its end.
func (p *backupPipe) Read(b []byte) (int, error) {
	for len(p.rest) == 0 {
		if p.pending != nil {
			return 0, io.EOF
		}
		if p.cur != nil {
			p.free <- p.cur // never blocks: there are no more buffers than it holds
			p.cur = nil
		}
		c, ok := <-p.full
		switch {
		case !ok && p.err != nil:
			return 0, p.err
		case !ok:
			return 0, io.EOF
		case c.begins != nil:
			p.pending = c.begins
		default:
			p.cur, p.rest = c.data, c.data
		}
	}
	n := copy(b, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}
