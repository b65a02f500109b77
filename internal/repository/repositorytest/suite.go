package repositorytest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/repository"
	"golang.org/x/sync/errgroup"
)

// Run checks everything a repository promises, on the storage that options
// gives. Each call of options must give an empty place of its own.
func Run(t *testing.T, options func(t testing.TB) repository.Options) {
	for _, c := range []struct {
		name string
		test func(*testing.T, repository.Options)
	}{
		{"snapshots", snapshots},
		{"sealed objects", sealedObjects},
		{"writers at once", writersAtOnce},
		{"abandoned writer", abandonedWriter},
		{"broken reader", brokenReader},
		{"maintenance", maintain},
		{"maintenance beside a writer", maintainBesideWriter},
		{"opening", opening},
		{"read-only", readOnly},
		{"status", status},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, options(t)) })
	}
}

// Noise gives n bytes that do not compress, the same for the same seed.
func Noise(seed uint64, n int) []byte {
	b := make([]byte, n+8)
	r := rand.New(rand.NewPCG(seed, 1))
	for i := 0; i < n; i += 8 {
		v := r.Uint64()
		for j := range 8 {
			b[i+j] = byte(v >> (8 * j))
		}
	}
	return b[:n]
}

// Save commits a snapshot of files.
func Save(t testing.TB, r *repository.Repository, source string, files map[string][]byte) repository.Snapshot {
	t.Helper()
	ctx := context.Background()
	w, err := r.NewWriter(ctx, "test")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Abort(ctx) }()
	var tree []repository.Node
	for p, b := range files {
		id, n, err := w.WriteObject(ctx, p, bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		if n != int64(len(b)) {
			t.Fatalf("%s: stored %d bytes of %d", p, n, len(b))
		}
		tree = append(tree, repository.Node{Path: p, Mode: 0o640, Size: n, ModTime: time.Unix(1700000000, 0), Object: id})
	}
	start := time.Now()
	s, err := w.Commit(ctx, repository.Snapshot{
		Source: source, Tags: map[string]string{"backup": "b1", "kind": "full"}, Start: start, End: start.Add(time.Second),
	}, tree)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Check reads a snapshot back and compares it with files.
func Check(t testing.TB, r *repository.Repository, id string, files map[string][]byte) {
	t.Helper()
	ctx := context.Background()
	tree, err := r.Tree(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.IsSortedFunc(tree, func(a, b repository.Node) int { return bytes.Compare([]byte(a.Path), []byte(b.Path)) }) {
		t.Error("tree is not in path order")
	}
	found := 0
	for _, n := range tree {
		if n.Mode.IsDir() {
			continue
		}
		found++
		rd, err := r.OpenObject(ctx, n.Object)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(rd)
		if err := errors.Join(err, rd.Close()); err != nil {
			t.Fatal(err)
		}
		if want, ok := files[n.Path]; !ok || !bytes.Equal(b, want) || n.Size != int64(len(want)) {
			t.Errorf("%s: read %d bytes, which differ from what was stored", n.Path, len(b))
		}
	}
	if found != len(files) {
		t.Errorf("%d files in the tree, %d were stored", found, len(files))
	}
}

// Clean verifies all of r, and fails on any damage.
func Clean(t testing.TB, r *repository.Repository) repository.VerifyReport {
	t.Helper()
	rep, err := r.Verify(context.Background(), repository.VerifyOptions{Full: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range rep.Damage {
		t.Errorf("damage: %s: %s", d.Object, d.Detail)
	}
	return rep
}

func sampleFiles() map[string][]byte {
	return map[string][]byte{
		"PG_VERSION":          []byte("15\n"),
		"empty":               {},
		"pgdata/base/1/1259":  Noise(1, 3<<20+17),
		"pgdata/base/1/edge":  Noise(2, 1<<20),
		"pgdata/base/1/zeros": make([]byte, 2<<20),
		"pgdata/base/5/two":   Noise(3, 2<<20),
	}
}

func snapshots(t *testing.T, o repository.Options) {
	ctx := context.Background()
	r := New(t, o)
	files := sampleFiles()
	s := Save(t, r, "/db1", files)
	second := Save(t, r, "/db2", map[string][]byte{"a": []byte("b")})
	other := Open(t, o)
	if other.Fingerprint() != r.Fingerprint() || len(r.Fingerprint()) != 19 {
		t.Errorf("fingerprints %s and %s", r.Fingerprint(), other.Fingerprint())
	}
	list, err := other.Snapshots(ctx, "/db1")
	if err != nil || len(list) != 1 {
		t.Fatalf("snapshots of one source: %v, %v", list, err)
	}
	if got := list[0]; got.ID != s.ID || got.Tags["kind"] != "full" || got.Files != int64(len(files)) || got.Size != s.Size || !got.Start.Equal(s.Start) {
		t.Errorf("listed as %+v, committed as %+v", got, s)
	}
	if all, err := other.Snapshots(ctx, ""); err != nil || len(all) != 2 || all[0].ID != s.ID || all[1].ID != second.ID {
		t.Errorf("all snapshots: %v, %v", all, err)
	}
	Check(t, other, s.ID, files)
	lookups(t, other, s.ID)
	seeks(t, other, s.ID, files["pgdata/base/1/1259"])
	if rep := Clean(t, r); rep.Objects < int64(len(files)) {
		t.Errorf("verified only %d objects", rep.Objects)
	}
	if err := other.DeleteSnapshot(ctx, s.ID); err != nil {
		t.Fatal(err)
	}
	if err := r.Refresh(ctx); err != nil {
		t.Fatal(err)
	}
	if list, err := r.Snapshots(ctx, "/db1"); err != nil || len(list) != 0 {
		t.Errorf("after deleting it: %v, %v", list, err)
	}
	if err := r.DeleteSnapshot(ctx, s.ID); !errors.Is(err, repository.ErrNotFound) {
		t.Errorf("deleting it again: %v", err)
	}
	Clean(t, r)
}

func lookups(t *testing.T, r *repository.Repository, id string) {
	ctx := context.Background()
	n, err := r.Lookup(ctx, id, "pgdata/base/1/1259")
	if err != nil || n.Path != "pgdata/base/1/1259" || n.Size != 3<<20+17 || n.Mode != 0o640 || !n.ModTime.Equal(time.Unix(1700000000, 0)) {
		t.Errorf("lookup of a file: %+v, %v", n, err)
	}
	n, err = r.Lookup(ctx, id, "pgdata/base")
	if err != nil || n.Path != "pgdata/base" || n.Mode&fs.ModeDir == 0 || n.Object != "" {
		t.Errorf("lookup of a folder: %+v, %v", n, err)
	}
	for _, p := range []string{"pgdata/base/9", "PG_VERSION/x", "nothing"} {
		if _, err := r.Lookup(ctx, id, p); !errors.Is(err, repository.ErrNotFound) {
			t.Errorf("lookup of %s: %v", p, err)
		}
	}
	if _, err := r.Tree(ctx, "0123456789abcdef0123456789abcdef"); !errors.Is(err, repository.ErrNotFound) {
		t.Errorf("tree of a snapshot that is not there: %v", err)
	}
	if _, err := r.OpenObject(ctx, "not an object"); !errors.Is(err, repository.ErrNotFound) {
		t.Errorf("an object that is not there: %v", err)
	}
}

func seeks(t *testing.T, r *repository.Repository, id string, want []byte) {
	ctx := context.Background()
	n, err := r.Lookup(ctx, id, "pgdata/base/1/1259")
	if err != nil {
		t.Fatal(err)
	}
	rd, err := r.OpenObject(ctx, n.Object)
	if err != nil {
		t.Fatal(err)
	}
	defer rd.Close()
	for _, at := range []int64{2<<20 + 5, 0, 1 << 20, 3 << 20} {
		b := make([]byte, 17)
		if _, err := rd.Seek(at, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(rd, b); err != nil || !bytes.Equal(b, want[at:at+17]) {
			t.Errorf("reading at %d: %v", at, err)
		}
	}
}

func sealedObjects(t *testing.T, o repository.Options) {
	ctx := context.Background()
	r := New(t, o)
	contents := map[string][]byte{
		"a":                           {},
		"log/db/00000001/0000000A":    Noise(4, 1<<20),
		"log/db/00000001/0000000B":    make([]byte, 16<<20),
		"log/db.x/z":                  []byte("z"),
		"log/db-x/z":                  []byte("y"),
		"records/of/some_length-01.j": []byte("{}"),
	}
	for n, b := range contents {
		if err := r.PutSealed(ctx, n, b); err != nil {
			t.Fatal(err)
		}
	}
	other := Open(t, o)
	for n, want := range contents {
		if b, err := other.GetSealed(ctx, n); err != nil || !bytes.Equal(b, want) {
			t.Errorf("%s: read %d bytes, %v", n, len(b), err)
		}
	}
	for prefix, want := range map[string]string{
		"":        "[a log/db-x/z log/db.x/z log/db/00000001/0000000A log/db/00000001/0000000B records/of/some_length-01.j]",
		"log/db/": "[log/db/00000001/0000000A log/db/00000001/0000000B]",
		"log/db":  "[log/db-x/z log/db.x/z log/db/00000001/0000000A log/db/00000001/0000000B]",
		"b":       "[]",
	} {
		if got := fmt.Sprint(names(t, other, prefix)); got != want {
			t.Errorf("list %q: %s, want %s", prefix, got, want)
		}
	}
	if err := other.PutSealed(ctx, "a", []byte("new")); err != nil {
		t.Fatal(err)
	}
	if b, err := r.GetSealed(ctx, "a"); err != nil || string(b) != "new" {
		t.Errorf("after replacing: %q, %v", b, err)
	}
	for range 2 {
		if err := r.DeleteSealed(ctx, "a"); err != nil {
			t.Errorf("delete: %v", err)
		}
	}
	if _, err := other.GetSealed(ctx, "a"); !errors.Is(err, repository.ErrNotFound) {
		t.Errorf("after deleting: %v", err)
	}
	for _, bad := range []string{"", "/a", "a/", "a//b", "../a", "a/./b", "a b", "a~b", "ä"} {
		if err := r.PutSealed(ctx, bad, nil); err == nil {
			t.Errorf("the name %q was taken", bad)
		}
	}
	Clean(t, r)
}

func names(t *testing.T, r *repository.Repository, prefix string) []string {
	t.Helper()
	out := []string{}
	for i, err := range r.ListSealed(context.Background(), prefix) {
		if err != nil {
			t.Fatal(err)
		}
		if i.Stored == 0 || i.Modified.IsZero() {
			t.Errorf("%s: %+v", i.Name, i)
		}
		out = append(out, i.Name)
	}
	return out
}

func writersAtOnce(t *testing.T, o repository.Options) {
	ctx := context.Background()
	r := New(t, o)
	other := Open(t, o)
	var g errgroup.Group
	ids := make([]string, 4)
	for i := range ids {
		rep := []*repository.Repository{r, other}[i%2]
		g.Go(func() error {
			ids[i] = Save(t, rep, fmt.Sprintf("/db%d", i), map[string][]byte{"f": Noise(uint64(i), 3<<20), "same": Noise(99, 1<<20)}).ID
			return rep.PutSealed(ctx, fmt.Sprintf("log/%d", i), []byte("x"))
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	third := Open(t, o)
	for i, id := range ids {
		Check(t, third, id, map[string][]byte{"f": Noise(uint64(i), 3<<20), "same": Noise(99, 1<<20)})
	}
	Clean(t, r)
}
