package walg

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/refloat-db/refloat/internal/foreign"
)

// Restorer restores the newest backup into a scratch directory.
type Restorer struct {
	Work foreign.Work
	env  []string
}

// NewRestorer reads where WAL-G keeps backups.
func NewRestorer(o foreign.Options, p foreign.Place, w foreign.Work) (*Restorer, error) {
	env, err := Environment(o, p)
	if err == nil && prefix(env) == "" {
		err = fmt.Errorf("nothing says where WAL-G keeps backups: set WALG_FILE_PREFIX or the like, or name it: wal-g:PREFIX")
	}
	return &Restorer{Work: w, env: env}, err
}

// Restore restores the newest backup. WAL-G puts tablespaces back to where they
// were, so the caller must know that there are none.
func (r *Restorer) Restore(ctx context.Context, data, _ string) (foreign.Backup, error) {
	var f foreign.Facts
	list(ctx, foreign.Options{Run: r.Work.Run}, &f, r.env)
	if !f.Backups.Seen {
		return foreign.Backup{}, fmt.Errorf("the backups of WAL-G: %s", f.Backups.Why)
	}
	if len(f.Backups.Value) == 0 {
		return foreign.Backup{}, fmt.Errorf("WAL-G has no backup in %s", prefix(r.env))
	}
	last := f.Backups.Value[len(f.Backups.Value)-1]
	_, errs, code, err := r.Work.Run(ctx, r.env, "wal-g", "backup-fetch", data, last.Label)
	if err != nil {
		return last, err
	}
	if code != 0 {
		return last, fmt.Errorf("wal-g backup-fetch of %s ended with status %d: %s", last.Label, code, foreign.LastLine(errs))
	}
	return last, nil
}

// notThere is WAL-G's exit status for a file that it does not have.
const notThere = 74

// Fetch reads a file of the log.
func (r *Restorer) Fetch(ctx context.Context, _, name string) ([]byte, error) {
	to := filepath.Join(r.Work.Dir, "segment-"+name)
	_, errs, code, err := r.Work.Run(ctx, r.env, "wal-g", "wal-fetch", name, to)
	switch {
	case err != nil:
		return nil, err
	case code == notThere, code != 0 && strings.Contains(string(errs), "does not exist"):
		_ = os.Remove(to)
		return nil, fmt.Errorf("%w: %s", foreign.ErrNotInArchive, name)
	case code != 0:
		_ = os.Remove(to)
		return nil, fmt.Errorf("wal-g wal-fetch %s ended with status %d: %s", name, code, foreign.LastLine(errs))
	}
	return foreign.Take(to)
}
