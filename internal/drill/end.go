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
	if r.foreign != nil {
		return r.foreignEnd(ctx)
	}
	c := proof.Check{Name: "end-of-recovery", Title: "Recovery reached what production had"}
	if r.o.To.Kind != restore.ToLatest {
		return r.endOnPurpose(ctx, c)
	}
	if other := r.timelines(ctx); other != nil {
		return *other
	}
	claims := r.claims()
	if len(claims) == 1 && !r.o.NoLog {
		c.Outcome = proof.CouldNotRun
		c.Detail = "nobody but the repository says how far the log went: "
		switch {
		case r.prod.slotErr != nil:
			c.Detail += "production: " + r.prod.slotErr.Error()
		case r.prod.serverErr != nil:
			c.Detail += "production: " + r.prod.serverErr.Error()
		default:
			c.Detail += fmt.Sprintf("production has no replication slot %s and had written more than the copy has; `refloat server` keeps the log", r.o.Slot)
		}
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
		if r.p.ExpectedFrom == "" {
			c.Detail = fmt.Sprintf("replay ended at %s; no log is kept of this target, so only the backup itself can be reached", r.p.Reached)
		}
	}
	return c
}

// endOnPurpose judges an end that was asked for. PostgreSQL refuses to end
// before a target that it does not find; where the log was cut off at the end
// instead, the end is known.
func (r *run) endOnPurpose(ctx context.Context, c proof.Check) proof.Check {
	c.Outcome, c.Detail = proof.Passed, fmt.Sprintf("asked for %s, ended at %s", r.o.To, r.p.Reached)
	if want := r.plan.End; r.plan.Until != 0 && want != nil && (r.p.Reached.Timeline < want.Timeline || r.p.Reached.LSN < want.LSN) {
		r.p.Expected, r.p.ExpectedFrom = *want, "the plan"
		missing, err := r.missing(ctx)
		if err != nil {
			c.Outcome, c.Detail = proof.CouldNotRun, err.Error()
		} else if missing > 0 {
			c.Outcome, c.Detail = proof.CheckFailed, fmt.Sprintf("replay ended at %s, %d bytes before %s, which was asked for", r.p.Reached, missing, *want)
		}
	}
	return c
}

// timelines holds the copy's timeline against production's: a copy of another
// history than the one that production lives is no copy of it, however far its
// log goes. nil when they agree, or production could not be asked.
func (r *run) timelines(ctx context.Context) *proof.Check {
	if r.prod.serverErr != nil || r.baseOnly() {
		return nil
	}
	here, there := r.p.Reached.Timeline, r.prod.server.Timeline
	if here > there && r.o.Production != nil { // it may have been promoted meanwhile
		now, err := r.o.Production.Inspect(ctx)
		if err != nil {
			return &proof.Check{Outcome: proof.CouldNotRun, Detail: "production, asked again: " + err.Error()}
		}
		there = now.Timeline
	}
	switch {
	case here > there:
		return &proof.Check{Outcome: proof.CheckFailed, Detail: fmt.Sprintf("replay ended at %s, but production is on timeline %d: the newest log in the repository is of a server that is not production", r.p.Reached, there)}
	case here < there:
		return &proof.Check{Outcome: proof.CouldNotRun, Detail: fmt.Sprintf("replay ended at %s, but production is on timeline %d, of which the repository has no log yet: whether the copy is of its history is not known", r.p.Reached, there)}
	}
	return nil
}

// baseOnly: nothing but the base backup can be reached, as configured.
func (r *run) baseOnly() bool { return r.o.NoLog && r.pos.Position == (target.Position{}) }

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
	// What production had written need not be in the repository yet; where it
	// is, production vouches for it.
	if at := r.written(); at.LSN > 0 && r.p.Reached.Timeline == at.Timeline && r.p.Reached.LSN >= at.LSN {
		out = append(out, claim{"production itself", at})
	}
	return out
}

// written is how far production's log was when it was asked; zero when unknown.
func (r *run) written() target.Position {
	if r.prod.serverErr != nil {
		return target.Position{}
	}
	return target.Position{Timeline: r.prod.server.Timeline, LSN: r.prod.server.Position}
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
	if got.Timeline > want.Timeline || got.Timeline == want.Timeline && got.LSN >= want.LSN {
		return 0, nil
	}
	// What lies on a timeline that the copy is not on is missing, even when the
	// copy went further on the one that was left; and bytes that the repository
	// does not even claim to hold are missing, whatever they were.
	if got.Timeline < want.Timeline || want.LSN > r.pos.Position.LSN || r.pos.Position.Timeline < want.Timeline {
		return max(1, int64(want.LSN)-int64(got.LSN)), nil
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
	// A record that was cut off is none of what was promised; a hole is.
	begun, err := target.CutOff(got.LSN, want.LSN, size, cut)
	if err != nil {
		return 0, fmt.Errorf("read the log after %s: %w", got, err)
	}
	if begun {
		return 0, nil
	}
	return int64(want.LSN - got.LSN), nil
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
	if r.o.Gone != nil && !r.o.Gone.Since.IsZero() {
		held, how := r.pos.ServerTime, "from the newest moment that the log covers"
		if lastCopied != nil { // by our own clock, as the first bad look is
			held, how = lastCopied.At, "from the copy's last heartbeat"
		}
		return r.lossSince(held, how)
	}
	if r.prod.serverErr != nil {
		return r.lossWithoutProduction(lastCopied)
	}
	at := r.prod.server.Position
	if r.p.Reached.Timeline == r.prod.server.Timeline && r.p.Reached.LSN >= at {
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
	loss := r.prod.at.Sub(held)
	// Log that was written after the newest moment that the repository knows of
	// cannot have been written before it.
	if loss < 0 && (r.pos.Position.Timeline != r.prod.server.Timeline || r.pos.Position.LSN < at) {
		return 0, "", fmt.Errorf("data loss cannot be measured: production's clock was %s back behind what it had said before: it was set back", (-loss).Round(time.Millisecond))
	}
	// Our own clock has no part in production's being set back.
	if ours := r.p.StartedAt.Sub(r.pos.WrittenAt); !r.pos.WrittenAt.IsZero() && r.pos.Position.LSN < at && ours > loss {
		return ours, "by our own clock, since the log's end was last recorded (by production's clock it would be " + loss.Round(time.Millisecond).String() + ")", nil
	}
	return max(0, loss), how + " to when production was asked", nil
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
