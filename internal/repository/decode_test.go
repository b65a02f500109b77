package repository

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/kopia/kopia/repo/object"

	"github.com/refloat-db/refloat/internal/secret"
)

// stored makes a repository that holds files and returns their objects.
func stored(t *testing.T, files ...[]byte) (*Repository, []ObjectID) {
	t.Helper()
	ctx := context.Background()
	r, err := Create(ctx, Options{URL: "file://" + t.TempDir(), Passphrase: secret.New("passphrase")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close(ctx) })
	w, err := r.NewWriter(ctx, "test")
	if err != nil {
		t.Fatal(err)
	}
	var ids []ObjectID
	for _, f := range files {
		id, _, err := w.WriteObject(ctx, "f", bytes.NewReader(f))
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	if err := errors.Join(w.Checkpoint(ctx), w.Abort(ctx), r.Refresh(ctx)); err != nil {
		t.Fatal(err)
	}
	return r, ids
}

// noise gives bytes that do not compress, then as many that do.
func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(n)}).Read(b[:n/2])
	for i := n / 2; i < n; i++ {
		b[i] = byte(i >> 8)
	}
	return b
}

func testFiles() [][]byte {
	return [][]byte{nil, {1}, noise(8192), noise(1 << 20), noise(1<<20 + 1), noise(5<<20 + 77), make([]byte, 3<<20)}
}

// TestDecodeIsKopias: what open makes of every content is what kopia makes of
// it, without kopia's help.
func TestDecodeIsKopias(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	r, ids := stored(t, testFiles()...)
	contents := 0
	for _, id := range ids {
		oid, err := object.ParseID(string(id))
		if err != nil {
			t.Fatal(err)
		}
		chunks, err := r.layout(ctx, oid)
		if err != nil {
			t.Fatal(err)
		}
		o := &objectReader{chunks: chunks, held: -1, buffers: r.takeBuffers()}
		for i, c := range chunks {
			want, err := r.rep.ContentReader().GetContent(ctx, c.id)
			if err != nil {
				t.Fatal(err)
			}
			packed, err := r.fetch(ctx, o, i)
			if err != nil || !r.plainForm(c.info) {
				t.Fatalf("%s, %v: %v", c.id, c.info, err)
			}
			o.next = i + 1
			again := bytes.Clone(packed)
			got := make([]byte, len(want))
			if err := r.open(c, packed, got); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("%s: differs from kopia's, or %v", c.id, err)
			}
			for _, at := range []int{0, len(again) / 2, len(again) - 1} {
				bad := bytes.Clone(again)
				bad[at] ^= 1
				if err := r.open(c, bad, got); err == nil {
					t.Fatalf("%s: a flipped bit at %d of %d passed", c.id, at, len(bad))
				}
			}
			if err := r.open(c, again[:len(again)/2], got); err == nil {
				t.Fatalf("%s: half of it passed", c.id)
			}
			contents++
		}
	}
	if contents < 10 {
		t.Fatalf("only %d contents", contents)
	}
}

// TestReadAnywhere: reads of any length at any place give what was written.
func TestReadAnywhere(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	files := testFiles()
	r, ids := stored(t, files...)
	rnd := rand.New(rand.NewPCG(1, 2))
	for i, want := range files {
		rd, err := r.OpenObject(ctx, ids[i])
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(rd); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("file %d: %d bytes of %d, %v", i, len(got), len(want), err)
		}
		for range 60 {
			at := rnd.IntN(len(want) + 1)
			if rnd.IntN(2) == 0 {
				at &^= 1<<20 - 1
			}
			b := make([]byte, rnd.IntN(3<<20))
			if _, err := rd.Seek(int64(at), io.SeekStart); err != nil {
				t.Fatal(err)
			}
			n, err := io.ReadFull(rd, b)
			if !bytes.Equal(b[:n], want[at:min(at+len(b), len(want))]) {
				t.Fatalf("file %d: %d bytes at %d differ, %v", i, n, at, err)
			}
		}
		if end, err := rd.Seek(0, io.SeekEnd); err != nil || end != int64(len(want)) {
			t.Fatalf("file %d: it ends at %d, %v", i, end, err)
		}
		if err := rd.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
