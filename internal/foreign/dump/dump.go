// Package dump reads files of pg_dump and pg_dumpall: what they are, of what
// they were made, and whether they are whole.
package dump

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/foreign"
)

const (
	deepest = 2         // folders below the one that is named
	most    = 400       // files; the newest are looked into
	budget  = 192 << 20 // bytes that a look reads in all, so that it ends in time
	fresh   = time.Minute
)

// Read looks at one dump, or at a folder of them.
func Read(ctx context.Context, o foreign.Options, p foreign.Place) foreign.Facts {
	f := foreign.Facts{Place: p, File: p.Name}
	files, err := listed(p.Name)
	if err != nil {
		f.Files, f.Repository = foreign.Hidden[[]foreign.File](err.Error()), foreign.Hidden[[]foreign.Repository](err.Error())
		return f
	}
	r := foreign.Repository{Location: p.Name, Local: true}
	r.Device, _ = foreign.Device(p.Name)
	l := looker{o: o, left: budget, restore: program()}
	out := []foreign.File{}
	for _, c := range files { // newest first
		if x, is := l.look(ctx, c); is {
			out = append(out, x)
			r.Encrypted = r.Encrypted || x.Packed == "encrypted"
		}
	}
	slices.Reverse(out)
	f.Files, f.Repository = foreign.Some(out), foreign.Some([]foreign.Repository{r})
	return f
}

// candidate is a file that may be a dump.
type candidate struct {
	path  string
	bytes int64
	at    time.Time
	dir   bool
}

// listed finds the files below a place, newest first.
func listed(place string) ([]candidate, error) {
	i, err := os.Stat(place)
	if err != nil {
		return nil, err
	}
	if !i.IsDir() {
		return []candidate{{path: place, bytes: i.Size(), at: i.ModTime()}}, nil
	}
	var out []candidate
	root := strings.Count(filepath.Clean(place), "/")
	err = filepath.WalkDir(place, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if toc, err := os.Stat(filepath.Join(path, "toc.dat")); err == nil {
				out = append(out, candidate{path: path, bytes: size(path), at: toc.ModTime(), dir: true})
				return filepath.SkipDir
			}
			if strings.Count(path, "/")-root > deepest {
				return filepath.SkipDir
			}
			return nil
		}
		i, err := d.Info()
		if err != nil || !i.Mode().IsRegular() || !may.MatchString(d.Name()) {
			return ignoreGone(err)
		}
		out = append(out, candidate{path: path, bytes: i.Size(), at: i.ModTime()})
		return nil
	})
	slices.SortStableFunc(out, func(a, b candidate) int { return b.at.Compare(a.at) })
	return out[:min(len(out), most)], err
}

func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// may tells a file that could be a dump by its name.
var may = regexp.MustCompile(`(?i)\.(sql|dump|dmp|pgdump|backup|bak|custom|tar|pgc|gz|bz2|xz|zst|zstd|lz4)(\.(gpg|age|enc|asc))?$|dump|globals|roles`)

func size(dir string) (n int64) {
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			if i, err := d.Info(); err == nil {
				n += i.Size()
			}
		}
		return nil
	})
	return n
}

// looker looks into files as long as its budget lasts.
type looker struct {
	o       foreign.Options
	left    int64
	restore string // pg_restore
}

// look says what a file is; false when it is no dump at all.
func (l *looker) look(ctx context.Context, c candidate) (foreign.File, bool) {
	x := foreign.File{Path: c.path, Bytes: c.bytes, At: c.at.UTC(), Tables: -1, Form: foreign.Other}
	switch {
	case c.dir:
		x.Form = foreign.Directory
		l.archive(ctx, &x)
	case c.bytes == 0:
		x.Problem = "it is empty"
	default:
		if !l.file(ctx, &x) {
			return x, false
		}
	}
	if x.Problem != "" && c.bytes > 0 && l.o.Now.Sub(c.at) < fresh && l.o.Now.After(c.at) {
		x.Unread, x.Problem = "it was written just now, and may not be finished", ""
	}
	return x, true
}

// program is the newest pg_restore here.
func program() string {
	var found []string
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin/pg_restore", "/usr/pgsql-*/bin/pg_restore"} {
		more, _ := filepath.Glob(pattern)
		found = append(found, more...)
	}
	slices.Sort(found)
	if len(found) == 0 {
		return "pg_restore"
	}
	return found[len(found)-1]
}
