package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/refloat-db/refloat/internal/repository"
	"github.com/refloat-db/refloat/internal/target"
)

const (
	uploadWorkers = 2 // segments compressed and encrypted at once
	uploadWindow  = 4 // segments stored ahead of the index at most
)

// uploader writes everything of one log to the repository, in order: a whole
// segment is stored, then indexed, then counts as kept.
type uploader struct {
	log    *Log
	spool  *spool
	logger *slog.Logger
	now    func() time.Time
	sys    target.SystemID
	size   int64
	every  time.Duration
	// current reads the segment that is being received, for its partial.
	current func(after target.Position) (partialCopy, error)
	// timeAt is the moment on the server's clock up to which the log before a
	// position is complete; zero when unknown.
	timeAt func(target.Position) time.Time
	stored func(target.Position) // told when the repository has the log up to here
	failed func(error)           // told when a write fails, and nil when one succeeds again

	mu    sync.Mutex
	queue []*upload // not yet committed, in order
	more  chan struct{}

	// Only the run goroutine uses these.
	index    logIndex
	indexOf  string
	partials map[string]bool // names of partial objects that may be there
	position LogPosition
	slots    chan struct{}
	workers  sync.WaitGroup
}

// partialCopy is the beginning of a segment.
type partialCopy struct {
	seg     target.Segment
	content []byte
}

// upload is one thing to store. Exactly one of its forms is set: a whole
// segment; the beginning of one that no more will be added to (final); a
// record; a position to go on from.
type upload struct {
	seg      target.Segment
	from, to time.Time
	final    int64 // bytes of a final partial; 0 otherwise
	record   string
	content  []byte
	restart  *target.Position

	started bool
	done    chan struct{}
	sha     string
	err     error
}

func (u *upload) whole() bool { return u.final == 0 && u.record == "" && u.restart == nil }

func (u *uploader) enqueue(jobs ...*upload) {
	u.mu.Lock()
	u.queue = append(u.queue, jobs...)
	u.mu.Unlock()
	select {
	case u.more <- struct{}{}:
	default:
	}
}

// waiting is how many uploads are not committed yet.
func (u *uploader) waiting() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.queue)
}

func (u *uploader) head() *upload {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.queue) == 0 {
		return nil
	}
	return u.queue[0]
}

// run uploads until ctx ends; failures are tried again.
func (u *uploader) run(ctx context.Context) error {
	u.slots = make(chan struct{}, uploadWorkers)
	defer u.workers.Wait()
	tick := time.NewTicker(u.every)
	defer tick.Stop()
	for {
		u.startWhole(ctx)
		head := u.head()
		var done chan struct{}
		if head != nil && head.started {
			done = head.done
		}
		if head != nil && !head.started {
			if err := u.retry(ctx, func() error { return u.single(ctx, head) }); err != nil {
				return err
			}
			u.commit(ctx, []*upload{head})
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-done:
			if err := u.finishWhole(ctx); err != nil {
				return err
			}
		case <-u.more:
		case <-tick.C:
			if err := u.retry(ctx, func() error { return u.tick(ctx) }); err != nil {
				return err
			}
		}
	}
}

// startWhole starts whole segments at the front of the queue, up to the window.
func (u *uploader) startWhole(ctx context.Context) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, j := range u.queue[:min(len(u.queue), uploadWindow)] {
		if !j.whole() {
			return
		}
		if j.started {
			continue
		}
		j.started, j.done = true, make(chan struct{})
		u.workers.Go(func() {
			defer close(j.done)
			select {
			case u.slots <- struct{}{}:
			case <-ctx.Done():
				j.err = ctx.Err()
				return
			}
			defer func() { <-u.slots }()
			j.err = u.retry(ctx, func() error { return u.storeWhole(ctx, j) })
		})
	}
}

func (u *uploader) storeWhole(ctx context.Context, j *upload) error {
	content, err := os.ReadFile(u.spool.path(j.seg, true))
	if err != nil {
		return fmt.Errorf("read spooled segment: %w", err)
	}
	if int64(len(content)) != j.seg.Size {
		return fmt.Errorf("spooled segment %s has %d bytes", j.seg.Name(), len(content))
	}
	if err := checkHeader(content, j.seg, u.sys); err != nil {
		return fmt.Errorf("spooled segment %s: %w", j.seg.Name(), err)
	}
	sum := sha256.Sum256(content)
	j.sha = hex.EncodeToString(sum[:])
	return u.log.Repo.PutSealed(ctx, u.log.name(j.seg.Name()), content)
}

// finishWhole indexes and commits all that is done at the front of the queue.
func (u *uploader) finishWhole(ctx context.Context) error {
	batch := u.doneFront()
	if len(batch) == 0 {
		return nil
	}
	for _, j := range batch {
		if j.err != nil {
			return j.err // only when ctx ended: anything else is tried again
		}
	}
	if err := u.retry(ctx, func() error { return u.indexWhole(ctx, batch) }); err != nil {
		return err
	}
	if seg := batch[len(batch)-1].seg; seg.Timeline != u.position.Position.Timeline {
		// A restart looks for later segments on the position's timeline only.
		end := target.Position{Timeline: seg.Timeline, LSN: seg.End()}
		if err := u.retry(ctx, func() error { return u.putPosition(ctx, end) }); err != nil {
			return err
		}
	}
	u.commit(ctx, batch)
	return nil
}

// doneFront is the run of stored segments at the front of the queue that share
// an index object.
func (u *uploader) doneFront() []*upload {
	u.mu.Lock()
	defer u.mu.Unlock()
	var batch []*upload
	for _, j := range u.queue {
		if !j.started || len(batch) > 0 && indexName(j.seg.Name()) != indexName(batch[0].seg.Name()) {
			return batch
		}
		select {
		case <-j.done:
			batch = append(batch, j)
		default:
			return batch
		}
	}
	return batch
}

func (u *uploader) indexWhole(ctx context.Context, batch []*upload) error {
	name := indexName(batch[0].seg.Name())
	if u.indexOf != name {
		x, err := u.log.readIndex(ctx, batch[0].seg.Name())
		switch {
		case errors.Is(err, ErrLogBroken):
			// What the lost index knew stays visible: those segments are not indexed.
			u.logger.Error("the log's index is damaged; it is begun anew", "index", name, "error", err)
			x = logIndex{}
		case err != nil && !errors.Is(err, repository.ErrNotFound):
			return err
		}
		u.index, u.indexOf = x, name
		u.index.Format, u.index.SegmentSize = indexFormat, u.size
	}
	for _, j := range batch {
		u.index.put(SegmentInfo{Name: j.seg.Name(), End: j.seg.End(), SHA256: j.sha, From: j.from.UTC(), To: j.to.UTC()})
	}
	content, err := u.index.encode()
	if err != nil {
		return err
	}
	return u.log.Repo.PutSealed(ctx, u.log.name(name), content)
}

// single stores what is not a whole segment. Nothing else is under way then.
func (u *uploader) single(ctx context.Context, j *upload) error {
	switch {
	case j.record != "":
		return u.log.Repo.PutSealed(ctx, u.log.name(j.record), j.content)
	case j.restart != nil:
		return u.putPosition(ctx, *j.restart)
	}
	content, err := os.ReadFile(u.spool.path(j.seg, false))
	if err != nil {
		return fmt.Errorf("read spooled segment: %w", err)
	}
	if int64(len(content)) < j.final {
		return fmt.Errorf("spooled segment %s has %d bytes instead of %d", j.seg.Name(), len(content), j.final)
	}
	return u.putPartial(ctx, j.seg, content[:j.final])
}

// commit takes finished uploads off the queue and clears up behind them.
func (u *uploader) commit(ctx context.Context, batch []*upload) {
	u.mu.Lock()
	u.queue = u.queue[len(batch):]
	u.mu.Unlock()
	last := batch[len(batch)-1]
	if last.whole() {
		u.position.Position = target.Position{Timeline: last.seg.Timeline, LSN: last.seg.End()}
		u.stored(u.position.Position)
	}
	for _, j := range batch {
		if j.record != "" || j.restart != nil {
			continue
		}
		if err := u.spool.remove(j.seg); err != nil {
			u.logger.Error("a stored segment stays in the spool", "error", err)
		}
		partial := j.seg.Name() + partialSuffix
		if j.whole() && u.partials[partial] {
			if err := u.log.Repo.DeleteSealed(ctx, u.log.name(partial)); err != nil {
				u.logger.Warn("a partial segment stays beside its whole", "error", err)
			}
			delete(u.partials, partial)
		}
	}
}

// tick stores the beginning of the current segment, when everything before it
// is stored, and the position.
func (u *uploader) tick(ctx context.Context) error {
	if u.head() != nil {
		return u.putPosition(ctx, u.position.Position) // writes what commits moved on
	}
	c, err := u.current(u.position.Position)
	if err != nil {
		return err
	}
	if len(c.content) > 0 {
		return u.putPartial(ctx, c.seg, c.content)
	}
	return u.putPosition(ctx, u.position.Position)
}

func (u *uploader) putPartial(ctx context.Context, seg target.Segment, content []byte) error {
	name := seg.Name() + partialSuffix
	u.partials[name] = true
	if err := u.log.Repo.PutSealed(ctx, u.log.name(name), content); err != nil {
		return err
	}
	return u.putPosition(ctx, target.Position{Timeline: seg.Timeline, LSN: seg.Start() + target.LSN(len(content))})
}

// putPosition records how far the log reaches and tells the receiver.
func (u *uploader) putPosition(ctx context.Context, p target.Position) error {
	next := u.position
	next.Position, next.WrittenAt = p, u.now().UTC()
	if t := u.timeAt(p); t.After(next.ServerTime) {
		next.ServerTime = t.UTC()
	}
	content, err := json.Marshal(next)
	if err != nil {
		return fmt.Errorf("encode log position: %w", err)
	}
	if err := u.log.Repo.PutSealed(ctx, u.log.name("position"), content); err != nil {
		return err
	}
	u.position = next
	u.stored(p)
	return nil
}

// drain stores all that waits and the beginning of the current segment, once,
// after run has ended.
func (u *uploader) drain(ctx context.Context) error {
	for j := u.head(); j != nil; j = u.head() {
		var err error
		if j.whole() {
			if err = u.storeWhole(ctx, j); err == nil {
				err = u.indexWhole(ctx, []*upload{j})
			}
		} else {
			err = u.single(ctx, j)
		}
		if err != nil {
			return err
		}
		u.commit(ctx, []*upload{j})
	}
	return u.tick(ctx)
}

// retry repeats f until it succeeds or ctx ends.
func (u *uploader) retry(ctx context.Context, f func() error) error {
	for wait := 250 * time.Millisecond; ; wait = min(2*wait, 10*time.Second) {
		err := f()
		if err == nil {
			u.failed(nil)
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		u.failed(err)
		u.logger.Warn("storing the log failed; trying again", "error", err, "wait", wait)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}
