package restore

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/refloat-db/refloat/internal/backup"
	"github.com/refloat-db/refloat/internal/repository"
)

// TestDirectFallsBack: where a write past the cache is refused, here because
// its memory is not aligned, the file is written through the cache.
func TestDirectFallsBack(t *testing.T) {
	t.Parallel()
	w := &writer{}
	p := piece{path: filepath.Join(t.TempDir(), "f"), len: directFrom, file: backup.ImageFile{Node: repository.Node{Size: directFrom}}}
	f, err := w.open(p, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	direct := f.direct
	want := bytes.Repeat([]byte("refloat."), directFrom/8)
	buf := w.window()
	if err := f.put((*buf)[:copy(*buf, want[:8192])], 0); err != nil {
		t.Fatal(err)
	}
	if f.direct != direct {
		t.Error("a window is not aligned")
	}
	odd := append([]byte{0}, want[8192:]...)[1:]
	if err := f.put(odd, 8192); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(p.path); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes of %d, %v", len(got), len(want), err)
	}
}

// TestDirectOnlyWhereItPays: small pieces, odd ones, deltas and copies that are
// read next go through the cache.
func TestDirectOnlyWhereItPays(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		w    *writer
		size int64
	}{
		"small": {&writer{}, directFrom - directAlign}, "odd": {&writer{}, directFrom + 1},
		"delta": {&writer{delta: true}, directFrom}, "read next": {&writer{o: Options{KeepCached: true}}, directFrom},
	} {
		f, err := c.w.open(piece{path: filepath.Join(t.TempDir(), "f"), len: c.size}, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if f.direct {
			t.Errorf("%s: past the cache", name)
		}
		_ = f.Close()
	}
}
