package repository

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/kopia/kopia/repo/blob"
	"github.com/kopia/kopia/snapshot"
)

// A snapshot is found through kopia's index. When a part of the index is lost,
// the snapshot is not unreadable but unknown: it would be taken for one that
// never was, and its bytes for garbage. So each snapshot also has a record, a
// sealed blob of its own outside kopia's index, that says it must be there.

const recordPrefix = "refloat-snapshot."

// record is what such a blob holds.
type record struct {
	Snapshot Snapshot `json:"snapshot"`
	Root     string   `json:"root"` // object of the root folder
}

func recordID(snapshotID string) blob.ID { return blob.ID(recordPrefix + snapshotID) }

func (r *Repository) putRecord(ctx context.Context, m *snapshot.Manifest) error {
	key, err := r.identity(ctx)
	if err != nil {
		return err
	}
	text, err := json.Marshal(record{Snapshot: fromManifest(m), Root: m.RootObjectID().String()})
	if err != nil {
		return fmt.Errorf("encode record of snapshot: %w", err)
	}
	data, err := r.seal(key.Recipient(), string(recordID(string(m.ID))), text)
	if err != nil {
		return err
	}
	return r.storage.PutBlob(ctx, recordID(string(m.ID)), rawBytes(data), blob.PutOptions{})
}

func (r *Repository) getRecord(ctx context.Context, snapshotID string) (record, error) {
	key, err := r.identity(ctx)
	if err != nil {
		return record{}, err
	}
	var b buffer
	if err := r.storage.GetBlob(ctx, recordID(snapshotID), 0, -1, &b); err != nil {
		return record{}, err
	}
	text, err := r.unseal(key, string(recordID(snapshotID)), b.Bytes())
	if err != nil {
		return record{}, fmt.Errorf("%w: record of snapshot %s: %w", ErrCorrupt, snapshotID, err)
	}
	var rec record
	if err := json.Unmarshal(text, &rec); err != nil {
		return record{}, fmt.Errorf("%w: record of snapshot %s: %w", ErrCorrupt, snapshotID, err)
	}
	return rec, nil
}

// deleteRecord goes before the snapshot, so that one without a record is left
// by a crash, which does no harm, never a record without its snapshot.
func (r *Repository) deleteRecord(ctx context.Context, snapshotID string) error {
	err := r.storage.DeleteBlob(ctx, recordID(snapshotID))
	if errors.Is(err, blob.ErrBlobNotFound) {
		return nil
	}
	return err
}

// records lists the snapshots that have one.
func (r *Repository) records(ctx context.Context) (map[string]bool, error) {
	out := map[string]bool{}
	err := r.storage.ListBlobs(ctx, recordPrefix, func(m blob.Metadata) error {
		out[strings.TrimPrefix(string(m.BlobID), recordPrefix)] = true
		return ctx.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("list records of snapshots: %w", err)
	}
	return out, nil
}

// lostSnapshots gives the records whose snapshot the index does not know. The
// stock program gives a snapshot a new ID when a person pins or edits it, so
// the same tree from the same time counts as the same snapshot.
func (r *Repository) lostSnapshots(ctx context.Context, known []*snapshot.Manifest) ([]Damage, error) {
	have, err := r.records(ctx)
	if err != nil {
		return nil, err
	}
	trees := map[string]bool{}
	for _, m := range known {
		delete(have, string(m.ID))
		trees[treeKey(fromManifest(m), m.RootObjectID().String())] = true
	}
	var out []Damage
	for id := range have {
		rec, err := r.getRecord(ctx, id)
		switch {
		case errors.Is(err, blob.ErrBlobNotFound):
			continue // deleted since it was listed
		case err != nil && classify(err) == ErrUnreachable: //nolint:errorlint // classify gives the bare value
			return nil, err
		case err != nil:
			out = append(out, Damage{Object: "snapshot " + id, Detail: fmt.Sprintf("missing from the index, and its record cannot be read: %v", err)})
		case !trees[treeKey(rec.Snapshot, rec.Root)]:
			out = append(out, Damage{
				Object: fmt.Sprintf("snapshot %s of %s", id, rec.Snapshot.Source),
				Detail: "missing from the index: a part of the index is lost",
			})
		}
	}
	return out, nil
}

func treeKey(s Snapshot, root string) string {
	return s.Source + "\x00" + s.Start.UTC().Format("20060102T150405.000000000") + "\x00" + root
}
