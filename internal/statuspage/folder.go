package statuspage

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// WriteFolder puts files into a folder, in their order, each whole or not at
// all, so that a reader never sees half of one. Pages of ours that are no longer
// among them are removed; what is somebody else's is left alone.
func WriteFolder(dir string, all []File) error {
	if err := makeFolder(dir); err != nil {
		return fmt.Errorf("make the folder of the status page: %w", err)
	}
	wanted, changed := map[string]bool{}, false
	for _, f := range all {
		wanted[f.Name] = true
		path := filepath.Join(dir, f.Name)
		if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, f.Body) {
			continue
		}
		changed = true
		if err := replaceFile(path, f.Body); err != nil {
			return fmt.Errorf("write the status page: %w", err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("tidy the folder of the status page: %w", err)
	}
	for _, e := range entries {
		if !wanted[e.Name()] && Ours(e.Name()) && wanted["index.html"] && e.Type().IsRegular() {
			changed = true
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
				return fmt.Errorf("tidy the folder of the status page: %w", err)
			}
		}
	}
	if !changed {
		return nil
	}
	return syncFolder(dir)
}

// makeFolder makes a folder that whoever serves it can read, whatever the umask of
// this process; one that is there keeps its mode.
func makeFolder(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.Chmod(dir, 0o755)
}

func replaceFile(path string, body []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".status-page-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // gone already when all went well
	_, err = tmp.Write(body)
	if err = errors.Join(err, tmp.Chmod(0o644), tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("make the status page durable: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("make the status page durable: %w", err)
	}
	return nil
}
