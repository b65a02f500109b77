package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/refloat-db/refloat/internal/repository"
	"github.com/refloat-db/refloat/internal/target"
)

const foldWorkers = 2

// Fold rewrites a delta as a full under the same ID, so that what it builds on
// can go. Folding a full does nothing. A crash leaves either the delta, or
// both, of which List shows the full and Tidy removes the delta.
func (c *Catalogue) Fold(ctx context.Context, id target.ID, backupID string) error {
	b, err := c.Get(ctx, id, backupID)
	if err != nil {
		return err
	}
	if b.Kind == Delta {
		if err := c.fold(ctx, b); err != nil {
			return fmt.Errorf("fold backup %s of %s: %w", backupID, id, err)
		}
	}
	return c.Tidy(ctx, id)
}

func (c *Catalogue) fold(ctx context.Context, b Backup) (err error) {
	img, err := c.Open(ctx, b)
	if err != nil {
		return err
	}
	old, err := c.Repo.Tree(ctx, b.Snapshot)
	if err != nil {
		return err
	}
	w, err := c.Repo.NewWriter(ctx, "fold backup "+b.ID)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Abort(context.WithoutCancel(ctx))) }()
	merged, err := img.writeMerged(ctx, w)
	if err != nil {
		return err
	}
	tree := merged
	for _, n := range old {
		if len(n.Path) > len(ownRoot) && n.Path[:len(ownRoot)+1] == ownRoot+"/" {
			tree = append(tree, n) // page table and manifest stay true
		}
	}
	if err := w.Checkpoint(ctx); err != nil {
		return err
	}
	b.Kind, b.Parent, b.Chain = Full, "", 0
	b.Stored += w.Stored()
	_, err = commitBackup(ctx, w, b, tree)
	return err
}

// writeMerged stores each file that lies in several objects as one, and
// returns the cluster's tree with every file whole.
func (i *Image) writeMerged(ctx context.Context, w objectWriter) ([]repository.Node, error) {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	tree := make([]repository.Node, len(i.files))
	next := make(chan int)
	var workers sync.WaitGroup
	for range foldWorkers {
		workers.Go(func() {
			for k := range next {
				if err := i.mergeInto(ctx, w, &tree[k], i.files[k]); err != nil {
					fail(err)
				}
			}
		})
	}
	for k := range i.files {
		next <- k
		if ctx.Err() != nil {
			break
		}
	}
	close(next)
	workers.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return tree, nil
}

func (i *Image) mergeInto(ctx context.Context, w objectWriter, out *repository.Node, f ImageFile) error {
	*out = f.Node
	out.Path = dataRoot + "/" + f.Path
	if f.Mode.IsDir() || f.Object != "" {
		return nil
	}
	r, err := i.OpenFile(ctx, f.Path)
	if err != nil {
		return err
	}
	id, n, err := w.WriteObject(ctx, f.Path, struct{ io.Reader }{r})
	if err := errors.Join(err, r.Close()); err != nil {
		return err
	}
	if n != f.Size {
		return fmt.Errorf("%s: %d bytes were stored instead of %d", f.Path, n, f.Size)
	}
	out.Object = id
	return nil
}
