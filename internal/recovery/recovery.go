// Package recovery says which ways back there are for a server that is in
// trouble, what each costs by what was measured, what speaks against it, and
// which server it would act on. Everything here is pure: facts in, ways out.
package recovery

import (
	"fmt"
	"time"

	"github.com/refloat-db/refloat/internal/proof"
	"github.com/refloat-db/refloat/internal/restore"
	"github.com/refloat-db/refloat/internal/target"
)

// Reason is the kind of trouble that a way back is looked for.
type Reason string

// The reasons.
const (
	Crash         Reason = "crash"          // nobody listens, or connections end without a word
	Starting      Reason = "starting"       // it refuses sessions while it starts or recovers
	Hang          Reason = "hang"           // it lives and does not answer
	Unreachable   Reason = "unreachable"    // nothing comes back from its host
	NoConnections Reason = "no-connections" // no connection is free
	DiskFull      Reason = "disk-full"
	ReadOnly      Reason = "read-only" // it answers and takes no writes
	Denied        Reason = "denied"    // it does not let us in
	Failing       Reason = "failing"   // it answers with errors
	DataDeleted   Reason = "data-deleted"
	Unknown       Reason = "unknown"
)

// Reasons are all of them.
func Reasons() []Reason {
	return []Reason{Crash, Starting, Hang, Unreachable, NoConnections, DiskFull, ReadOnly, Denied, Failing, DataDeleted, Unknown}
}

// ReasonOf is the reason that a look of the watch stands for.
func ReasonOf(s target.Sees) Reason {
	switch s {
	case target.Refused, target.Broken:
		return Crash
	case target.Starting, target.Stopping:
		return Starting
	case target.Silent, target.Stalled, target.WriteHangs:
		return Hang
	case target.Unreachable:
		return Unreachable
	case target.Full:
		return NoConnections
	case target.DiskFull:
		return DiskFull
	case target.ReadOnly:
		return ReadOnly
	case target.Denied:
		return Denied
	case target.Failing:
		return Failing
	}
	return Unknown
}

// Figure is a span that was measured, or the reason why none was. A figure that
// is not known is never shown as a number.
type Figure struct {
	Known bool          `json:"known"`
	Value time.Duration `json:"value,omitempty"`
	From  string        `json:"from,omitempty"` // what measured it
	At    time.Time     `json:"at,omitzero"`    // when
	Age   time.Duration `json:"age,omitempty"`
	Stale bool          `json:"stale,omitempty"` // older than promised
	Why   string        `json:"why,omitempty"`   // why it was not measured
}

func unmeasured(format string, args ...any) Figure { return Figure{Why: fmt.Sprintf(format, args...)} }

// Name names a way back.
type Name string

// The ways.
const (
	Wait          Name = "wait"           // for crash recovery
	Restart       Name = "restart"        // the server
	Mend          Name = "mend"           // what it lacks, in place
	Promote       Name = "promote"        // the standby
	RestoreLatest Name = "restore-latest" // to the end of the log
	RestoreTo     Name = "restore-to"     // just before a moment, a transaction or a position
)

// Names are all of them.
func Names() []Name { return []Name{Wait, Restart, Mend, Promote, RestoreLatest, RestoreTo} }

// Met says whether a precondition holds.
type Met string

// A precondition holds, does not, or could not be looked at.
const (
	Holds   Met = "holds"
	Fails   Met = "fails"
	NotSeen Met = "unknown"
)

// Precondition is what must hold for a way to lead back.
type Precondition struct {
	Name   string `json:"name"` // stable
	Title  string `json:"title"`
	Met    Met    `json:"met"`
	Detail string `json:"detail"`
}

// Command is one that a person can copy.
type Command struct {
	Title string `json:"title"`
	Text  string `json:"text"`
	On    string `json:"on,omitempty"` // the host
}

// Step is one step of a way. What is granted runs by itself; what is not is for
// a person, who says when it is done.
type Step struct {
	ID       string    `json:"id"`
	Title    string    `json:"title"`
	ByHand   bool      `json:"by_hand,omitempty"`
	Commands []Command `json:"commands"`
}

// The steps that ways are made of.
const (
	StepRestore  = "restore"  // into the directory
	StepCheck    = "check"    // a throw-away copy of the directory
	StepStart    = "start"    // a server on the directory
	StepRestart  = "restart"  // the server
	StepPromote  = "promote"  // the standby
	StepMend     = "mend"     // by hand
	StepAnswers  = "answers"  // wait until the server serves
	StepVerify   = "verify"   // ask the server that serves, reading only
	StepIdentify = "identify" // look again at which server it is
)

// Way is one way back.
type Way struct {
	Name          Name           `json:"way"`
	Title         string         `json:"title"`
	Time          Figure         `json:"time"`               // to serve again
	Estimate      *time.Duration `json:"estimate,omitempty"` // the same, scaled to today's sizes
	Loss          Figure         `json:"loss"`               // work that is gone
	Gap           Figure         `json:"gap"`                // between what can be restored and the beginning of the outage
	Risks         []string       `json:"risks"`
	Preconditions []Precondition `json:"preconditions"`
	Steps         []Step         `json:"steps"`
	Recommended   bool           `json:"recommended"`
	Why           string         `json:"why"` // it is recommended, or is not
}

// Possible reports that nothing is known to stand in its way.
func (w Way) Possible() bool { return w.Failing() == nil }

// Failing is the first precondition that fails; nil when none does.
func (w Way) Failing() *Precondition {
	for i := range w.Preconditions {
		if w.Preconditions[i].Met == Fails {
			return &w.Preconditions[i]
		}
	}
	return nil
}

// Grants are what the configuration lets Refloat do by itself.
type Grants struct {
	Restart, Start, Promote []string // commands, word by word; none is not granted
	PromoteSQL              bool
}

// Place is where a restore would go.
type Place struct {
	Dir       string               // empty when nobody said
	Holds     target.Known[string] // nothing, an unfinished restore, something else, a running server; see the constants
	Free      target.Known[int64]  // bytes
	CheckDir  string               // where a copy of it is checked
	CheckFree target.Known[int64]  // bytes there
	Binaries  target.Known[string] // folder of programs of the right version
	Owner     string               // user that the files go to
	Program   string               // how refloat is called, with its configuration
	Backup    string               // to begin with; empty for the best
}

// What can be where a restore would go.
const (
	HoldsNothing    = "nothing"
	HoldsUnfinished = "an unfinished restore of this cluster"
	HoldsOther      = "something else"
	HoldsServer     = "a running server"
)

// Standby is one that may take over.
type Standby struct {
	Name  string // as it is configured, or as the primary called it
	DSN   string // without a password; empty when it is not configured
	Card  Card
	Right target.Known[bool] // our role there may call pg_promote()
}

// Facts are all that ways are made from.
type Facts struct {
	Now        time.Time
	Target     target.ID
	Reason     Reason
	Began      time.Time          // the first bad look; zero when none was
	Serves     target.Known[bool] // now
	Server     Card               // the target's own
	Standby    *Standby           // nil when none is known
	Latest     target.Known[restore.Plan]
	Point      target.Known[restore.Plan] // to the point that was asked for
	Asked      string                     // that point, as a restore takes it; empty for none
	Restorable target.Known[time.Time]    // the newest moment that can be restored
	LastBeat   target.Known[target.Beat]  // whose commit was acknowledged
	Proof      *proof.Proof               // the last; nil for none
	ProofNote  string                     // why there is none, when it could not be read
	Objectives proof.Objectives
	Grants     Grants
	Place      Place
	Service    Service
	// Answers are what a person said to a question that a way asks, by its name.
	Answers map[string]string
}

// The questions that ways ask; each is answered with a reason.
const (
	AskFenced        = "fenced"         // the old primary cannot come back
	AskSecondPrimary = "second-primary" // a second primary is wanted beside one that lives
	AskNotEmpty      = "not-empty"      // the directory may be turned into the restored cluster
)

// Service is how the target's server is run, for commands by hand.
type Service struct {
	Host   string // where it runs, as it is reached
	Here   bool   // on this machine
	User   string // that runs it; empty for postgres
	BinDir string
	Unit   string // of systemd; empty when it is not known
}

// Ways are the ways back, each with what speaks against it, at most one of them
// recommended. The order is that of the list, the recommended one first.
func Ways(f Facts) []Way {
	all := []Way{wait(f), restart(f)}
	if w, fits := mend(f); fits {
		all = append(all, w)
	}
	all = append(all, promote(f), restoreLatest(f), restoreTo(f))
	return recommend(f, all)
}
