package repository

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/secret"
)

func fileOptions(t *testing.T) Options {
	t.Helper()
	return Options{URL: "file://" + t.TempDir() + "/repo", Passphrase: secret.New("correct horse")}
}

func create(t *testing.T, o Options) *Repository {
	t.Helper()
	r, err := Create(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return r
}

func reopen(t *testing.T, o Options) *Repository {
	t.Helper()
	r, err := Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close(context.Background()) })
	return r
}

func noise(seed uint64, n int) []byte {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(seed, 1))
	for i := 0; i < n; i += 8 {
		v := r.Uint64()
		for j := i; j < n && j < i+8; j++ {
			b[j] = byte(v)
			v >>= 8
		}
	}
	return b
}

func save(t *testing.T, r *Repository, source string, files map[string][]byte) Snapshot {
	t.Helper()
	ctx := context.Background()
	w, err := r.NewWriter(ctx, "test")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Abort(ctx) }()
	var tree []Node
	for p, b := range files {
		id, n, err := w.WriteObject(ctx, p, bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		if n != int64(len(b)) {
			t.Fatalf("%s: wrote %d of %d", p, n, len(b))
		}
		tree = append(tree, Node{Path: p, Mode: 0o600, Size: n, Object: id})
	}
	s, err := w.Commit(ctx, Snapshot{Source: source, Tags: map[string]string{"backup": "b1"}, Start: time.Now(), End: time.Now()}, tree)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func readAll(t *testing.T, r *Repository, id ObjectID) []byte {
	t.Helper()
	rd, err := r.OpenObject(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	defer rd.Close()
	b, err := io.ReadAll(rd)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRoundTrip(t *testing.T) {
	ctx := context.Background()
	o := fileOptions(t)
	r := create(t, o)
	files := map[string][]byte{
		"a":                  []byte("hello"),
		"empty":              {},
		"pgdata/base/1/1259": noise(1, 3<<20+17),
		"pgdata/base/1/edge": noise(2, 1<<20),
		"pgdata/base/2/two":  noise(3, 2<<20),
	}
	s := save(t, r, "/db1", files)
	for i, name := range []string{"log/1/000", "log/1/001", "other"} {
		if err := r.PutSealed(ctx, name, fmt.Append(nil, "content ", i)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Create(ctx, o); !errors.Is(err, ErrExists) {
		t.Fatalf("second Create: %v", err)
	}

	r2 := reopen(t, o)
	if r2.Fingerprint() != r.Fingerprint() {
		t.Fatal("fingerprint changed")
	}
	list, err := r2.Snapshots(ctx, "")
	if err != nil || len(list) != 1 || list[0].ID != s.ID || list[0].Tags["backup"] != "b1" || list[0].Files != int64(len(files)) {
		t.Fatalf("snapshots %+v, %v", list, err)
	}
	tree, err := r2.Tree(ctx, s.ID)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, n := range tree {
		if n.Mode.IsDir() {
			continue
		}
		found++
		if !bytes.Equal(readAll(t, r2, n.Object), files[n.Path]) {
			t.Errorf("%s differs", n.Path)
		}
	}
	if found != len(files) {
		t.Errorf("%d files of %d", found, len(files))
	}
	n, err := r2.Lookup(ctx, s.ID, "pgdata/base/1/1259")
	if err != nil || n.Path != "pgdata/base/1/1259" || n.Size != 3<<20+17 {
		t.Fatalf("lookup %+v, %v", n, err)
	}
	if _, err := r2.Lookup(ctx, s.ID, "pgdata/base/9"); !errors.Is(err, ErrNotFound) {
		t.Fatalf("lookup of what is not there: %v", err)
	}
	var names []string
	for i, err := range r2.ListSealed(ctx, "log/") {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, i.Name)
	}
	if fmt.Sprint(names) != "[log/1/000 log/1/001]" {
		t.Fatalf("sealed %v", names)
	}
	b, err := r2.GetSealed(ctx, "log/1/001")
	if err != nil || string(b) != "content 1" {
		t.Fatalf("sealed content %q, %v", b, err)
	}
	if err := r2.DeleteSnapshot(ctx, s.ID); err != nil {
		t.Fatal(err)
	}
	if err := r.Refresh(ctx); err != nil {
		t.Fatal(err)
	}
	if list, err := r.Snapshots(ctx, "/db1"); err != nil || len(list) != 0 {
		t.Fatalf("after deletion: %v, %v", list, err)
	}
}
