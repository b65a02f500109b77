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
	"github.com/refloat-db/refloat/internal/secret"
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

func abandonedWriter(t *testing.T, o repository.Options) {
	ctx := context.Background()
	r := New(t, o)
	w, err := r.NewWriter(ctx, "test")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.WriteObject(ctx, "big", bytes.NewReader(Noise(7, 30<<20))); err != nil {
		t.Fatal(err)
	}
	if err := w.Checkpoint(ctx); err != nil {
		t.Fatal(err)
	}
	if w.Stored() < 30<<20 {
		t.Errorf("stored %d bytes", w.Stored())
	}
	if err := w.Abort(ctx); err != nil {
		t.Fatal(err)
	}
	if err := w.Abort(ctx); err != nil {
		t.Errorf("second abort: %v", err)
	}
	if _, err := w.Commit(ctx, repository.Snapshot{Source: "/x"}, nil); err == nil {
		t.Error("commit after abort succeeded")
	}
	if list, err := r.Snapshots(ctx, ""); err != nil || len(list) != 0 {
		t.Errorf("it can be seen: %v, %v", list, err)
	}
	dry, err := r.Maintain(ctx, repository.MaintainOptions{Exclusive: true, DryRun: true})
	if err != nil || dry.Reclaimed < 30<<20 {
		t.Errorf("a dry run would reclaim %d bytes, %v", dry.Reclaimed, err)
	}
	if kept, err := r.Maintain(ctx, repository.MaintainOptions{}); err != nil || kept.Reclaimed > 1<<20 {
		t.Errorf("young bytes were reclaimed while another might be writing them: %d, %v", kept.Reclaimed, err)
	}
	reclaim(t, r, 30<<20)
	Clean(t, r)
}

func brokenReader(t *testing.T, o repository.Options) {
	ctx := context.Background()
	r := New(t, o)
	w, err := r.NewWriter(ctx, "test")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Abort(ctx) }()
	boom := errors.New("boom")
	for _, n := range []int{0, 5, 1 << 20, 2<<20 + 3} {
		rd := io.MultiReader(bytes.NewReader(Noise(1, n)), &failing{boom})
		if _, _, err := w.WriteObject(ctx, "x", rd); !errors.Is(err, boom) {
			t.Errorf("a reader that fails after %d bytes: %v", n, err)
		}
		// A reader that is cut off says so with ErrUnexpectedEOF.
		rd = io.MultiReader(bytes.NewReader(Noise(1, n)), &failing{io.ErrUnexpectedEOF})
		if _, _, err := w.WriteObject(ctx, "x", rd); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("a reader that is cut off after %d bytes: %v", n, err)
		}
	}
	for _, bad := range []repository.Node{{Path: "../x", Object: "1"}, {Path: "/x"}, {Path: "x"}, {Path: "", Object: "1"}} {
		if _, err := w.Commit(ctx, repository.Snapshot{Source: "/x", Start: time.Now(), End: time.Now()}, []repository.Node{bad}); err == nil {
			t.Errorf("a tree with %+v was committed", bad)
		}
	}
}

func reclaim(t *testing.T, r *repository.Repository, want int64) {
	t.Helper()
	rep, err := r.Maintain(context.Background(), repository.MaintainOptions{Exclusive: true})
	if err != nil || rep.Reclaimed < want {
		t.Errorf("reclaimed %d bytes of %d, %v", rep.Reclaimed, want, err)
	}
}

type failing struct{ err error }

func (f *failing) Read([]byte) (int, error) { return 0, f.err }

func maintain(t *testing.T, o repository.Options) {
	ctx := context.Background()
	r := New(t, o)
	if err := r.PutSealed(ctx, "log/1", Noise(1, 1<<20)); err != nil {
		t.Fatal(err)
	}
	gone := Save(t, r, "/db", map[string][]byte{"f": Noise(10, 25<<20), "shared": Noise(11, 5<<20)})
	files := map[string][]byte{"g": Noise(12, 2<<20), "shared": Noise(11, 5<<20)}
	kept := Save(t, r, "/db", files)
	if err := r.DeleteSnapshot(ctx, gone.ID); err != nil {
		t.Fatal(err)
	}
	before := statusOf(t, r)
	reclaim(t, r, 24<<20)
	after := statusOf(t, r)
	if before.StoredBytes-after.StoredBytes < 24<<20 {
		t.Errorf("storage went from %d to %d", before.StoredBytes, after.StoredBytes)
	}
	if after.LastMaintenance.IsZero() {
		t.Error("the maintenance is not recorded")
	}
	other := Open(t, o)
	Check(t, other, kept.ID, files)
	if _, err := other.GetSealed(ctx, "log/1"); err != nil {
		t.Error(err)
	}
	Clean(t, other)
}

// maintainBesideWriter: a default maintenance takes nothing from a writer that
// began before it and relies on contents which it would drop.
func maintainBesideWriter(t *testing.T, o repository.Options) {
	ctx := context.Background()
	r := New(t, o)
	old := Save(t, r, "/db", map[string][]byte{"f": Noise(20, 5<<20)})
	other := Open(t, o)
	w, err := other.NewWriter(ctx, "test")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Abort(ctx) }()
	again, n, err := w.WriteObject(ctx, "f", bytes.NewReader(Noise(20, 5<<20)))
	if err != nil {
		t.Fatal(err)
	}
	fresh, m, err := w.WriteObject(ctx, "g", bytes.NewReader(Noise(21, 25<<20)))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.DeleteSnapshot(ctx, old.ID); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := r.Maintain(ctx, repository.MaintainOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	s, err := w.Commit(ctx, repository.Snapshot{Source: "/db", Start: time.Now(), End: time.Now()}, []repository.Node{
		{Path: "f", Mode: 0o600, Size: n, Object: again}, {Path: "g", Mode: 0o600, Size: m, Object: fresh},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Maintain(ctx, repository.MaintainOptions{}); err != nil {
		t.Fatal(err)
	}
	third := Open(t, o)
	Check(t, third, s.ID, map[string][]byte{"f": Noise(20, 5<<20), "g": Noise(21, 25<<20)})
	Clean(t, third)
}

func opening(t *testing.T, o repository.Options) {
	ctx := context.Background()
	if _, err := repository.Open(ctx, o); !errors.Is(err, repository.ErrNoRepository) && !errors.Is(err, repository.ErrUnreachable) {
		t.Errorf("opening what is not there: %v", err)
	}
	New(t, o)
	if _, err := repository.Create(ctx, o); !errors.Is(err, repository.ErrExists) {
		t.Errorf("creating it twice: %v", err)
	}
	wrong := o
	wrong.Passphrase = secret.New("wrong")
	if _, err := repository.Open(ctx, wrong); !errors.Is(err, repository.ErrPassphrase) {
		t.Errorf("a wrong passphrase: %v", err)
	}
	wrong.Passphrase = secret.New("")
	if _, err := repository.Open(ctx, wrong); !errors.Is(err, repository.ErrPassphrase) {
		t.Errorf("no passphrase: %v", err)
	}
	if _, err := repository.Create(ctx, wrong); !errors.Is(err, repository.ErrPassphrase) {
		t.Errorf("creating without a passphrase: %v", err)
	}
}

func readOnly(t *testing.T, o repository.Options) {
	ctx := context.Background()
	r := New(t, o)
	files := map[string][]byte{"f": []byte("x")}
	s := Save(t, r, "/db", files)
	if err := r.PutSealed(ctx, "a", []byte("x")); err != nil {
		t.Fatal(err)
	}
	o.ReadOnly = true
	ro := Open(t, o)
	Check(t, ro, s.ID, files)
	if _, err := ro.NewWriter(ctx, "test"); err == nil {
		t.Error("a writer was given")
	}
	if err := ro.PutSealed(ctx, "b", nil); err == nil {
		t.Error("a sealed object was stored")
	}
	if err := ro.DeleteSealed(ctx, "a"); err == nil {
		t.Error("a sealed object was deleted")
	}
	if err := ro.DeleteSnapshot(ctx, s.ID); err == nil {
		t.Error("a snapshot was deleted")
	}
	if _, err := ro.Maintain(ctx, repository.MaintainOptions{}); err == nil {
		t.Error("it was maintained")
	}
	Clean(t, ro)
	Check(t, r, s.ID, files)
}

func statusOf(t *testing.T, r *repository.Repository) repository.Status {
	t.Helper()
	s, err := r.Status(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func status(t *testing.T, o repository.Options) {
	r := New(t, o)
	Save(t, r, "/db", map[string][]byte{"f": Noise(1, 1<<20)})
	if err := r.PutSealed(context.Background(), "a", nil); err != nil {
		t.Fatal(err)
	}
	s := statusOf(t, r)
	if s.Snapshots != 1 || s.Sealed != 1 || s.StoredBytes < 1<<20 || s.FreeBytes == 0 || s.Location != r.Location() ||
		s.Format != "BLAKE3-256, AES256-GCM-HMAC-SHA256, FIXED-1M, zstd-fastest" || !s.LastMaintenance.IsZero() {
		t.Errorf("%+v", s)
	}
}
