package repository

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/kopia/kopia/repo/blob"
	"github.com/kopia/kopia/repo/maintenance"
)

// Status reads the figures; it lists all of storage.
func (r *Repository) Status(ctx context.Context) (Status, error) {
	const op = "read status"
	s := Status{Location: r.Location(), Fingerprint: r.Fingerprint(), FreeBytes: -1}
	p := r.rep.FormatManager()
	s.Format = strings.Join([]string{p.GetHashFunction(), p.GetEncryptionAlgorithm(), r.rep.ObjectFormat().Splitter, formatCompressor}, ", ")
	snaps, err := r.Snapshots(ctx, "")
	if err != nil {
		return s, err
	}
	s.Snapshots = len(snaps)
	err = r.storage.ListBlobs(ctx, "", func(m blob.Metadata) error {
		s.StoredBytes += m.Length
		if _, ok := sealedName(m.BlobID); ok {
			s.Sealed++
		}
		return ctx.Err()
	})
	if err != nil {
		return s, r.wrap(ctx, op, nil, fmt.Errorf("list storage: %w", err))
	}
	c, err := r.storage.GetCapacity(ctx)
	switch {
	case err == nil:
		s.FreeBytes = int64(c.FreeB)
	case !errors.Is(err, blob.ErrNotAVolume):
		return s, r.wrap(ctx, op, nil, fmt.Errorf("read free space: %w", err))
	}
	if s.LastMaintenance, err = r.lastMaintenance(ctx); err != nil {
		return s, r.wrap(ctx, op, nil, err)
	}
	return s, nil
}

// lastMaintenance is when one last ended well; zero when none has.
func (r *Repository) lastMaintenance(ctx context.Context) (time.Time, error) {
	sch, err := maintenance.GetSchedule(ctx, r.rep)
	if err != nil {
		return time.Time{}, fmt.Errorf("read maintenance schedule: %w", err)
	}
	var last time.Time
	for _, run := range sch.Runs[maintenance.TaskCleanupLogs] { // the last task of a maintenance
		if run.Success && run.End.After(last) {
			last = run.End
		}
	}
	return last, nil
}
