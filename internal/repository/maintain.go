package repository

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/kopia/kopia/repo"
	"github.com/kopia/kopia/repo/blob"
	"github.com/kopia/kopia/repo/content"
	"github.com/kopia/kopia/repo/content/indexblob"
	"github.com/kopia/kopia/repo/maintenance"
	"github.com/kopia/kopia/repo/maintenancestats"
	"github.com/kopia/kopia/repo/manifest"
	"github.com/kopia/kopia/repo/object"
	"github.com/kopia/kopia/snapshot"
)

// Maintain compacts indexes and reclaims space that nothing refers to: of
// deleted snapshots and of writers that were killed. Sealed objects are never
// touched. Others may write meanwhile, unless o.Exclusive promises that none
// does; then nothing has to wait. ErrBusy while another maintenance runs.
//
// kopia forgets a content in two maintenances at least four hours apart, and
// deletes blobs a day old, so that a writer which relies on a content just
// being dropped is never wrong. Space comes back after about a day.
func (r *Repository) Maintain(ctx context.Context, o MaintainOptions) (MaintainReport, error) {
	const op = "maintain"
	if r.readOnly {
		return MaintainReport{}, r.wrap(ctx, op, nil, errors.New("it was opened read-only"))
	}
	if err := r.Refresh(ctx); err != nil {
		return MaintainReport{}, err
	}
	if o.DryRun {
		rep, err := r.wouldReclaim(ctx, safety(o))
		if err != nil {
			return rep, r.wrap(ctx, op, nil, err)
		}
		return rep, nil
	}
	l, inner, err := r.takeLease(ctx, o.Exclusive)
	if err != nil {
		return MaintainReport{}, r.wrap(ctx, op, nil, err)
	}
	rep, err := r.reclaim(inner, safety(o))
	if err = errors.Join(err, l.release(ctx)); err != nil {
		return rep, r.wrap(ctx, op, nil, err)
	}
	return rep, nil
}

func safety(o MaintainOptions) maintenance.SafetyParameters {
	if o.Exclusive {
		return maintenance.SafetyNone
	}
	return maintenance.SafetyFull
}

func (r *Repository) reclaim(ctx context.Context, s maintenance.SafetyParameters) (MaintainReport, error) {
	before, err := r.kopiaBlobs(ctx)
	if err != nil {
		return MaintainReport{}, err
	}
	var written int64
	err = repo.DirectWriteSession(ctx, r.rep, repo.WriteSessionOptions{
		Purpose: "maintenance", OnUpload: func(n int64) { written += n },
	}, func(ctx context.Context, w repo.DirectRepositoryWriter) error {
		return maintenance.RunExclusive(ctx, w, maintenance.ModeFull, true, func(ctx context.Context, p maintenance.RunParameters) error {
			g := collector{r: r, w: w, safety: s, now: p.MaintenanceStartTime, delete: true}
			err := maintenance.ReportRun(ctx, w, maintenance.TaskSnapshotGarbageCollection, nil, func() (maintenancestats.Kind, error) {
				return g.run(ctx)
			})
			if err != nil {
				return fmt.Errorf("find what is not referred to: %w", err)
			}
			if s == maintenance.SafetyNone {
				if err := drop(ctx, w); err != nil {
					return err
				}
			}
			return maintenance.Run(ctx, p, s)
		})
	})
	if err != nil {
		return MaintainReport{}, err
	}
	temp, err := r.sweep(ctx, s.PackDeleteMinAge)
	if err != nil {
		return MaintainReport{}, err
	}
	after, err := r.kopiaBlobs(ctx)
	if err != nil {
		return MaintainReport{}, err
	}
	gone := temp - written
	for id, n := range before {
		if _, still := after[id]; !still {
			gone += n
		}
	}
	return MaintainReport{Reclaimed: max(0, gone)}, nil
}

// drop forgets deleted contents now. kopia would first move them to a new blob
// if theirs is short, and so keep up to a blob of garbage for the next time.
// Times in its index are seconds, rounded up at most twice.
func drop(ctx context.Context, w repo.DirectRepositoryWriter) error {
	_, err := w.ContentManager().CompactIndexes(ctx, indexblob.CompactOptions{
		AllIndexes: true, DropDeletedBefore: time.Now().Add(2 * time.Second), DisableEventualConsistencySafety: true,
	})
	if err != nil {
		return fmt.Errorf("drop deleted contents: %w", err)
	}
	return nil
}

// sweep removes temporary files that killed writers left.
func (r *Repository) sweep(ctx context.Context, minAge time.Duration) (int64, error) {
	d, ok := r.storage.(*durableFolder)
	if !ok {
		return 0, nil
	}
	return d.sweep(ctx, time.Now().Add(-minAge))
}

// kopiaBlobs lists kopia's own blobs with their lengths.
func (r *Repository) kopiaBlobs(ctx context.Context) (map[blob.ID]int64, error) {
	out := map[blob.ID]int64{}
	err := r.storage.ListBlobs(ctx, "", func(m blob.Metadata) error {
		if !strings.HasPrefix(string(m.BlobID), "refloat") {
			out[m.BlobID] = m.Length
		}
		return ctx.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("list storage: %w", err)
	}
	return out, nil
}

// wouldReclaim is what a maintenance finds, without deleting anything: what
// nothing refers to, old enough to go.
func (r *Repository) wouldReclaim(ctx context.Context, s maintenance.SafetyParameters) (MaintainReport, error) {
	var out MaintainReport
	err := repo.DirectWriteSession(ctx, r.rep, repo.WriteSessionOptions{Purpose: "maintenance"},
		func(ctx context.Context, w repo.DirectRepositoryWriter) error {
			g := collector{r: r, w: w, safety: s, now: time.Now()}
			found, err := g.run(ctx)
			if err != nil {
				return err
			}
			packs, err := maintenance.DeleteUnreferencedPacks(ctx, w, maintenance.DeleteUnreferencedPacksOptions{DryRun: true}, s)
			if err != nil {
				return fmt.Errorf("find unreferenced blobs: %w", err)
			}
			out.Reclaimed = found.UnreferencedContentSize + packs.UnreferencedTotalSize
			return nil
		})
	return out, err
}

// collector finds contents that no snapshot refers to. Unlike kopia's own it
// stops when a single snapshot cannot be read, or is known to have existed and
// is missing: garbage is never inferred from damage.
type collector struct {
	r      *Repository
	w      repo.DirectRepositoryWriter
	safety maintenance.SafetyParameters
	now    time.Time
	delete bool
	used   map[uint64]struct{}
}

// contentKey is a part of a content's hash. Two contents with the same part
// only make garbage look used, once in 2^64.
func contentKey(id content.ID) uint64 {
	h := id.Hash()
	return binary.LittleEndian.Uint64(h[:8])
}

func (g *collector) run(ctx context.Context) (*maintenancestats.SnapshotGCStats, error) {
	known, err := g.r.manifests(ctx, "")
	if err != nil {
		return nil, err
	}
	lost, err := g.r.lostSnapshots(ctx, known)
	if err != nil {
		return nil, err
	}
	if len(lost) > 0 {
		return nil, fmt.Errorf("%w: %s: %s; nothing was deleted", ErrCorrupt, lost[0].Object, lost[0].Detail)
	}
	g.used = map[uint64]struct{}{}
	folders := map[object.ID]bool{}
	for _, m := range known {
		if m.RootEntry == nil {
			return nil, fmt.Errorf("%w: snapshot %s has no tree", ErrCorrupt, m.ID)
		}
		if err := g.markFolder(ctx, m.RootEntry.ObjectID, folders); err != nil {
			return nil, fmt.Errorf("snapshot %s of %s: %w", m.ID, m.Source.Path, err)
		}
	}
	return g.sweep(ctx)
}

func (g *collector) markFolder(ctx context.Context, id object.ID, seen map[object.ID]bool) error {
	if seen[id] {
		return ctx.Err()
	}
	seen[id] = true
	if err := g.mark(ctx, id); err != nil {
		return err
	}
	dm, err := g.r.readFolder(ctx, id)
	if err != nil {
		return err
	}
	for _, e := range dm.Entries {
		if e.Type == snapshot.EntryTypeDirectory {
			err = g.markFolder(ctx, e.ObjectID, seen)
		} else {
			err = g.mark(ctx, e.ObjectID)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", e.Name, err)
		}
	}
	return nil
}

func (g *collector) mark(ctx context.Context, id object.ID) error {
	ids, err := g.w.VerifyObject(ctx, id)
	if err != nil {
		return fmt.Errorf("object %s: %w", id, err)
	}
	for _, c := range ids {
		g.used[contentKey(c)] = struct{}{}
	}
	return nil
}

// sweep marks unused contents as deleted, and takes the mark off contents that
// are in use after all.
func (g *collector) sweep(ctx context.Context) (*maintenancestats.SnapshotGCStats, error) {
	var st maintenancestats.SnapshotGCStats
	cm := g.w.ContentManager()
	err := cm.IterateContents(ctx, content.IterateOptions{IncludeDeleted: true}, func(ci content.Info) error {
		size := int64(ci.PackedLength)
		_, used := g.used[contentKey(ci.ContentID)]
		switch {
		case ci.ContentID.Prefix() == manifest.ContentPrefix:
			st.InUseSystemContentCount++
			st.InUseSystemContentSize += size
		case used:
			st.InUseContentCount++
			st.InUseContentSize += size
			if ci.Deleted && g.delete {
				st.RecoveredContentCount++
				st.RecoveredContentSize += size
				return cm.UndeleteContent(ctx, ci.ContentID)
			}
		case g.now.Sub(ci.Timestamp()) < g.safety.MinContentAgeSubjectToGC:
			st.UnreferencedRecentContentCount++
			st.UnreferencedRecentContentSize += size
		default:
			st.UnreferencedContentCount++
			st.UnreferencedContentSize += size
			if g.delete && !ci.Deleted {
				st.DeletedContentCount++
				st.DeletedContentSize += size
				return cm.DeleteContent(ctx, ci.ContentID)
			}
		}
		return ctx.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("go through contents: %w", err)
	}
	if err := g.w.Flush(ctx); err != nil {
		return nil, fmt.Errorf("write what was found: %w", err)
	}
	return &st, nil
}
