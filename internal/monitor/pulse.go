package monitor

import (
	"context"
	"sync"
	"time"
)

// pulseEvery is how often the pulse beats.
const pulseEvery = 20 * time.Millisecond

// Pulse notices when this process was held up: starved of the processor,
// suspended, stopped. A look that ran out of time meanwhile says nothing of the
// server. The nil Pulse was never held up.
type Pulse struct {
	mu   sync.Mutex
	gaps []gap // of late, oldest first
}

type gap struct{ from, to time.Time }

// Run beats until ctx ends.
func (p *Pulse) Run(ctx context.Context) {
	t := time.NewTicker(pulseEvery)
	defer t.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			now := time.Now()
			// Round strips the monotonic clock, which stands still in a suspend.
			late := max(now.Sub(last), now.Round(0).Sub(last.Round(0))) - pulseEvery
			if late > pulseEvery {
				p.add(gap{last, now})
			}
			last = now
		}
	}
}

func (p *Pulse) add(g gap) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gaps = append(p.gaps, g)
	if len(p.gaps) > 256 {
		p.gaps = append(p.gaps[:0], p.gaps[128:]...)
	}
}

// HeldUp is for how long this process was held up between two times.
func (p *Pulse) HeldUp(from, to time.Time) time.Duration {
	if p == nil {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var sum time.Duration
	for _, g := range p.gaps {
		a, b := g.from, g.to
		if a.Before(from) {
			a = from
		}
		if b.After(to) {
			b = to
		}
		if b.After(a) {
			sum += b.Sub(a)
		}
	}
	return sum
}
