package repository

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	kfs "github.com/kopia/kopia/fs"
	"github.com/kopia/kopia/repo/manifest"
	"github.com/kopia/kopia/snapshot"
)

// tagPrefix is how the stock program marks a person's own labels.
const tagPrefix = "tag:"

// pin keeps the stock program's own retention from expiring a snapshot.
const pin = "refloat"

func (w *Writer) saveSnapshot(ctx context.Context, s Snapshot, tree []Node) (*snapshot.Manifest, error) {
	if !strings.HasPrefix(s.Source, "/") {
		return nil, fmt.Errorf("source %q: must begin with a slash", s.Source)
	}
	if s.Start.IsZero() || s.End.Before(s.Start) {
		return nil, errors.New("a snapshot needs a start, and an end that is not before it")
	}
	root, err := w.saveTree(ctx, s, tree)
	if err != nil {
		return nil, err
	}
	m := &snapshot.Manifest{
		Source:    snapshot.SourceInfo{Host: clientHost, UserName: clientUser, Path: s.Source},
		StartTime: kfs.UTCTimestampFromTime(s.Start), EndTime: kfs.UTCTimestampFromTime(s.End),
		RootEntry: root,
		Pins:      []string{pin},
		Tags:      map[string]string{},
	}
	m.Stats.TotalFileCount = int32(root.DirSummary.TotalFileCount)
	m.Stats.TotalFileSize = root.DirSummary.TotalFileSize
	m.Stats.TotalDirectoryCount = int32(root.DirSummary.TotalDirCount)
	for k, v := range s.Tags {
		m.Tags[tagPrefix+k] = v
	}
	if _, err := snapshot.SaveSnapshot(ctx, w.w, m); err != nil {
		return nil, fmt.Errorf("write snapshot: %w", err)
	}
	return m, nil
}

func fromManifest(m *snapshot.Manifest) Snapshot {
	s := Snapshot{
		ID: string(m.ID), Source: m.Source.Path, Tags: map[string]string{},
		Start: m.StartTime.ToTime().UTC(), End: m.EndTime.ToTime().UTC(),
	}
	for k, v := range m.Tags {
		s.Tags[strings.TrimPrefix(k, tagPrefix)] = v
	}
	if m.RootEntry != nil && m.RootEntry.DirSummary != nil {
		s.Size, s.Files = m.RootEntry.DirSummary.TotalFileSize, m.RootEntry.DirSummary.TotalFileCount
	}
	return s
}

// Snapshots lists those of a source, oldest first; source "" lists all.
func (r *Repository) Snapshots(ctx context.Context, source string) ([]Snapshot, error) {
	out, err := r.snapshotsOf(ctx, source)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(out, func(s Snapshot) bool { return s.Source == keySource }), nil
}

func (r *Repository) snapshotsOf(ctx context.Context, source string) ([]Snapshot, error) {
	ms, err := r.manifests(ctx, source)
	if err != nil {
		return nil, r.wrap(ctx, "list snapshots", nil, err)
	}
	var out []Snapshot
	for _, m := range ms {
		out = append(out, fromManifest(m))
	}
	return out, nil
}

// manifests reads the snapshot manifests of a source, oldest first. Unlike
// kopia's own listing it fails when one cannot be read.
func (r *Repository) manifests(ctx context.Context, source string) ([]*snapshot.Manifest, error) {
	labels := map[string]string{manifest.TypeLabelKey: snapshot.ManifestType}
	if source != "" {
		labels[snapshot.PathLabel] = source
	}
	entries, err := r.rep.FindManifests(ctx, labels)
	if err != nil {
		return nil, err
	}
	out := make([]*snapshot.Manifest, 0, len(entries))
	for _, e := range entries {
		m, err := snapshot.LoadSnapshot(ctx, r.rep, e.ID)
		if err != nil {
			return nil, fmt.Errorf("read snapshot %s: %w", e.ID, err)
		}
		out = append(out, m)
	}
	slices.SortFunc(out, func(a, b *snapshot.Manifest) int {
		return cmp.Or(cmp.Compare(a.StartTime, b.StartTime), cmp.Compare(a.ID, b.ID))
	})
	return out, nil
}

func (r *Repository) manifest(ctx context.Context, id string) (*snapshot.Manifest, error) {
	m, err := snapshot.LoadSnapshot(ctx, r.rep, manifest.ID(id))
	if err != nil {
		return nil, err
	}
	if m.RootEntry == nil {
		return nil, fmt.Errorf("%w: snapshot %s has no tree", ErrCorrupt, id)
	}
	return m, nil
}

// DeleteSnapshot forgets a snapshot; Maintain reclaims its space.
func (r *Repository) DeleteSnapshot(ctx context.Context, id string) error {
	op := "delete snapshot " + id
	m, err := r.manifest(ctx, id)
	if err != nil {
		return r.wrap(ctx, op, nil, err)
	}
	if m.Source.Path == keySource {
		return r.wrap(ctx, op, nil, errors.New("it holds the key of the sealed objects, without which the log cannot be read"))
	}
	w, err := r.NewWriter(ctx, op)
	if err != nil {
		return err
	}
	if err := r.deleteRecord(ctx, id); err != nil {
		return r.wrap(ctx, op, nil, errors.Join(err, w.end(ctx)))
	}
	if err := w.w.DeleteManifest(ctx, m.ID); err != nil {
		return r.wrap(ctx, op, nil, errors.Join(err, w.end(ctx)))
	}
	if err := w.w.Flush(ctx); err != nil {
		return r.wrap(ctx, op, nil, errors.Join(err, w.end(ctx)))
	}
	if err := w.end(ctx); err != nil {
		return r.wrap(ctx, op, nil, err)
	}
	return nil
}

// modTime is what kopia stores for a node.
func modTime(t, fallback time.Time) kfs.UTCTimestamp {
	if t.IsZero() {
		t = fallback
	}
	return kfs.UTCTimestampFromTime(t)
}
