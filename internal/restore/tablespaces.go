package restore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/refloat-db/refloat/internal/target"
)

// mapTablespaces decides where each tablespace goes. The original places are
// never taken by themselves: production may be using them on this host.
func mapTablespaces(spaces []target.Tablespace, o Options) (map[uint32]string, error) {
	out := map[uint32]string{}
	used := map[string]bool{}
	for _, t := range spaces {
		dir, ok := o.Tablespaces[t.Name]
		if oid := strconv.FormatUint(uint64(t.OID), 10); !ok {
			if dir, ok = o.Tablespaces[oid]; ok {
				used[oid] = true
			}
		} else {
			used[t.Name] = true
		}
		if !ok {
			base := o.TablespaceDir
			if base == "" {
				base = o.Dir + "-tablespaces"
			}
			dir = filepath.Join(base, filepath.Base(filepath.Clean("/"+t.Name)))
		}
		if !filepath.IsAbs(dir) || strings.HasPrefix(filepath.Clean(dir)+"/", o.Dir+"/") {
			return nil, fmt.Errorf("tablespace %q: %s must be an absolute path outside the data directory", t.Name, dir)
		}
		out[t.OID] = filepath.Clean(dir)
	}
	for name := range o.Tablespaces {
		if !used[name] {
			return nil, fmt.Errorf("the backup has no tablespace %q to map", name)
		}
	}
	return out, nil
}

// linkTo is where the data directory has a tablespace now; empty when it has
// none.
func (w *writer) linkTo(t target.Tablespace) string {
	to, err := os.Readlink(w.linkAt(t))
	if err != nil {
		return ""
	}
	return filepath.Clean(to)
}

func (w *writer) linkAt(t target.Tablespace) string {
	return filepath.Join(w.o.Dir, "pg_tblspc", strconv.FormatUint(uint64(t.OID), 10))
}

// admitTablespace decides whether a tablespace's directory may be written. One
// that is not empty must be this data directory's own, and named or the
// default: a copied data directory still links to the places of its original.
func (w *writer) admitTablespace(t target.Tablespace) error {
	dir, now := w.spaces[t.OID], w.linkTo(t)
	if w.delta && now != "" && now != dir && !w.named(t) {
		return fmt.Errorf("tablespace %q of the directory is at %s: say --tablespace %s=%s to rewrite it there, or name another directory",
			t.Name, now, t.Name, now)
	}
	if user := tablespaceUser(dir); user != 0 {
		return fmt.Errorf("%w: process %d has %s as a tablespace", ErrServerLives, user, dir)
	}
	empty, err := isEmpty(dir)
	if err != nil {
		return fmt.Errorf("tablespace %q: %w", t.Name, err)
	}
	if !empty && (!w.delta || now != dir) {
		return fmt.Errorf("tablespace %q: %w: %s; name another with --tablespace %s=DIR", t.Name, ErrNotEmpty, dir, t.Name)
	}
	return nil
}

// named reports whether the user said where a tablespace goes.
func (w *writer) named(t target.Tablespace) bool {
	_, byName := w.o.Tablespaces[t.Name]
	_, byOID := w.o.Tablespaces[strconv.FormatUint(uint64(t.OID), 10)]
	return byName || byOID
}

func (w *writer) link(t target.Tablespace) error {
	dir := w.spaces[t.OID]
	if err := w.mkdir(filepath.Join(w.o.Dir, "pg_tblspc"), 0o700); err != nil {
		return err
	}
	at := w.linkAt(t)
	if to, err := os.Readlink(at); err == nil && to == dir {
		return nil
	}
	if err := os.Remove(at); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Symlink(dir, at); err != nil {
		return err
	}
	if w.o.Owner != nil {
		return os.Lchown(at, w.o.Owner.UID, w.o.Owner.GID)
	}
	return nil
}
