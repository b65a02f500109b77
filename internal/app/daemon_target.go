package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/refloat-db/refloat/internal/backup"
	"github.com/refloat-db/refloat/internal/monitor"
	"github.com/refloat-db/refloat/internal/status"
	"github.com/refloat-db/refloat/internal/target"
)

// How often a target is looked after.
const (
	beatEvery    = time.Second
	beatTimeout  = 5 * time.Second
	beatAlarm    = 30 * time.Second // no beat for so long raises an alarm
	slotEvery    = 5 * time.Second
	slotTimeout  = 5 * time.Second
	markEvery    = time.Second
	needEvery    = 5 * time.Minute // the repository is asked whether a base backup is due
	stopAlarm    = time.Minute     // no log for so long raises an alarm
	retryLeast   = time.Second
	retryMost    = 30 * time.Second
	giveUpWithin = 30 * time.Second
	firstLog     = 30 * time.Second
)

// memory is what a watch needs of the store.
type memory interface {
	Acknowledge(ctx context.Context, id target.ID, m status.LogMark) error
	PutBeat(ctx context.Context, id target.ID, b target.Beat) error
	Keep(ctx context.Context, id target.ID, name string, at time.Time, fact any) error
	Kept(ctx context.Context, id target.ID, name string, fact any) (time.Time, error)
	Raise(ctx context.Context, id target.ID, a status.Alarm) (bool, error)
	Clear(ctx context.Context, id target.ID, code, key string, at time.Time) (int, error)
	Alarms(ctx context.Context, id target.ID) ([]status.Alarm, error)
}

type recordFunc func(ctx context.Context, subject, kind string, body any)
type enqueueFunc func(ctx context.Context, id target.ID, kind, reason string)

// watch looks after one target: its log, its beat and its slot, each in a
// goroutine that no other can hold up.
type watch struct {
	Care
	mem     memory
	log     *slog.Logger
	record  recordFunc
	enqueue enqueueFunc

	mu        sync.Mutex
	mark      status.LogMark // the latest told
	kept      status.LogMark // the latest in the store
	beat      target.Beat
	slot      status.Slot
	server    target.LSN
	restart   func() // ends the Receive that runs
	giveUp    *target.Slot
	drops     int             // counts slots given up, to tell what was seen before from what was seen after
	since     time.Time       // the start, from which quiet is counted
	arrived   chan struct{}   // closed when the first log arrives
	raised    map[string]bool // by code: an alarm may be up; absent when not known yet
	raises    int             // counts raised alarms
	raising   sync.Mutex      // held while an alarm is raised
	repo      status.Facts    // what the repository said last
	repoRead  bool
	heard     time.Time // log, or an idle server's word, arrived last; guarded by mu
	toldOnce  bool
	told      string    // the trouble told last; guarded by mu
	room      *headroom // as last seen, not changed after; guarded by mu
	elsewhere string    // the target serves other nodes, and not this one: why; guarded by mu

	shortages, replication alarmSet         // used by the look at headroom alone
	pager                  *pager           // told of what a person must know
	seen                   *monitor.Watcher // nil when the target is not watched
}

func newWatch(c Care, mem memory, log *slog.Logger, record recordFunc, enqueue enqueueFunc) *watch {
	return &watch{
		Care: c, mem: mem, log: log, record: record, enqueue: enqueue, raised: map[string]bool{}, since: time.Now(), arrived: make(chan struct{}),
		shortages:   alarmSet{codes: []string{status.AlarmHeadroom, status.AlarmHeadroomGone}},
		replication: alarmSet{codes: []string{status.AlarmLag, status.AlarmStandby}},
	}
}

// start begins and returns what ends it.
func (w *watch) start(ctx context.Context) func(context.Context) error {
	ctx, end := context.WithCancel(ctx)
	var parts sync.WaitGroup
	parts.Go(func() { w.receive(ctx) })
	if w.Beat != nil {
		parts.Go(func() { every(ctx, cmp.Or(w.BeatEvery, beatEvery), w.beatOnce) })
	}
	parts.Go(func() { every(ctx, slotEvery, w.slotOnce) })
	parts.Go(func() { every(ctx, markEvery, w.keepMark) })
	parts.Go(func() { every(ctx, refreshEvery, w.refresh) })
	parts.Go(func() {
		w.waitForLog(ctx)
		every(ctx, needEvery, w.needOnce)
	})
	if w.Headroom != nil {
		parts.Go(func() { every(ctx, headroomEvery, w.headroomOnce) })
	}
	if w.Audit != nil && w.Stamp != nil {
		parts.Go(func() { w.lookForChanges(ctx) })
	}
	return func(stop context.Context) error {
		end()
		done := make(chan struct{})
		go func() { parts.Wait(); close(done) }()
		select {
		case <-done:
		case <-stop.Done():
			return fmt.Errorf("target %s: the log was not put away in time: %w (nothing is lost: the server still has it)", w.Target, stop.Err())
		}
		w.keepMark(stop)
		return nil
	}
}

// every calls f at once and then at each interval; a call that takes longer
// delays the next, it is never doubled.
func every(ctx context.Context, d time.Duration, f func(context.Context)) {
	t := time.NewTicker(d)
	defer t.Stop()
	for {
		f(ctx)
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// receive keeps a Receive running, with growing pauses after failures.
func (w *watch) receive(ctx context.Context) {
	pause := retryLeast
	for ctx.Err() == nil {
		run, cancel := context.WithCancel(ctx)
		w.mu.Lock()
		w.restart = cancel
		before := w.mark
		w.mu.Unlock()
		err := w.guarded(run)
		cancel()
		if ctx.Err() != nil {
			if err != nil && !errors.Is(err, context.Canceled) {
				w.log.Error("store the last of the log", "error", err)
			}
			return
		}
		if w.dropSlot(ctx) {
			pause = retryLeast
			continue
		}
		if err != nil {
			w.log.Warn("the log stopped; trying again", "error", err, "in", pause)
		}
		w.mu.Lock()
		if w.mark != before {
			pause = retryLeast // it worked for a while
		}
		w.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, retryMost)
	}
}

func (w *watch) guarded(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the log receiver broke: %v", p)
		}
	}()
	return w.Receive(ctx, LogEvents{Acknowledged: w.acknowledged, Heard: w.heardAt, Gap: func(g backup.Gap) { w.gap(ctx, g) }, Trouble: func(all []string) { w.trouble(ctx, all) }})
}

func (w *watch) acknowledged(m status.LogMark) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hear(m.At)
	if m.At.IsZero() {
		m.At = time.Now()
	}
	w.mark = m
}

// heardAt is told when log arrives that is not stored yet.
func (w *watch) heardAt(at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hear(at)
}

// hear notes that log arrived. Call with mu held.
func (w *watch) hear(at time.Time) {
	if at.IsZero() {
		at = time.Now()
	}
	if w.heard.IsZero() {
		close(w.arrived)
	}
	w.heard = later(w.heard, at)
}

// trouble shows what the receiver says is wrong. It is told often and mostly
// the same.
func (w *watch) trouble(ctx context.Context, all []string) {
	text := strings.Join(all, "; ")
	w.mu.Lock()
	same := w.toldOnce && text == w.told // the first word may end what the server before left
	w.told, w.toldOnce = text, true
	w.mu.Unlock()
	switch {
	case same:
	case text == "":
		w.clear(ctx, status.AlarmLog, "*")
	default:
		w.raise(ctx, status.Alarm{Code: status.AlarmLog, Detail: text, Next: "see that the target and the repository can be reached; refloat log status shows how far the log is"})
	}
}

// waitForLog gives the log a moment to begin before the first base backup, so
// that nothing lies between the two.
func (w *watch) waitForLog(ctx context.Context) {
	if w.NoLog {
		return
	}
	select {
	case <-w.arrived:
	case <-time.After(firstLog):
	case <-ctx.Done():
	}
}

// keepMark writes the latest mark to the store: often enough for a witness,
// rarely enough for a disk.
func (w *watch) keepMark(ctx context.Context) {
	w.mu.Lock()
	m, kept := w.mark, w.kept
	w.mu.Unlock()
	if m != kept {
		if err := w.mem.Acknowledge(ctx, w.Target, m); err != nil {
			w.complain(ctx, "record the log position", err)
			return
		}
		w.mu.Lock()
		w.kept = m
		w.mu.Unlock()
	}
	if w.streaming() {
		w.clear(ctx, status.AlarmLogStopped, "*")
	}
}

// streaming reports whether log, or an idle server's word, arrived lately.
func (w *watch) streaming() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.heard.IsZero() && time.Since(w.heard) <= stopAlarm
}

func (w *watch) gap(ctx context.Context, g backup.Gap) {
	key := g.From.String()
	w.record(ctx, "target/"+string(w.Target), "log.gap", g)
	w.raise(ctx, status.Alarm{
		Code: status.AlarmGap, Key: key, Detail: fmt.Sprintf("log from %s to %s is lost for good: %s", g.From, g.To, g.Reason),
		Next: "a new base backup is taken by itself; moments in the gap cannot be restored",
	})
	w.enqueue(ctx, w.Target, JobBackup, causeGap+key)
}

// beatOnce writes a beat; it has its own time limit, so that a server that
// hangs is noticed.
func (w *watch) beatOnce(ctx context.Context) {
	limited, cancel := context.WithTimeout(ctx, beatTimeout)
	defer cancel()
	began := time.Now()
	b, err := w.Beat(limited)
	if ctx.Err() != nil {
		return
	}
	if w.seen != nil && w.Write != nil {
		w.seen.Tell(ctx, w.Write(began, time.Since(began), err))
	}
	w.mu.Lock()
	last := w.beat.At
	if err == nil {
		w.beat = b
	} else if last.IsZero() {
		w.beat.At = time.Now() // the alarm counts from the first try
	}
	w.mu.Unlock()
	switch {
	case err == nil:
		if err := w.mem.PutBeat(ctx, w.Target, b); err != nil {
			w.complain(ctx, "record the heartbeat", err)
		}
		w.clear(ctx, status.AlarmHeartbeat, "*")
	case !last.IsZero() && time.Since(last) > beatAlarm:
		w.raise(ctx, status.Alarm{
			Code: status.AlarmHeartbeat, Detail: "the heartbeat cannot be written: " + err.Error(),
			Next: "see that the target is up and the role may write refloat.heartbeat (refloat init --grants)",
		})
	}
}

// watchLog raises the alarm when nothing arrives; err is why the server could
// not be asked, if so.
func (w *watch) watchLog(ctx context.Context, err error) {
	w.mu.Lock()
	quiet := time.Since(later(w.heard, w.since))
	w.mu.Unlock()
	if w.NoLog || quiet <= stopAlarm {
		return
	}
	detail := fmt.Sprintf("no log has arrived for %s", status.Age(quiet))
	if err != nil {
		detail += "; the target cannot be reached: " + err.Error()
	}
	w.raise(ctx, status.Alarm{Code: status.AlarmLogStopped, Detail: detail, Next: "see that the target and the repository can be reached; the server's log says more"})
}

// needOnce asks the repository whether a base backup is due. It finds what a
// kill between a gap and its backup left behind.
func (w *watch) needOnce(ctx context.Context) {
	w.mu.Lock()
	raises := w.raises
	w.mu.Unlock()
	reason, err := w.NeedsBackup(ctx)
	if err != nil {
		w.complain(ctx, "ask whether a base backup is due", err)
		return
	}
	if reason != "" {
		w.enqueue(ctx, w.Target, JobBackup, reason)
		return
	}
	w.raising.Lock()
	defer w.raising.Unlock()
	w.mu.Lock()
	same := raises == w.raises
	w.mu.Unlock()
	if !same {
		return // what was just raised may be newer than the answer
	}
	// Whoever took it, there is a base backup after all that was lost.
	w.clear(ctx, status.AlarmGap, "*")
	w.clear(ctx, status.AlarmSlotGone, "*")
}
