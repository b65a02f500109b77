package server

import (
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// limits bound how often each key asks.
type limits struct {
	each  rate.Limit
	burst int

	mu    sync.Mutex
	all   map[string]*rate.Limiter
	swept time.Time
}

func newLimits(each rate.Limit, burst int) *limits {
	return &limits{each: each, burst: burst, all: map[string]*rate.Limiter{}}
}

const mostLimits = 20000 // keys that are remembered

// wait counts a request, and says how long to wait when it is one too many.
func (l *limits) wait(key string, now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	x := l.all[key]
	if x == nil {
		l.sweep(now)
		x = rate.NewLimiter(l.each, l.burst)
		l.all[key] = x
	}
	if x.AllowN(now, 1) {
		return 0
	}
	return time.Duration(float64(time.Second) / float64(l.each))
}

// sweep forgets who has not asked for a while; of too many, all.
func (l *limits) sweep(now time.Time) {
	if now.Sub(l.swept) > time.Minute {
		for k, x := range l.all {
			if x.TokensAt(now) >= float64(l.burst) {
				delete(l.all, k)
			}
		}
		l.swept = now
	}
	if len(l.all) >= mostLimits {
		clear(l.all)
	}
}

func retryAfter(d time.Duration) string {
	return strconv.Itoa(max(1, int((d+time.Second-1)/time.Second)))
}
