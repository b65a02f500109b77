package restore

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// syncDisk makes all that was written to the file system of an open directory
// durable: one call, where a cluster may have 100,000 files.
func syncDisk(dir *os.File) error { return unix.Syncfs(int(dir.Fd())) }

// reserve finds out about a full disk before writing to it.
func reserve(f *os.File, off, n int64) error {
	err := unix.Fallocate(int(f.Fd()), 0, off, n)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EINTR) {
		return nil
	}
	return err
}
