package monitor

import (
	"context"
	"sync"
	"time"

	"github.com/refloat-db/refloat/internal/target"
)

// Eyes look at one server. Both methods return when ctx ends and may be called
// from several goroutines.
type Eyes interface {
	// Look looks once over a connection of its own. It ends by itself when
	// patience passes without a sign of life.
	Look(ctx context.Context, patience time.Duration) target.Look
	// Hold keeps a session and looks through it: at once, then every so often.
	// It tells of a look that is not answered within patience, and again when the
	// answer comes. It returns when the session has ended, after it has told why.
	Hold(ctx context.Context, every time.Duration, patience func() time.Duration, tell func(target.Look))
}

// Options are what a Watcher is given.
type Options struct {
	Target target.ID
	Eyes   Eyes
	Rules  Rules
	Every  time.Duration // between looks through the held session; default 500 ms
	Fresh  time.Duration // between looks over a fresh connection while all is well; default 10 s
	Pulse  *Pulse        // tells whether this process itself was held up; may be shared; nil for none
	// On is told of each change, in order, by one goroutine. It must not block.
	On func(Event)
	// Resume is an outage that was open when the last process ended.
	Resume *Outage
}

// The driver's pace.
const (
	defaultEvery = 500 * time.Millisecond
	defaultFresh = 10 * time.Second
	verifyEvery  = 50 * time.Millisecond // between verifying looks
	verifyMost   = 3                     // of them at once
	verifyLong   = 30 * time.Second      // and for so long
	downEvery    = 500 * time.Millisecond
	returnEvery  = 250 * time.Millisecond
	holdAgain    = time.Second // between held sessions
)

// Watcher watches one target. Make it with NewWatcher; Run drives it.
type Watcher struct {
	o     Options
	looks chan target.Look
	held  chan struct{} // the held session has ended

	mu                   sync.Mutex // guards what Standing reads, and patience
	patient, patientHeld Patience   // from fresh looks, and from those through the held session
	m                    *Machine
	sawAt                time.Time // a look last told anything; the start before the first
	blind                string    // why the last one told nothing

	flying  int // fresh looks in the air; Run's goroutine only
	holding bool
	holdAt  time.Time
	letGo   context.CancelFunc // ends the held session
	mute    bool               // the held session was asked and has not answered
	nextAt  time.Time
	work    sync.WaitGroup
}

// NewWatcher prepares a watcher; nothing happens before Run.
func NewWatcher(o Options) *Watcher {
	if o.Every <= 0 {
		o.Every = defaultEvery
	}
	if o.Fresh <= 0 {
		o.Fresh = defaultFresh
	}
	if o.On == nil {
		o.On = func(Event) {}
	}
	w := &Watcher{o: o, looks: make(chan target.Look, 16), held: make(chan struct{}, 1), m: NewMachine(o.Target, o.Rules), patient: Patience{Least: o.Rules.Patience}, patientHeld: Patience{Least: o.Rules.Patience}}
	w.sawAt = time.Now()
	if o.Resume != nil {
		w.m.Resume(*o.Resume)
	}
	return w
}

// Standing is how the target stands at this moment.
type Standing struct {
	Target target.ID   `json:"target"`
	State  State       `json:"state"` // unknown while Blind, but for an open outage
	Last   target.Look `json:"last"`
	Outage *Outage     `json:"outage,omitempty"` // that is open
	// Blind says why nothing has been seen for BlindAfter; empty otherwise. What
	// was seen before is no news of now.
	Blind string `json:"blind,omitempty"`
}

// BlindAfter is how long a watcher may see nothing at all before it says so.
const BlindAfter = 45 * time.Second

// Standing may be called from any goroutine.
func (w *Watcher) Standing(now time.Time) Standing {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := Standing{Target: w.o.Target, State: w.m.State(), Last: w.m.Last()}
	if o, open := w.m.Outage(); open {
		s.Outage = &o
	}
	if now.Sub(w.sawAt) > BlindAfter {
		s.Blind = w.blind
		if s.Blind == "" {
			s.Blind = "no look has ended"
		}
		if s.Outage == nil {
			s.State = Unknown
		}
	}
	return s
}

// Tell adds a look that somebody else made, for example a write. It never
// blocks for long.
func (w *Watcher) Tell(ctx context.Context, l target.Look) {
	select {
	case w.looks <- l:
	case <-ctx.Done():
	}
}

// Ask looks once over a fresh connection, for somebody else.
func (w *Watcher) Ask(ctx context.Context) target.Look {
	l := w.o.Eyes.Look(ctx, w.patience())
	if w.o.Rules.Standby && l.Sees == target.ReadOnly {
		l.Sees = target.Serving
	}
	if w.o.Pulse.HeldUp(l.At, l.End()) > w.o.Rules.Patience/4 && l.Sees != target.Serving {
		l.Sees, l.Detail = target.Blind, "this process was held up"
	}
	return l
}

// Run watches until ctx ends, and leaves no goroutine behind.
func (w *Watcher) Run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer w.work.Wait()
	defer cancel()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case l := <-w.looks:
			w.see(l)
		case <-w.held:
			w.letGo()
			w.holding, w.mute = false, false
		case <-timer.C:
		}
		timer.Reset(w.act(ctx, time.Now()))
	}
}

func (w *Watcher) see(l target.Look) {
	if l.Fresh {
		w.flying = max(0, w.flying-1)
	}
	if (quiet(l.Sees) || l.Sees == target.Stalled) && w.o.Pulse.HeldUp(l.At, l.End()) > w.o.Rules.Patience/4 {
		l.Sees, l.Detail = target.Blind, "this process was held up" // it was we who did not look
	}
	if !l.Fresh && !l.Write {
		w.mute = l.Sees == target.Silent
	}
	if l.Fresh && l.Sees == target.Serving && w.mute && w.letGo != nil {
		w.letGo() // the server answers others: this session is lost on the way
	}
	w.mu.Lock()
	if l.Sees == target.Blind {
		w.blind = l.Detail
	} else if !l.Write {
		w.sawAt, w.blind = time.Now(), ""
	}
	before := w.m.State()
	switch {
	case l.Sees != target.Serving || l.Write || before != Up: // an outage is not how it usually is
	case l.Fresh:
		w.patient.Learn(l.Took)
	default:
		w.patientHeld.Learn(3 * l.Took) // a fresh look takes some round trips more
	}
	events := w.m.See(l)
	after := w.m.State()
	w.mu.Unlock()
	if before != after {
		w.nextAt = time.Time{} // another state, another pace: at once
	}
	for _, e := range events {
		w.o.On(e)
	}
}

// act starts what is due and says when to look again.
func (w *Watcher) act(ctx context.Context, now time.Time) time.Duration {
	every, most := w.pace()
	if !w.nextAt.After(now) {
		if w.flying < most {
			w.look(ctx)
		}
		w.nextAt = now.Add(every)
	}
	w.mu.Lock()
	state := w.m.State()
	w.mu.Unlock()
	if (state == Up || state == Recovering) && !w.holding && now.Sub(w.holdAt) >= holdAgain {
		w.hold(ctx, now)
	}
	wait := w.nextAt.Sub(now)
	if !w.holding {
		wait = min(wait, holdAgain)
	}
	return wait
}

// pace is how often fresh looks are made now, and how many at once.
func (w *Watcher) pace() (every time.Duration, most int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch w.m.State() {
	case Suspect:
		switch {
		case !w.m.Verifying():
			return w.o.Fresh, 1 // only a write tells
		case time.Since(w.m.SuspectSince()) > verifyLong:
			return holdAgain, 1 // it cannot be decided: no reason to storm the server
		}
		return verifyEvery, verifyMost
	case Down:
		return downEvery, 1
	case Recovering:
		return returnEvery, 1
	case Unknown:
		return holdAgain, 1
	default:
		return w.o.Fresh, 1
	}
}

func (w *Watcher) patience() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return max(w.patient.Now(), w.patientHeld.Now())
}

func (w *Watcher) look(ctx context.Context) {
	w.flying++
	patience := w.patience()
	w.work.Go(func() {
		l := w.o.Eyes.Look(ctx, patience)
		l.Fresh = true
		w.Tell(ctx, l)
	})
}

func (w *Watcher) hold(ctx context.Context, now time.Time) {
	w.holding, w.holdAt, w.mute = true, now, false
	ctx, w.letGo = context.WithCancel(ctx)
	w.work.Go(func() {
		w.o.Eyes.Hold(ctx, w.o.Every, func() time.Duration { return w.patience() / 3 }, func(l target.Look) {
			l.Fresh = false
			w.Tell(ctx, l)
		})
		w.held <- struct{}{} // room for one, and there is one session
	})
}
