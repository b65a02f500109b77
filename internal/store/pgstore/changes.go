package pgstore

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	listenRetry = 250 * time.Millisecond // between attempts to listen again
	listenCheck = 5 * time.Second        // a session that says nothing is asked whether it lives
)

// changes tells who waits for the journal to grow. One session listens to the
// database server while anybody waits.
type changes struct {
	config *pgx.ConnConfig

	mu      sync.Mutex
	waiting map[chan struct{}]bool
	stop    context.CancelFunc // ends the session; nil when there is none
	done    chan struct{}
	closed  bool
}

func newChanges(config *pgx.ConnConfig) *changes {
	return &changes{config: config, waiting: map[chan struct{}]bool{}}
}

// Changed returns a channel that receives each time that the journal may have
// grown, whichever node wrote; several growths may be told at once. It is closed
// when ctx ends.
func (s *Store) Changed(ctx context.Context) <-chan struct{} {
	c := s.changes
	ch := make(chan struct{}, 1)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		close(ch)
		return ch
	}
	c.waiting[ch] = true
	context.AfterFunc(ctx, func() { c.leave(ch) })
	if c.stop == nil {
		run, cancel := context.WithCancel(context.Background())
		c.stop, c.done = cancel, make(chan struct{})
		go func(done chan struct{}) {
			defer close(done)
			c.listen(run)
		}(c.done)
	}
	return ch
}

func (c *changes) leave(ch chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.waiting[ch] {
		return
	}
	delete(c.waiting, ch)
	close(ch)
	if len(c.waiting) == 0 && c.stop != nil {
		c.stop()
		c.stop = nil
	}
}

// signal tells everybody who waits.
func (c *changes) signal() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for ch := range c.waiting {
		select {
		case ch <- struct{}{}:
		default: // it has not looked since it was told last
		}
	}
}

func (c *changes) close() {
	c.mu.Lock()
	c.closed = true
	for ch := range c.waiting {
		delete(c.waiting, ch)
		close(ch)
	}
	stop, done := c.stop, c.done
	c.stop = nil
	c.mu.Unlock()
	if stop != nil {
		stop()
		<-done
	}
}

// listen keeps a session that listens until ctx ends. What was written while
// there was none is told with the first word of the next.
func (c *changes) listen(ctx context.Context) {
	for ctx.Err() == nil {
		c.session(ctx)
		select {
		case <-ctx.Done():
		case <-time.After(listenRetry):
		}
	}
}

func (c *changes) session(ctx context.Context) {
	conn, err := pgx.ConnectConfig(ctx, c.config)
	if err != nil {
		return // tried again; who reads meets the same trouble and says so
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(ctx) // nothing is lost with it
	}()
	if _, err := conn.Exec(ctx, `LISTEN `+channel); err != nil {
		return
	}
	for ctx.Err() == nil {
		c.signal()
		wait, cancel := context.WithTimeout(ctx, listenCheck)
		_, err := conn.WaitForNotification(wait)
		quiet := err != nil && wait.Err() != nil
		cancel()
		if err != nil && (!quiet || !lives(ctx, conn)) {
			return
		}
	}
}

func lives(ctx context.Context, conn *pgx.Conn) bool {
	ctx, cancel := context.WithTimeout(ctx, connectWithin)
	defer cancel()
	return !conn.IsClosed() && conn.Ping(ctx) == nil
}
