package restore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"

	"github.com/refloat-db/refloat/internal/target"
)

// Holds is what is at a place that a restore would go to.
type Holds struct {
	Server     int  // process of a server that runs on it; 0 for none
	Empty      bool // nothing is there
	Unfinished bool // an earlier restore of the same cluster was cut off there
}

// Look looks at a place without touching it. The error says why a restore of the
// cluster may not go there: ErrServerLives, ErrServerLeft, ErrNotEmpty and
// ErrOtherCluster, as Execute says it. With delta, a directory of the same
// cluster may be turned into the restored one.
func Look(dir string, delta bool, system target.SystemID) (Holds, error) {
	pid, lives := LiveServer(dir)
	if lives {
		return Holds{Server: pid}, fmt.Errorf("%w (process %d)", ErrServerLives, pid)
	}
	empty, err := isEmpty(dir)
	if err != nil {
		return Holds{}, err
	}
	on, err := admissible(dir, delta, system)
	return Holds{Empty: empty, Unfinished: on && !delta}, err
}

// LiveServer finds the server that runs on a data directory, by its pid file and
// by the processes that work there.
func LiveServer(dir string) (pid int, lives bool) { return liveServer(dir) }

var recoveryOf = regexp.MustCompile(`(?m)^# refloat: recovery of backup (\S+) to `)

// ErrStarted means that a server was started on a restored directory.
var ErrStarted = errors.New("a server was started on it")

// Delivered reads which backup a directory was restored from. It fails with
// ErrStarted when a server was started on it since: then it is no longer what was
// delivered.
func Delivered(dir string) (backupID string, err error) {
	if _, err := os.Lstat(filepath.Join(dir, marker)); err == nil {
		return "", fmt.Errorf("%s is an unfinished restore", dir)
	}
	text, err := os.ReadFile(filepath.Join(dir, autoConf))
	if err != nil {
		return "", fmt.Errorf("%s is no restored directory: %w", dir, err)
	}
	m := recoveryOf.FindSubmatch(text)
	if m == nil {
		return "", fmt.Errorf("%s was not restored by Refloat: its %s does not say so", dir, autoConf)
	}
	// A backup has no postmaster.opts: a server writes it when it starts.
	_, started := os.Lstat(filepath.Join(dir, "postmaster.opts"))
	_, waits := os.Lstat(filepath.Join(dir, "recovery.signal"))
	if started == nil || waits != nil {
		return string(m[1]), fmt.Errorf("%s: %w", dir, ErrStarted)
	}
	return string(m[1]), nil
}
