package app

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/monitor"
	"github.com/refloat-db/refloat/internal/status"
	"github.com/refloat-db/refloat/internal/target"
)

// outageNext is what to do about an outage, as an alarm and as a page say it.
const outageNext = "look at the server and its log; refloat status %s shows to which moment it can be restored"

// line does things in order, apart from who asks for them: a watcher must not
// wait for a disk.
type line struct {
	mu    sync.Mutex
	todo  []func(context.Context)
	woken chan struct{}
}

func newLine() *line { return &line{woken: make(chan struct{}, 1)} }

func (l *line) add(f func(context.Context)) {
	l.mu.Lock()
	l.todo = append(l.todo, f)
	l.mu.Unlock()
	select {
	case l.woken <- struct{}{}:
	default:
	}
}

// run does what is added until ctx ends, and then what is left.
func (l *line) run(ctx context.Context) {
	for {
		l.mu.Lock()
		todo := l.todo
		l.todo = nil
		l.mu.Unlock()
		for _, f := range todo {
			f(context.WithoutCancel(ctx))
		}
		if len(todo) > 0 {
			continue
		}
		select {
		case <-l.woken:
		case <-ctx.Done():
			l.mu.Lock()
			left := len(l.todo)
			l.mu.Unlock()
			if left == 0 {
				return
			}
		}
	}
}

// startWatching watches each target that has eyes. A watcher never waits for
// another, nor for the store.
func (r *running) startWatching(ctx context.Context) {
	ctx, end := context.WithCancel(ctx)
	var parts sync.WaitGroup
	pulse := &monitor.Pulse{}
	parts.Go(func() { pulse.Run(ctx) })
	events := newLine()
	parts.Go(func() { events.run(ctx) })
	for _, w := range r.targets {
		r.signalAlarms(ctx, w)
		if w.Eyes == nil {
			continue
		}
		resume := r.openOutage(ctx, w.Target)
		if resume != nil {
			r.signalOutage(ctx, w.Target, *resume) // the server before may have ended before it paged
			r.keepOutage(ctx, *resume, false)      // or before it wrote it down
		}
		on := func(e monitor.Event) { events.add(func(ctx context.Context) { r.onWatch(ctx, w, e) }) }
		if len(r.o.Peers) > 0 {
			b := &bench{r: r, w: w, line: newLine(), told: resume != nil}
			parts.Go(func() { b.run(ctx) })
			on = func(e monitor.Event) { b.line.add(func(ctx context.Context) { b.take(ctx, e) }) }
		}
		w.seen = monitor.NewWatcher(monitor.Options{
			Target: w.Target, Eyes: w.Eyes, Rules: w.WatchRules, Every: w.WatchEvery, Pulse: pulse, On: on, Resume: resume,
		})
		parts.Go(func() { w.seen.Run(ctx) })
	}
	parts.Go(func() { r.watchProblems(ctx) })
	parts.Go(func() { r.watchPrimaries(ctx) })
	r.later(func(context.Context) error {
		end()
		parts.Wait()
		return nil
	})
}

// openOutage is the outage that was open when the server before this one ended;
// from its alert, where that server came to no more than the page.
func (r *running) openOutage(ctx context.Context, id target.ID) *monitor.Outage {
	all, err := r.state.OpenRecords(ctx, alert.KindOutage)
	if err != nil {
		r.log.ErrorContext(ctx, "read open outages", "error", err)
	}
	for _, rec := range all {
		var o monitor.Outage
		if rec.Target != string(id) {
			continue
		}
		if err := rec.Read(&o); err != nil {
			r.log.ErrorContext(ctx, "read an open outage", "target", string(id), "error", err)
			continue
		}
		return &o
	}
	if a, open := r.pager.openAlert(signalKey(status.AlarmOutage, id, "")); open {
		return &monitor.Outage{Target: id, Sees: target.Failing, Reason: strings.TrimPrefix(a.Signal.Summary, string(id)+" "), FirstBad: a.StartedAt, Confirmed: a.StartedAt}
	}
	return nil
}

// onWatch is what follows from a change of a target's standing: first the page,
// then what remembers it.
func (r *running) onWatch(ctx context.Context, w *watch, e monitor.Event) {
	o := e.Outage
	switch e.Kind {
	case monitor.Suspected, monitor.Cleared, monitor.Returned:
		w.log.Debug("watch", "change", e.Kind, "reason", o.Reason)
		return
	case monitor.Recovered:
		w.log.Warn("the target serves again", "after", o.Recovered.Sub(o.FirstBad).Round(time.Millisecond), "reason", o.Reason)
	default:
		w.log.Error("the target does not serve", "change", e.Kind, "reason", o.Reason, "noticed_after", o.Confirmed.Sub(o.FirstBad).Round(time.Millisecond))
	}
	over := e.Kind == monitor.Recovered
	if over {
		r.pager.End(ctx, w.Target, status.AlarmOutage, "*", o.Recovered)
	} else {
		r.signalOutage(ctx, w.Target, o)
	}
	r.notes.add(func(ctx context.Context) { r.noteOutage(ctx, w, e, over) })
}

// noteOutage writes down what follows from an outage: the outage, the journal,
// the alarm that status shows.
func (r *running) noteOutage(ctx context.Context, w *watch, e monitor.Event, over bool) {
	o := e.Outage
	r.keepOutage(ctx, o, over)
	if e.Kind == monitor.Confirmed {
		w.noticed(ctx, o)
	}
	r.record(ctx, "target/"+string(w.Target), "outage."+string(e.Kind), o)
	if over {
		w.clear(ctx, status.AlarmOutage, "*")
		return
	}
	detail := o.Reason
	if o.Flapping {
		detail += "; it comes and goes: this outage stays open until it has served for a while"
	}
	w.raise(ctx, status.Alarm{Code: status.AlarmOutage, Detail: detail, Next: fmt.Sprintf(outageNext, w.Target)})
}

// noticed keeps how long an outage took to notice, for the objective.
func (w *watch) noticed(ctx context.Context, o monitor.Outage) {
	d, err := detection(ctx, w.mem, w.Target)
	if err != nil {
		w.complain(ctx, "read how long outages took to notice", err)
		return
	}
	if d == nil {
		d = &status.Detection{}
	}
	if err := w.mem.Keep(ctx, w.Target, status.FactDetection, o.Confirmed, d.Add(status.Noticed{At: o.Confirmed, Took: o.Confirmed.Sub(o.FirstBad)})); err != nil {
		w.complain(ctx, "keep how long an outage took to notice", err)
	}
}

func (r *running) signalOutage(ctx context.Context, id target.ID, o monitor.Outage) {
	s := alarmSignal(id, status.Alarm{Code: status.AlarmOutage, Raised: o.FirstBad, Next: fmt.Sprintf(outageNext, id)})
	s.Summary, s.Source = string(id)+" "+o.Reason, "monitor"
	r.pager.Signal(ctx, s)
	r.pager.traceOutage(s.Key, o)
}

// signalAlarms tells the pager of alarms that were up when the server before
// this one ended, in case it ended before it paged.
func (r *running) signalAlarms(ctx context.Context, w *watch) {
	all, err := r.state.Alarms(ctx, w.Target)
	if err != nil {
		r.log.ErrorContext(ctx, "read alarms", "error", err)
		return
	}
	for _, a := range all {
		if a.Code != status.AlarmOutage {
			r.pager.Signal(ctx, alarmSignal(w.Target, a))
		}
	}
}

func (r *running) keepOutage(ctx context.Context, o monitor.Outage, over bool) {
	rec, err := alert.NewRecord(alert.KindOutage, string(o.Target)+"/"+o.FirstBad.UTC().Format("20060102T150405.000Z"), string(o.Target), !over, o.FirstBad, o)
	if err == nil {
		err = r.state.Save(ctx, rec)
	}
	if err != nil {
		r.log.ErrorContext(ctx, "record an outage", "target", string(o.Target), "error", err)
	}
}
