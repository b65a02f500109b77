package incident

import (
	"slices"
	"time"

	"github.com/refloat-db/refloat/internal/target"
)

// How a run of a way back ends.
const (
	RecoveryRecovered   = "recovered"    // every step is done, and every check of what came of it passed
	RecoveryNotVerified = "not verified" // every step is done, and not every check passed
	RecoveryAbandoned   = "abandoned"    // a person gave it up
)

// The bodies of the events of a guided recovery. A run is one way back that
// somebody chose.
type (
	// OfferedWay is a way back as it was shown when somebody chose.
	OfferedWay struct {
		Way         string         `json:"way"`
		Title       string         `json:"title"`
		Possible    bool           `json:"possible"` // no precondition failed
		Recommended bool           `json:"recommended,omitempty"`
		Time        *time.Duration `json:"time,omitempty"` // to serve again, as measured; absent where it was not
		Loss        *time.Duration `json:"loss,omitempty"` // work that is gone, as measured; absent where it was not
		Why         string         `json:"why,omitempty"`
	}
	// RecoveryProposed is the body of incident.recovery.proposed: what there was
	// to choose from.
	RecoveryProposed struct {
		Run    string       `json:"run"` // r1, r2, …
		Target string       `json:"target"`
		Reason string       `json:"reason"` // the kind of trouble that it was proposed for
		Ways   []OfferedWay `json:"ways"`
	}
	// PlannedStep is one step of a run, as it was shown before it was confirmed.
	PlannedStep struct {
		ID       string   `json:"id"`
		Title    string   `json:"title"`
		ByHand   bool     `json:"by_hand,omitempty"`  // a person does it and says so
		Commands []string `json:"commands,omitempty"` // exactly, to copy
	}
	// RecoveryChosen is the body of incident.recovery.chosen.
	RecoveryChosen struct {
		Run    string `json:"run"`
		Target string `json:"target"`
		Way    string `json:"way"`
		Title  string `json:"title"`
		To     string `json:"to,omitempty"`     // the point, as refloat restore takes it
		Into   string `json:"into,omitempty"`   // the directory that is written
		Backup string `json:"backup,omitempty"` // that it begins with; empty for the best
		// Despite is what whoever chose it said to a warning that needs an answer,
		// by the warning's name.
		Despite map[string]string `json:"despite,omitempty"`
		Server  []string          `json:"server"` // which server it acts on, as it was shown
		// Timeline is that of the server that is left: what was restored or promoted
		// goes on on a later one. 0 when it goes on itself, or that is not known.
		Timeline target.Timeline `json:"timeline,omitempty"`
		// Beat is the last heartbeat whose commit was acknowledged by then: what
		// comes of the run must have it.
		Beat  *target.Beat  `json:"last_heartbeat,omitempty"`
		Steps []PlannedStep `json:"steps"`
	}
	// RecoveryConfirmed is the body of incident.recovery.confirmed.
	RecoveryConfirmed struct {
		Run string `json:"run"`
		How string `json:"how"` // second person, or typed name
	}
	// RecoveryStep is the body of incident.recovery.step.started, .progress,
	// .done and .failed.
	RecoveryStep struct {
		Run    string        `json:"run"`
		Step   string        `json:"step"`
		Done   int64         `json:"done,omitempty"`  // bytes
		Total  int64         `json:"total,omitempty"` // bytes; 0 when unknown
		Left   time.Duration `json:"left,omitempty"`  // 0 when unknown
		Host   string        `json:"host,omitempty"`  // that runs it
		ByHand bool          `json:"by_hand,omitempty"`
		Detail string        `json:"detail,omitempty"`
		Output string        `json:"output,omitempty"` // of a command, without secrets
		Error  string        `json:"error,omitempty"`
		Next   string        `json:"next,omitempty"` // what to do about the error
	}
	// RecoveryCheck is one question that was put to what came of it.
	RecoveryCheck struct {
		Name    string `json:"name"`
		Title   string `json:"title"`
		Outcome string `json:"outcome"` // passed, failed, could not run, not asked
		Detail  string `json:"detail"`
	}
	// RecoveryVerified is the body of incident.recovery.verified.
	RecoveryVerified struct {
		Run     string          `json:"run"`
		Verdict string          `json:"verdict"` // proven, failed, inconclusive
		On      string          `json:"on"`      // what was asked: a copy of the directory, or the server that serves
		Summary string          `json:"summary"`
		Checks  []RecoveryCheck `json:"checks"`
		Loss    *time.Duration  `json:"loss,omitempty"`
		LossBy  string          `json:"loss_by,omitempty"` // how it was measured
	}
	// RecoveryEnded is the body of incident.recovery.ended.
	RecoveryEnded struct {
		Run     string `json:"run"`
		Outcome string `json:"outcome"`
		Why     string `json:"why,omitempty"`
	}
)

// StepState is how far a step is.
type StepState string

// The states of a step.
const (
	StepWaiting StepState = "waiting"
	StepRunning StepState = "running"
	StepDone    StepState = "done"
	StepFailed  StepState = "failed"
)

// Recovery is one run of a way back, folded from its events.
type Recovery struct {
	RecoveryChosen
	Reason       string            `json:"reason"`
	Ways         []OfferedWay      `json:"ways"`
	ChosenBy     string            `json:"chosen_by"`
	ChosenAt     time.Time         `json:"chosen_at"`
	Confirmed    string            `json:"confirmed,omitempty"` // how
	ConfirmedBy  string            `json:"confirmed_by,omitempty"`
	ConfirmedAt  time.Time         `json:"confirmed_at,omitzero"`
	Progress     []StepProgress    `json:"progress"` // one for each step, in order
	Verification *RecoveryVerified `json:"verification,omitempty"`
	VerifiedAt   time.Time         `json:"verified_at,omitzero"`
	Outcome      string            `json:"outcome,omitempty"`
	Why          string            `json:"why,omitempty"`
	EndedAt      time.Time         `json:"ended_at,omitzero"`
	EndedBy      string            `json:"ended_by,omitempty"`
	LastSeen     time.Time         `json:"last_seen"` // its last sign of life
}

// StepProgress is how far one step of a run is.
type StepProgress struct {
	RecoveryStep
	State   StepState `json:"state"`
	By      string    `json:"by,omitempty"`
	Started time.Time `json:"started,omitzero"`
	Ended   time.Time `json:"ended,omitzero"`
	Tries   int       `json:"tries,omitempty"`
}

// RecoveryStanding is how a run stands at a moment.
type RecoveryStanding string

// How a run can stand.
const (
	RecoveryUnconfirmed RecoveryStanding = "waits to be confirmed"
	RecoveryReady       RecoveryStanding = "confirmed, not running" // between two steps, or not begun
	RecoveryByHand      RecoveryStanding = "waits for a person"     // who does the next step and says so
	RecoveryRunning     RecoveryStanding = "running"
	RecoveryInterrupted RecoveryStanding = "interrupted" // whoever ran it is gone; it can be run again
	RecoveryFailed      RecoveryStanding = "failed"      // a step failed; it can be run again
	RecoveryOver        RecoveryStanding = "over"
)

// RecoverySilence is how long a step that runs may say nothing before it counts
// as interrupted. Whoever runs one says something at least every third of it.
const RecoverySilence = 45 * time.Second

// Standing is how the run stands. A step that began and of which nothing is
// heard any more is interrupted, never done.
func (r Recovery) Standing(now time.Time) RecoveryStanding {
	if !r.EndedAt.IsZero() {
		return RecoveryOver
	}
	if r.ConfirmedAt.IsZero() {
		return RecoveryUnconfirmed
	}
	i := r.Current()
	if i < 0 {
		return RecoveryReady
	}
	switch p := r.Progress[i]; {
	case p.State == StepRunning && now.Sub(r.LastSeen) > RecoverySilence:
		return RecoveryInterrupted
	case p.State == StepRunning:
		return RecoveryRunning
	case p.State == StepFailed:
		return RecoveryFailed
	}
	if r.Steps[i].ByHand {
		return RecoveryByHand
	}
	return RecoveryReady
}

// Current is the first step that is not done; -1 when all are.
func (r Recovery) Current() int {
	return slices.IndexFunc(r.Progress, func(p StepProgress) bool { return p.State != StepDone })
}

// Over reports that nothing of the run is left to do.
func (r Recovery) Over() bool { return !r.EndedAt.IsZero() }

// Recovery finds a run; nil when there is none.
func (s State) Recovery(run string) *Recovery {
	for i := range s.Recoveries {
		if s.Recoveries[i].Run == run {
			return &s.Recoveries[i]
		}
	}
	return nil
}

// step finds a step of a run; nil when there is none.
func (r *Recovery) step(id string) *StepProgress {
	if r == nil {
		return nil
	}
	for i := range r.Progress {
		if r.Progress[i].Step == id {
			return &r.Progress[i]
		}
	}
	return nil
}

func (s *State) propose(b RecoveryProposed) {
	if s.Recovery(b.Run) != nil {
		return
	}
	ways := b.Ways
	if ways == nil {
		ways = []OfferedWay{}
	}
	s.Recoveries = append(s.Recoveries, Recovery{RecoveryChosen: RecoveryChosen{Run: b.Run, Target: b.Target, Server: []string{}, Steps: []PlannedStep{}}, Reason: b.Reason, Ways: ways, Progress: []StepProgress{}})
}

func (s *State) choose(e Event, b RecoveryChosen) {
	r := s.Recovery(b.Run)
	if r == nil {
		s.propose(RecoveryProposed{Run: b.Run, Target: b.Target})
		r = s.Recovery(b.Run)
	}
	if !r.ChosenAt.IsZero() {
		return
	}
	if b.Server == nil {
		b.Server = []string{}
	}
	if b.Steps == nil {
		b.Steps = []PlannedStep{}
	}
	r.RecoveryChosen, r.ChosenBy, r.ChosenAt, r.LastSeen = b, e.Actor, e.Time, e.Time
	for _, p := range b.Steps {
		r.Progress = append(r.Progress, StepProgress{RecoveryStep: RecoveryStep{Run: b.Run, Step: p.ID, ByHand: p.ByHand}, State: StepWaiting})
	}
}

func (s *State) confirm(e Event, b RecoveryConfirmed) {
	if r := s.Recovery(b.Run); r != nil && r.ConfirmedAt.IsZero() {
		r.Confirmed, r.ConfirmedBy, r.ConfirmedAt, r.LastSeen = b.How, e.Actor, e.Time, e.Time
	}
}

// stepped takes what was told of a step. What is done stays done.
func (s *State) stepped(e Event, b RecoveryStep, to StepState) {
	r := s.Recovery(b.Run)
	p := r.step(b.Step)
	if p == nil || p.State == StepDone {
		return
	}
	r.LastSeen = e.Time
	began, again := e.Kind == KindStepStarted, p.Started
	p.RecoveryStep, p.State, p.By = b, to, e.Actor
	switch {
	case began:
		p.Started, p.Ended, p.Tries = e.Time, time.Time{}, p.Tries+1
	case to != StepRunning:
		p.Ended = e.Time
		if again.IsZero() {
			p.Started = e.Time
		}
	}
}

func (s *State) verified(e Event, b RecoveryVerified) {
	if r := s.Recovery(b.Run); r != nil {
		if b.Checks == nil {
			b.Checks = []RecoveryCheck{}
		}
		r.Verification, r.VerifiedAt, r.LastSeen = &b, e.Time, e.Time
	}
}

func (s *State) endRecovery(e Event, b RecoveryEnded) {
	if r := s.Recovery(b.Run); r != nil && r.EndedAt.IsZero() {
		r.Outcome, r.Why, r.EndedAt, r.EndedBy = b.Outcome, b.Why, e.Time, e.Actor
	}
}
