package backup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/bits"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/refloat-db/refloat/internal/repository"
	"github.com/refloat-db/refloat/internal/target"
)

// Image is a backup as a user sees it: every file whole, whatever chain of
// deltas holds its pages. Safe for concurrent use.
type Image struct {
	repo   imageStore
	backup Backup
	files  []ImageFile
	byPath map[string]imageEntry
	table  *pageTable
	empty  sync.Map // object → header, of deltas without pages: many files share one
}

// imageStore is the part of a repository that an image reads.
type imageStore interface {
	OpenObject(ctx context.Context, id repository.ObjectID) (io.ReadSeekCloser, error)
}

// imageEntry says where a file's bytes lie: deltas, newest first, over a whole
// object.
type imageEntry struct {
	file   int // in Image.files
	layers []repository.Node
}

// ImageFile is one entry of an Image.
type ImageFile struct {
	repository.Node         // Object is empty where the file is merged from several
	CRC32C          *uint32 // of the whole file, where the server's manifest gives it
}

// FileReader reads a file at any offset; not for concurrent use, open several.
type FileReader interface {
	io.Reader
	io.ReaderAt
	io.Closer
}

// Open reads the trees of the backup and of those that it builds on.
func (c *Catalogue) Open(ctx context.Context, b Backup) (*Image, error) {
	chain := []Backup{b}
	if b.Kind == Delta {
		all, err := c.List(ctx, b.Target)
		if err != nil {
			return nil, err
		}
		rest, ok := chainOf(all, b.Parent)
		if !ok {
			return nil, fmt.Errorf("backup %s of %s builds on one that is not in the repository: %w", b.ID, b.Target, ErrBroken)
		}
		chain = append(chain, rest...)
	}
	img, err := c.openChain(ctx, chain)
	if err != nil {
		return nil, fmt.Errorf("open backup %s of %s: %w", b.ID, b.Target, broken(err))
	}
	return img, nil
}

// broken marks damage in the repository as ErrBroken; other errors, such as
// storage that cannot be reached, stay what they are.
func broken(err error) error {
	damaged := errors.Is(err, repository.ErrCorrupt) || errors.Is(err, repository.ErrNotFound) || errors.Is(err, errPageTable)
	if damaged && !errors.Is(err, ErrBroken) {
		return fmt.Errorf("%w: %w", ErrBroken, err)
	}
	return err
}

func (c *Catalogue) openChain(ctx context.Context, chain []Backup) (*Image, error) {
	b := chain[0]
	img := &Image{repo: c.Repo, backup: b, byPath: map[string]imageEntry{}}
	tree, err := c.Repo.Tree(ctx, b.Snapshot)
	if err != nil {
		return nil, err
	}
	own := map[string]repository.Node{}
	for _, n := range tree {
		if strings.HasPrefix(n.Path, ownRoot+"/") {
			own[n.Path] = n
		}
	}
	if img.table, err = c.openTable(ctx, own[tablePath]); err != nil {
		return nil, err
	}
	sums, err := c.manifestSums(ctx, own[manifestPath])
	if err != nil {
		return nil, err
	}
	open, err := img.addTree(tree, b.Kind == Delta, sums)
	if err != nil {
		return nil, err
	}
	for _, below := range chain[1:] {
		if len(open) == 0 {
			break
		}
		if tree, err = c.Repo.Tree(ctx, below.Snapshot); err != nil {
			return nil, fmt.Errorf("backup %s: %w", below.ID, err)
		}
		if open, err = img.addLayer(tree, below, open); err != nil {
			return nil, err
		}
	}
	for p := range open {
		return nil, fmt.Errorf("%s is whole in no backup of the chain: %w", p, ErrBroken)
	}
	slices.SortFunc(img.files, func(a, b ImageFile) int { return strings.Compare(a.Path, b.Path) })
	for i, f := range img.files {
		e := img.byPath[f.Path]
		e.file = i
		img.byPath[f.Path] = e
	}
	return img, nil
}

// addTree takes in the newest tree and returns the files that are deltas.
func (i *Image) addTree(tree []repository.Node, delta bool, sums map[string]uint32) (map[string]bool, error) {
	open := map[string]bool{}
	for _, n := range tree {
		p, ok := strings.CutPrefix(n.Path, dataRoot+"/")
		if !ok {
			continue
		}
		f := ImageFile{Node: n}
		f.Path = p
		if whole, is := undeltaPath(p); is && delta && !n.Mode.IsDir() {
			blocks, ok := i.table.blocks(whole)
			if !ok {
				return nil, fmt.Errorf("the page table lacks %s: %w", whole, ErrBroken)
			}
			f.Path, f.Size, f.Object = whole, blocks*target.PageSize, ""
			open[whole] = true
		} else if blocks, ok := i.table.blocks(p); ok && blocks*target.PageSize != n.Size {
			return nil, fmt.Errorf("%s has %d bytes, but the page table knows %d pages of it: %w", p, n.Size, blocks, ErrBroken)
		}
		if sum, ok := sums[f.Path]; ok && f.Path != labelName {
			f.CRC32C = &sum
		}
		i.files = append(i.files, f)
		if !n.Mode.IsDir() {
			i.byPath[f.Path] = imageEntry{layers: []repository.Node{n}}
		}
	}
	return open, nil
}

// addLayer adds what the open files have in a tree below, and returns those
// that are still open.
func (i *Image) addLayer(tree []repository.Node, b Backup, open map[string]bool) (map[string]bool, error) {
	still := map[string]bool{}
	found := 0
	for _, n := range tree {
		p, ok := strings.CutPrefix(n.Path, dataRoot+"/")
		if !ok || n.Mode.IsDir() {
			continue
		}
		whole, is := undeltaPath(p)
		is = is && b.Kind == Delta
		if !is {
			whole = p
		}
		if !open[whole] {
			continue
		}
		found++
		e := i.byPath[whole]
		e.layers = append(e.layers, n)
		i.byPath[whole] = e
		if is {
			still[whole] = true
		}
	}
	if found != len(open) {
		return nil, fmt.Errorf("backup %s lacks %d files that the one above builds on: %w", b.ID, len(open)-found, ErrBroken)
	}
	return still, nil
}

// openTable opens a backup's page table.
func (c *Catalogue) openTable(ctx context.Context, n repository.Node) (*pageTable, error) {
	if n.Object == "" {
		return nil, fmt.Errorf("%s is missing: %w", tablePath, ErrBroken)
	}
	open := func(ctx context.Context) (io.ReadSeekCloser, error) { return c.Repo.OpenObject(ctx, n.Object) }
	return openPageTable(ctx, open, n.Size)
}

// base is the backup that a delta builds on.
type base struct {
	table    *pageTable
	manifest repository.ObjectID
}

func (b *base) pageTable() *pageTable {
	if b == nil {
		return nil
	}
	return b.table
}

// openBase opens what a delta needs of its parent.
func (c *Catalogue) openBase(ctx context.Context, parent Backup, manifest bool) (*base, error) {
	n, err := c.Repo.Lookup(ctx, parent.Snapshot, tablePath)
	if err != nil {
		return nil, err
	}
	b := &base{}
	if b.table, err = c.openTable(ctx, n); err != nil {
		return nil, err
	}
	if manifest {
		m, err := c.Repo.Lookup(ctx, parent.Snapshot, manifestPath)
		if err != nil {
			return nil, err
		}
		b.manifest = m.Object
	}
	return b, nil
}

// manifestSums reads the checksums of whole files from the server's manifest
// (PostgreSQL docs, "Backup Manifest Format"). A backup without one has none.
func (c *Catalogue) manifestSums(ctx context.Context, n repository.Node) (map[string]uint32, error) {
	if n.Object == "" {
		return nil, nil
	}
	r, err := c.Repo.OpenObject(ctx, n.Object)
	if err != nil {
		return nil, err
	}
	sums, err := parseManifest(r)
	return sums, errors.Join(err, r.Close())
}

// parseManifest returns the CRC-32C of each file that has one.
func parseManifest(r io.Reader) (map[string]uint32, error) {
	var m struct {
		Files []struct {
			Path      string `json:"Path"`
			Algorithm string `json:"Checksum-Algorithm"`
			Checksum  string `json:"Checksum"`
		} `json:"Files"`
	}
	if err := json.NewDecoder(r).Decode(&m); err != nil {
		return nil, fmt.Errorf("%w: the server's manifest is no JSON: %w", ErrBroken, err)
	}
	sums := map[string]uint32{}
	for _, f := range m.Files {
		if f.Path == "" || !strings.EqualFold(f.Algorithm, "CRC32C") || len(f.Checksum) != 8 {
			continue // an encoded path, or another algorithm: fewer checks, not wrong ones
		}
		v, err := strconv.ParseUint(f.Checksum, 16, 32)
		if err != nil {
			return nil, fmt.Errorf("%w: the server's manifest has checksum %q for %s", ErrBroken, f.Checksum, f.Path)
		}
		sums[f.Path] = bits.ReverseBytes32(uint32(v)) // written byte by byte, lowest first
	}
	return sums, nil
}

// Backup is the entry that the image shows.
func (i *Image) Backup() Backup { return i.backup }

// Files lists directories and files of the cluster in path order, without
// Refloat's own records.
func (i *Image) Files() []ImageFile { return i.files }

// PageHashes returns the recorded hash of each page of a relation file (16
// bytes each, XXH3-128), for restores that rewrite only pages that differ;
// nil for a file that is not made of pages.
func (i *Image) PageHashes(ctx context.Context, p string) ([]byte, error) {
	if _, ok := i.byPath[p]; !ok {
		return nil, i.noFile("read page hashes", p)
	}
	if _, ok := i.table.blocks(p); !ok {
		return nil, nil
	}
	h, err := i.table.hashes(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("backup %s: %w", i.backup.ID, broken(err))
	}
	return h, nil
}

func (i *Image) noFile(op, p string) error {
	return &fs.PathError{Op: op, Path: path.Join(i.backup.ID, p), Err: fs.ErrNotExist}
}
