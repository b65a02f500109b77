package schedule

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

// look is how long at most the scheduler sleeps: a clock that is set, or a
// machine that was suspended, is noticed within it.
const look = 30 * time.Second

// onTime is how late a run may start without being called missed.
const onTime = 2 * time.Minute

// slotFunc handles what is due of one job at now and returns its next moment.
type slotFunc func(ctx context.Context, j Job, now time.Time) (time.Time, error)

// tick handles due jobs until ctx ends.
func tick(ctx context.Context, jobs map[string]Job, slot slotFunc, log *slog.Logger) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		sleep := look
		for _, j := range jobs {
			if j.When == nil {
				continue
			}
			next, err := slot(ctx, j, time.Now())
			if err != nil {
				if ctx.Err() == nil {
					log.ErrorContext(ctx, "queue due work", "job", j.Kind, "subject", j.Subject, "error", err)
				}
				continue // looked at again soon
			}
			if !next.IsZero() {
				sleep = min(sleep, max(0, time.Until(next)))
			}
		}
		timer.Reset(sleep)
	}
}

// slot queues what is due of j. The queue and the record of the slot change
// together, so that a kill between them neither loses nor doubles a run.
func (s *Scheduler) slot(ctx context.Context, j Job, now time.Time) (time.Time, error) {
	key := jobKey(j.Kind, j.Subject)
	tx, err := s.queue.begin(ctx)
	if err != nil {
		return time.Time{}, fmt.Errorf("read the schedule: %w", err)
	}
	defer tx.rollback(ctx) // a no-op after the commit
	var micro int64
	switch found, err := tx.find(ctx, &micro, `SELECT slot FROM refloat_slot WHERE job = ?`, key); {
	case err != nil:
		return time.Time{}, fmt.Errorf("read the schedule: %w", err)
	case !found:
		return j.When.Next(now), s.setSlot(ctx, tx, key, now)
	}
	last := time.UnixMicro(micro)
	d := DueAt(j.When, last, now)
	if d.Slot.IsZero() {
		if last.After(now.Add(clockSlack)) {
			return d.Next, s.setSlot(ctx, tx, key, now)
		}
		return d.Next, nil
	}
	fresh, err := s.insert(ctx, tx, j, "", "schedule", d.Slot)
	if err != nil {
		return time.Time{}, fmt.Errorf("queue: %w", err)
	}
	if err := s.setSlot(ctx, tx, key, d.Slot); err != nil {
		return time.Time{}, err
	}
	m := Missed{Kind: j.Kind, Subject: j.Subject, Due: d.Slot, Slots: d.Missed, Late: now.Sub(d.Slot), Busy: !fresh}
	if s.o.OnMissed != nil && (m.Busy || m.Slots > 0 || m.Late > onTime) {
		s.o.OnMissed(m)
	}
	return d.Next, nil
}

// setSlot commits tx.
func (s *Scheduler) setSlot(ctx context.Context, tx transaction, key string, slot time.Time) error {
	if err := tx.exec(ctx, `INSERT INTO refloat_slot (job, slot) VALUES (?, ?) ON CONFLICT (job) DO UPDATE SET slot = excluded.slot`, key, slot.UnixMicro()); err != nil {
		return fmt.Errorf("record the schedule: %w", err)
	}
	if err := tx.commit(ctx); err != nil {
		return fmt.Errorf("record the schedule: %w", err)
	}
	return nil
}

// quiet passes on what River logs from warnings up; each outcome of ours is
// told through OnOutcome.
type quiet struct{ slog.Handler }

func (q quiet) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && q.Handler.Enabled(ctx, l)
}
