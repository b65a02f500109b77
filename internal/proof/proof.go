// Package proof is the evidence of a drill: what was restored from which
// bytes, what was checked, how long it took, signed and chained.
package proof

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/target"
)

// Verdict is the answer to "can this be restored?".
type Verdict string

// The verdicts. A check that could not run makes a proof inconclusive at best.
const (
	Proven       Verdict = "proven"
	Failed       Verdict = "failed"
	Inconclusive Verdict = "inconclusive"
)

// Outcome is the result of one check.
type Outcome string

// The outcomes. NotAsked is for what the configuration turned off or the
// cluster does not have, with the reason; it does not weaken a verdict.
const (
	Passed      Outcome = "passed"
	CheckFailed Outcome = "failed"
	CouldNotRun Outcome = "could not run"
	NotAsked    Outcome = "not asked"
)

// Check is one question put to the restored copy.
type Check struct {
	Name     string        `json:"name"` // stable, for example "page-checksums"
	Title    string        `json:"title"`
	Outcome  Outcome       `json:"outcome"`
	Detail   string        `json:"detail"`             // evidence in a sentence
	Evidence []string      `json:"evidence,omitempty"` // at most 50 lines: differences, damaged blocks, …
	Took     time.Duration `json:"took"`
}

// Phase is one measured part of a drill.
type Phase struct {
	Name  string        `json:"name"` // plan, restore, recover, check, clean
	Took  time.Duration `json:"took"`
	Bytes int64         `json:"bytes,omitempty"`
}

// Objectives are what the owner promised; zero means not promised.
type Objectives struct {
	DataLoss   time.Duration `json:"data_loss"`
	Resolution time.Duration `json:"resolution"`
	Detection  time.Duration `json:"detection"`
	ProofAge   time.Duration `json:"proof_age"`
}

// Proof is one drill's record. Its JSON form is what is signed.
type Proof struct {
	Format        int             `json:"format"`
	ID            string          `json:"id"` // TARGET-20261123T114300Z style
	Target        target.ID       `json:"target"`
	Source        string          `json:"source,omitempty"`   // another tool's backup that was drilled, as TOOL:PLACE; none for ours
	Sequence      int64           `json:"sequence"`           // 1, 2, 3 … for the target
	Previous      string          `json:"previous,omitempty"` // SHA-256 of the signed bytes of the proof before, hexadecimal
	Verdict       Verdict         `json:"verdict"`
	Summary       string          `json:"summary"` // one sentence
	StartedAt     time.Time       `json:"started_at"`
	EndedAt       time.Time       `json:"ended_at"`
	Repository    string          `json:"repository"`  // location without secrets
	Fingerprint   string          `json:"fingerprint"` // of the repository
	Host          string          `json:"host"`
	Refloat       string          `json:"refloat"` // our version
	SystemID      target.SystemID `json:"system_id"`
	Server        target.Version  `json:"server"`  // production's, as in the backup
	Scratch       string          `json:"scratch"` // version string of the scratch server
	Backup        string          `json:"backup"`
	BackupKind    string          `json:"backup_kind"`
	BackupEnd     target.Position `json:"backup_end"`
	Asked         string          `json:"asked"`         // latest, or the target asked for
	Expected      target.Position `json:"expected"`      // production is known to have passed this
	ExpectedFrom  string          `json:"expected_from"` // who says so: production, the heartbeat, the server's own record
	Reached       target.Position `json:"reached"`       // end of replay
	LogSegments   int             `json:"log_segments"`
	Relations     int             `json:"relations"`
	Rows          int64           `json:"rows"`
	Pages         int64           `json:"pages"`
	RestoredBytes int64           `json:"restored_bytes"`
	DataLoss      *time.Duration  `json:"data_loss"`  // measured; null when it could not be measured
	Resolution    time.Duration   `json:"resolution"` // restore and recovery to an answering server, measured
	Objectives    Objectives      `json:"objectives"`
	Phases        []Phase         `json:"phases"`
	Checks        []Check         `json:"checks"`
	Accepted      []string        `json:"accepted,omitempty"` // risks that the configuration accepts, such as unlogged tables
	Ways          []Way           `json:"ways,omitempty"`     // back, and whether each was open; no part of the verdict
}

// Way is a way back out of an outage, and what it needs: looked at while nothing
// was wrong, and not tried. It says nothing of the restore that was drilled.
type Way struct {
	Name   string  `json:"way"` // wait, restart, promote, restore-latest, restore-to
	Title  string  `json:"title"`
	Checks []Check `json:"checks"`
}

// Open sums the way up: failed when something that it needs does not hold, could
// not run when something could not be looked at.
func (w Way) Open() Outcome {
	out := Passed
	for _, c := range w.Checks {
		switch c.Outcome {
		case CheckFailed:
			return CheckFailed
		case CouldNotRun:
			out = CouldNotRun
		}
	}
	return out
}

// Subject names the chain that a proof belongs to: the target's own, or that of
// another tool's backups of it, which say nothing of ours.
func (p Proof) Subject() target.ID { return Subject(p.Target, p.Source) }

// Subject is the chain of a target's proofs by their source, "" for ours. No
// target's name has a dot.
func Subject(id target.ID, source string) target.ID {
	if source == "" {
		return id
	}
	plain := notPlain.ReplaceAllString(strings.ToLower(source), "-")
	if plain != source {
		sum := sha256.Sum256([]byte(source))
		plain = strings.Trim(plain[:min(len(plain), 40)], "-.") + "-" + hex.EncodeToString(sum[:4])
	}
	return id + "." + target.ID(plain)
}

var notPlain = regexp.MustCompile(`[^a-z0-9]+`)

// Judge derives the verdict from the checks alone: any failed check fails,
// else any that could not run makes it inconclusive, and no checks at all
// prove nothing.
func Judge(checks []Check) Verdict {
	v, passed := Proven, false
	for _, c := range checks {
		switch c.Outcome {
		case CheckFailed:
			return Failed
		case Passed:
			passed = true
		case NotAsked:
		default:
			v = Inconclusive
		}
	}
	if !passed {
		return Inconclusive
	}
	return v
}
