package postgres

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// What a base backup leaves out, as the server's own does
// (backup/basebackup.c: excludeDirContents, excludeFiles, sendDir).
var (
	emptiedDirs = [...]string{"pg_stat_tmp", "pg_replslot", "pg_dynshmem", "pg_notify", "pg_serial", "pg_snapshots", "pg_subtrans"}
	leftFiles   = [...]string{"postgresql.auto.conf.tmp", "current_logfiles.tmp", labelFile, mapFile, manifestFile, "postmaster.pid", "postmaster.opts", ".DS_Store"}
	leftStarts  = [...]string{"pgsql_tmp", "pg_internal.init"}

	databaseDir  = regexp.MustCompile(`^(?:base/[0-9]+|global|pg_tblspc/[0-9]+/PG_[^/]+/[0-9]+)$`)
	forkName     = regexp.MustCompile(`^([0-9]+)(?:_(fsm|vm|init))?(?:\.[0-9]+)?$`)
	tempRelation = regexp.MustCompile(`^t[0-9]+_[0-9]+(?:_(?:fsm|vm|init))?(?:\.[0-9]+)?$`)
)

const controlFile = "global/pg_control"

// keepsFile reports whether a base backup holds the file name in directory
// dir. unlogged holds the numbers of the directory's unlogged relations, of
// which only the init fork is kept.
func keepsFile(dir, name string, unlogged map[string]bool) bool {
	for _, left := range leftFiles {
		if name == left {
			return false
		}
	}
	for _, start := range leftStarts {
		if strings.HasPrefix(name, start) {
			return false
		}
	}
	if !databaseDir.MatchString(dir) {
		return true
	}
	if tempRelation.MatchString(name) {
		return false
	}
	m := forkName.FindStringSubmatch(name)
	return m == nil || m[2] == "init" || !unlogged[m[1]]
}

// unloggedIn finds the unlogged relations of a directory: those with an init fork.
func unloggedIn(entries []fs.DirEntry) map[string]bool {
	out := map[string]bool{}
	for _, e := range entries {
		if m := forkName.FindStringSubmatch(e.Name()); m != nil && m[2] == "init" {
			out[m[1]] = true
		}
	}
	return out
}

// emptied reports whether a backup holds the directory but nothing in it.
func emptied(dir string) bool {
	for _, d := range emptiedDirs {
		if dir == d {
			return true
		}
	}
	return false
}

// place is an opened directory whose files appear below prefix in the backup.
// Nothing outside it can be reached through it.
type place struct {
	prefix string
	root   *os.Root
}

// foundFile is one file to read.
type foundFile struct {
	place place
	inner string // within the place
	name  string // within the backup
}

// dataTree walks a data directory and its tablespaces.
type dataTree struct {
	data    place
	spaces  []place
	wal     *os.Root
	version string // name of the directory of this server's files in a tablespace
}

// openTree opens a data directory, its tablespaces and its log.
func openTree(dir, version string) (*dataTree, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the data directory: %w", err)
	}
	t := &dataTree{data: place{root: root}, version: version}
	if err := t.openRest(); err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

func (t *dataTree) openRest() error {
	var err error
	if t.wal, err = openThrough(t.data.root, "pg_wal"); err != nil {
		return fmt.Errorf("open the log's directory: %w", err)
	}
	entries, err := fs.ReadDir(t.data.root.FS(), "pg_tblspc")
	if err != nil {
		return fmt.Errorf("list the tablespaces: %w", err)
	}
	for _, e := range entries {
		if _, err := strconv.ParseUint(e.Name(), 10, 32); err != nil {
			continue
		}
		root, err := openThrough(t.data.root, "pg_tblspc/"+e.Name())
		if err != nil {
			return fmt.Errorf("open tablespace %s: %w", e.Name(), err)
		}
		t.spaces = append(t.spaces, place{prefix: "pg_tblspc/" + e.Name(), root: root})
	}
	return nil
}

// openThrough opens a directory that may be a symbolic link to elsewhere.
func openThrough(root *os.Root, name string) (*os.Root, error) {
	info, err := root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if info.Mode()&fs.ModeSymlink == 0 {
		return root.OpenRoot(name)
	}
	to, err := root.Readlink(name)
	if err != nil {
		return nil, err
	}
	if !path.IsAbs(to) {
		to = path.Join(root.Name(), path.Dir(name), to)
	}
	return os.OpenRoot(to)
}

func (t *dataTree) close() {
	for _, r := range append([]*os.Root{t.data.root, t.wal}, spaceRoots(t.spaces)...) {
		if r != nil {
			_ = r.Close() // only read
		}
	}
}

func spaceRoots(spaces []place) (out []*os.Root) {
	for _, s := range spaces {
		out = append(out, s.root)
	}
	return out
}

// walk tells of each directory, and of each file but pg_control and the log.
func (t *dataTree) walk(dir func(string) error, file func(foundFile) error) error {
	for _, d := range []string{"pg_wal", "pg_wal/archive_status"} {
		if err := dir(d); err != nil {
			return err
		}
	}
	if err := t.walkDir(t.data, ".", dir, file); err != nil {
		return err
	}
	for _, s := range t.spaces {
		if err := dir(s.prefix); err != nil {
			return err
		}
		if err := t.walkDir(s, t.version, dir, file); err != nil {
			return err
		}
	}
	return nil
}

// walkDir walks what lies below inner. What vanishes meanwhile is left out.
func (t *dataTree) walkDir(p place, inner string, dir func(string) error, file func(foundFile) error) error {
	name := path.Join(p.prefix, inner)
	if inner != "." {
		if err := dir(name); err != nil {
			return err
		}
	}
	if emptied(name) {
		return nil
	}
	entries, err := fs.ReadDir(p.root.FS(), inner)
	if errors.Is(err, fs.ErrNotExist) && inner != "." {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list %s: %w", name, err)
	}
	unlogged := map[string]bool{}
	if databaseDir.MatchString(name) {
		unlogged = unloggedIn(entries)
	}
	for _, e := range entries {
		below := path.Join(inner, e.Name())
		full := path.Join(p.prefix, below)
		switch {
		case e.IsDir() && (full == "pg_wal" || strings.HasPrefix(e.Name(), "pgsql_tmp")):
		case e.IsDir() && path.Dir(full) == "pg_tblspc": // a place of its own
		case e.IsDir():
			err = t.walkDir(p, below, dir, file)
		case !e.Type().IsRegular() || full == controlFile || !keepsFile(name, e.Name(), unlogged):
		default:
			err = file(foundFile{place: p, inner: below, name: full})
		}
		if err != nil {
			return err
		}
	}
	return nil
}
