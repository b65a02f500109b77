package repository

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"filippo.io/age"
)

// The key of sealed objects is a snapshot of its own, so that the stock kopia
// program restores it like any other.
const (
	keySource = "/refloat-keys"
	keyFile   = "age-identity.txt"
)

// storeIdentity keeps the key of sealed objects in the repository, and commits.
func (w *Writer) storeIdentity(ctx context.Context, id *age.X25519Identity) error {
	now := time.Now()
	text := "# key of the sealed objects of this refloat repository\n# public key: " + id.Recipient().String() + "\n" + id.String() + "\n"
	object, size, err := w.WriteObject(ctx, keyFile, strings.NewReader(text))
	if err != nil {
		return err
	}
	tree := []Node{{Path: keyFile, Mode: 0o600, Size: size, ModTime: now, Object: object}}
	_, err = w.Commit(ctx, Snapshot{Source: keySource, Start: now, End: now}, tree)
	return err
}

// identity reads the key of sealed objects. A repository without one is
// damaged; a new key is never made in its place.
func (r *Repository) identity(ctx context.Context) (*age.X25519Identity, error) {
	r.keyMu.Lock()
	defer r.keyMu.Unlock()
	if r.key != nil {
		return r.key, nil
	}
	const op = "read the key of sealed objects"
	id, err := r.readIdentity(ctx)
	if err != nil {
		kind := classify(err)
		if kind == nil || errors.Is(kind, ErrNotFound) {
			kind = ErrCorrupt
			err = errors.Join(err, r.unfinished(ctx))
		}
		return nil, r.wrap(ctx, op, kind, err)
	}
	r.key = id
	return id, nil
}

func (r *Repository) readIdentity(ctx context.Context) (*age.X25519Identity, error) {
	found, err := r.snapshotsOf(ctx, keySource)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, errors.New("the snapshot " + keySource + " is missing")
	}
	// The oldest is the one made with the repository.
	n, err := r.Lookup(ctx, found[0].ID, keyFile)
	if err != nil {
		return nil, err
	}
	rd, err := r.OpenObject(ctx, n.Object)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(rd, 1<<16))
	if err = errors.Join(err, rd.Close()); err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			id, err := age.ParseX25519Identity(line)
			if err != nil {
				return nil, fmt.Errorf("parse %s: %w", keyFile, err)
			}
			return id, nil
		}
	}
	return nil, fmt.Errorf("%s holds no key", keyFile)
}
