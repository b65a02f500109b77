package repository

import (
	"context"
	"errors"
)

// Status reads the figures; it lists all of storage.
func (r *Repository) Status(ctx context.Context) (Status, error) {
	return Status{}, fail(r.Location(), "read status", nil, errors.ErrUnsupported)
}

// Verify checks stored data. Damage is in the report; the error is for what
// kept it from looking.
func (r *Repository) Verify(ctx context.Context, o VerifyOptions) (VerifyReport, error) {
	return VerifyReport{}, fail(r.Location(), "verify", nil, errors.ErrUnsupported)
}

// Maintain compacts indexes and reclaims space that nothing refers to.
func (r *Repository) Maintain(ctx context.Context, o MaintainOptions) (MaintainReport, error) {
	return MaintainReport{}, fail(r.Location(), "maintain", nil, errors.ErrUnsupported)
}
