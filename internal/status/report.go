package status

import (
	"time"

	"github.com/refloat-db/refloat/internal/proof"
	"github.com/refloat-db/refloat/internal/target"
)

// Facts are what was gathered of one target. A nil fact is one that there is
// not; a fact that could not be read is named in Unread.
type Facts struct {
	// Watch is how the target looked last; nil where no running server looks.
	Watch *Watch `json:"watch,omitempty"`

	Target     target.ID        `json:"target"`
	Objectives proof.Objectives `json:"objectives"`
	Proof      *Proof           `json:"proof"`  // the last
	Backup     *Backup          `json:"backup"` // the newest
	Log        *Log             `json:"log"`
	Coverage   *Coverage        `json:"coverage"`
	Slot       *Slot            `json:"slot"`
	Heartbeat  *Heartbeat       `json:"heartbeat"`
	Audit      *Audit           `json:"audit"` // the last
	// Detection is how long the last outages took to notice; nil when there was
	// none lately.
	Detection *Detection `json:"detection"`
	Alarms    []Alarm    `json:"alarms"`
	Work      []Work     `json:"work"`
	Server    Server     `json:"server"`
	Unread    []Unread   `json:"unread"`
}

// Proof is the part of the last proof that a status shows.
type Proof struct {
	ID         string         `json:"id"`
	Verdict    proof.Verdict  `json:"verdict"`
	Summary    string         `json:"summary"`
	EndedAt    time.Time      `json:"ended_at"`
	Backup     string         `json:"backup"`
	DataLoss   *time.Duration `json:"data_loss"` // measured; null when it could not be
	Resolution time.Duration  `json:"resolution"`
}

// OfProof takes from a proof what a status shows.
func OfProof(p proof.Proof) *Proof {
	return &Proof{ID: p.ID, Verdict: p.Verdict, Summary: p.Summary, EndedAt: p.EndedAt, Backup: p.Backup, DataLoss: p.DataLoss, Resolution: p.Resolution}
}

// Backup is the newest base backup.
type Backup struct {
	ID       string        `json:"id"`
	Kind     string        `json:"kind"`
	EndedAt  time.Time     `json:"ended_at"`
	Took     time.Duration `json:"took"`
	Bytes    int64         `json:"bytes"`
	Stored   int64         `json:"stored_bytes"`
	Findings int           `json:"findings"` // damaged pages or files seen while it was taken
}

// Log is how far the log in the repository reaches.
type Log struct {
	Position   target.Position `json:"position"`
	Restorable time.Time       `json:"newest_restorable"` // server's clock
	WrittenAt  time.Time       `json:"written_at"`        // ours
	Server     target.LSN      `json:"server_position"`   // where the server's log ended when last seen; 0 when unknown
	LagBytes   *int64          `json:"lag_bytes"`         // Server minus Position; null when unknown
}

// Coverage is the span that reaches the newest restorable moment, and what is
// missing before it.
type Coverage struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	Gaps int       `json:"gaps"`
}

// Slot is the replication slot when last seen.
type Slot struct {
	target.Slot
	Bound  int64     `json:"bound"` // bytes; past it the slot is given up; 0 for none
	SeenAt time.Time `json:"seen_at"`
}

// Heartbeat is the last beat written to the target.
type Heartbeat struct {
	Seq int64     `json:"seq"`
	At  time.Time `json:"at"`
}

// DetectionKept is for how long an outage counts as a measurement of detection.
const DetectionKept = 30 * 24 * time.Hour

// Detection is how long outages took to notice, from the first bad look.
type Detection struct {
	Outages []Noticed `json:"outages"` // of the last DetectionKept, oldest first
}

// Noticed is one outage: when it was noticed, and how long after its first bad
// look.
type Noticed struct {
	At   time.Time     `json:"at"`
	Took time.Duration `json:"took"`
}

// Add adds an outage, and forgets old ones. The same one again replaces itself.
func (d Detection) Add(n Noticed) Detection {
	var out Detection
	for _, x := range d.Outages {
		if !x.At.Equal(n.At) && n.At.Sub(x.At) < DetectionKept {
			out.Outages = append(out.Outages, x)
		}
	}
	out.Outages = append(out.Outages, n)
	return out
}

// worst is the longest of those that still count at now; nil when none does.
func (d *Detection) worst(now time.Time) *time.Duration {
	if d == nil {
		return nil
	}
	var out *time.Duration
	for _, x := range d.Outages {
		if now.Sub(x.At) < DetectionKept && (out == nil || x.Took > *out) {
			out = &x.Took
		}
	}
	return out
}

// Work is one scheduled job.
type Work struct {
	Kind      string    `json:"kind"`
	Next      time.Time `json:"next"`
	Running   bool      `json:"running"`
	Succeeded time.Time `json:"succeeded"`
	Error     string    `json:"error,omitempty"`
	Failures  int       `json:"failures"`
}

// Server is whether a Refloat server takes care of the target.
type Server struct {
	Running bool      `json:"running"`
	SeenAt  time.Time `json:"seen_at"` // of the last sign of life; zero when there never was one
}

// Unread is a fact that could not be read.
type Unread struct {
	What  string `json:"what"`
	Error string `json:"error"`
}

// Severity says how a problem weighs.
type Severity string

// The severities.
const (
	Critical Severity = "critical" // what was promised does not hold
	Warning  Severity = "warning"  // it will not hold if nothing is done
)

// Problem is one thing that is not as it should be.
type Problem struct {
	Code     string   `json:"code"`
	Severity Severity `json:"severity"`
	Detail   string   `json:"detail"`
	Next     string   `json:"next"`
}

// Objective compares what was promised with what was measured.
type Objective struct {
	Name     string         `json:"name"` // data loss, resolution, detection, proof age
	Promised time.Duration  `json:"promised"`
	Measured *time.Duration `json:"measured"` // null when it was not
	Met      bool           `json:"met"`
	From     string         `json:"from"` // what measured it
}

// Answer is the one answer to "can this be restored?".
type Answer string

// The answers: those of the last proof, or that there is none.
const (
	Proven       Answer = Answer(proof.Proven)
	Failed       Answer = Answer(proof.Failed)
	Inconclusive Answer = Answer(proof.Inconclusive)
	NeverProven  Answer = "never drilled"
	Unknown      Answer = "unknown" // the proofs could not be read
)

// Class sorts a report for exit codes and colours.
type Class string

// The classes.
const (
	Good      Class = "good"
	Bad       Class = "bad"       // a verdict that is not good, an objective missed, a critical problem
	Uncertain Class = "uncertain" // nothing bad was seen, but something could not be looked at
)

// Report is how a target stands.
type Report struct {
	Facts
	At           time.Time      `json:"at"`
	Answer       Answer         `json:"answer"`
	AnswerAge    *time.Duration `json:"answer_age"` // of the last proof; null when there is none
	Stale        bool           `json:"stale"`      // the proof is older than promised
	Class        Class          `json:"class"`
	Headline     string         `json:"headline"` // answer and age in words
	Grade        Grade          `json:"grade"`
	Measurements []Objective    `json:"measured_objectives"`
	Problems     []Problem      `json:"problems"`
}

// Watch is whether a target serves.
type Watch struct {
	State  string        `json:"state"` // unknown, up, suspect, down or recovering
	At     time.Time     `json:"at"`    // of the last look
	Took   time.Duration `json:"took"`
	Reason string        `json:"reason,omitempty"` // of the outage that is open, or why nothing is seen
}
