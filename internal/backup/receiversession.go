package backup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/refloat-db/refloat/internal/repository"
	"github.com/refloat-db/refloat/internal/target"
)

// session is one connection: find out where to go on, stream until something
// ends it. moved reports whether log arrived.
func (r *Receiver) session(ctx context.Context) (moved bool, err error) {
	id, err := r.o.Source.Identify(ctx)
	if err != nil {
		return false, fmt.Errorf("identify the server: %w", err)
	}
	if err := r.checkCluster(id); err != nil {
		return false, err
	}
	if r.up == nil {
		// The caller starts the uploader that this makes.
		return false, r.first(ctx, id)
	}
	slot, err := r.ensureSlot(ctx)
	if err != nil {
		return false, err
	}
	if err := r.followTimeline(ctx, id); err != nil {
		return false, err
	}
	r.mu.Lock()
	givenUp := r.givenUp
	r.givenUp = false
	r.mu.Unlock()
	if givenUp {
		return false, r.giveUp(ctx, id, slot, errSlotBound)
	}
	from, before := r.arm()
	moved, err = r.stream(ctx, from, before)
	if errors.Is(err, target.ErrLogRemoved) {
		return moved, r.giveUp(ctx, id, slot, err)
	}
	return moved, err
}

func (r *Receiver) checkCluster(id target.LogIdentity) error {
	if !target.ValidSegmentSize(id.SegmentSize) {
		return fmt.Errorf("the server reports a WAL segment size of %d", id.SegmentSize)
	}
	known := r.o.SystemID
	if r.sys != 0 {
		known = r.sys
	}
	if known != 0 && id.SystemID != known {
		return fmt.Errorf("the server has system identifier %s, the log held is of %s: %w", id.SystemID, known, ErrWrongCluster)
	}
	if r.size != 0 && id.SegmentSize != r.size {
		return fmt.Errorf("the server's WAL segment size is now %d, the log held has %d: %w", id.SegmentSize, r.size, ErrWrongCluster)
	}
	return nil
}

// first begins a target's log: at the start of the segment from which a new
// slot reserves it.
func (r *Receiver) first(ctx context.Context, id target.LogIdentity) error {
	slot, err := r.o.Source.CreateSlot(ctx, r.o.Slot)
	if err != nil {
		return fmt.Errorf("create replication slot %s: %w", r.o.Slot, err)
	}
	start := target.Position{Timeline: id.Timeline, LSN: slot.RestartLSN}
	if start.LSN == 0 || start.LSN > id.Flushed {
		start.LSN = id.Flushed
	}
	start.LSN = target.SegmentAt(start, id.SegmentSize).Start()
	r.begin(id.SystemID, id.SegmentSize)
	err = r.keepHistories(ctx, id)
	if err == nil {
		err = r.up.putPosition(ctx, start)
	}
	if err == nil {
		err = r.adopt(ctx, start)
	}
	if err != nil {
		r.mu.Lock()
		r.up = nil
		r.mu.Unlock()
		return fmt.Errorf("begin the log of %s: %w", r.o.Target, err)
	}
	return nil
}

// ensureSlot makes sure that our slot exists and holds log.
func (r *Receiver) ensureSlot(ctx context.Context) (target.Slot, error) {
	slot, err := r.o.Source.Slot(ctx, r.o.Slot)
	if err != nil {
		return slot, fmt.Errorf("look at replication slot %s: %w", r.o.Slot, err)
	}
	if slot.Exists && slot.WALStatus == "lost" {
		r.o.Logger.Warn("the server invalidated the replication slot; it is made anew", "slot", slot.Name)
		if err := r.o.Source.DropSlot(ctx, r.o.Slot); err != nil {
			return slot, fmt.Errorf("drop replication slot %s: %w", r.o.Slot, err)
		}
		slot.Exists = false
	}
	if !slot.Exists {
		if slot, err = r.o.Source.CreateSlot(ctx, r.o.Slot); err != nil {
			return slot, fmt.Errorf("create replication slot %s: %w", r.o.Slot, err)
		}
	}
	r.mu.Lock()
	r.st.Slot = slot
	r.mu.Unlock()
	return slot, nil
}

// keepHistories stores the history of the server's timeline and of those
// before it, as far as the server has them.
func (r *Receiver) keepHistories(ctx context.Context, id target.LogIdentity) error {
	if id.Timeline == 1 {
		return nil
	}
	content, err := r.o.Source.TimelineHistory(ctx, id.Timeline)
	if err != nil {
		return fmt.Errorf("read the history of timeline %d: %w", id.Timeline, err)
	}
	line, err := target.ParseHistory(content)
	if err != nil {
		return fmt.Errorf("history of timeline %d: %w", id.Timeline, err)
	}
	for _, s := range line {
		if s.Timeline == 1 {
			continue
		}
		older, err := r.o.Source.TimelineHistory(ctx, s.Timeline)
		if err != nil {
			r.o.Logger.Warn("the server lacks the history of an older timeline", "timeline", s.Timeline, "error", err)
			continue
		}
		if err := r.log.Repo.PutSealed(ctx, r.log.name(s.Timeline.HistoryName()), older); err != nil {
			return fmt.Errorf("store the history of timeline %d: %w", s.Timeline, err)
		}
	}
	if err := r.log.Repo.PutSealed(ctx, r.log.name(id.Timeline.HistoryName()), content); err != nil {
		return fmt.Errorf("store the history of timeline %d: %w", id.Timeline, err)
	}
	return nil
}

// followTimeline moves to another timeline when the server did.
func (r *Receiver) followTimeline(ctx context.Context, id target.LogIdentity) error {
	r.mu.Lock()
	have := r.have
	r.mu.Unlock()
	if id.Timeline == have.Timeline {
		_, _, err := follow(have, id, nil, nil)
		return r.behind(err)
	}
	line, held, err := r.histories(ctx, id, have)
	if err != nil {
		return err
	}
	at, forked, err := follow(have, id, line, held)
	if err != nil {
		return r.behind(err)
	}
	r.alarm("behind", "")
	if at == have {
		return nil
	}
	if forked {
		r.alarm("fork", fmt.Sprintf("the server went on from %s on timeline %d; log up to %s that it does not have is kept on timeline %d", at.LSN, at.Timeline, have.LSN, have.Timeline))
	}
	r.o.Logger.Info("following a new timeline", "from", have.String(), "to", at.String())
	content, err := r.o.Source.TimelineHistory(ctx, at.Timeline)
	if err != nil {
		return fmt.Errorf("read the history of timeline %d: %w", at.Timeline, err)
	}
	if err := r.closeCurrent(); err != nil {
		return err
	}
	r.up.enqueue(&upload{record: at.Timeline.HistoryName(), content: content})
	r.mu.Lock()
	r.clock.reset()
	r.mu.Unlock()
	return r.adopt(ctx, at)
}

// behind raises or clears the alarm of a server that is behind the log held.
func (r *Receiver) behind(err error) error {
	text := ""
	if err != nil {
		text = err.Error()
	}
	r.alarm("behind", text)
	return err
}

func (r *Receiver) histories(ctx context.Context, id target.LogIdentity, have target.Position) (line, held []target.Switch, err error) {
	if id.Timeline < have.Timeline {
		return nil, nil, nil
	}
	content, err := r.o.Source.TimelineHistory(ctx, id.Timeline)
	if err != nil {
		return nil, nil, fmt.Errorf("read the history of timeline %d: %w", id.Timeline, err)
	}
	if line, err = target.ParseHistory(content); err != nil {
		return nil, nil, fmt.Errorf("history of timeline %d: %w", id.Timeline, err)
	}
	if have.Timeline > 1 {
		content, err := r.log.Repo.GetSealed(ctx, r.log.name(have.Timeline.HistoryName()))
		switch {
		case errors.Is(err, repository.ErrNotFound), errors.Is(err, repository.ErrCorrupt):
			return line, nil, nil
		case err != nil:
			return nil, nil, fmt.Errorf("read the history of timeline %d: %w", have.Timeline, err)
		}
		if held, err = target.ParseHistory(content); err != nil {
			return line, nil, nil //nolint:nilerr // an unreadable history shares nothing
		}
	}
	return line, held, nil
}

// closeCurrent ends the segment that no more will be added to: its beginning
// is stored as it is.
func (r *Receiver) closeCurrent() error {
	if err := r.syncOnce(true); err != nil {
		return fmt.Errorf("%w: %w", errSpool, err)
	}
	r.mu.Lock()
	f := r.cur
	r.cur = nil
	r.mu.Unlock()
	if f == nil {
		return nil
	}
	if err := f.close(); err != nil {
		return fmt.Errorf("%w: %w", errSpool, err)
	}
	if f.length > 0 {
		r.up.enqueue(&upload{seg: f.seg, final: f.length})
	}
	return nil
}

// giveUp records that the server no longer has the log that comes next, and
// goes on from where a new slot begins.
func (r *Receiver) giveUp(ctx context.Context, id target.LogIdentity, slot target.Slot, cause error) error {
	r.mu.Lock()
	have := r.have
	r.mu.Unlock()
	if slot.RestartLSN <= have.LSN || slot.WALStatus == "lost" {
		if err := r.o.Source.DropSlot(ctx, r.o.Slot); err != nil {
			return fmt.Errorf("drop replication slot %s: %w", r.o.Slot, err)
		}
		var err error
		if slot, err = r.o.Source.CreateSlot(ctx, r.o.Slot); err != nil {
			return fmt.Errorf("create replication slot %s: %w", r.o.Slot, err)
		}
	}
	to := target.Position{Timeline: id.Timeline, LSN: slot.RestartLSN}
	if to.LSN == 0 {
		to.LSN = id.Flushed
	}
	to.LSN = target.SegmentAt(to, r.size).Start()
	if to.Timeline == have.Timeline && to.LSN <= have.LSN {
		return cause // the new slot begins within what is held: try again
	}
	return r.gap(ctx, Gap{From: have, To: to, At: r.o.Now().UTC(), Reason: cause.Error()})
}

func (r *Receiver) gap(ctx context.Context, g Gap) error {
	content, err := json.Marshal(g)
	if err != nil {
		return fmt.Errorf("encode gap: %w", err)
	}
	if err := r.closeCurrent(); err != nil {
		return err
	}
	name := fmt.Sprintf("gap/%08X%016X", uint32(g.From.Timeline), uint64(g.From.LSN))
	r.up.enqueue(&upload{record: name, content: content}, &upload{restart: &g.To})
	r.mu.Lock()
	r.st.Gap = &g
	r.relieve = false
	r.clock.reset()
	r.setAlarm("gap", fmt.Sprintf("log from %s to %s is lost: a new base backup is needed (%s)", g.From, g.To, g.Reason))
	r.mu.Unlock()
	if r.o.Observer != nil {
		r.o.Observer.Gap(g)
	}
	return r.adopt(ctx, g.To)
}

// ClearGap takes the alarm of a gap back: the owner has a base backup that
// begins after it.
func (r *Receiver) ClearGap() { r.alarm("gap", "") }

// arm prepares the file state for streaming and returns where to begin.
func (r *Receiver) arm() (from target.Position, before target.LSN) {
	r.mu.Lock()
	defer r.mu.Unlock()
	seg := target.SegmentAt(r.have, r.size)
	if r.cur != nil {
		r.cur.known = r.cur.length
		seg = r.cur.seg
	}
	from = target.Position{Timeline: r.have.Timeline, LSN: seg.Start()}
	r.expect = from.LSN
	return from, r.have.LSN
}

func (r *Receiver) stream(ctx context.Context, from target.Position, before target.LSN) (bool, error) {
	ctx, cut := context.WithCancelCause(ctx)
	defer cut(context.Canceled)
	r.mu.Lock()
	r.cut, r.relaying = cut, from.Timeline
	r.setAlarm("connection", "")
	r.mu.Unlock()
	_, err := r.o.Source.StreamLog(ctx, target.LogRequest{Slot: r.o.Slot, From: from, Application: r.o.Application}, &logHandler{r: r, ctx: ctx})
	r.mu.Lock()
	r.cut, r.relaying = nil, 0
	moved := r.have.LSN > before
	r.mu.Unlock()
	if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(cause, context.Canceled) {
		err = cause
	}
	if err != nil && !errors.Is(err, target.ErrLogRemoved) && ctx.Err() == nil {
		r.alarm("connection", "the log is not being received: "+err.Error())
	}
	return moved, err
}

// logHandler is the receiver's side of one stream.
type logHandler struct {
	r   *Receiver
	ctx context.Context // of the stream: ends a wait for space in the spool
}

// Write puts log into the spool; it waits when the spool is full.
func (h *logHandler) Write(lsn target.LSN, data []byte, serverEnd target.LSN, serverTime time.Time) error {
	r := h.r
	if lsn != r.expect {
		return fmt.Errorf("the server sent log at %s where %s was expected", lsn, r.expect)
	}
	for len(data) > 0 {
		f, err := h.file(lsn, serverTime)
		if err != nil {
			return err
		}
		off := int64(lsn - f.seg.Start())
		n := min(r.size-off, int64(len(data)))
		if err := f.write(off, data[:n]); err != nil {
			if errors.Is(err, ErrDiverged) {
				return err
			}
			return fmt.Errorf("%w: %w", errSpool, err)
		}
		lsn, data = lsn+target.LSN(n), data[n:]
		r.mu.Lock()
		f.length, f.to = max(f.length, off+n), serverTime
		r.expect = lsn
		r.have.LSN = max(r.have.LSN, lsn)
		if off+n == r.size {
			r.pending, r.cur = append(r.pending, f), nil
		}
		r.mu.Unlock()
	}
	r.heard(serverEnd, serverTime)
	switch {
	case !r.o.Synchronous || r.cur == nil || r.unfinished():
		signal(r.syncWake)
	case lsn >= serverEnd:
		return r.syncNow() // commits wait: no detour through the syncer
	}
	// Otherwise the rest of what the server has flushed is on its way, and one
	// sync does for all of it.
	return nil
}

// unfinished says whether whole segments are still to be synced.
func (r *Receiver) unfinished() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.pending) > 0
}

// file returns the spool file for the byte at lsn.
func (h *logHandler) file(lsn target.LSN, at time.Time) (*spoolFile, error) {
	r := h.r
	if r.cur != nil {
		return r.cur, nil
	}
	if err := h.waitForSpace(); err != nil {
		return nil, err
	}
	f, err := r.spool.create(target.SegmentAt(target.Position{Timeline: r.have.Timeline, LSN: lsn}, r.size))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errSpool, err)
	}
	signal(r.taken)
	f.from = at
	r.mu.Lock()
	r.cur = f
	r.mu.Unlock()
	return f, nil
}

// waitForSpace stops reading from the server while the spool is full. The slot
// then holds the log there, within its own bound.
func (h *logHandler) waitForSpace() error {
	r := h.r
	for {
		r.mu.Lock()
		held := r.spoolBytes()
		full := held > 0 && held+r.size > r.o.MaxSpool // one segment always fits
		if full {
			r.setAlarm("spool", "the spool is full: the log is not being received until the repository takes what is in it")
		} else {
			r.setAlarm("spool", "")
		}
		r.mu.Unlock()
		if !full {
			return nil
		}
		select {
		case <-h.ctx.Done():
			return context.Cause(h.ctx)
		case <-r.space:
		}
	}
}

// Idle notes the end of the server's log at a time.
func (h *logHandler) Idle(serverEnd target.LSN, serverTime time.Time) error {
	h.r.heard(serverEnd, serverTime)
	return nil
}

func (r *Receiver) heard(serverEnd target.LSN, serverTime time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.st.ServerEnd, r.st.ServerTime, r.st.HeardAt = serverEnd, serverTime, r.o.Now()
	r.clock.observe(serverEnd, serverTime)
}

// Progress is what may be told the server: in synchronous mode (or when the
// slot holds too much) the spool counts as flushed, otherwise the repository.
func (h *logHandler) Progress() (written, flushed target.LSN) {
	r := h.r
	r.mu.Lock()
	defer r.mu.Unlock()
	written = r.have.LSN
	switch {
	case r.o.Synchronous || r.relieve:
		flushed = r.synced
	case r.stored.Timeline == r.have.Timeline:
		flushed = min(r.stored.LSN, written)
	}
	return written, flushed
}

// Wake tells when Progress moved.
func (h *logHandler) Wake() <-chan struct{} { return h.r.wake }
