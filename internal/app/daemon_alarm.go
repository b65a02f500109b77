package app

import (
	"context"
	"time"

	"github.com/refloat-db/refloat/internal/status"
	"github.com/refloat-db/refloat/internal/target"
)

func (w *watch) raise(ctx context.Context, a status.Alarm) {
	a.Raised = time.Now()
	w.raising.Lock()
	defer w.raising.Unlock()
	if w.pager != nil && a.Code != status.AlarmOutage { // of which it was told first of all
		w.pager.Signal(ctx, alarmSignal(w.Target, a))
	}
	w.mu.Lock()
	w.raised[a.Code] = true
	w.raises++
	w.mu.Unlock()
	fresh, err := w.mem.Raise(context.WithoutCancel(ctx), w.Target, a)
	if err != nil {
		w.complain(ctx, "raise an alarm", err)
		return
	}
	if fresh {
		w.log.Error("alarm", "code", a.Code, "detail", a.Detail, "next", a.Next)
		w.record(ctx, "target/"+string(w.Target), "alarm.raised", a)
	}
}

// clear clears an alarm, or all of its code when key is "*". The store is asked
// only when one may be up: once after the start, since a server before may have
// raised it, and after each raise.
func (w *watch) clear(ctx context.Context, code, key string) {
	w.mu.Lock()
	up, known := w.raised[code]
	if key == "*" {
		w.raised[code] = false
	}
	w.mu.Unlock()
	if known && !up {
		return
	}
	if w.pager != nil {
		w.pager.End(ctx, w.Target, code, key, time.Now())
	}
	n, err := w.mem.Clear(context.WithoutCancel(ctx), w.Target, code, key, time.Now())
	if err != nil {
		w.mu.Lock()
		w.raised[code] = true // it may still be up
		w.mu.Unlock()
		w.complain(ctx, "clear an alarm", err)
		return
	}
	if n > 0 {
		w.log.Info("alarm cleared", "code", code)
		w.record(ctx, "target/"+string(w.Target), "alarm.cleared", map[string]string{"code": code, "key": key})
	}
}

func (w *watch) complain(ctx context.Context, what string, err error) {
	if ctx.Err() == nil {
		w.log.ErrorContext(ctx, what, "error", err)
	}
}

func (r *running) watchOf(id target.ID) *watch {
	for _, w := range r.targets {
		if w.Target == id {
			return w
		}
	}
	return nil // not reached: jobs are made of targets in care
}

func (r *running) raise(ctx context.Context, id target.ID, a status.Alarm) {
	if w := r.watchOf(id); w != nil {
		w.raise(ctx, a)
	}
}

func (r *running) clear(ctx context.Context, id target.ID, code, key string) {
	if w := r.watchOf(id); w != nil {
		w.clear(ctx, code, key)
	}
}
