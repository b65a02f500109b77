package repository

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	iofs "io/fs"
	"path"
	"slices"
	"strings"

	"github.com/kopia/kopia/repo/object"
	"github.com/kopia/kopia/snapshot"
	"github.com/kopia/kopia/snapshot/snapshotfs"
)

// dirPrefix marks contents that hold folders, as kopia's own uploader does.
const dirPrefix = "k"

// branch is a folder while a tree is put together.
type branch struct {
	node Node
	kids map[string]*branch // nil for a file
}

// growTree arranges nodes into folders; folders that no node names are made.
func growTree(nodes []Node) (*branch, error) {
	root := &branch{node: Node{Mode: iofs.ModeDir | 0o700}, kids: map[string]*branch{}}
	for _, n := range nodes {
		if n.Path == "" || n.Path == "." {
			if n.Mode.IsDir() {
				root.node.Mode, root.node.ModTime = n.Mode, n.ModTime
				continue
			}
			return nil, errors.New("a file of the tree has no path")
		}
		if path.Clean(n.Path) != n.Path || path.IsAbs(n.Path) || n.Path == ".." || strings.HasPrefix(n.Path, "../") {
			return nil, fmt.Errorf("path %q: must be relative and clean", n.Path)
		}
		if !n.Mode.IsDir() && (n.Object == "" || !n.Mode.IsRegular()) {
			return nil, fmt.Errorf("path %q: only folders and files with contents can be stored", n.Path)
		}
		if err := root.add(n); err != nil {
			return nil, err
		}
	}
	return root, nil
}

func (b *branch) add(n Node) error {
	dir, name := path.Split(n.Path)
	cur := b
	for el := range strings.SplitSeq(strings.TrimSuffix(dir, "/"), "/") {
		if el == "" {
			continue
		}
		kid := cur.kids[el]
		if kid == nil {
			kid = &branch{node: Node{Mode: iofs.ModeDir | 0o700}, kids: map[string]*branch{}}
			cur.kids[el] = kid
		}
		if kid.kids == nil {
			return fmt.Errorf("path %q: %q is a file", n.Path, el)
		}
		cur = kid
	}
	old := cur.kids[name]
	switch {
	case old == nil && n.Mode.IsDir():
		cur.kids[name] = &branch{node: n, kids: map[string]*branch{}}
	case old == nil:
		cur.kids[name] = &branch{node: n}
	case old.kids != nil && n.Mode.IsDir():
		old.node = n
	default:
		return fmt.Errorf("path %q: given twice", n.Path)
	}
	return nil
}

// saveTree writes kopia's folder manifests, leaves first, and returns the root.
func (w *Writer) saveTree(ctx context.Context, s Snapshot, nodes []Node) (*snapshot.DirEntry, error) {
	root, err := growTree(nodes)
	if err != nil {
		return nil, err
	}
	return w.saveBranch(ctx, s, path.Base(s.Source), root)
}

func (w *Writer) saveBranch(ctx context.Context, s Snapshot, name string, b *branch) (*snapshot.DirEntry, error) {
	e := &snapshot.DirEntry{
		Name: name, Type: snapshot.EntryTypeFile,
		Permissions: snapshot.Permissions(b.node.Mode.Perm()), ModTime: modTime(b.node.ModTime, s.Start),
	}
	if b.kids == nil {
		id, err := object.ParseID(string(b.node.Object))
		if err != nil {
			return nil, fmt.Errorf("path %q: %w", b.node.Path, err)
		}
		e.FileSize, e.ObjectID = b.node.Size, id
		return e, nil
	}
	names := make([]string, 0, len(b.kids))
	for k := range b.kids {
		names = append(names, k)
	}
	slices.Sort(names)
	var builder snapshotfs.DirManifestBuilder
	for _, k := range names {
		kid, err := w.saveBranch(ctx, s, k, b.kids[k])
		if err != nil {
			return nil, err
		}
		builder.AddEntry(kid)
	}
	dm := builder.Build(e.ModTime, "")
	ow := w.w.NewObjectWriter(ctx, object.WriterOptions{
		Prefix: dirPrefix, Description: "folder " + name, Compressor: formatCompressor, MetadataCompressor: formatCompressor,
	})
	err := json.NewEncoder(ow).Encode(dm)
	if err == nil {
		e.ObjectID, err = ow.Result()
	}
	if err = errors.Join(err, ow.Close()); err != nil {
		return nil, fmt.Errorf("write folder %q: %w", name, err)
	}
	e.Type, e.DirSummary = snapshot.EntryTypeDirectory, dm.Summary
	return e, nil
}

// readFolder reads one folder manifest.
func (r *Repository) readFolder(ctx context.Context, id object.ID) (*snapshot.DirManifest, error) {
	rd, err := r.rep.OpenObject(ctx, id)
	if err != nil {
		return nil, err
	}
	var dm snapshot.DirManifest
	err = json.NewDecoder(rd).Decode(&dm)
	if err = errors.Join(err, rd.Close()); err != nil {
		if classify(err) == nil {
			err = fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
		return nil, err
	}
	return &dm, nil
}

func toNode(dir string, e *snapshot.DirEntry) Node {
	n := Node{Path: path.Join(dir, e.Name), Mode: iofs.FileMode(e.Permissions) & iofs.ModePerm, ModTime: e.ModTime.ToTime().UTC()}
	if e.Type == snapshot.EntryTypeDirectory {
		n.Mode |= iofs.ModeDir
		return n
	}
	n.Size, n.Object = e.FileSize, ObjectID(e.ObjectID.String())
	return n
}

// Tree reads a snapshot's whole tree in path order. The root itself is not in it.
func (r *Repository) Tree(ctx context.Context, id string) ([]Node, error) {
	op := "read the tree of snapshot " + id
	m, err := r.manifest(ctx, id)
	if err != nil {
		return nil, r.wrap(ctx, op, nil, err)
	}
	var out []Node
	var walk func(dir string, oid object.ID) error
	walk = func(dir string, oid object.ID) error {
		dm, err := r.readFolder(ctx, oid)
		if err != nil {
			return fmt.Errorf("folder %q: %w", dir, err)
		}
		for _, e := range dm.Entries {
			n := toNode(dir, e)
			out = append(out, n)
			if e.Type == snapshot.EntryTypeDirectory {
				if err := walk(n.Path, e.ObjectID); err != nil {
					return err
				}
			}
		}
		return nil
	}
	if err := walk("", m.RootEntry.ObjectID); err != nil {
		return nil, r.wrap(ctx, op, nil, err)
	}
	slices.SortFunc(out, func(a, b Node) int { return strings.Compare(a.Path, b.Path) })
	return out, nil
}

// Lookup finds one path in a snapshot without reading the whole tree.
func (r *Repository) Lookup(ctx context.Context, id, name string) (Node, error) {
	op := fmt.Sprintf("find %s in snapshot %s", name, id)
	m, err := r.manifest(ctx, id)
	if err != nil {
		return Node{}, r.wrap(ctx, op, nil, err)
	}
	name = path.Clean(name)
	cur := m.RootEntry
	for el := range strings.SplitSeq(name, "/") {
		if cur.Type != snapshot.EntryTypeDirectory {
			return Node{}, r.wrap(ctx, op, ErrNotFound, nil)
		}
		dm, err := r.readFolder(ctx, cur.ObjectID)
		if err != nil {
			return Node{}, r.wrap(ctx, op, nil, err)
		}
		i := slices.IndexFunc(dm.Entries, func(e *snapshot.DirEntry) bool { return e.Name == el })
		if i < 0 {
			return Node{}, r.wrap(ctx, op, ErrNotFound, nil)
		}
		cur = dm.Entries[i]
	}
	return toNode(path.Dir(name), cur), nil
}
