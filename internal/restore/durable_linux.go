package restore

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// syncDirs makes all that was written to the file systems of dirs durable.
func syncDirs(dirs ...string) error {
	for _, d := range dirs {
		f, err := os.Open(d)
		if err != nil {
			return err
		}
		if err := errors.Join(unix.Syncfs(int(f.Fd())), f.Close()); err != nil {
			return err
		}
	}
	return nil
}
