package repository

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/kopia/kopia/repo/blob"
	"github.com/kopia/kopia/repo/content"
	"github.com/kopia/kopia/repo/object"
	"github.com/kopia/kopia/snapshot"
)

// Verify checks stored data: every snapshot's files and folders, and every
// sealed object. Damage is in the report; the error is for what kept it from
// looking. It reads storage itself, never a cache, and opens the repository
// anew for it.
func (r *Repository) Verify(ctx context.Context, o VerifyOptions) (VerifyReport, error) {
	fresh := r.opts
	fresh.CacheDir, fresh.ReadOnly = "", true
	u, err := Open(ctx, fresh)
	if errors.Is(err, ErrCorrupt) {
		return VerifyReport{Damage: []Damage{{Object: "repository", Detail: err.Error()}}}, nil
	}
	if err != nil {
		return VerifyReport{}, err
	}
	v := &verifier{r: u, o: o, packs: map[blob.ID]int64{}, seen: map[uint64]struct{}{}, bad: map[content.ID]string{}}
	err = v.run(ctx)
	if err == nil {
		// Storage that went away meanwhile makes everything look missing.
		err = errors.Join(v.failed, u.present(ctx))
	}
	if err = errors.Join(err, u.Close(ctx)); err != nil {
		return VerifyReport{}, r.wrap(ctx, "verify", nil, err)
	}
	slices.SortFunc(v.damage, func(a, b Damage) int {
		return strings.Compare(a.Object+"\x00"+a.Detail, b.Object+"\x00"+b.Detail)
	})
	return VerifyReport{Objects: v.objects.Load(), Bytes: v.bytes.Load(), Damage: slices.Compact(v.damage)}, nil
}

type verifier struct {
	r     *Repository
	o     VerifyOptions
	packs map[blob.ID]int64 // length of each pack in storage

	objects, bytes atomic.Int64

	mu     sync.Mutex
	done   int64
	total  int64
	seen   map[uint64]struct{} // contents found good, by their hash
	bad    map[content.ID]string
	damage []Damage
	failed error // what kept it from looking
}

// job is one thing to check.
type job struct {
	name   string
	file   object.ID
	sealed SealedInfo
}

func (v *verifier) run(ctx context.Context) error {
	var sealed []SealedInfo
	err := v.r.storage.ListBlobs(ctx, "", func(m blob.Metadata) error {
		if strings.HasPrefix(string(m.BlobID), string(content.PackBlobIDPrefixRegular)) ||
			strings.HasPrefix(string(m.BlobID), string(content.PackBlobIDPrefixSpecial)) {
			v.packs[m.BlobID] = m.Length
			v.total += m.Length
		}
		if name, ok := sealedName(m.BlobID); ok {
			sealed = append(sealed, SealedInfo{Name: name, Stored: m.Length})
			v.total += m.Length
		}
		return ctx.Err()
	})
	if err != nil {
		return fmt.Errorf("list storage: %w", err)
	}
	known, err := v.r.manifests(ctx, "")
	if errors.Is(classify(err), ErrUnreachable) || ctx.Err() != nil {
		return errors.Join(err, ctx.Err())
	}
	if err != nil {
		v.report("list of snapshots", err)
	}
	if lost, err := v.r.lostSnapshots(ctx, known); err != nil {
		v.report("records of snapshots", err)
	} else {
		v.damage = append(v.damage, lost...)
	}
	if !slices.ContainsFunc(known, func(m *snapshot.Manifest) bool { return m.Source.Path == keySource }) {
		v.damage = append(v.damage, Damage{Object: "key of sealed objects", Detail: "the snapshot " + keySource + " is missing; the log cannot be read without it"})
	}
	return v.all(ctx, known, sealed)
}

// all spreads the work over the machine's cores.
func (v *verifier) all(ctx context.Context, known []*snapshot.Manifest, sealed []SealedInfo) error {
	jobs := make(chan job, 64)
	var wg sync.WaitGroup
	for range max(2, runtime.NumCPU()) {
		wg.Go(func() {
			for j := range jobs {
				v.check(ctx, j)
			}
		})
	}
	for _, m := range known {
		v.walk(ctx, m, jobs)
	}
	for _, s := range sealed {
		if ctx.Err() != nil {
			break
		}
		jobs <- job{name: "sealed object " + s.Name, sealed: s}
	}
	close(jobs)
	wg.Wait()
	v.advance(v.total)
	return ctx.Err()
}

func (v *verifier) walk(ctx context.Context, m *snapshot.Manifest, jobs chan<- job) {
	name := fmt.Sprintf("snapshot %s of %s", m.ID, m.Source.Path)
	if m.RootEntry == nil {
		v.report(name, errors.New("it has no tree"))
		return
	}
	var folder func(dir string, id object.ID)
	folder = func(dir string, id object.ID) {
		if ctx.Err() != nil {
			return
		}
		label := name + ": " + dir + "/"
		v.object(ctx, label, id)
		dm, err := v.r.readFolder(ctx, id)
		if err != nil {
			v.report(label, err)
			return
		}
		for _, e := range dm.Entries {
			if p := strings.TrimPrefix(dir+"/"+e.Name, "/"); e.Type == snapshot.EntryTypeDirectory {
				folder(p, e.ObjectID)
			} else {
				jobs <- job{name: name + ": " + p, file: e.ObjectID}
			}
		}
	}
	folder("", m.RootEntry.ObjectID)
}

func (v *verifier) check(ctx context.Context, j job) {
	if ctx.Err() != nil {
		return
	}
	if j.sealed.Name == "" {
		v.object(ctx, j.name, j.file)
		return
	}
	v.objects.Add(1)
	v.bytes.Add(j.sealed.Stored)
	defer v.advance(j.sealed.Stored)
	if j.sealed.Stored < minSealedSize {
		v.report(j.name, errors.New("it is cut off"))
		return
	}
	if v.o.Full {
		_, err := v.r.GetSealed(ctx, j.sealed.Name)
		if err != nil && !errors.Is(err, ErrNotFound) { // not found: deleted since it was listed
			v.report(j.name, err)
		}
	}
}

// object checks all contents of one object.
func (v *verifier) object(ctx context.Context, name string, id object.ID) {
	v.objects.Add(1)
	if index, ok := id.IndexObjectID(); ok {
		v.object(ctx, name, index)
		entries, err := v.r.chunks(ctx, index)
		if err != nil {
			v.report(name, err)
			return
		}
		for _, e := range entries {
			if ctx.Err() != nil {
				return
			}
			v.content(ctx, fmt.Sprintf("%s, bytes %d to %d", name, e.Start, e.Start+e.Length), e.Object)
		}
		return
	}
	v.content(ctx, name, id)
}

// chunks reads the list of an object's parts, which kopia keeps as JSON.
func (r *Repository) chunks(ctx context.Context, index object.ID) ([]object.IndirectObjectEntry, error) {
	rd, err := r.rep.OpenObject(ctx, index)
	if err != nil {
		return nil, err
	}
	var list struct {
		Entries []object.IndirectObjectEntry `json:"entries"`
	}
	err = json.NewDecoder(rd).Decode(&list)
	if err = errors.Join(err, rd.Close()); err != nil {
		return nil, fmt.Errorf("read list of parts %s: %w", index, err)
	}
	return list.Entries, nil
}

func (v *verifier) content(ctx context.Context, name string, id object.ID) {
	cid, _, ok := id.ContentID()
	if !ok {
		v.report(name, fmt.Errorf("object %s is of an unknown kind", id))
		return
	}
	key := contentKey(cid)
	v.mu.Lock()
	_, good := v.seen[key]
	why := v.bad[cid]
	v.mu.Unlock()
	if good {
		return
	}
	if why == "" {
		n, err := v.readContent(ctx, cid)
		if ctx.Err() != nil {
			return
		}
		if errors.Is(classify(err), ErrUnreachable) {
			v.report(name, err)
			return
		}
		v.bytes.Add(n)
		v.advance(n)
		v.mu.Lock()
		if err == nil {
			v.seen[key] = struct{}{}
			v.mu.Unlock()
			return
		}
		why = err.Error()
		v.bad[cid] = why
		v.mu.Unlock()
	}
	v.report(name, errors.New(why))
}

// readContent checks one content and gives how many stored bytes that took.
func (v *verifier) readContent(ctx context.Context, id content.ID) (int64, error) {
	rd := v.r.rep.ContentReader()
	info, err := rd.ContentInfo(ctx, id)
	if err != nil {
		return 0, fmt.Errorf("content %s: not in the index: %w", id, err)
	}
	length, ok := v.packs[info.PackBlobID]
	if !ok {
		// Written after storage was listed, maybe.
		m, err := v.r.storage.GetMetadata(ctx, info.PackBlobID)
		if err != nil {
			return 0, fmt.Errorf("content %s: blob %s is missing", id, info.PackBlobID)
		}
		length = m.Length
	}
	if end := int64(info.PackOffset) + int64(info.PackedLength); end > length {
		return 0, fmt.Errorf("content %s: blob %s is cut off: it has %d bytes, %d are needed", id, info.PackBlobID, length, end)
	}
	if v.o.Full {
		if _, err := rd.GetContent(ctx, id); err != nil {
			return 0, fmt.Errorf("content %s: blob %s at byte %d: %w", id, info.PackBlobID, info.PackOffset, err)
		}
	}
	return int64(info.PackedLength), nil
}

func (v *verifier) report(object string, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if errors.Is(classify(err), ErrUnreachable) {
		v.failed = err
		return
	}
	v.damage = append(v.damage, Damage{Object: object, Detail: err.Error()})
}

func (v *verifier) advance(n int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.done = min(v.done+n, v.total)
	if v.o.Progress != nil {
		v.o.Progress(v.done, v.total)
	}
}
