package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
)

// ErrServerRuns means that another server has the state directory.
var ErrServerRuns = errors.New("another refloat server is running with this state directory")

const lockFile = "server.lock"

// lockState takes the state directory for this process. The operating system
// lets go of the lock when the process ends, however it ends.
func lockState(ctx context.Context, dir string) (func() error, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make state directory: %w", err)
	}
	l := flock.New(filepath.Join(dir, lockFile), flock.SetPermissions(0o600))
	// One who only looks whether a server runs holds it for a moment.
	wait, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	ok, err := l.TryLockContext(wait, 50*time.Millisecond)
	switch {
	case ok:
		return l.Unlock, nil
	case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
		return nil, fmt.Errorf("%w: %s (stop it first, or give this one another state_dir)", ErrServerRuns, dir)
	}
	return nil, fmt.Errorf("lock the state directory %s: %w", dir, err)
}

// ServerRuns reports whether a server holds the state directory. It changes
// nothing there.
func ServerRuns(dir string) (bool, error) {
	path := filepath.Join(dir, lockFile)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	l := flock.New(path, flock.SetFlag(os.O_RDONLY))
	free, err := l.TryRLock()
	if err != nil {
		return false, fmt.Errorf("look whether a server runs: %w", err)
	}
	if !free {
		return true, nil
	}
	return false, l.Unlock()
}
