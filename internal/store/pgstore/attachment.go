package pgstore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
)

// errDamaged means that a file is not what was kept.
var errDamaged = errors.New("its bytes are not those that were kept")

// PutAttachment keeps a file under its hash, which it returns. Keeping the same
// again changes nothing.
func (s *Store) PutAttachment(ctx context.Context, data []byte) (string, error) {
	sum := sha256.Sum256(data)
	hash := hex.EncodeToString(sum[:])
	_, err := s.exec(ctx, "keep an attachment", `INSERT INTO refloat.attachment (hash, data) VALUES ($1, $2) ON CONFLICT (hash) DO NOTHING`, hash, data)
	return hash, err
}

// Attachment reads a file by its hash; status.ErrNothing when there is none.
func (s *Store) Attachment(ctx context.Context, hash string) ([]byte, error) {
	var data []byte
	if err := s.one(ctx, "read attachment "+hash, []any{&data}, `SELECT data FROM refloat.attachment WHERE hash = $1`, text(hash)); err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != hash {
		return nil, fmt.Errorf("read attachment %s: %w", hash, errDamaged)
	}
	return data, nil
}
