package drill

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/refloat-db/refloat/internal/backup"
	"github.com/refloat-db/refloat/internal/proof"
	"github.com/refloat-db/refloat/internal/restore"
	"github.com/refloat-db/refloat/internal/target"
)

// endOfRecovery holds the end of replay against what somebody other than the
// repository knows. A log that simply ends early looks like a log that ends;
// only a position that production is known to have passed tells them apart.
func (r *run) endOfRecovery(ctx context.Context) proof.Check {
	c := proof.Check{Name: "end-of-recovery", Title: "Recovery reached what production had"}
	if r.o.To.Kind != restore.ToLatest {
		c.Outcome, c.Detail = proof.Passed, fmt.Sprintf("asked for %s, ended at %s; PostgreSQL refuses to end before a target that it does not find", r.o.To, r.p.Reached)
		return c
	}
	claims := r.claims()
	if r.prod.slotErr != nil && r.o.Acknowledged == nil && r.o.LastBeat == nil {
		c.Outcome = proof.CouldNotRun
		c.Detail = "neither production nor a record of our own says how far the log went: " + r.prod.slotErr.Error()
		return c
	}
	for _, claim := range claims {
		c.Evidence = append(c.Evidence, fmt.Sprintf("%s: %s", claim.who, claim.at))
		if claim.at.Timeline > r.p.Expected.Timeline || claim.at.Timeline == r.p.Expected.Timeline && claim.at.LSN > r.p.Expected.LSN {
			r.p.Expected, r.p.ExpectedFrom = claim.at, claim.who
		}
	}
	missing, err := r.missing(ctx)
	switch {
	case err != nil:
		c.Outcome, c.Detail = proof.CouldNotRun, err.Error()
	case missing > 0:
		c.Outcome = proof.CheckFailed
		c.Detail = fmt.Sprintf("replay ended at %s, %d bytes before %s, which %s says is kept", r.p.Reached, missing, r.p.Expected, r.p.ExpectedFrom)
	default:
		c.Outcome, c.Detail = proof.Passed, fmt.Sprintf("replay ended at %s; %s vouches for %s", r.p.Reached, r.p.ExpectedFrom, r.p.Expected)
	}
	return c
}

type claim struct {
	who string
	at  target.Position
}

// claims are the positions that must be in the repository.
func (r *run) claims() []claim {
	out := []claim{{"the repository's own record", r.pos.Position}}
	if r.prod.slotErr == nil && r.prod.slot.Exists && r.prod.slot.RestartLSN > 0 {
		out = append(out, claim{"production's replication slot", target.Position{Timeline: r.timelineOf(r.prod.slot.RestartLSN), LSN: r.prod.slot.RestartLSN}})
	}
	if r.o.Acknowledged != nil {
		out = append(out, claim{"our own record of what was acknowledged", *r.o.Acknowledged})
	}
	return out
}

// timelineOf is the timeline on which a slot's position lies: production's,
// or the repository's when the slot has not yet moved onto a new one.
func (r *run) timelineOf(lsn target.LSN) target.Timeline {
	if lsn <= r.pos.Position.LSN {
		return min(r.pos.Position.Timeline, r.prod.server.Timeline)
	}
	return r.prod.server.Timeline
}

// missing is how many bytes of whole records lie between the end of replay and
// the expected position. A record that was cut off where the log was flushed
// is no loss: nothing that was acknowledged is in it, and PostgreSQL's own
// crash recovery would drop it too.
func (r *run) missing(ctx context.Context) (int64, error) {
	got, want := r.p.Reached, r.p.Expected
	if got.Timeline > want.Timeline || got.LSN >= want.LSN {
		return 0, nil
	}
	// Bytes that the repository does not even claim to hold are missing,
	// whatever they were.
	if got.Timeline < want.Timeline || want.LSN > r.pos.Position.LSN || r.pos.Position.Timeline < want.Timeline {
		return int64(want.LSN - got.LSN), nil
	}
	size := r.plan.Backup.SegmentSize
	read := func(n uint64) ([]byte, error) {
		b, err := r.o.Log.Fetch(ctx, target.Segment{Timeline: got.Timeline, Number: n, Size: size}.Name())
		if errors.Is(err, backup.ErrEndOfLog) || errors.Is(err, backup.ErrLogBroken) {
			return nil, nil
		}
		return b, err
	}
	// The bytes up to the expected position, or what is there of them.
	end := want.LSN
	cut := func(n uint64) ([]byte, error) {
		b, err := read(n)
		start := target.LSN(n * uint64(size))
		if err == nil && start+target.LSN(len(b)) > end {
			b = append([]byte(nil), b[:max(0, int64(end)-int64(start))]...)
			b = append(b, make([]byte, size-int64(len(b)))...)
		}
		return b, err
	}
	from := target.LSN(uint64(got.LSN) / uint64(size) * uint64(size))
	last, err := target.WalkLog(from, size, cut, func(target.LogRecord) bool { return true })
	if err != nil {
		return 0, fmt.Errorf("read the log after %s: %w", got, err)
	}
	stored, err := read(uint64(want.LSN-1) / uint64(size))
	if err != nil {
		return 0, fmt.Errorf("read the log at %s: %w", want, err)
	}
	if stored == nil {
		return int64(want.LSN - got.LSN), nil
	}
	if last > got.LSN {
		return int64(last - got.LSN), nil // whole records that were not replayed
	}
	return r.tail(got.LSN, want.LSN), nil
}

// tail decides about bytes that hold no whole record: a record cut off, which
// is none of what was promised, or a hole.
func (r *run) tail(got, want target.LSN) int64 {
	const longest = 1 << 20 // an incomplete record longer than this is not believed
	if want-got <= longest {
		return 0
	}
	return int64(want - got)
}

// dataLoss measures what production had and the copy lacks, in time: by the
// heartbeat when there is one, else by production's clock.
func (r *run) dataLoss(copied []target.Beat, copiedErr error) proof.Check {
	c := proof.Check{Name: "data-loss", Title: "Data loss is within the objective"}
	loss, how, err := r.measureLoss(copied, copiedErr)
	if err != nil {
		c.Outcome, c.Detail = proof.CouldNotRun, err.Error()
		return c
	}
	r.p.DataLoss = &loss
	c.Detail = fmt.Sprintf("%s, measured %s", loss.Round(time.Millisecond), how)
	switch {
	case r.o.To.Kind != restore.ToLatest:
		c.Outcome, c.Detail = proof.NotAsked, "the restore was to an earlier point on purpose"
		r.p.DataLoss = nil
	case r.o.Objectives.DataLoss <= 0:
		c.Outcome, c.Detail = proof.NotAsked, c.Detail+"; no objective is promised"
	case loss > r.o.Objectives.DataLoss:
		c.Outcome, c.Detail = proof.CheckFailed, c.Detail+fmt.Sprintf("; promised is %s", r.o.Objectives.DataLoss)
	default:
		c.Outcome, c.Detail = proof.Passed, c.Detail+fmt.Sprintf("; promised is %s", r.o.Objectives.DataLoss)
	}
	return c
}

// measureLoss is zero when the copy has all the log that production had
// written when it was asked. Otherwise it is the time between the newest
// moment that the copy is known to hold, by the log's record or by its last
// heartbeat, and the moment at which production was asked: whatever was
// committed in between may be missing. A heartbeat that stopped together with
// the stream must not hide that production went on.
func (r *run) measureLoss(copied []target.Beat, copiedErr error) (time.Duration, string, error) {
	var lastCopied *target.Beat
	if copiedErr == nil && len(copied) > 0 {
		lastCopied = &copied[len(copied)-1]
	}
	if r.prod.serverErr != nil {
		return r.lossWithoutProduction(lastCopied)
	}
	at := r.prod.server.Position
	if r.p.Reached.Timeline >= r.prod.server.Timeline && r.p.Reached.LSN >= at {
		return 0, fmt.Sprintf("by the log: the copy has all up to %s, which production had written when it was asked", at), nil
	}
	held, how := time.Time{}, ""
	switch {
	case !r.pos.ServerTime.IsZero():
		held, how = r.pos.ServerTime, "from the newest moment that the log covers"
	case !r.plan.EndTime.IsZero():
		held, how = r.plan.EndTime, "from the end of the backup, since there is no log"
	}
	if lastCopied != nil {
		// A beat has our clock's time; production's is compared with production's.
		if t := lastCopied.At.Add(r.prod.server.ClockOffset); t.After(held) {
			held, how = t, "from the copy's last heartbeat"
		}
	}
	if held.IsZero() {
		return 0, "", errors.New("data loss cannot be measured: neither the log nor a heartbeat says how new the copy is")
	}
	return max(0, r.prod.at.Sub(held)), how + " to when production was asked", nil
}

// lossWithoutProduction measures by our own record of the last heartbeat whose
// commit was acknowledged.
func (r *run) lossWithoutProduction(lastCopied *target.Beat) (time.Duration, string, error) {
	if r.o.LastBeat == nil || lastCopied == nil {
		return 0, "", fmt.Errorf("data loss cannot be measured: production: %w", r.prod.serverErr)
	}
	return max(0, r.o.LastBeat.At.Sub(lastCopied.At)), "from the last acknowledged heartbeat on record; production itself could not be asked", nil
}

// resolution holds the measured time against the promised one.
func (r *run) resolution() proof.Check {
	c := proof.Check{Name: "resolution", Title: "Restore and recovery are within the resolution objective", Outcome: proof.Passed}
	c.Detail = fmt.Sprintf("%s from the beginning of the restore to an answering server", r.p.Resolution.Round(time.Millisecond))
	switch o := r.o.Objectives.Resolution; {
	case o <= 0:
		c.Outcome, c.Detail = proof.NotAsked, c.Detail+"; no objective is promised"
	case r.p.Resolution > o:
		c.Outcome, c.Detail = proof.CheckFailed, c.Detail+fmt.Sprintf("; promised is %s", o)
	default:
		c.Detail += fmt.Sprintf("; promised is %s", o)
	}
	return c
}
