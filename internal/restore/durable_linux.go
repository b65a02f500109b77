package restore

import (
	"os"

	"golang.org/x/sys/unix"
)

// syncDisk makes all that was written to the file system of an open directory
// durable: one call, where a cluster may have 100,000 files.
func syncDisk(dir *os.File) error { return unix.Syncfs(int(dir.Fd())) }
