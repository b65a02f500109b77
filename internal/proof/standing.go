package proof

import (
	"fmt"
	"time"
)

// State is how a target stands by its last proof.
type State string

// The states. Stale is a proof that was good and is older than promised.
const (
	StandsProven       State = "proven"
	StandsFailed       State = "failed"
	StandsInconclusive State = "inconclusive"
	StandsStale        State = "stale"
	StandsNone         State = "none"
)

// Standing is the one answer to "can this be restored?": the verdict of the
// last proof, with its age.
type Standing struct {
	State  State         `json:"state"`
	Age    time.Duration `json:"age"` // of the proof; 0 when there is none
	Reason string        `json:"reason"`
}

// clockTolerance is how far ahead of us a proof's clock may have been.
const clockTolerance = 5 * time.Minute

// Stand works out the standing at a moment. A proof from the future says that
// a clock is wrong, and its age cannot be known: it does not count as fresh.
func Stand(p *Proof, o Objectives, now time.Time) Standing {
	if p == nil {
		return Standing{State: StandsNone, Reason: "it was never drilled"}
	}
	s := Standing{Age: max(0, now.Sub(p.EndedAt)), Reason: p.Summary}
	switch {
	case p.Verdict == Failed:
		s.State = StandsFailed
	case p.Verdict != Proven:
		s.State = StandsInconclusive
	case now.Add(clockTolerance).Before(p.EndedAt):
		s.State, s.Reason = StandsStale, fmt.Sprintf("the last proof is dated %s, which is in the future: a clock is wrong", p.EndedAt.UTC().Format(time.RFC3339))
	case o.ProofAge > 0 && s.Age > o.ProofAge:
		s.State, s.Reason = StandsStale, fmt.Sprintf("the last proof is %s old; %s is promised", s.Age.Round(time.Minute), o.ProofAge)
	default:
		s.State = StandsProven
	}
	return s
}
