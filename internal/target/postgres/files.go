package postgres

import (
	"context"
	"errors"

	"github.com/refloat-db/refloat/internal/target"
)

func (c *Cluster) readFiles(context.Context, target.BaseBackupRequest, target.BackupSink) (target.BackupEnd, error) {
	return target.BackupEnd{}, errors.New("backup by reading files is not built yet; use read: protocol")
}
