package restore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/refloat-db/refloat/internal/backup"
	"github.com/refloat-db/refloat/internal/target"
)

// Image is a backup, file by file; *backup.Image is one.
type Image interface {
	Backup() backup.Backup
	Files() []backup.ImageFile
	OpenFile(ctx context.Context, path string) (backup.FileReader, error)
	PageHashes(ctx context.Context, path string) ([]byte, error)
}

// Owner is the user that restored files are given to.
type Owner struct{ UID, GID int }

// Options say where and how to write.
type Options struct {
	Dir            string            // data directory
	Delta          bool              // rewrite only what differs in a directory of the same cluster
	Workers        int               // 0 picks two for each core
	Tablespaces    map[string]string // directory for a tablespace, by name or OID
	TablespaceDir  string            // where the others go, each below its name; default DIR-tablespaces
	Owner          *Owner            // nil leaves files to who runs
	RestoreCommand string            // for the server that will recover; see RecoveryCommand
	Pause          bool              // stop at the target, to look, instead of promoting
	Progress       func(backup.Progress)
}

// Result is what was done.
type Result struct {
	Dir         string            `json:"dir"`
	Files       int64             `json:"files"`
	Bytes       int64             `json:"bytes"`   // of the cluster
	Written     int64             `json:"written"` // less when only what differed was written
	Took        time.Duration     `json:"took"`
	Tablespaces map[string]string `json:"tablespaces"`
	Warnings    []string          `json:"warnings"`
}

const (
	marker     = "refloat-restore-incomplete"
	controlPos = "global/pg_control"
	pieceSize  = 64 << 20 // a file larger than this is written by several workers
)

// Execute writes the planned cluster. Until it returns without an error no
// server can start over the directory: pg_control comes last. It refuses a
// directory that is not empty, unless Delta is set or an earlier Execute of
// the same cluster was cut off there, and always one that a server uses. It
// never starts a server.
func Execute(ctx context.Context, p Plan, img Image, o Options) (Result, error) {
	w, err := prepare(p, img, o)
	if err != nil {
		return Result{}, fmt.Errorf("restore into %s: %w", o.Dir, err)
	}
	if err := w.run(ctx); err != nil {
		return Result{}, fmt.Errorf("restore into %s: %w; the directory is not usable: run the same command again to go on", o.Dir, err)
	}
	return w.result, nil
}

// writer is one restore under way.
type writer struct {
	plan    Plan
	img     Image
	o       Options
	delta   bool
	spaces  map[uint32]string // directory of each tablespace
	result  Result
	began   time.Time
	done    atomic.Int64
	written atomic.Int64
}

func prepare(p Plan, img Image, o Options) (*writer, error) {
	if !filepath.IsAbs(o.Dir) {
		return nil, errors.New("want an absolute path")
	}
	o.Dir = filepath.Clean(o.Dir)
	if o.Workers <= 0 {
		o.Workers = 2 * numCPU()
	}
	w := &writer{plan: p, img: img, o: o, began: time.Now()}
	w.result = Result{Dir: o.Dir, Tablespaces: map[string]string{}, Warnings: slices.Clone(p.Warnings)}
	var err error
	if w.delta, err = admissible(o.Dir, o.Delta, img.Backup().SystemID); err != nil {
		return nil, err
	}
	if w.spaces, err = mapTablespaces(p.Backup.Tablespaces, o); err != nil {
		return nil, err
	}
	for _, t := range p.Backup.Tablespaces {
		dir := w.spaces[t.OID]
		w.result.Tablespaces[t.Name] = dir
		if empty, err := isEmpty(dir); err != nil || !empty && !w.delta {
			return nil, errors.Join(fmt.Errorf("the directory %s for tablespace %q is not empty; name another with --tablespace %s=DIR", dir, t.Name, t.Name), err)
		}
	}
	return w, nil
}

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

func (w *writer) run(ctx context.Context) error {
	if err := w.begin(); err != nil {
		return err
	}
	pieces, control, err := w.layOut()
	if err != nil {
		return err
	}
	if control == nil {
		return fmt.Errorf("%w: backup %s has no %s", backup.ErrBroken, w.plan.Backup.ID, controlPos)
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(w.o.Workers)
	for _, p := range pieces {
		if gctx.Err() != nil {
			break
		}
		g.Go(func() error { return w.write(gctx, p) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if w.delta {
		if err := w.removeOthers(); err != nil {
			return err
		}
	}
	if err := w.recovery(); err != nil {
		return err
	}
	return w.finish(ctx, *control)
}

// begin makes the directory one that cannot be taken for a whole cluster.
func (w *writer) begin() error {
	if err := w.mkdir(w.o.Dir, 0o700); err != nil {
		return err
	}
	text := fmt.Sprintf("Refloat is restoring backup %s of cluster %s here. Until this file is gone, the directory is not a cluster.\n%s\n",
		w.plan.Backup.ID, w.plan.Backup.SystemID, w.plan.Backup.SystemID)
	if err := replaceFile(filepath.Join(w.o.Dir, marker), []byte(text)); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(w.o.Dir, controlPos)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return syncDirs(w.o.Dir)
}

// piece is a stretch of a file that one worker writes.
type piece struct {
	file     backup.ImageFile
	path     string // on disk
	off, len int64
}

// layOut makes directories, links and files, and cuts the work into pieces,
// the largest first. pg_control is kept apart.
func (w *writer) layOut() (pieces []piece, control *piece, err error) {
	for _, t := range w.plan.Backup.Tablespaces {
		if err := w.link(t); err != nil {
			return nil, nil, err
		}
	}
	for _, f := range w.img.Files() {
		at, err := w.place(f.Path)
		if err != nil {
			return nil, nil, err
		}
		if f.Mode.IsDir() {
			if isTablespaceRoot(f.Path) {
				continue // a link, made above
			}
			if err := w.mkdir(at, f.Mode.Perm()); err != nil {
				return nil, nil, err
			}
			continue
		}
		w.result.Files++
		w.result.Bytes += f.Size
		if f.Path == controlPos {
			control = &piece{file: f, path: at, len: f.Size}
			continue
		}
		for off := int64(0); off < f.Size || off == 0; off += pieceSize {
			pieces = append(pieces, piece{file: f, path: at, off: off, len: min(pieceSize, f.Size-off)})
		}
	}
	slices.SortStableFunc(pieces, func(a, b piece) int { return int(b.len>>10) - int(a.len>>10) })
	return pieces, control, nil
}

// isTablespaceRoot: pg_tblspc/OID, in whose place a link stands.
func isTablespaceRoot(p string) bool {
	rest, ok := strings.CutPrefix(p, "pg_tblspc/")
	return ok && !strings.Contains(rest, "/")
}

// place is where a file of the cluster lies on disk.
func (w *writer) place(p string) (string, error) {
	if p == "" || p == "." || path.IsAbs(p) || p != path.Clean(p) || strings.HasPrefix(p, "..") {
		return "", fmt.Errorf("%w: the backup names a file %q", backup.ErrBroken, p)
	}
	if rest, ok := strings.CutPrefix(p, "pg_tblspc/"); ok {
		oid, inside, _ := strings.Cut(rest, "/")
		n, err := strconv.ParseUint(oid, 10, 32)
		dir, known := w.spaces[uint32(n)]
		if err != nil || !known {
			return "", fmt.Errorf("%w: %s lies in a tablespace that the backup does not describe", backup.ErrBroken, p)
		}
		return filepath.Join(dir, filepath.FromSlash(inside)), nil
	}
	return filepath.Join(w.o.Dir, filepath.FromSlash(p)), nil
}

func (w *writer) link(t target.Tablespace) error {
	dir := w.spaces[t.OID]
	// The server's user must be able to pass through what is made here.
	if parent := filepath.Dir(dir); !exists(parent) {
		if err := w.mkdir(parent, 0o700); err != nil {
			return err
		}
	}
	if err := w.mkdir(dir, 0o700); err != nil {
		return err
	}
	if err := w.mkdir(filepath.Join(w.o.Dir, "pg_tblspc"), 0o700); err != nil {
		return err
	}
	at := filepath.Join(w.o.Dir, "pg_tblspc", strconv.FormatUint(uint64(t.OID), 10))
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

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func (w *writer) mkdir(dir string, mode fs.FileMode) error {
	if mode&0o700 != 0o700 {
		mode = 0o700
	}
	if err := os.MkdirAll(dir, mode); err != nil {
		return err
	}
	if err := os.Chmod(dir, mode); err != nil {
		return err
	}
	return w.own(dir)
}

func (w *writer) own(path string) error {
	if w.o.Owner == nil {
		return nil
	}
	return os.Chown(path, w.o.Owner.UID, w.o.Owner.GID)
}

// finish makes everything durable and only then puts pg_control in place.
func (w *writer) finish(ctx context.Context, control piece) error {
	last := control
	last.path += ".refloat"
	if err := w.write(ctx, last); err != nil {
		return err
	}
	dirs := []string{w.o.Dir}
	for _, d := range w.spaces {
		dirs = append(dirs, d)
	}
	if err := syncDirs(dirs...); err != nil {
		return fmt.Errorf("make durable: %w", err)
	}
	if err := os.Remove(filepath.Join(w.o.Dir, marker)); err != nil {
		return err
	}
	if err := os.Rename(last.path, control.path); err != nil {
		return err
	}
	if err := syncDirs(w.o.Dir); err != nil {
		return fmt.Errorf("make durable: %w", err)
	}
	w.result.Written, w.result.Took = w.written.Load(), time.Since(w.began)
	return nil
}
