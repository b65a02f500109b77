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
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/refloat-db/refloat/internal/target"
)

// Why a directory is refused.
var (
	ErrNotEmpty     = errors.New("the directory is not empty")
	ErrServerLives  = errors.New("a server is running on this directory")
	ErrOtherCluster = errors.New("the directory belongs to another cluster")
	ErrServerLeft   = errors.New("a server may be running on this directory, out of sight")
	ErrNoSpace      = errors.New("not enough room")
)

// admissible decides whether dir may be written, and whether by rewriting only
// what differs. It never says yes to a directory that a server uses.
func admissible(dir string, wantDelta bool, system target.SystemID) (delta bool, err error) {
	if pid, lives := liveServer(dir); lives {
		return false, fmt.Errorf("%w (process %d); stop it first, and make sure that it is the server that you mean", ErrServerLives, pid)
	}
	if _, err := os.Lstat(filepath.Join(dir, "postmaster.pid")); err == nil {
		return false, fmt.Errorf("%w: it has a postmaster.pid whose process is not here, so the server was killed, or runs in another container or on another machine that shares this disk; make sure that none runs, remove %s, and run this again",
			ErrServerLeft, filepath.Join(dir, "postmaster.pid"))
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
	if found, err := systemAt(filepath.Join(dir, controlPos+controlSuffix)); err == nil && found == system {
		if _, err := os.Lstat(filepath.Join(dir, controlPos)); errors.Is(err, fs.ErrNotExist) {
			return true, nil // cut off in its last step
		}
	}
	if !wantDelta {
		return false, fmt.Errorf("%w; name another, or use --delta to turn it into the restored cluster, which overwrites what differs", ErrNotEmpty)
	}
	found, err := systemAt(filepath.Join(dir, controlPos))
	if err != nil {
		return false, fmt.Errorf("--delta needs a data directory of the same cluster: %w", err)
	}
	if found != system {
		return false, fmt.Errorf("%w: it has system identifier %s, the backup %s; name another directory", ErrOtherCluster, found, system)
	}
	return true, nil
}

// Room refuses, with ErrNoSpace, what does not fit: bytes by folder, of which
// several may be on one file system. A folder need not be there yet.
func Room(need map[string]int64) error {
	sum, at := map[uint64]int64{}, map[uint64]string{}
	for dir, bytes := range need {
		dir = standing(dir)
		info, err := os.Stat(dir)
		if err != nil {
			return fmt.Errorf("look for room in %s: %w", dir, err)
		}
		dev := uint64(0)
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			dev = uint64(st.Dev) //nolint:unconvert // the type differs between systems
		}
		sum[dev], at[dev] = sum[dev]+bytes, dir
	}
	for dev, bytes := range sum {
		var st unix.Statfs_t
		if err := unix.Statfs(at[dev], &st); err != nil {
			return fmt.Errorf("look for room in %s: %w", at[dev], err)
		}
		if free := int64(st.Bavail) * int64(st.Bsize); free < bytes { //nolint:unconvert // so do these
			return fmt.Errorf("%w: the file system of %s has %d MiB free, %d MiB are needed", ErrNoSpace, at[dev], free>>20, bytes>>20+1)
		}
	}
	return nil
}

// standing is dir, or the nearest folder above it that is there.
func standing(dir string) string {
	for {
		_, err := os.Stat(dir)
		if !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir) {
			return dir
		}
		dir = filepath.Dir(dir)
	}
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

// systemAt reads the system identifier, which a pg_control begins with.
func systemAt(path string) (target.SystemID, error) {
	f, err := os.Open(path)
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
	for pid, at := range servers() {
		if at == real {
			return pid, true
		}
	}
	return 0, false
}

// servers lists the processes of PostgreSQL on this host with their data
// directories, which they have as their working directory.
func servers() map[int]string {
	out := map[int]string{}
	cwds, _ := filepath.Glob("/proc/[0-9]*/cwd")
	for _, c := range cwds {
		at, err := os.Readlink(c)
		if err != nil {
			continue
		}
		comm, err := os.ReadFile(filepath.Join(filepath.Dir(c), "comm"))
		if err != nil || !strings.HasPrefix(strings.TrimSpace(string(comm)), "post") {
			continue
		}
		if n, err := strconv.Atoi(filepath.Base(filepath.Dir(c))); err == nil {
			out[n] = at
		}
	}
	return out
}

// tablespaceUser finds a running server that has dir as a tablespace.
func tablespaceUser(dir string) (pid int) {
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return 0
	}
	for pid, data := range servers() {
		links, _ := filepath.Glob(filepath.Join(data, "pg_tblspc", "*"))
		for _, l := range links {
			if to, err := filepath.EvalSymlinks(l); err == nil && to == real {
				return pid
			}
		}
	}
	return 0
}
