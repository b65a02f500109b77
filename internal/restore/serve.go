package restore

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/refloat-db/refloat/internal/backup"
	"github.com/refloat-db/refloat/internal/target"
)

// ServeOptions say what a log server serves.
type ServeOptions struct {
	Socket string
	Mode   os.FileMode // of the socket; default 0600
	Owner  *Owner      // of the socket; nil leaves it to who runs
	// Fetch reads one file of the log, checked: (*backup.Log).Fetch.
	Fetch  func(ctx context.Context, name string) ([]byte, error)
	Ahead  int64         // bytes of log read ahead; default 64 MiB, and at least a segment
	Idle   time.Duration // ends the server when nobody asked for so long; 0 never
	Logger *slog.Logger
}

const (
	readers  = 4         // files read at once
	pageSize = 8192      // of the log
	maxHeld  = 256 << 20 // a segment larger than this is not read ahead
)

// Serve answers log-fetch until ctx ends or it is idle. It keeps what it
// opened, and reads the segments after the one asked for ahead, so that
// recovery does not wait for storage. Its failure costs only speed: log-fetch
// asks again elsewhere.
func Serve(ctx context.Context, o ServeOptions) error {
	l, err := listen(o)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := &logServer{o: o, ahead: map[string]*fetched{}, slots: make(chan struct{}, readers)}
	if s.o.Ahead <= 0 {
		s.o.Ahead = 64 << 20
	}
	var idle <-chan time.Time
	var timer *time.Timer
	if o.Idle > 0 {
		timer = time.NewTimer(o.Idle)
		defer timer.Stop()
		idle = timer.C
	}
	conns := make(chan net.Conn)
	go func() {
		defer close(conns)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns <- c
		}
	}()
	var wg sync.WaitGroup
	defer wg.Wait()
	defer func() { _ = l.Close() }()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-idle:
			return nil
		case c, ok := <-conns:
			if !ok {
				return errors.New("the log server's socket is gone")
			}
			if timer != nil {
				timer.Reset(o.Idle)
			}
			wg.Go(func() { s.answer(ctx, c) })
		}
	}
}

func listen(o ServeOptions) (net.Listener, error) {
	if err := os.Remove(o.Socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("serve the log: %w", err)
	}
	l, err := net.Listen("unix", o.Socket)
	if err != nil {
		return nil, fmt.Errorf("serve the log: %w", err)
	}
	mode := o.Mode
	if mode == 0 {
		mode = 0o600
	}
	err = os.Chmod(o.Socket, mode)
	if err == nil && o.Owner != nil {
		err = os.Chown(o.Socket, o.Owner.UID, o.Owner.GID)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("serve the log: %w", err), l.Close())
	}
	return l, nil
}

// fetched is one file, being read or read.
type fetched struct {
	done    chan struct{}
	content []byte
	err     error
}

type logServer struct {
	o     ServeOptions
	slots chan struct{}
	mu    sync.Mutex
	ahead map[string]*fetched
}

func (s *logServer) answer(ctx context.Context, c net.Conn) {
	defer func() { _ = c.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	line, err := bufio.NewReader(io.LimitReader(c, 256)).ReadString('\n')
	name := strings.TrimSuffix(line, "\n")
	if err != nil || !fileName.MatchString(name) {
		_, _ = io.WriteString(c, "BROKEN not a file of the log\n")
		return
	}
	f, early := s.get(ctx, name)
	if !f.wait(ctx) {
		return // it hangs up, and the other side asks elsewhere
	}
	s.forget(name)
	if early && unfinished(f) {
		f, _ = s.get(ctx, name)
		if !f.wait(ctx) {
			return
		}
		s.forget(name)
	}
	switch {
	case f.err == nil:
		s.readAhead(ctx, name, int64(len(f.content)))
		if _, err := fmt.Fprintf(c, "OK %d\n", len(f.content)); err == nil {
			_, err = c.Write(f.content)
			if err != nil && s.o.Logger != nil {
				s.o.Logger.Debug("recovery hung up", "file", name, "error", err)
			}
		}
	case errors.Is(f.err, backup.ErrEndOfLog):
		_, _ = fmt.Fprintf(c, "END %s\n", oneLine(f.err))
	default:
		_, _ = fmt.Fprintf(c, "BROKEN %s\n", oneLine(f.err))
	}
}

func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// wait reports whether the file was read before ctx ended.
func (f *fetched) wait(ctx context.Context) bool {
	select {
	case <-f.done:
		return true
	case <-ctx.Done():
		return false
	}
}

// unfinished reports whether a segment that was read ahead may have grown
// since: it was not there, could not be read, or ends in zeros.
func unfinished(f *fetched) bool {
	if f.err != nil || len(f.content) < pageSize {
		return true
	}
	for _, b := range f.content[len(f.content)-pageSize:] {
		if b != 0 {
			return false
		}
	}
	return true
}

// get returns the reading of a file, begun now when it was not begun early.
func (s *logServer) get(ctx context.Context, name string) (f *fetched, early bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f, ok := s.ahead[name]; ok {
		return f, true
	}
	f = &fetched{done: make(chan struct{})}
	s.ahead[name] = f
	go func() {
		defer close(f.done)
		select {
		case s.slots <- struct{}{}:
			defer func() { <-s.slots }()
		case <-ctx.Done():
			f.err = ctx.Err()
			return
		}
		f.content, f.err = s.o.Fetch(ctx, name)
	}()
	return f, false
}

// forget drops what was asked for, and every error: the next question about
// it is to be answered by the log as it is then.
func (s *logServer) forget(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.ahead, name)
	for n, f := range s.ahead {
		select {
		case <-f.done:
			if f.err != nil {
				delete(s.ahead, n)
			}
		default:
		}
	}
}

// readAhead begins to read the segments after name, within the bound.
func (s *logServer) readAhead(ctx context.Context, name string, size int64) {
	seg, err := target.ParseSegmentName(name, size)
	if err != nil || size > maxHeld {
		return // a history file, or too large
	}
	for range max(1, s.o.Ahead/size) {
		seg = seg.Next()
		s.get(ctx, seg.Name())
	}
}
