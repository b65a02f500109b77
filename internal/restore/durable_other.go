//go:build !linux

package restore

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// syncDirs makes all that was written below dirs durable, file by file.
func syncDirs(dirs ...string) error {
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() && !d.IsDir() {
				return err
			}
			f, err := os.Open(p)
			if err != nil {
				return err
			}
			return errors.Join(f.Sync(), f.Close())
		})
		if err != nil {
			return err
		}
	}
	return nil
}
