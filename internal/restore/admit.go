package restore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/refloat-db/refloat/internal/target"
)

// Why a directory is refused.
var (
	ErrNotEmpty     = errors.New("the directory is not empty")
	ErrServerLives  = errors.New("a server is running on this directory")
	ErrOtherCluster = errors.New("the directory belongs to another cluster")
)

// admissible decides whether dir may be written, and whether by rewriting only
// what differs. It never says yes to a directory that a server uses.
func admissible(dir string, wantDelta bool, system target.SystemID) (delta bool, err error) {
	if pid, lives := liveServer(dir); lives {
		return false, fmt.Errorf("%w (process %d); stop it first, and make sure that it is the server that you mean", ErrServerLives, pid)
	}
	empty, err := isEmpty(dir)
	if err != nil || empty {
		return false, err
	}
	// One of ours that was cut off may be gone on with.
	if b, err := os.ReadFile(filepath.Join(dir, marker)); err == nil {
		lines := strings.Split(strings.TrimSpace(string(b)), "\n")
		if lines[len(lines)-1] == system.String() {
			return true, nil
		}
		return false, fmt.Errorf("%w: an unfinished restore of cluster %s is in it; name another directory", ErrOtherCluster, lines[len(lines)-1])
	}
	if !wantDelta {
		return false, fmt.Errorf("%w; name another, or use --delta to turn it into the restored cluster, which overwrites what differs", ErrNotEmpty)
	}
	found, err := systemOf(dir)
	if err != nil {
		return false, fmt.Errorf("--delta needs a data directory of the same cluster: %w", err)
	}
	if found != system {
		return false, fmt.Errorf("%w: it has system identifier %s, the backup %s; name another directory", ErrOtherCluster, found, system)
	}
	return true, nil
}

// isEmpty reports whether there is nothing at dir, or an empty directory.
func isEmpty(dir string) (bool, error) {
	f, err := os.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	defer func() { _ = f.Close() }()
	names, err := f.Readdirnames(1)
	if errors.Is(err, io.EOF) {
		return true, nil
	}
	return len(names) == 0, err
}

// systemOf reads the system identifier, which pg_control begins with.
func systemOf(dir string) (target.SystemID, error) {
	f, err := os.Open(filepath.Join(dir, controlPos))
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }()
	var b [8]byte
	if _, err := io.ReadFull(f, b[:]); err != nil {
		return 0, fmt.Errorf("read pg_control: %w", err)
	}
	return target.SystemID(binary.LittleEndian.Uint64(b[:])), nil
}

// liveServer finds the server of a data directory: by its pid file, and, in
// case that was deleted under it, by the processes that work there.
func liveServer(dir string) (pid int, lives bool) {
	if b, err := os.ReadFile(filepath.Join(dir, "postmaster.pid")); err == nil {
		first, _, _ := strings.Cut(string(b), "\n")
		if n, err := strconv.Atoi(strings.TrimSpace(first)); err == nil && n > 0 {
			// EPERM: it lives and is not ours.
			if err := unix.Kill(n, 0); err == nil || errors.Is(err, unix.EPERM) {
				return n, true
			}
		}
	}
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return 0, false
	}
	cwds, _ := filepath.Glob("/proc/[0-9]*/cwd")
	for _, c := range cwds {
		at, err := os.Readlink(c)
		if err != nil || at != real {
			continue
		}
		comm, err := os.ReadFile(filepath.Join(filepath.Dir(c), "comm"))
		if err == nil && strings.HasPrefix(strings.TrimSpace(string(comm)), "post") {
			n, err := strconv.Atoi(filepath.Base(filepath.Dir(c)))
			return n, err == nil
		}
	}
	return 0, false
}
