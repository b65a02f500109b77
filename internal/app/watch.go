package app

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/refloat-db/refloat/internal/config"
	"github.com/refloat-db/refloat/internal/monitor"
	"github.com/refloat-db/refloat/internal/target"
	"github.com/refloat-db/refloat/internal/target/postgres"
)

// What the watch speaks of.
type (
	WatchEvent    = monitor.Event
	WatchStanding = monitor.Standing
)

// WatchRequest says what to watch in the foreground.
type WatchRequest struct {
	Server  InitRequest   // a server named by its address; its DSN is empty for targets of the configuration
	Target  string        // one target; empty for all
	Every   time.Duration // between looks; 0 for what the configuration says
	Standby bool          // the server named by its address is meant to be a standby
	// On is told of each change, Stand every second how all stand. Neither is
	// called by two goroutines at once.
	On    func(WatchEvent)
	Stand func([]WatchStanding)
}

// WatchServer watches a server that is named by its address alone, until ctx
// ends, and returns how it stood last.
func WatchServer(ctx context.Context, r WatchRequest, env func(string) (string, bool)) ([]WatchStanding, error) {
	password, err := r.Server.password(env)
	if err != nil {
		return nil, err
	}
	c, err := postgres.New(postgres.Options{DSN: r.Server.DSN, Password: password, Application: "refloat watch"})
	if err != nil {
		return nil, err
	}
	o := monitor.Options{Target: target.ID(address(r.Server.DSN)), Eyes: c.Watch(), Rules: monitor.DefaultRules(), Every: r.Every}
	o.Rules.Standby = r.Standby
	return watchAll(ctx, r, []monitor.Options{o}), nil
}

// Watch watches targets of the configuration in the foreground until ctx ends.
// It writes nothing anywhere; refloat server does the same and pages.
func (a *App) Watch(ctx context.Context, r WatchRequest) ([]WatchStanding, error) {
	names := a.Targets()
	if r.Target != "" {
		names = []string{r.Target}
	}
	var all []monitor.Options
	for _, name := range names {
		id, t, err := a.target(name)
		if err != nil {
			return nil, err
		}
		c, err := a.cluster(name, "refloat watch")
		if err != nil {
			return nil, err
		}
		o := monitor.Options{Target: id, Eyes: c.Watch(), Rules: watchRules(t), Every: t.Watch.Every.Std()}
		if r.Every > 0 {
			o.Every = r.Every
		}
		all = append(all, o)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%w: %s has no target; name one, or a server by its address", ErrNoTarget, a.cfg.Path)
	}
	return watchAll(ctx, r, all), nil
}

// watchRules are those of a target of the configuration.
func watchRules(t config.Target) monitor.Rules {
	r := monitor.DefaultRules()
	r.Standby, r.Flapping, r.Writes = t.Watch.Standby, t.Watch.Flapping, t.Heartbeat.Enabled
	return r
}

func watchAll(ctx context.Context, r WatchRequest, all []monitor.Options) []WatchStanding {
	var work sync.WaitGroup
	pulse := &monitor.Pulse{}
	work.Go(func() { pulse.Run(ctx) })
	events := newLine()
	watchers := make([]*monitor.Watcher, len(all))
	for i, o := range all {
		o.Pulse = pulse
		o.On = func(e monitor.Event) { events.add(func(context.Context) { r.On(e) }) }
		watchers[i] = monitor.NewWatcher(o)
		work.Go(func() { watchers[i].Run(ctx) })
	}
	standings := func() []WatchStanding {
		out := make([]WatchStanding, len(watchers))
		for i, w := range watchers {
			out[i] = w.Standing(time.Now())
		}
		return out
	}
	if r.Stand != nil {
		work.Go(func() {
			tick := time.NewTicker(time.Second)
			defer tick.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
					events.add(func(context.Context) { r.Stand(standings()) })
				}
			}
		})
	}
	events.run(ctx)
	work.Wait()
	return standings()
}
