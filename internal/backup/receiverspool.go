package backup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/refloat-db/refloat/internal/repository"
	"github.com/refloat-db/refloat/internal/target"
)

// load finds out where the log stands from the repository and the spool.
func (r *Receiver) load(ctx context.Context) error {
	s, err := openSpool(r.o.SpoolDir, r.o.Synchronous)
	if err != nil {
		return fmt.Errorf("%w: %w", errSpool, err)
	}
	r.spool = s
	pos, err := r.log.Position(ctx)
	if errors.Is(err, repository.ErrNotFound) {
		return nil // the first log of this target: the server says where it begins
	}
	if err != nil {
		return err
	}
	if r.o.SystemID != 0 && pos.SystemID != r.o.SystemID {
		return fmt.Errorf("its log in the repository is of system identifier %s, its backups of %s: %w", pos.SystemID, r.o.SystemID, ErrWrongCluster)
	}
	at := pos.Position
	for { // the position record is written on a timer: segments may have got further
		seg := target.SegmentAt(at, pos.SegmentSize)
		x, err := r.log.readIndex(ctx, seg.Name())
		if err != nil && !errors.Is(err, repository.ErrNotFound) && !errors.Is(err, ErrLogBroken) {
			return err
		}
		if _, ok := x.find(seg.Name()); !ok {
			break
		}
		at.LSN = seg.End()
	}
	r.begin(pos.SystemID, pos.SegmentSize)
	r.up.position = pos
	r.up.position.Position = at
	if err := r.listPartials(ctx); err != nil {
		return err
	}
	r.mu.Lock()
	r.stored = at
	r.mu.Unlock()
	return r.adopt(ctx, at)
}

// begin sets up the uploader once cluster and segment size are known.
func (r *Receiver) begin(sys target.SystemID, size int64) {
	up := &uploader{
		log: r.log, spool: r.spool, logger: r.o.Logger, now: r.o.Now, sys: sys, size: size, every: r.o.PartialEvery,
		current: r.currentPartial, timeAt: r.timeAt, stored: r.noteStored, failed: r.noteUpload,
		more: make(chan struct{}, 1), partials: map[string]bool{},
		position: LogPosition{SystemID: sys, SegmentSize: size},
	}
	r.mu.Lock()
	r.sys, r.size, r.up = sys, size, up
	r.mu.Unlock()
}

func (r *Receiver) listPartials(ctx context.Context) error {
	names, err := r.log.list(ctx, fmt.Sprintf("%08X", uint32(r.up.position.Position.Timeline)))
	for _, n := range names {
		if len(n) == 24+len(partialSuffix) {
			r.up.partials[n] = true
		}
	}
	return err
}

// adopt takes over what the spool holds from a position on: whole segments go
// to the uploader, the beginning of the next is kept. What lies before is
// removed. Spool files that do not continue the position stay where they are;
// streaming again overwrites them with the same bytes.
func (r *Receiver) adopt(ctx context.Context, at target.Position) error {
	files, err := r.spool.files(r.size)
	if err != nil {
		return fmt.Errorf("%w: %w", errSpool, err)
	}
	next := target.SegmentAt(at, r.size)
	have := at
	var cur *spoolFile
	var last time.Time
	for _, f := range files {
		switch {
		case f.seg.Timeline != at.Timeline || cur != nil || f.seg.Number > next.Number:
			continue
		case f.seg.Number < next.Number:
			if r.queued(f.seg) {
				continue
			}
			err = os.Remove(f.path)
		case f.whole:
			n, complete, verr := r.spool.valid(f, r.sys)
			if verr != nil {
				return fmt.Errorf("%w: %w", errSpool, verr)
			}
			if !complete {
				r.o.Logger.Warn("a spooled segment is damaged; it is streamed again", "segment", f.seg.Name(), "valid", n)
				err = os.Remove(f.path)
				break
			}
			r.up.enqueue(&upload{seg: f.seg, from: last, to: f.mod})
			have.LSN, last, next = f.seg.End(), f.mod, next.Next()
		default:
			cur, err = r.reopen(f)
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("%w: %w", errSpool, err)
		}
	}
	if cur == nil && have == at && at.LSN > next.Start() {
		if cur, err = r.reload(ctx, next, at); err != nil {
			return err
		}
	}
	if cur != nil {
		have.LSN = max(have.LSN, cur.seg.Start()+target.LSN(cur.length))
		if err := cur.sync(); err != nil {
			return fmt.Errorf("%w: %w", errSpool, err)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.have, r.synced, r.cur = have, have.LSN, cur
	return nil
}

func (r *Receiver) queued(seg target.Segment) bool {
	r.up.mu.Lock()
	defer r.up.mu.Unlock()
	for _, j := range r.up.queue {
		if j.record == "" && j.restart == nil && j.seg == seg {
			return true
		}
	}
	return false
}

// reopen takes over the beginning of a segment.
func (r *Receiver) reopen(f spooled) (*spoolFile, error) {
	n, _, err := r.spool.valid(f, r.sys)
	if err != nil || n == 0 {
		return nil, err
	}
	cur, err := r.spool.create(f.seg)
	if err != nil {
		return nil, err
	}
	cur.length, cur.known = n, n
	return cur, nil
}

// reload brings the beginning of a segment back from the repository when the
// spool has lost it, so that what is streamed again can be compared.
func (r *Receiver) reload(ctx context.Context, seg target.Segment, at target.Position) (*spoolFile, error) {
	name := seg.Name() + partialSuffix
	content, err := r.log.Repo.GetSealed(ctx, r.log.name(name))
	if errors.Is(err, repository.ErrNotFound) {
		return nil, nil
	}
	if errors.Is(err, repository.ErrCorrupt) {
		r.o.Logger.Warn("the stored beginning of a segment is damaged; it is streamed again", "segment", seg.Name(), "error", err)
		return nil, nil
	}
	if err != nil {
		return nil, r.log.broken(name, err)
	}
	if err := checkHeader(content, seg, r.sys); err != nil || int64(len(content)) > seg.Size {
		r.o.Logger.Warn("the stored beginning of a segment is not what its name says; it is streamed again", "segment", seg.Name(), "error", err)
		return nil, nil //nolint:nilerr // nothing can be reused, and nothing need be
	}
	cur, err := r.spool.create(seg)
	if err == nil {
		err = cur.write(0, content)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errSpool, err)
	}
	cur.length, cur.known = int64(len(content)), int64(len(content))
	return cur, nil
}

// syncer makes the spool durable, many writes at a time, and hands whole
// segments to the uploader.
func (r *Receiver) syncer(ctx context.Context) error {
	tick := time.NewTicker(syncEvery)
	defer tick.Stop()
	for {
		timed := false
		select {
		case <-ctx.Done():
			return nil
		case <-r.syncWake:
		case <-tick.C:
			timed = true
		}
		if err := r.syncOnce(timed); err != nil {
			return fmt.Errorf("%w: %w", errSpool, err)
		}
	}
}

func (r *Receiver) syncOnce(timed bool) error {
	r.syncing.Lock()
	defer r.syncing.Unlock()
	r.mu.Lock()
	pending, cur, have, up := r.pending, r.cur, r.have, r.up
	counts := r.o.Synchronous || r.relieve // the spool is what is reported
	all := counts || timed
	changed := r.synced < have.LSN
	r.mu.Unlock()
	if up == nil {
		return nil
	}
	for _, f := range pending {
		if err := r.spool.finish(f); err != nil {
			return r.distrust(f, err)
		}
		up.enqueue(&upload{seg: f.seg, from: f.from, to: f.to})
		r.mu.Lock()
		r.pending = r.pending[1:]
		if r.have.Timeline == f.seg.Timeline {
			r.synced = max(r.synced, f.seg.End())
		}
		r.mu.Unlock()
	}
	if cur != nil && all && changed {
		if err := cur.sync(); err != nil {
			return r.distrust(cur, err)
		}
		r.mu.Lock()
		if r.have.Timeline == have.Timeline {
			r.synced = max(r.synced, have.LSN)
		}
		r.mu.Unlock()
	}
	if counts {
		signal(r.wake)
	}
	return nil
}

// syncNow syncs the segment being written from the goroutine that writes it.
func (r *Receiver) syncNow() error {
	r.mu.Lock()
	cur, have := r.cur, r.have
	r.mu.Unlock()
	if err := cur.sync(); err != nil {
		return fmt.Errorf("%w: %w", errSpool, r.distrust(cur, err))
	}
	r.mu.Lock()
	r.synced = max(r.synced, have.LSN)
	r.mu.Unlock()
	return nil
}

// preparer keeps a zero-filled file ready for the next segment, since syncing
// a file that grows costs more. Only commits that wait for us gain by it.
func (r *Receiver) preparer(ctx context.Context) error {
	for {
		r.mu.Lock()
		size := r.size
		r.mu.Unlock()
		if size > 0 {
			if err := r.spool.ahead(size); err != nil {
				return fmt.Errorf("%w: %w", errSpool, err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-r.taken:
		}
	}
}

// distrust drops a file that could not be synced: after a failed sync the
// system may have thrown away what it could not write, without saying so again
// (PostgreSQL wiki, "Fsync Errors").
func (r *Receiver) distrust(f *spoolFile, err error) error {
	return errors.Join(err, f.close(), r.spool.remove(f.seg))
}
