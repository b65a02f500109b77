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
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/refloat-db/refloat/internal/backup"
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
	Before         bool              // stop just before the target's transaction or record instead of after it
	KeepCached     bool              // somebody is about to read all of it: leave it in the system's cache
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
	// pg_control has this added to its name until all else is durable.
	controlSuffix = ".refloat"
	pieceSize     = 64 << 20 // a file larger than this is written by several workers
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
	roots   []string          // where links in the data directory lead, other than tablespaces
	result  Result
	began   time.Time
	disks   []*os.File // a directory on each file system that is written to
	done    atomic.Int64
	written atomic.Int64
	telling sync.Mutex
	windows sync.Pool // see window
}

func prepare(p Plan, img Image, o Options) (*writer, error) {
	if !filepath.IsAbs(o.Dir) {
		return nil, errors.New("want an absolute path")
	}
	o.Dir = filepath.Clean(o.Dir)
	if real, err := filepath.EvalSymlinks(o.Dir); err == nil {
		o.Dir = real
	}
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
		w.result.Tablespaces[t.Name] = w.spaces[t.OID]
		if err := w.admitTablespace(t); err != nil {
			return nil, err
		}
	}
	return w, w.room()
}

// room refuses what does not fit, before anything is written. Over a directory
// that is used already most of it is there.
func (w *writer) room() error {
	if w.delta {
		return nil
	}
	need, rest := map[string]int64{}, w.plan.Bytes
	for _, t := range w.plan.Backup.Tablespaces {
		size := min(max(0, t.Size), rest)
		need[w.spaces[t.OID]] += size
		rest -= size
	}
	need[w.o.Dir] += rest
	return Room(need)
}

func (w *writer) run(ctx context.Context) error {
	defer w.letGo()
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
	if err := w.mkdir(w.o.Dir, w.rootMode()); err != nil {
		return err
	}
	text := fmt.Sprintf("Refloat is restoring backup %s of cluster %s here. Until this file is gone, the directory is not a cluster.\n%s\n",
		w.plan.Backup.ID, w.plan.Backup.SystemID, w.plan.Backup.SystemID)
	if err := replaceFile(filepath.Join(w.o.Dir, marker), []byte(text)); err != nil {
		return err
	}
	control := filepath.Join(w.o.Dir, controlPos)
	switch err := os.Remove(control); {
	case err == nil:
		if err := syncDir(filepath.Dir(control)); err != nil {
			return err
		}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := syncDir(w.o.Dir); err != nil {
		return err
	}
	dirs := []string{w.o.Dir}
	for _, t := range w.plan.Backup.Tablespaces {
		if err := w.mkdir(w.spaces[t.OID], 0o700); err != nil {
			return err
		}
		dirs = append(dirs, w.spaces[t.OID])
	}
	for _, d := range dirs {
		// Opened before anything is written, so that a failure to write back is
		// reported when it is synced.
		f, err := os.Open(d)
		if err != nil {
			return err
		}
		w.disks = append(w.disks, f)
	}
	return nil
}

func (w *writer) letGo() {
	for _, d := range w.disks {
		_ = d.Close()
	}
}

// rootMode is that of production's data directory, which its children share:
// 0700, or 0750 where the group may read.
func (w *writer) rootMode() fs.FileMode {
	for _, f := range w.img.Files() {
		if f.Path == "global" {
			return f.Mode.Perm()
		}
	}
	return 0o700
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
	if w.delta {
		if err := w.followedLinks(); err != nil {
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

// mkdir makes a directory, and those above it that are missing, for the owner.
func (w *writer) mkdir(dir string, mode fs.FileMode) error {
	if above := filepath.Dir(dir); above != dir {
		if _, err := os.Stat(above); errors.Is(err, fs.ErrNotExist) {
			if err := w.mkdir(above, 0o700); err != nil {
				return err
			}
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := os.Chmod(dir, mode|0o700); err != nil {
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
	last.path += controlSuffix
	if err := w.write(ctx, last); err != nil {
		return err
	}
	for _, d := range w.disks {
		if err := syncDisk(d); err != nil {
			return fmt.Errorf("make durable: %w", err)
		}
	}
	if err := os.Remove(filepath.Join(w.o.Dir, marker)); err != nil {
		return err
	}
	if err := os.Rename(last.path, control.path); err != nil {
		return err
	}
	for _, d := range []string{filepath.Dir(control.path), w.o.Dir, filepath.Dir(w.o.Dir)} {
		if err := syncDir(d); err != nil {
			return fmt.Errorf("make durable: %w", err)
		}
	}
	w.result.Written, w.result.Took = w.written.Load(), time.Since(w.began)
	return nil
}
