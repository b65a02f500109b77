package backup

import (
	"os"
	"syscall"
)

// dataSync makes a file's content and length durable.
func dataSync(f *os.File) error { return syscall.Fdatasync(int(f.Fd())) }
