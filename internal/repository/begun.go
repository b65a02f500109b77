package repository

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/kopia/kopia/repo/blob"
	"github.com/kopia/kopia/repo/format"
)

// begunLimit is more than what making a repository stores before its key counts.
const begunLimit = 64 << 10

// prepareCreate looks at what is stored where a repository is to be made.
// Where making it was cut off (begun, with the format there already), the rest
// is to be done. Anything else that holds blobs is refused: a repository whose
// first blob is lost must not be written over.
func prepareCreate(ctx context.Context, st blob.Storage) (begun bool, err error) {
	found, err := blob.ListAllBlobs(ctx, st, "")
	if err != nil {
		return false, fmt.Errorf("list what is there: %w", err)
	}
	var hasFormat, hasConfiguration bool
	for _, m := range found {
		hasFormat = hasFormat || m.BlobID == format.KopiaRepositoryBlobID
		hasConfiguration = hasConfiguration || m.BlobID == format.KopiaBlobCfgBlobID
	}
	switch {
	case len(found) == 0:
		return false, nil
	case hasFormat && cutOff(found):
		return true, nil
	case hasFormat:
		return false, ErrExists
	case hasConfiguration && len(found) == 1:
		// Stored just before the format, and of no use without it.
		if err := st.DeleteBlob(ctx, format.KopiaBlobCfgBlobID); err != nil {
			return false, fmt.Errorf("remove %s, left by a creation that was cut off: %w", format.KopiaBlobCfgBlobID, err)
		}
		return false, nil
	}
	return false, fmt.Errorf("%w: there is data (%s), but %s, which describes it, is missing", ErrExists, found[0].BlobID, format.KopiaRepositoryBlobID)
}

// cutOff reports whether the blobs are those of a repository whose making was
// cut off. The record of the key's snapshot is the last that is stored: before
// it nothing can have been kept there, and what lost its index later has it.
func cutOff(found []blob.Metadata) bool {
	var size int64
	for _, m := range found {
		if strings.HasPrefix(string(m.BlobID), sealedPrefix) || strings.HasPrefix(string(m.BlobID), recordPrefix) {
			return false
		}
		size += m.Length
	}
	return size <= begunLimit
}

// unfinished is why a repository without a key has none, where it was never
// finished.
func (r *Repository) unfinished(ctx context.Context) error {
	found, err := blob.ListAllBlobs(ctx, r.storage, "")
	if err != nil {
		return fmt.Errorf("list what is there: %w", err)
	}
	if !cutOff(found) {
		return nil
	}
	return errors.New("making this repository was cut off; run `refloat repo init` again to finish it")
}
