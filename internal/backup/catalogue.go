package backup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/refloat-db/refloat/internal/repository"
	"github.com/refloat-db/refloat/internal/target"
)

// Tags of a backup's snapshot.
const (
	tagBackup = "backup"
	tagKind   = "kind"
	tagTarget = "target"
)

const maxEntry = 16 << 20 // bytes of a backup.json that makes sense

// sourceOf is the snapshot source of a target's backups.
func sourceOf(id target.ID) string { return "/" + string(id) }

// Targets lists every target with a backup or a log in the repository.
func (c *Catalogue) Targets(ctx context.Context) ([]target.ID, error) {
	if err := c.Repo.Refresh(ctx); err != nil {
		return nil, fmt.Errorf("list targets: %w", err)
	}
	snaps, err := c.Repo.Snapshots(ctx, "")
	if err != nil {
		return nil, fmt.Errorf("list targets: %w", err)
	}
	var out []target.ID
	for _, s := range snaps {
		if id, err := target.ParseID(strings.TrimPrefix(s.Source, "/")); err == nil && s.Tags[tagBackup] != "" {
			out = append(out, id)
		}
	}
	for s, err := range c.Repo.ListSealed(ctx, "log/") {
		if err != nil {
			return nil, fmt.Errorf("list targets: %w", err)
		}
		name, _, ok := strings.Cut(strings.TrimPrefix(s.Name, "log/"), "/")
		if id, err := target.ParseID(name); ok && err == nil && (len(out) == 0 || out[len(out)-1] != id) {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// List returns a target's backups, oldest first by position in the log. One
// whose entry is damaged is not among them; Damaged lists it.
func (c *Catalogue) List(ctx context.Context, id target.ID) ([]Backup, error) {
	all, _, err := c.entries(ctx, id)
	if err != nil {
		return nil, err
	}
	return resolve(all), nil
}

// DamagedBackup is one whose entry cannot be read, so that nothing can be
// restored from it.
type DamagedBackup struct {
	ID       string `json:"id"`
	Detail   string `json:"detail"`
	Snapshot string `json:"-"`
}

// Damaged lists a target's backups that List leaves out. One damaged backup
// must keep nobody from the others, but it must not go unseen either.
func (c *Catalogue) Damaged(ctx context.Context, id target.ID) ([]DamagedBackup, error) {
	_, bad, err := c.entries(ctx, id)
	return bad, err
}

// entries reads the entry of each of a target's snapshots.
func (c *Catalogue) entries(ctx context.Context, id target.ID) (all []Backup, bad []DamagedBackup, err error) {
	// Another process may have taken, folded or deleted one.
	if err := c.Repo.Refresh(ctx); err != nil {
		return nil, nil, fmt.Errorf("list backups of %s: %w", id, err)
	}
	snaps, err := c.Repo.Snapshots(ctx, sourceOf(id))
	if err != nil {
		return nil, nil, fmt.Errorf("list backups of %s: %w", id, err)
	}
	for _, s := range snaps {
		if s.Tags[tagBackup] == "" {
			continue // not ours: someone used the stock tool
		}
		b, err := c.entry(ctx, s)
		if errors.Is(err, repository.ErrNotFound) && c.gone(ctx, id, s.ID) {
			continue // deleted while we looked
		}
		switch {
		case errors.Is(err, ErrBroken), errors.Is(err, repository.ErrCorrupt), errors.Is(err, repository.ErrNotFound):
			bad = append(bad, DamagedBackup{ID: s.Tags[tagBackup], Detail: err.Error(), Snapshot: s.ID})
		case err != nil:
			return nil, nil, fmt.Errorf("read the entry of backup %s of %s: %w", s.Tags[tagBackup], id, err)
		default:
			all = append(all, b)
		}
	}
	return all, bad, nil
}

// gone reports whether a snapshot is no longer listed.
func (c *Catalogue) gone(ctx context.Context, id target.ID, snapshot string) bool {
	snaps, err := c.Repo.Snapshots(ctx, sourceOf(id))
	return err == nil && !slices.ContainsFunc(snaps, func(s repository.Snapshot) bool { return s.ID == snapshot })
}

// entry reads and checks one backup.json.
func (c *Catalogue) entry(ctx context.Context, s repository.Snapshot) (Backup, error) {
	n, err := c.Repo.Lookup(ctx, s.ID, entryPath)
	if err != nil {
		return Backup{}, err
	}
	text, err := c.readObject(ctx, n, maxEntry)
	if err != nil {
		return Backup{}, err
	}
	b, err := parseEntry(text)
	if err != nil {
		return Backup{}, err
	}
	if b.ID != s.Tags[tagBackup] || sourceOf(b.Target) != s.Source {
		return Backup{}, fmt.Errorf("the snapshot says backup %s of %s, its entry %s of %s: %w", s.Tags[tagBackup], s.Source, b.ID, b.Target, ErrBroken)
	}
	b.Snapshot = s.ID
	return b, nil
}

// parseEntry reads a backup.json.
func parseEntry(text []byte) (Backup, error) {
	var b Backup
	if err := json.Unmarshal(text, &b); err != nil {
		return Backup{}, fmt.Errorf("%w: its entry is no JSON: %w", ErrBroken, err)
	}
	if b.Format != backupFormat {
		return Backup{}, fmt.Errorf("its entry has format %d and this program knows %d: use a newer refloat", b.Format, backupFormat)
	}
	bad := b.ID == "" || (b.Kind != Full && b.Kind != Delta) || (b.Kind == Delta) != (b.Parent != "") || b.Parent == b.ID ||
		!target.ValidSegmentSize(b.SegmentSize) || b.Start.Timeline == 0 || b.End.LSN < b.Start.LSN
	if bad {
		return Backup{}, fmt.Errorf("%w: its entry contradicts itself", ErrBroken)
	}
	return b, nil
}

func (c *Catalogue) readObject(ctx context.Context, n repository.Node, limit int64) ([]byte, error) {
	if n.Size > limit {
		return nil, fmt.Errorf("%s has %d bytes, more than makes sense: %w", n.Path, n.Size, ErrBroken)
	}
	r, err := c.Repo.OpenObject(ctx, n.Object)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(r, limit))
	return b, errors.Join(err, r.Close())
}

// resolve keeps one entry for each ID (after a fold that was cut short there
// are two: the full is the one that counts), works out the chains as they are
// now, and sorts.
func resolve(all []Backup) []Backup {
	byID := map[string]Backup{}
	for _, b := range all {
		if old, ok := byID[b.ID]; !ok || old.Kind == Delta && b.Kind == Full {
			byID[b.ID] = b
		}
	}
	out := make([]Backup, 0, len(byID))
	for _, b := range byID {
		out = append(out, b)
	}
	for i, b := range out {
		if chain, ok := chainOf(out, b.ID); ok {
			out[i].Chain = len(chain) - 1
		}
	}
	sortBackups(out)
	return out
}

// stale lists snapshots that a fold has replaced.
func stale(all []Backup) []Backup {
	kept := map[string]string{}
	for _, b := range resolve(all) {
		kept[b.ID] = b.Snapshot
	}
	return slices.DeleteFunc(slices.Clone(all), func(b Backup) bool { return kept[b.ID] == b.Snapshot })
}

// Get finds one backup by its ID; ErrNoBackup.
func (c *Catalogue) Get(ctx context.Context, id target.ID, backupID string) (Backup, error) {
	all, err := c.List(ctx, id)
	if err != nil {
		return Backup{}, err
	}
	return find(all, id, backupID)
}

func find(all []Backup, id target.ID, backupID string) (Backup, error) {
	for _, b := range all {
		if b.ID == backupID {
			return b, nil
		}
	}
	return Backup{}, fmt.Errorf("target %s has no backup %q: %w; list them with: refloat backup list %s", id, backupID, ErrNoBackup, id)
}

// ErrNeeded means that other backups depend on this one.
var ErrNeeded = errors.New("other backups need it")

// Delete forgets a backup. It refuses with ErrNeeded when a delta builds on
// it: delete or Fold that one first.
func (c *Catalogue) Delete(ctx context.Context, id target.ID, backupID string) error {
	all, _, err := c.entries(ctx, id)
	if err != nil {
		return err
	}
	if _, err := find(all, id, backupID); err != nil {
		return err
	}
	for _, b := range resolve(all) {
		if b.Parent == backupID {
			return fmt.Errorf("delete backup %s of %s: %w: %s builds on it", backupID, id, ErrNeeded, b.ID)
		}
	}
	// Replaced snapshots go first: while the full is there they do not count.
	slices.SortFunc(all, func(a, b Backup) int { return strings.Compare(string(a.Kind), string(b.Kind)) })
	for _, b := range all {
		if b.ID != backupID {
			continue
		}
		if err := c.Repo.DeleteSnapshot(ctx, b.Snapshot); err != nil {
			return fmt.Errorf("delete backup %s of %s: %w", backupID, id, err)
		}
	}
	return nil
}

// Tidy removes what a fold that was cut short left behind.
func (c *Catalogue) Tidy(ctx context.Context, id target.ID) error {
	all, _, err := c.entries(ctx, id)
	if err != nil {
		return err
	}
	for _, b := range stale(all) {
		if err := c.Repo.DeleteSnapshot(ctx, b.Snapshot); err != nil {
			return fmt.Errorf("remove the replaced copy of backup %s of %s: %w", b.ID, id, err)
		}
	}
	return nil
}
