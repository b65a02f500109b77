package repository

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/kopia/kopia/repo/blob"
)

// ErrBusy is returned by Maintain while another maintenance runs.
var ErrBusy = errors.New("another maintenance is running")

// A maintenance holds a lease: a blob that it renews. Times are the storage's
// own, so that clocks need not agree.
const (
	leasePrefix = "refloat-lease."
	leaseLife   = 10 * time.Minute
	leaseRenew  = 2 * time.Minute
)

type lease struct {
	r    *Repository
	id   blob.ID
	stop context.CancelFunc
	done chan struct{}
	lost error
}

// takeLease gives a context that ends when the lease cannot be renewed.
// Whoever finds another live lease after writing its own withdraws: two that
// start at once may both withdraw, never both go on.
func (r *Repository) takeLease(ctx context.Context, force bool) (*lease, context.Context, error) {
	var b [8]byte
	if _, err := rand.Read(b[:]); err != nil {
		return nil, nil, fmt.Errorf("name lease: %w", err)
	}
	l := &lease{r: r, id: blob.ID(leasePrefix + hex.EncodeToString(b[:])), done: make(chan struct{})}
	if err := l.write(ctx); err != nil {
		return nil, nil, err
	}
	if err := l.alone(ctx, force); err != nil {
		return nil, nil, errors.Join(err, r.storage.DeleteBlob(context.WithoutCancel(ctx), l.id))
	}
	inner, stop := context.WithCancel(ctx)
	l.stop = stop
	go func() {
		defer close(l.done)
		tick := time.NewTicker(leaseRenew)
		defer tick.Stop()
		for {
			select {
			case <-inner.Done():
				return
			case <-tick.C:
				if err := l.write(inner); err != nil {
					l.lost = err
					stop()
					return
				}
			}
		}
	}()
	return l, inner, nil
}

func (l *lease) write(ctx context.Context) error {
	if err := l.r.storage.PutBlob(ctx, l.id, rawBytes("maintenance\n"), blob.PutOptions{}); err != nil {
		return fmt.Errorf("write lease: %w", err)
	}
	return nil
}

func (l *lease) alone(ctx context.Context, force bool) error {
	own, err := l.r.storage.GetMetadata(ctx, l.id)
	if err != nil {
		return fmt.Errorf("read lease: %w", err)
	}
	var others []blob.Metadata
	err = l.r.storage.ListBlobs(ctx, leasePrefix, func(m blob.Metadata) error {
		if m.BlobID != l.id {
			others = append(others, m)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("list leases: %w", err)
	}
	for _, m := range others {
		if age := own.Timestamp.Sub(m.Timestamp); age < leaseLife && !force {
			return fmt.Errorf("%w: its lease was renewed %s ago; try again when it has ended, or after %s if it was killed", ErrBusy, max(0, age.Round(time.Second)), leaseLife)
		}
		if err := l.r.storage.DeleteBlob(ctx, m.BlobID); err != nil {
			return fmt.Errorf("remove a stale lease: %w", err)
		}
	}
	return nil
}

// release ends the lease; the error says that it was lost before.
func (l *lease) release(ctx context.Context) error {
	l.stop()
	<-l.done
	return errors.Join(l.lost, l.r.storage.DeleteBlob(context.WithoutCancel(ctx), l.id))
}
