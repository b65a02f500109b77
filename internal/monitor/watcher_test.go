package monitor

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/refloat-db/refloat/internal/target"
)

// eyes see what a test says.
type eyes struct {
	sees  atomic.Value // target.Look
	looks atomic.Int64
}

func (e *eyes) Look(context.Context, time.Duration) target.Look {
	e.looks.Add(1)
	l := e.sees.Load().(target.Look)
	l.At, l.Fresh = time.Now(), true
	return l
}

func (e *eyes) Hold(ctx context.Context, _ time.Duration, _ func() time.Duration, _ func(target.Look)) {
	<-ctx.Done()
}

func watching(t *testing.T, f func(w *Watcher, e *eyes)) {
	synctest.Test(t, func(t *testing.T) {
		e := &eyes{}
		e.sees.Store(target.Look{Sees: target.Serving})
		w := NewWatcher(Options{Target: "shop", Eyes: e, Rules: DefaultRules()})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); w.Run(ctx) }()
		time.Sleep(time.Second)
		f(w, e)
		cancel()
		<-done
	})
}

// Who cannot look does not say that all is well.
func TestAWatcherThatSeesNothingSaysSo(t *testing.T) {
	watching(t, func(w *Watcher, e *eyes) {
		if s := w.Standing(time.Now()); s.State != Up || s.Blind != "" {
			t.Fatalf("%+v", s)
		}
		e.sees.Store(target.Look{Sees: target.Blind, Detail: "no file descriptor"})
		time.Sleep(40 * time.Second)
		if s := w.Standing(time.Now()); s.State != Up || s.Blind != "" {
			t.Errorf("too early: %+v", s)
		}
		time.Sleep(20 * time.Second)
		if s := w.Standing(time.Now()); s.State != Unknown || s.Blind != "no file descriptor" {
			t.Errorf("%+v", s)
		}
		e.sees.Store(target.Look{Sees: target.Serving})
		time.Sleep(15 * time.Second)
		if s := w.Standing(time.Now()); s.State != Up || s.Blind != "" {
			t.Errorf("%+v", s)
		}
	})
}

// A suspicion that nothing decides does not storm the server for ever.
func TestASuspicionThatNothingDecidesIsSlowedDown(t *testing.T) {
	watching(t, func(w *Watcher, e *eyes) {
		e.sees.Store(target.Look{Sees: target.Blind})
		w.Tell(context.Background(), target.Look{At: time.Now(), Sees: target.Silent})
		time.Sleep(time.Minute)
		before := e.looks.Load()
		time.Sleep(10 * time.Second)
		if n := e.looks.Load() - before; n > 11 {
			t.Errorf("%d looks in ten seconds", n)
		}
	})
}
