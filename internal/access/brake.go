package access

import (
	"fmt"
	"sync"
	"time"
)

// SlowDown means that somebody tried too often.
type SlowDown struct{ Wait time.Duration }

func (s SlowDown) Error() string {
	return fmt.Sprintf("too many attempts: try again in %s", max(s.Wait.Round(time.Second), time.Second))
}

// pace says how many attempts are free, and how long the next one then waits:
// one second, doubled with each, up to most. It never waits for ever.
type pace struct {
	free int
	most time.Duration
}

// The paces. An account's is short enough that no stranger keeps its owner out
// for long; a browser that signed in before is not counted with strangers at all.
var (
	accountPace = pace{free: 5, most: time.Minute}
	addressPace = pace{free: 20, most: 5 * time.Minute}
	devicePace  = pace{free: 5, most: time.Minute}
)

const (
	forgetStrikes = 30 * time.Minute // after the last one
	mostStrikes   = 20000            // that are remembered
)

// brake slows down who guesses. An attempt is counted before it is made, so that
// many at once are no way around it.
type brake struct {
	mu  sync.Mutex
	all map[string]strikes
}

type strikes struct {
	n     int
	last  time.Time
	until time.Time
}

// try counts an attempt for each key, or for none of them and says how long to
// wait.
func (b *brake) try(now time.Time, keys map[string]pace) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var wait time.Duration
	for k := range keys {
		if s, ok := b.all[k]; ok && now.Sub(s.last) <= forgetStrikes {
			wait = max(wait, s.until.Sub(now))
		}
	}
	if wait > 0 {
		return SlowDown{wait}
	}
	for k, p := range keys {
		s := b.all[k]
		if now.Sub(s.last) > forgetStrikes {
			s = strikes{}
		}
		s.n++
		s.last = now
		if over := s.n - p.free; over >= 0 {
			s.until = now.Add(min(p.most, time.Second<<min(over, 20)))
		}
		if b.all == nil {
			b.all = map[string]strikes{}
		}
		b.room(now, k)
		b.all[k] = s
	}
	return nil
}

// clear forgets what was counted for a key.
func (b *brake) clear(key string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.all, key)
}

// refund takes one attempt back. More is not forgotten: whoever has an account
// here could else guess at others without end.
func (b *brake) refund(key string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s, ok := b.all[key]
	if !ok {
		return
	}
	s.n--
	s.until = time.Time{}
	b.all[key] = s
}

// room makes room for a key: what is old goes first, then who tried least.
func (b *brake) room(now time.Time, key string) {
	if _, has := b.all[key]; has || len(b.all) < mostStrikes {
		return
	}
	least, n := "", 0
	for k, s := range b.all {
		if now.Sub(s.last) > forgetStrikes {
			delete(b.all, k)
		} else if least == "" || s.n < n {
			least, n = k, s.n
		}
	}
	if len(b.all) >= mostStrikes {
		delete(b.all, least)
	}
}
