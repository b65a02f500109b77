package repository

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/kopia/kopia/repo/blob"
	"github.com/kopia/kopia/repo/blob/filesystem"
	"github.com/kopia/kopia/repo/blob/sharded"
)

// defaultShards is how kopia spreads its blobs over folders by default.
func defaultShards() []int { return []int{1, 3} }

// durableFolder is kopia's folder storage whose PutBlob returns only when the
// blob would survive the loss of power: kopia itself never calls fsync.
type durableFolder struct {
	blob.Storage
	root  string
	paths interface {
		GetShardedPathAndFilePath(ctx context.Context, id blob.ID) (dir, file string, err error)
	}
	known sync.Map // folders whose own entry is known to be durable
}

func openFolder(ctx context.Context, root string, create bool) (blob.Storage, error) {
	if create {
		if err := makeFolders(root); err != nil {
			return nil, err
		}
		if err := writeShards(root); err != nil {
			return nil, err
		}
	} else if _, err := os.Stat(root); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	st, err := filesystem.New(ctx, &filesystem.Options{
		Path: root, FileMode: 0o600, DirectoryMode: 0o700,
		Options: sharded.Options{DirectoryShards: defaultShards()},
	}, false)
	if err != nil {
		return nil, err
	}
	d := &durableFolder{Storage: st, root: root}
	var ok bool
	if d.paths, ok = st.(interface {
		GetShardedPathAndFilePath(ctx context.Context, id blob.ID) (dir, file string, err error)
	}); !ok {
		return nil, errors.New("folder storage does not say where its blobs are")
	}
	return d, nil
}

// writeShards fixes the layout of a new folder: sealed objects get a folder of
// their own, so that listing them never walks kopia's.
func writeShards(root string) error {
	file := filepath.Join(root, sharded.ParametersFile)
	if _, err := os.Stat(file); err == nil {
		return nil
	}
	p := sharded.DefaultParameters(defaultShards())
	for _, own := range []blob.ID{sealedPrefix, recordPrefix, leasePrefix} {
		p.Overrides = append(p.Overrides, sharded.PrefixAndShards{Prefix: own, Shards: []int{len(own)}})
	}
	text, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("encode folder layout: %w", err)
	}
	return replaceFile(file, func(f *os.File) error { _, err := f.Write(text); return err })
}

// PutBlob writes to a temporary file, syncs it, renames it, and syncs every
// folder whose entries changed.
func (d *durableFolder) PutBlob(ctx context.Context, id blob.ID, data blob.Bytes, opts blob.PutOptions) error {
	if opts.HasRetentionOptions() || opts.DoNotRecreate || !opts.SetModTime.IsZero() {
		return d.Storage.PutBlob(ctx, id, data, opts)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	dir, file, err := d.paths.GetShardedPathAndFilePath(ctx, id)
	if err != nil {
		return fmt.Errorf("place blob %s: %w", id, err)
	}
	if _, ok := d.known.Load(dir); !ok {
		// A folder storage that vanished (an unmounted disk) is not made anew.
		if _, err := os.Stat(d.root); err != nil {
			return fmt.Errorf("%w: %w", ErrUnreachable, err)
		}
		if err := makeFolders(dir); err != nil {
			return err
		}
		d.known.Store(dir, true)
	}
	err = replaceFile(file, func(f *os.File) error { _, err := data.WriteTo(f); return err })
	if errors.Is(err, fs.ErrNotExist) {
		d.known.Delete(dir)
	}
	if err != nil {
		return fmt.Errorf("write blob %s: %w", id, err)
	}
	if opts.GetModTime != nil {
		st, err := os.Stat(file)
		if err != nil {
			return fmt.Errorf("read time of blob %s: %w", id, err)
		}
		*opts.GetModTime = st.ModTime()
	}
	return nil
}

// sweep removes temporary files last written before a time, and gives the
// bytes they took.
func (d *durableFolder) sweep(ctx context.Context, before time.Time) (int64, error) {
	var freed int64
	err := filepath.WalkDir(d.root, func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.Contains(e.Name(), tempMark) {
			return errors.Join(err, ctx.Err())
		}
		st, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || !st.ModTime().Before(before) {
			return err
		}
		freed += st.Size()
		return os.Remove(p)
	})
	if err != nil {
		return freed, fmt.Errorf("remove temporary files: %w", err)
	}
	return freed, nil
}

// tempMark is in the name of every temporary file, kopia's too.
const tempMark = ".f.tmp."

// replaceFile makes file hold what write writes, durably and atomically.
func replaceFile(file string, write func(*os.File) error) (err error) {
	var r [8]byte
	_, _ = rand.Read(r[:])
	temp := file + ".tmp." + hex.EncodeToString(r[:])
	f, err := os.OpenFile(temp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(temp)
		}
	}()
	if err = errors.Join(write(f), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err = os.Rename(temp, file); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(file))
}

// makeFolders is os.MkdirAll that syncs the parent of every folder it makes.
func makeFolders(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return syncFolder(filepath.Dir(dir))
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := makeFolders(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncFolder(parent)
}

func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
