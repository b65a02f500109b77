// Package detect tests how fast and how surely the monitor notices that a real
// server does not serve.
package detect

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/monitor"
	"github.com/refloat-db/refloat/internal/target"
	"github.com/refloat-db/refloat/internal/target/postgres"
	"github.com/refloat-db/refloat/internal/target/targettest"
)

// bed is a watcher on a server, and what it said.
type bed struct {
	t testing.TB
	w *monitor.Watcher

	mu     sync.Mutex
	events []monitor.Event
	heard  []time.Time
	more   chan struct{}
}

func watch(t testing.TB, port int, role string, rules monitor.Rules) *bed {
	t.Helper()
	b := start(t, port, role, rules)
	b.settle()
	return b
}

func start(t testing.TB, port int, role string, rules monitor.Rules) *bed {
	t.Helper()
	c, err := postgres.New(postgres.Options{DSN: fmt.Sprintf("postgres://%s@127.0.0.1:%d/postgres?sslmode=disable", role, port)})
	if err != nil {
		t.Fatal(err)
	}
	b := &bed{t: t, more: make(chan struct{}, 1)}
	pulse := &monitor.Pulse{}
	b.w = monitor.NewWatcher(monitor.Options{Target: "shop", Eyes: c.Watch(), Rules: rules, Pulse: pulse, On: b.on})
	ctx, cancel := context.WithCancel(t.Context())
	var work sync.WaitGroup
	work.Go(func() { pulse.Run(ctx) })
	work.Go(func() { b.w.Run(ctx) })
	t.Cleanup(func() { cancel(); work.Wait() })
	return b
}

// settle waits until the target is up and a session is held.
func (b *bed) settle() {
	b.t.Helper()
	targettest.WaitFor(b.t, "the target to be up", func() bool {
		s := b.w.Standing(time.Now())
		return s.State == monitor.Up && !s.Last.Fresh && s.Last.Sees == target.Serving
	})
}

func (b *bed) on(e monitor.Event) {
	b.mu.Lock()
	b.events = append(b.events, e)
	b.heard = append(b.heard, time.Now())
	b.mu.Unlock()
	select {
	case b.more <- struct{}{}:
	default:
	}
}

// wait returns the first event of a kind since n events, and when it was heard.
func (b *bed) wait(n int, kind monitor.EventKind, within time.Duration) (monitor.Event, time.Time) {
	b.t.Helper()
	deadline := time.After(within)
	for {
		b.mu.Lock()
		i := slices.IndexFunc(b.events[min(n, len(b.events)):], func(e monitor.Event) bool { return e.Kind == kind })
		if i >= 0 {
			e, at := b.events[n+i], b.heard[n+i]
			b.mu.Unlock()
			return e, at
		}
		b.mu.Unlock()
		select {
		case <-b.more:
		case <-deadline:
			b.t.Fatalf("no %s within %s; standing %+v", kind, within, b.w.Standing(time.Now()))
		}
	}
}

func (b *bed) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.events)
}

// quickly are rules that end an outage soon, so that tests do.
func quickly() monitor.Rules {
	r := monitor.DefaultRules()
	r.Stable = 300 * time.Millisecond
	r.Flapping = 0
	return r
}
