package recovery

import (
	"fmt"
	"time"

	"github.com/refloat-db/refloat/internal/proof"
)

// ofProof fills in who measured a figure, and whether that still counts.
func (f Facts) ofProof(value time.Duration) Figure {
	p := f.Proof
	s := proof.Stand(p, f.Objectives, f.Now)
	return Figure{
		Known: true, Value: value, From: fmt.Sprintf("proof %s (%s)", p.ID, p.Verdict), At: p.EndedAt, Age: s.Age,
		Stale: s.State == proof.StandsStale || f.Objectives.ProofAge > 0 && s.Age > f.Objectives.ProofAge,
	}
}

// noProof says why the last proof measured nothing.
func (f Facts) noProof(what string) Figure {
	switch {
	case f.Proof == nil && f.ProofNote != "":
		return unmeasured("not measured: the last proof cannot be read: %s", f.ProofNote)
	case f.Proof == nil:
		return unmeasured("not measured: it was never drilled")
	}
	return unmeasured("not measured: proof %s (%s) could not measure %s", f.Proof.ID, f.Proof.Verdict, what)
}

// restoreTime is how long the last proof took from the restore's beginning to an
// answering server.
func (f Facts) restoreTime() Figure {
	if f.Proof == nil || f.Proof.Resolution <= 0 {
		return f.noProof("how long it takes")
	}
	return f.ofProof(f.Proof.Resolution)
}

// restoreLoss is the data loss that the last proof measured.
func (f Facts) restoreLoss() Figure {
	if f.Proof == nil || f.Proof.DataLoss == nil {
		return f.noProof("the data loss")
	}
	return f.ofProof(*f.Proof.DataLoss)
}

// gap is what lies between the newest moment that can be restored and the
// beginning of the outage: whatever was committed then is not in the repository.
func (f Facts) gap() Figure {
	switch {
	case f.Began.IsZero():
		return unmeasured("not measured: it has no beginning that the watch saw")
	case !f.Restorable.Seen:
		return unmeasured("not measured: %s", or(f.Restorable.Why, "it is not known up to when the target can be restored"))
	}
	at := f.Restorable.Value
	return Figure{Known: true, Value: max(0, f.Began.Sub(at)), At: f.Now, From: fmt.Sprintf("the repository holds every commit before %s; the first bad look was at %s", clock(at), clock(f.Began))}
}

// standbyLoss is from the newest acknowledged moment that the standby is seen to
// have to the beginning of the outage: it may be less, never more.
func (f Facts) standbyLoss() Figure {
	switch {
	case f.Standby == nil:
		return unmeasured("not measured: no standby is known")
	case !f.Standby.Card.Beat.Seen:
		return unmeasured("not measured: the standby's last heartbeat is not known: %s", or(f.Standby.Card.Beat.Why, "it has none"))
	}
	beat := f.Standby.Card.Beat.Value
	if f.Began.IsZero() {
		if !f.LastBeat.Seen {
			return unmeasured("not measured: nothing says what was acknowledged: %s", or(f.LastBeat.Why, "no heartbeat is on record"))
		}
		return Figure{Known: true, Value: max(0, f.LastBeat.Value.At.Sub(beat.At)), At: f.Now, From: fmt.Sprintf("the last acknowledged heartbeat (%s) against the standby's (%s)", clock(f.LastBeat.Value.At), clock(beat.At))}
	}
	return Figure{Known: true, Value: max(0, f.Began.Sub(beat.At)), At: f.Now, From: fmt.Sprintf("at most: from the standby's last heartbeat (%s) to the first bad look (%s)", clock(beat.At), clock(f.Began))}
}

// LossFacts are what a loss is measured from, after the fact.
type LossFacts struct {
	Began time.Time // the first bad look; zero when the server served until it was left
	Acked time.Time // of the last heartbeat whose commit was acknowledged; zero for none
	Held  time.Time // of the last such heartbeat that what serves now has; zero for none
	All   bool      // it has the last acknowledged heartbeat
}

// Loss measures the work that is gone: from the newest moment that what serves
// now is seen to hold to the first bad look. It is an upper bound; whether
// anything was committed in between, nobody can tell. False when nothing says
// how new it is.
func Loss(l LossFacts) (loss time.Duration, how string, ok bool) {
	switch {
	case l.Held.IsZero():
		return 0, "", false
	case !l.Began.IsZero() && l.All && l.Began.After(l.Held):
		return l.Began.Sub(l.Held), fmt.Sprintf("at most: every acknowledged heartbeat is there, the last of %s; the first bad look was at %s", clock(l.Held), clock(l.Began)), true
	case !l.Began.IsZero() && l.Began.After(l.Held):
		return l.Began.Sub(l.Held), fmt.Sprintf("at most: from its last heartbeat (%s) to the first bad look (%s)", clock(l.Held), clock(l.Began)), true
	case l.All:
		return 0, fmt.Sprintf("every acknowledged heartbeat is there, the last of %s", clock(l.Acked)), true
	case l.Acked.IsZero():
		return 0, "", false
	}
	return max(0, l.Acked.Sub(l.Held)), fmt.Sprintf("from its last heartbeat (%s) to the last one that was acknowledged (%s)", clock(l.Held), clock(l.Acked)), true
}

func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.999 UTC") }

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// Left is how long a step of bytes still takes: by the rate so far, and before
// there is one by the rate that the last proof measured. 0 when nothing says.
func Left(done, total int64, took time.Duration, rate float64) time.Duration {
	if total <= done || total <= 0 {
		return 0
	}
	if done > 0 && took >= 2*time.Second {
		rate = float64(done) / took.Seconds()
	}
	if rate <= 0 {
		return 0
	}
	return time.Duration(float64(total-done) / rate * float64(time.Second))
}

// Rate is the bytes a second at which the last proof restored; 0 when it did not
// measure that.
func (f Facts) Rate() float64 {
	if f.Proof == nil {
		return 0
	}
	for _, p := range f.Proof.Phases {
		if p.Name == "restore" && p.Took > 0 {
			return float64(p.Bytes) / p.Took.Seconds()
		}
	}
	return 0
}
