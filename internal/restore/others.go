package restore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// followedLinks takes links that stand where the backup has a directory
// (pg_wal, when the cluster was made with --waldir) for that directory, and
// notes where they lead. A link in a file's place is removed.
func (w *writer) followedLinks() error {
	for _, f := range w.img.Files() {
		at, err := w.place(f.Path)
		if err != nil {
			return err
		}
		i, err := os.Lstat(at)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		link := i.Mode()&fs.ModeSymlink != 0
		switch {
		case f.Mode.IsDir() && isTablespaceRoot(f.Path):
		case f.Mode.IsDir() && link && f.Path == "pg_wal":
			to, err := filepath.EvalSymlinks(at)
			if err != nil {
				return fmt.Errorf("%s is a link that leads nowhere: %w", at, err)
			}
			w.roots = append(w.roots, to)
			w.result.Warnings = append(w.result.Warnings, fmt.Sprintf("%s is a link: the log of the restored cluster was put into %s", at, to))
		case f.Mode.IsDir() && link:
			return fmt.Errorf("%s is a link, which PostgreSQL does not make: move the directory back, or restore into an empty directory", at)
		case f.Mode.IsDir() && !i.IsDir(), !f.Mode.IsDir() && !i.Mode().IsRegular():
			if err := os.RemoveAll(at); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeOthers removes what the backup does not have, so that a directory
// that held a later or another state holds this one alone. In a tablespace's
// directory only this cluster's part is looked at.
func (w *writer) removeOthers() error {
	keep := map[string]bool{filepath.Join(w.o.Dir, marker): true, filepath.Join(w.o.Dir, "pg_tblspc"): true}
	roots := append([]string{w.o.Dir}, w.roots...)
	for _, f := range w.img.Files() {
		at, err := w.place(f.Path)
		if err != nil {
			return err
		}
		if rest, ok := strings.CutPrefix(f.Path, "pg_tblspc/"); ok && strings.Count(rest, "/") == 1 && f.Mode.IsDir() {
			roots = append(roots, at) // OID/PG_15_202209061
		}
		if rest, ok := strings.CutPrefix(f.Path, "pg_wal/"); ok {
			for _, r := range w.roots {
				keep[filepath.Join(r, rest)] = true
			}
		}
		keep[at] = true
	}
	for _, t := range w.plan.Backup.Tablespaces {
		keep[w.linkAt(t)] = true
	}
	for _, root := range roots {
		err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
			if err != nil || p == root || keep[p] {
				return err
			}
			if err := os.RemoveAll(p); err != nil {
				return err
			}
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("remove what the backup does not have: %w", err)
		}
	}
	return nil
}
