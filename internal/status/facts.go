// Package status works out how a target stands from facts that others
// gathered. There is one answer to "can this be restored?": the verdict of the
// last proof, with its age. All else is shown beside it as problems.
package status

import (
	"context"
	"errors"
	"time"

	"github.com/refloat-db/refloat/internal/target"
)

// LogMark is how far a target's log was acknowledged as safely stored, and
// when. It is written as the receiver acknowledges, so that a drill has a
// witness that is independent of the repository.
type LogMark struct {
	Position   target.Position `json:"position"`
	ServerTime time.Time       `json:"server_time"` // everything committed before it is in the log up to Position
	At         time.Time       `json:"at"`          // our clock
}

// Measurement is how long an operation took; later plans estimate from it.
type Measurement struct {
	Operation string        `json:"operation"` // backup, restore, drill
	At        time.Time     `json:"at"`        // when it ended
	Took      time.Duration `json:"took"`
	Bytes     int64         `json:"bytes"`
}

// Alarm is something that a person must know until it is cleared.
type Alarm struct {
	Code   string    `json:"code"` // stable, one of the Alarm constants
	Key    string    `json:"key"`  // tells two alarms of one code apart; may be empty
	Detail string    `json:"detail"`
	Next   string    `json:"next"` // what to do
	Raised time.Time `json:"raised"`
}

// Codes of alarms.
const (
	AlarmGap          = "log-gap"         // a stretch of log is lost for good
	AlarmSlotGone     = "slot-given-up"   // the slot was dropped to save the server's disk
	AlarmSlotFull     = "slot-retention"  // the slot holds much log on the server
	AlarmLog          = "log-trouble"     // the log's receiver needs a person
	AlarmLogStopped   = "log-stopped"     // no log is arriving
	AlarmBackup       = "backup-failed"   // scheduled base backups fail
	AlarmDrill        = "drill-failed"    // a drill did not prove the target
	AlarmCare         = "care-failed"     // retention, maintenance or verification failed
	AlarmMissed       = "schedule-missed" // due work did not run when it was due
	AlarmHeartbeat    = "heartbeat"       // the heartbeat cannot be written
	AlarmDamage       = "repository-damage"
	AlarmBlind        = "watch-blind"     // nobody can tell whether the target serves
	AlarmHeadroom     = "headroom"        // something runs out within weeks
	AlarmHeadroomGone = "headroom-gone"   // within days, or it has nearly
	AlarmTwoPrimaries = "two-primaries"   // two servers of one cluster take writes
	AlarmLag          = "replication-lag" // a standby is too far behind
	AlarmStandby      = "standby-missing" // fewer standbys stream than promised
	AlarmNetwork      = "network"         // the target serves other nodes, and not this one
	AlarmOutage       = "outage"          // the target does not serve
	AlarmFinding      = "finding"         // the audit found something grave
)

// ErrNothing means that the store has no such record yet.
var ErrNothing = errors.New("not recorded yet")

// Memory is what Refloat remembers of targets between runs. Nothing in it is
// needed to restore. Each method that writes is durable when it returns, may
// be repeated with the same arguments without harm unless its comment says
// otherwise, and is safe for concurrent use, by several processes too.
type Memory interface {
	// Acknowledge records a log mark. A mark that is behind the recorded one,
	// by timeline and then position, changes nothing.
	Acknowledge(ctx context.Context, id target.ID, m LogMark) error
	// Acknowledged returns the furthest mark, or ErrNothing.
	Acknowledged(ctx context.Context, id target.ID) (LogMark, error)
	// PutBeat records the last beat written to the target.
	PutBeat(ctx context.Context, id target.ID, b target.Beat) error
	// LastBeat returns it, or ErrNothing.
	LastBeat(ctx context.Context, id target.ID) (target.Beat, error)
	// Measured adds a measurement; repeating it adds it again.
	Measured(ctx context.Context, id target.ID, m Measurement) error
	// Measurements returns the latest of an operation, newest first.
	Measurements(ctx context.Context, id target.ID, operation string, limit int) ([]Measurement, error)
	// Keep caches a fact under a name, replacing what was there.
	Keep(ctx context.Context, id target.ID, name string, at time.Time, fact any) error
	// Kept reads a cached fact into fact and returns its time, or ErrNothing.
	Kept(ctx context.Context, id target.ID, name string, fact any) (time.Time, error)
	// Raise raises an alarm. It reports whether it is new: an alarm with the
	// same code and key that is not cleared is kept, with the new detail.
	Raise(ctx context.Context, id target.ID, a Alarm) (bool, error)
	// Clear clears every alarm of the code, or one when key is not "*", and
	// reports how many.
	Clear(ctx context.Context, id target.ID, code, key string, at time.Time) (int, error)
	// Alarms lists what is raised and not cleared, oldest first.
	Alarms(ctx context.Context, id target.ID) ([]Alarm, error)
}

// Cached fact names.
const (
	FactSlot      = "slot"
	FactBackup    = "backup"
	FactProof     = "proof"
	FactCoverage  = "coverage"
	FactScheduled = "scheduled"
	FactAudit     = "audit" // the last report of the audit
	FactDetection = "detection"
)
