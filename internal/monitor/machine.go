// Package monitor decides from looks at a target whether it serves: a pure
// state machine over observations, and the driver that makes them. A first bad
// look is verified at once over fresh connections; one lost packet or one slow
// answer confirms nothing.
package monitor

import (
	"slices"
	"time"

	"github.com/refloat-db/refloat/internal/target"
)

// State is where a target stands.
type State string

// The states, in the order in which an outage goes through them.
const (
	Unknown    State = "unknown" // never seen to serve yet
	Up         State = "up"
	Suspect    State = "suspect"
	Down       State = "down"
	Recovering State = "recovering"
)

// Rules say how much evidence makes a verdict. The zero value is not usable;
// see DefaultRules.
type Rules struct {
	// Patience is the least time without any sign of life after which a look
	// counts as silent. A slower link earns more (see Patience.Now).
	Patience time.Duration
	// Stable is how long a target serves again before its outage is over.
	Stable time.Duration
	// Flapping is the number of outages within FlapWithin after which the next
	// one stays open until the target has served for FlapStable.
	Flapping               int
	FlapWithin, FlapStable time.Duration
	// Standby says that the target is meant to be in recovery, so that taking no
	// writes is right.
	Standby bool
	// Writes says that somebody tells of writes. Then only a write ends an outage
	// that only writes felt, also one that a process before this one noticed.
	Writes bool
}

// DefaultRules are what a target that says nothing gets.
func DefaultRules() Rules {
	return Rules{Patience: 900 * time.Millisecond, Stable: 3 * time.Second, Flapping: 4, FlapWithin: 10 * time.Minute, FlapStable: 2 * time.Minute}
}

// evidence is how many fresh bad looks in a row confirm, and over what time at
// least.
type evidence struct {
	looks int
	over  time.Duration
}

// needs is the evidence that a kind of bad look asks for. What a server or its
// kernel says outright needs little; silence may be a lost packet; what a burst
// of clients or a changed password brings about may pass.
func (r Rules) needs(s target.Sees) evidence {
	switch s {
	case target.Refused, target.Broken, target.Starting, target.Stopping:
		return evidence{2, 40 * time.Millisecond}
	case target.Full:
		return evidence{3, 250 * time.Millisecond}
	case target.ReadOnly, target.DiskFull:
		return evidence{2, 200 * time.Millisecond}
	case target.Denied:
		return evidence{3, 2 * time.Second}
	case target.WriteHangs:
		return evidence{2, 500 * time.Millisecond}
	case target.Failing:
		return evidence{3, time.Second}
	case target.Stalled: // a lock on a catalogue, or a machine that is very busy, passes
		return evidence{3, 45 * time.Second}
	default: // silent, unreachable
		return evidence{3, r.Patience}
	}
}

// Outage is a confirmed span in which a target did not serve.
type Outage struct {
	Target    target.ID   `json:"target"`
	Sees      target.Sees `json:"sees"`   // the kind that was confirmed
	Reason    string      `json:"reason"` // one plain sentence
	FirstBad  time.Time   `json:"first_bad"`
	Confirmed time.Time   `json:"confirmed"`
	Recovered time.Time   `json:"recovered,omitzero"`
	Flapping  bool        `json:"flapping,omitempty"`
}

// EventKind says what changed.
type EventKind string

// The kinds of event.
const (
	Suspected EventKind = "suspected" // a first bad look; verification is due
	Cleared   EventKind = "cleared"   // it was nothing
	Confirmed EventKind = "confirmed" // an outage
	Changed   EventKind = "changed"   // the outage goes on for another reason
	Returned  EventKind = "returned"  // it serves again; not yet for long
	Relapsed  EventKind = "relapsed"  // it does not, after all
	Recovered EventKind = "recovered" // the outage is over
)

// Event is one change of a target's standing.
type Event struct {
	Kind   EventKind `json:"kind"`
	At     time.Time `json:"at"`
	State  State     `json:"state"`
	Outage Outage    `json:"outage"` // as it stands; of a suspicion, what would be confirmed
}

// Machine holds one target's standing. It is a value to be kept by one
// goroutine; nothing in it knows the time.
type Machine struct {
	id    target.ID
	rules Rules

	state    State
	firstBad time.Time // of the suspicion or outage
	badFresh int       // bad fresh looks in a row
	since    time.Time // the first of them
	mute     int       // of these, the last ones without any sign of life
	muteFrom time.Time // the first of those
	good     time.Time // the first good fresh look after an outage
	goods    int
	byWrite  bool        // only a write tells: reads do not feel the trouble
	wrote    time.Time   // when a look of a write last ended
	last     target.Look // the latest that counted
	outage   Outage
	starts   []time.Time // of recent outages
}

// NewMachine starts a target's standing at unknown.
func NewMachine(id target.ID, rules Rules) *Machine {
	return &Machine{id: id, rules: rules, state: Unknown}
}

// State is where the target stands.
func (m *Machine) State() State { return m.state }

// Outage is the open outage; false when there is none.
func (m *Machine) Outage() (Outage, bool) {
	return m.outage, m.state == Down || m.state == Recovering
}

// Last is the latest look that counted.
func (m *Machine) Last() target.Look { return m.last }

// Resume puts an outage back that was open when the last process ended, so that
// a restart neither pages twice nor forgets to say that it is over.
func (m *Machine) Resume(o Outage) {
	m.state, m.outage, m.firstBad = Down, o, o.FirstBad
	m.byWrite = m.rules.Writes && o.Sees == target.WriteHangs
	m.starts = append(m.starts, o.FirstBad)
}

// Verifying reports that fresh looks are wanted at once. Those say nothing of a
// trouble that only writes feel.
func (m *Machine) Verifying() bool { return m.state == Suspect && !m.byWrite }

// SuspectSince is when the suspicion began.
func (m *Machine) SuspectSince() time.Time { return m.firstBad }

// undecided is how long a suspicion of writes lasts when no write tells of it any
// more: then reads decide, as they do without a heartbeat.
const undecided = 30 * time.Second

// See takes one look into account and returns what it changed.
func (m *Machine) See(l target.Look) []Event {
	if l.Sees == target.Blind {
		return nil
	}
	if m.rules.Standby && l.Sees == target.ReadOnly {
		l.Sees = target.Serving
	}
	// A write that times out may have been waiting for a server that is gone
	// altogether: while reads fail too, it tells nothing of its own.
	if l.Write && l.Sees != target.Serving && !m.byWrite && m.state != Up && m.state != Unknown {
		return nil
	}
	if l.Write {
		m.wrote = l.End()
	}
	m.last = l
	if l.Sees == target.Serving {
		return m.serving(l)
	}
	return m.bad(l)
}

func (m *Machine) serving(l target.Look) []Event {
	if m.byWrite && !l.Write && m.state != Up {
		if m.state != Suspect || l.End().Sub(m.wrote) < undecided {
			return nil
		}
	}
	tells := l.Fresh || m.byWrite
	switch m.state {
	case Unknown:
		m.state = Up
	case Suspect:
		// A session that was open already says nothing of new ones.
		if !l.Fresh && m.badFresh > 0 && newSessionsOnly(m.outage.Sees) {
			return nil
		}
		if l.End().Before(m.firstBad) {
			return nil
		}
		m.state, m.badFresh, m.byWrite = Up, 0, false
		return []Event{{Kind: Cleared, At: l.End(), State: Up, Outage: m.outage}}
	case Down:
		if !tells {
			return nil
		}
		m.state, m.good, m.goods = Recovering, l.End(), 1
		return []Event{{Kind: Returned, At: l.End(), State: Recovering, Outage: m.outage}}
	case Recovering:
		if !tells {
			return nil
		}
		m.goods++
		stable := m.rules.Stable
		if m.outage.Flapping {
			stable = m.rules.FlapStable
		}
		if m.goods < 3 || l.End().Sub(m.good) < stable {
			return nil
		}
		m.state, m.badFresh, m.byWrite, m.outage.Recovered = Up, 0, false, m.good
		return []Event{{Kind: Recovered, At: l.End(), State: Up, Outage: m.outage}}
	}
	return nil
}

// newSessionsOnly reports kinds of trouble that a session which is open already
// does not feel.
func newSessionsOnly(s target.Sees) bool {
	switch s {
	case target.Refused, target.Full, target.Denied, target.Starting, target.Stopping, target.Broken:
		return true
	}
	return false
}

func (m *Machine) bad(l target.Look) []Event {
	tells := l.Fresh || l.Write
	if tells {
		m.byWrite = l.Write
	}
	switch m.state {
	case Down:
		passing := l.Sees == target.Stalled && quiet(m.outage.Sees) // it is on its way back
		if l.Sees != m.outage.Sees && tells && !passing {
			m.outage.Sees, m.outage.Reason = l.Sees, Reason(l, m.firstBad)
			return []Event{{Kind: Changed, At: l.End(), State: Down, Outage: m.outage}}
		}
		return nil
	case Recovering:
		if !tells {
			return nil
		}
		m.state, m.badFresh = Down, 1
		m.outage.Sees, m.outage.Reason = l.Sees, Reason(l, m.firstBad)
		return []Event{{Kind: Relapsed, At: l.End(), State: Down, Outage: m.outage}}
	}
	var out []Event
	if m.state != Suspect {
		m.state, m.firstBad, m.badFresh, m.mute = Suspect, l.At, 0, 0
		m.outage = Outage{Target: m.id, Sees: l.Sees, FirstBad: l.At, Reason: Reason(l, l.At)}
		out = append(out, Event{Kind: Suspected, At: l.End(), State: Suspect, Outage: m.outage})
	}
	if !tells {
		return out
	}
	m.count(l)
	m.outage.Sees, m.outage.Reason = l.Sees, Reason(l, m.firstBad)
	looks, since := m.badFresh, m.since
	if quiet(l.Sees) {
		looks, since = m.mute, m.muteFrom
	}
	if need := m.rules.needs(l.Sees); looks < need.looks || l.End().Sub(since) < need.over {
		return out
	}
	return append(out, m.confirm(l))
}

// count adds a telling bad look to the evidence. Silence counts by itself: what
// answered in between, however badly, lives.
func (m *Machine) count(l target.Look) {
	if m.badFresh == 0 {
		m.since = l.End()
	}
	m.badFresh++
	switch {
	case !quiet(l.Sees):
		m.mute = 0
		if m.badFresh == 1 && l.Sees == target.Stalled {
			m.since = l.At
		}
		return
	case m.mute == 0:
		m.muteFrom = l.At // the silence began with the look, not with its end
		if m.badFresh == 1 {
			m.since = l.At
		}
	}
	m.mute++
}

func quiet(s target.Sees) bool { return s == target.Silent || s == target.Unreachable }

func (m *Machine) confirm(l target.Look) Event {
	m.state, m.goods = Down, 0
	m.starts = slices.DeleteFunc(m.starts, func(t time.Time) bool { return l.End().Sub(t) > m.rules.FlapWithin })
	m.starts = append(m.starts, m.firstBad)
	m.outage.Confirmed = l.End()
	m.outage.Flapping = m.rules.Flapping > 0 && len(m.starts) >= m.rules.Flapping
	return Event{Kind: Confirmed, At: l.End(), State: Down, Outage: m.outage}
}
