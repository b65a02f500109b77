package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/gofrs/flock"

	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/recovery"
)

// aliveEvery is how often a step that runs gives a sign of life.
const aliveEvery = incident.RecoverySilence / 3

// ErrByHand means that a run waits for a person to do its next step.
var ErrByHand = errors.New("the next step is for a person")

// ErrNotVerified means that not every check of what came of a recovery passed.
var ErrNotVerified = errors.New("not verified")

// RecoveryProgress is told as a run goes on.
type RecoveryProgress struct {
	Run, Step, Title string
	Number, Of       int   // of the step, and how many there are
	Done, Total      int64 // bytes; 0 when unknown
	Left             time.Duration
	Detail           string // set when the step has ended
}

// ChooseRecovery chooses a way back, as a person. Nothing is begun before it is
// confirmed. It returns the run, like r1.
func (a *App) ChooseRecovery(ctx context.Context, q RecoveryAsk, way recovery.Name, by string) (_ Incident, run string, err error) {
	if by, err = actor(by); err != nil {
		return Incident{}, "", err
	}
	s, err := a.writable(ctx)
	if err != nil {
		return Incident{}, "", err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	x, err := loadIncident(ctx, s, q.Incident)
	if err != nil {
		return Incident{}, "", err
	}
	o, err := a.offerOf(ctx, s, x, q)
	if err != nil {
		return x, "", err
	}
	c, err := choice(o, q, way)
	if err != nil {
		return x, "", err
	}
	x, _, err = incident.Act(ctx, incidentLog{s}, x.ID, c, by, time.Now())
	if err != nil {
		return x, "", err
	}
	return x, x.Recoveries[len(x.Recoveries)-1].Run, nil
}

// choice is a way of an offer as a command, or why it cannot be chosen.
func choice(o RecoveryOffer, q RecoveryAsk, way recovery.Name) (incident.ChooseRecovery, error) {
	w := recovery.Find(o.Ways, way)
	if w == nil {
		return incident.ChooseRecovery{}, fmt.Errorf("%w: there is no way %q for this; there are %s", ErrUsage, way, join(recovery.Names()))
	}
	if p := w.Failing(); p != nil {
		return incident.ChooseRecovery{}, fmt.Errorf("%w: %s is not possible now: %s: %s", incident.ErrRefused, w.Name, p.Title, p.Detail)
	}
	if w.Name == recovery.RestoreLatest || w.Name == recovery.RestoreTo {
		if q.Into == "" {
			return incident.ChooseRecovery{}, fmt.Errorf("%w: say where to restore into: --into DIRECTORY", ErrUsage)
		}
	}
	c := incident.ChooseRecovery{
		Proposed: incident.RecoveryProposed{Reason: string(o.Reason), Ways: []incident.OfferedWay{}},
		Chosen:   incident.RecoveryChosen{Target: o.Target, Way: string(w.Name), Title: w.Title, To: q.To, Into: o.facts.Place.Dir, Backup: q.Backup, Despite: map[string]string{}},
	}
	switch f := o.facts; w.Name {
	case recovery.RestoreLatest:
		c.Chosen.Timeline = f.Latest.Value.Timeline
	case recovery.RestoreTo:
		c.Chosen.Timeline = f.Point.Value.Timeline
	case recovery.Promote:
		if f.Standby != nil && f.Standby.Card.Position.Seen {
			c.Chosen.Timeline = f.Standby.Card.Position.Value.Timeline
		}
	}
	if b := o.facts.LastBeat; b.Seen {
		c.Chosen.Beat = &b.Value
	}
	for _, x := range o.Ways {
		offered := incident.OfferedWay{Way: string(x.Name), Title: x.Title, Possible: x.Possible(), Recommended: x.Recommended, Why: x.Why}
		if x.Time.Known {
			offered.Time = &x.Time.Value
		}
		if x.Loss.Known {
			offered.Loss = &x.Loss.Value
		}
		c.Proposed.Ways = append(c.Proposed.Ways, offered)
	}
	for k, v := range q.Answers {
		if strings.TrimSpace(v) != "" {
			c.Chosen.Despite[k] = strings.TrimSpace(v)
		}
	}
	for _, card := range o.Cards {
		c.Chosen.Server = append(c.Chosen.Server, card.Lines()...)
	}
	for _, st := range w.Steps {
		p := incident.PlannedStep{ID: st.ID, Title: st.Title, ByHand: st.ByHand}
		for _, x := range st.Commands {
			text := x.Text
			if x.On != "" && x.On != "this machine" {
				text += "   # on " + x.On
			}
			p.Commands = append(p.Commands, text)
		}
		c.Chosen.Steps = append(c.Chosen.Steps, p)
	}
	return c, nil
}

// ConfirmRecovery lets a run begin. A second person confirms with an empty
// typed; whoever chose it types the name of the target.
func (a *App) ConfirmRecovery(ctx context.Context, name, run, typed, by string) (Incident, error) {
	if typed == "" { // a second person must be one whom others know
		if err := a.knownPerson(by); err != nil {
			return Incident{}, err
		}
	}
	return a.ActOnIncident(ctx, name, incident.ConfirmRecovery{Run: run, Typed: typed}, by)
}

// AbandonRecovery gives a run up.
func (a *App) AbandonRecovery(ctx context.Context, name, run, why, by string) (Incident, error) {
	return a.ActOnIncident(ctx, name, incident.EndRecovery{RecoveryEnded: incident.RecoveryEnded{Run: run, Outcome: incident.RecoveryAbandoned, Why: strings.TrimSpace(why)}}, by)
}

// RecoveryStepDone says that a person did a step by hand; what came of it is
// verified by the steps after it.
func (a *App) RecoveryStepDone(ctx context.Context, name, run, step, detail, by string) (Incident, error) {
	return a.ActOnIncident(ctx, name, incident.TellStep{RecoveryStep: incident.RecoveryStep{Run: run, Step: step, ByHand: true, Detail: strings.TrimSpace(detail)}, Kind: incident.KindStepDone}, by)
}

// runner does the steps of one run.
type runner struct {
	a    *App
	s    Store
	id   string // of the incident
	by   string
	host string
	tell func(RecoveryProgress)
	q    RecoveryAsk
	x    Incident
	run  string
}

// RunRecovery does the steps of a confirmed run, one after the other, each
// written down before and after, until the run is over or a person has to do
// something (ErrByHand). It blocks; ctx is the life of the run, so that a server
// gives its own and not that of a request. What was cut off or failed is done again from the step
// at which it stopped. ErrNotVerified when it is over and not every check passed.
func (a *App) RunRecovery(ctx context.Context, name, run, by string, tell func(RecoveryProgress)) (_ Incident, err error) {
	if by, err = actor(by); err != nil {
		return Incident{}, err
	}
	s, err := a.writable(ctx)
	if err != nil {
		return Incident{}, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	r := &runner{a: a, s: s, id: incidentID(name), by: by, tell: tell, run: run}
	if r.host, err = os.Hostname(); err != nil {
		r.host = "unknown"
	}
	if r.tell == nil {
		r.tell = func(RecoveryProgress) {}
	}
	free, err := a.lockRun(r.id, run)
	if err != nil {
		return Incident{}, err
	}
	defer func() { err = errors.Join(err, free()) }()
	if r.x, err = loadIncident(ctx, s, name); err != nil {
		return r.x, err
	}
	v := r.x.Recovery(run)
	if v == nil {
		return r.x, fmt.Errorf("%w: there is no run %s in %s", ErrUsage, run, r.x.ID)
	}
	r.q = RecoveryAsk{Incident: r.x.ID, Target: v.Target, Reason: recovery.Reason(v.Reason), To: v.To, Into: v.Into, Backup: v.Backup, Answers: v.Despite}
	err = r.steps(ctx)
	return r.x, err
}

// lockRun takes a run for this process. The operating system lets go of it when
// the process ends, however it ends.
func (a *App) lockRun(id, run string) (func() error, error) {
	if err := os.MkdirAll(a.cfg.StateDir, 0o700); err != nil {
		return nil, fmt.Errorf("take %s of %s: %w", run, id, err)
	}
	l := flock.New(filepath.Join(a.cfg.StateDir, "recovery-"+id+"-"+run+".lock"), flock.SetPermissions(0o600))
	ok, err := l.TryLock()
	if err != nil {
		return nil, fmt.Errorf("take %s of %s: %w", run, id, err)
	}
	if !ok {
		return nil, fmt.Errorf("%w: another process on this machine runs %s of %s", incident.ErrRefused, run, id)
	}
	return l.Unlock, nil
}

// standing is how a run stands, as this machine can tell: where whoever runs it
// should be here, and nobody holds it, it is interrupted at once.
func (a *App) standing(id string, v incident.Recovery, now time.Time) incident.RecoveryStanding {
	at := v.Standing(now)
	i := v.Current()
	if at != incident.RecoveryRunning || i < 0 {
		return at
	}
	host, err := os.Hostname()
	if err != nil || v.Progress[i].Host != host {
		return at
	}
	path := filepath.Join(a.cfg.StateDir, "recovery-"+id+"-"+v.Run+".lock")
	if _, err := os.Stat(path); err != nil {
		return at
	}
	l := flock.New(path, flock.SetFlag(os.O_RDONLY))
	free, err := l.TryRLock()
	if err != nil || !free {
		return at
	}
	if err := l.Unlock(); err != nil {
		return at
	}
	return incident.RecoveryInterrupted
}

func (r *runner) recovery() *incident.Recovery { return r.x.Recovery(r.run) }

// act does one thing in the incident, also when the run is being cancelled: what
// happened is written down.
func (r *runner) act(ctx context.Context, c incident.Command) error {
	x, _, err := incident.Act(context.WithoutCancel(ctx), incidentLog{r.s}, r.id, c, r.by, time.Now())
	if err == nil {
		r.x = x
	}
	return err
}

func (r *runner) steps(ctx context.Context) error {
	for {
		v := r.recovery()
		switch i := v.Current(); {
		case v.Over():
			return fmt.Errorf("%w: %s of %s is over: %s", incident.ErrNothing, r.run, r.id, v.Outcome)
		case v.ConfirmedAt.IsZero():
			return fmt.Errorf("%w: %s of %s was not confirmed: a second person does (--confirm %s --as NAME), or whoever chose it types the target's name (--confirm-target)", incident.ErrRefused, r.run, r.id, r.run)
		case i < 0:
			return r.end(ctx)
		case v.Steps[i].ByHand:
			return fmt.Errorf("%w: %s", ErrByHand, v.Steps[i].Title)
		default:
			if err := r.step(ctx, i); err != nil {
				return err
			}
		}
	}
}

// end closes a run all of whose steps are done.
func (r *runner) end(ctx context.Context) error {
	v := r.recovery()
	e := incident.RecoveryEnded{Run: r.run, Outcome: incident.RecoveryRecovered}
	if v.Verification == nil || v.Verification.Verdict != string(Proven) {
		e.Outcome, e.Why = incident.RecoveryNotVerified, "not every check passed"
	}
	if err := r.act(ctx, incident.EndRecovery{RecoveryEnded: e}); err != nil {
		return err
	}
	if e.Outcome != incident.RecoveryRecovered {
		return fmt.Errorf("%w: %s", ErrNotVerified, v.Verification.Summary)
	}
	return nil
}

// step does one step: written down, done, written down. While it runs it gives
// signs of life, so that one that was cut off is seen to be.
func (r *runner) step(ctx context.Context, i int) error {
	v := r.recovery()
	p, before := v.Steps[i], v.Progress[i]
	at := incident.RecoveryStep{Run: r.run, Step: p.ID, Host: r.host}
	gone := before.Host == "" || before.Host == r.host // we hold its lock
	if err := r.act(ctx, incident.TellStep{RecoveryStep: at, Kind: incident.KindStepStarted, Gone: gone}); err != nil {
		return err
	}
	work := &stepWork{runner: r, at: at, began: time.Now(), again: before.Tries > 0, shown: RecoveryProgress{Run: r.run, Step: p.ID, Title: p.Title, Number: i + 1, Of: len(v.Steps)}}
	work.progress(0, 0)
	stop := work.live(ctx)
	detail, output, err := work.do(ctx)
	stop()
	at.Done, at.Total = work.bytes()
	at.Output = r.a.redacted(output)
	if err != nil {
		at.Error = r.a.redacted(err.Error())
		at.Next = Explain(err).Next
		if errors.Is(err, context.Canceled) {
			at.Next = "run it again when you like: what is there is gone on with"
		}
		return errors.Join(fmt.Errorf("step %s: %w", p.ID, err), r.act(ctx, incident.TellStep{RecoveryStep: at, Kind: incident.KindStepFailed}))
	}
	at.Detail = r.a.redacted(detail)
	if err := r.act(ctx, incident.TellStep{RecoveryStep: at, Kind: incident.KindStepDone}); err != nil {
		return err
	}
	work.shown.Detail = at.Detail
	work.progress(at.Done, at.Total)
	return nil
}

// redacted takes secrets out of what others wrote.
func (a *App) redacted(s string) string {
	for _, x := range a.secrets() {
		if plain := x.Reveal(); len(plain) > 2 {
			s = strings.ReplaceAll(s, plain, "[redacted]")
		}
	}
	return s
}

// stepWork is one step under way.
type stepWork struct {
	*runner
	at    incident.RecoveryStep
	began time.Time
	again bool // it was begun before

	mu          sync.Mutex
	rate        float64 // bytes a second, as the last proof measured it
	done, total int64
	shown       RecoveryProgress
}

func (w *stepWork) progress(done, total int64) {
	w.mu.Lock()
	w.done, w.total = done, total
	w.shown.Done, w.shown.Total = done, total
	w.shown.Left = recovery.Left(done, total, time.Since(w.began), w.rate)
	shown := w.shown
	w.mu.Unlock()
	w.tell(shown)
}

func (w *stepWork) bytes() (done, total int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.done, w.total
}

func (w *stepWork) left() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return recovery.Left(w.done, w.total, time.Since(w.began), w.rate)
}

// atRate says how fast it went before.
func (w *stepWork) atRate(rate float64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rate = rate
}

// live writes signs of life until it is stopped.
func (w *stepWork) live(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		every(ctx, aliveEvery, func(ctx context.Context) {
			at := w.at
			at.Done, at.Total = w.bytes()
			at.Left = w.left()
			if at.Total == 0 && at.Done == 0 && time.Since(w.began) < aliveEvery/2 {
				return // it has only begun
			}
			// The state is that of the step's goroutine: this one only adds.
			if _, _, err := incident.Act(ctx, incidentLog{w.s}, w.id, incident.TellStep{RecoveryStep: at, Kind: incident.KindStepProgress}, w.by, time.Now()); err != nil && ctx.Err() == nil {
				w.a.log.WarnContext(ctx, "a sign of life of the recovery could not be written", "incident", w.id, "error", err)
			}
		})
	}()
	return func() { cancel(); <-ended }
}
