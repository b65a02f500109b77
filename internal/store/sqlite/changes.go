package sqlite

import (
	"context"
	"sync"
	"time"
)

// lookEvery is how soon what another process wrote is noticed.
const lookEvery = 250 * time.Millisecond

// changes tells who waits for the journal to grow. The file is looked at while
// anybody waits.
type changes struct {
	mu      sync.Mutex
	waiting map[chan struct{}]bool
	stop    context.CancelFunc // ends the looking; nil when nobody looks
	done    chan struct{}
	closed  bool
}

// Changed returns a channel that receives each time that the journal may have
// grown, whichever process wrote; several growths may be told at once. It is
// closed when ctx ends.
func (s *Store) Changed(ctx context.Context) <-chan struct{} {
	c := &s.changes
	ch := make(chan struct{}, 1)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		close(ch)
		return ch
	}
	if c.waiting == nil {
		c.waiting = map[chan struct{}]bool{}
	}
	c.waiting[ch] = true
	context.AfterFunc(ctx, func() { c.leave(ch) })
	if c.stop == nil {
		run, cancel := context.WithCancel(context.Background())
		c.stop, c.done = cancel, make(chan struct{})
		go func(done chan struct{}) {
			defer close(done)
			s.look(run)
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

// look looks at the journal's end until ctx ends. The first look tells what was
// written since whoever waits read.
func (s *Store) look(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	last := int64(-1)
	for {
		if h, err := s.Head(ctx); err == nil && h.Seq != last { // else who reads meets the same trouble and says so
			last = h.Seq
			s.changes.signal()
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
