package repository_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/refloat-db/refloat/internal/repository"
	"github.com/refloat-db/refloat/internal/repository/repositorytest"
)

// blobs lists the files of kopia's blobs with a prefix, largest first.
func blobs(t *testing.T, o repository.Options, prefix string) []string {
	t.Helper()
	var out []string
	size := map[string]int64{}
	root := folder(o)
	err := filepath.WalkDir(root, func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(p, ".f") {
			return err
		}
		rel, _ := filepath.Rel(root, p)
		if id := strings.ReplaceAll(rel, "/", ""); strings.HasPrefix(id, prefix) && !strings.HasPrefix(id, "refloat") {
			st, err := e.Info()
			if err != nil {
				return err
			}
			size[p] = st.Size()
			at := 0
			for at < len(out) && size[out[at]] >= st.Size() {
				at++
			}
			out = append(out[:at], append([]string{p}, out[at:]...)...)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out) == 0 {
		t.Fatalf("no blobs %s…", prefix)
	}
	return out
}

func rewrite(t *testing.T, file string, change func([]byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, change(b), 0o600); err != nil {
		t.Fatal(err)
	}
}

func flipAt(at int) func([]byte) []byte {
	return func(b []byte) []byte { b[at] ^= 0x40; return b }
}

// TestPackDamage: a byte flipped or cut off in a pack never comes out as data,
// and the verification names the file it belongs to and goes on to the rest.
func TestPackDamage(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine: nothing for the race detector")
	}
	t.Parallel()
	for _, c := range []struct {
		name      string
		do        func(t *testing.T, file string)
		structure bool // seen without reading everything
	}{
		{"flipped byte", func(t *testing.T, f string) { rewrite(t, f, flipAt(1<<20)) }, false},
		{"cut off", func(t *testing.T, f string) { rewrite(t, f, func(b []byte) []byte { return b[:1<<20] }) }, true},
		{"missing", func(t *testing.T, f string) {
			if err := os.Remove(f); err != nil {
				t.Fatal(err)
			}
		}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx := context.Background()
			o := repositorytest.File(t)
			r := repositorytest.New(t, o)
			s := repositorytest.Save(t, r, "/db", map[string][]byte{"broken": repositorytest.Noise(1, 3<<20)})
			c.do(t, blobs(t, o, "p")[0])
			whole := repositorytest.Save(t, r, "/db", map[string][]byte{"whole": repositorytest.Noise(2, 3<<20)})

			r = repositorytest.Open(t, o)
			n, err := r.Lookup(ctx, s.ID, "broken")
			if err != nil {
				t.Fatal(err)
			}
			rd, err := r.OpenObject(ctx, n.Object)
			if err == nil {
				_, err = io.Copy(io.Discard, rd)
			}
			if !errors.Is(err, repository.ErrCorrupt) {
				t.Errorf("reading it: %v", err)
			}
			for _, full := range []bool{false, true} {
				rep, err := r.Verify(ctx, repository.VerifyOptions{Full: full})
				if err != nil {
					t.Fatal(err)
				}
				if !full && !c.structure {
					continue
				}
				if len(rep.Damage) == 0 {
					t.Errorf("full=%v: no damage found", full)
				}
				for _, d := range rep.Damage {
					if !strings.Contains(d.Object, s.ID) || !strings.Contains(d.Object, "broken") {
						t.Errorf("full=%v: damage of %s: %s", full, d.Object, d.Detail)
					}
				}
			}
			repositorytest.Check(t, r, whole.ID, map[string][]byte{"whole": repositorytest.Noise(2, 3<<20)})
			// What is damaged is never taken for garbage.
			if _, err := r.Maintain(ctx, repository.MaintainOptions{Exclusive: true}); err == nil {
				repositorytest.Check(t, r, whole.ID, map[string][]byte{"whole": repositorytest.Noise(2, 3<<20)})
			}
		})
	}
}

// TestIndexDamage: with any one blob of the index gone or flipped, the damage
// is found, and no maintenance deletes what the index no longer knows.
func TestIndexDamage(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine: nothing for the race detector")
	}
	t.Parallel()
	ctx := context.Background()
	o := repositorytest.File(t)
	r := repositorytest.New(t, o)
	files := map[string][]byte{"f": repositorytest.Noise(1, 3<<20)}
	s := repositorytest.Save(t, r, "/db", files)
	if err := r.PutSealed(ctx, "log/db/1", []byte("x")); err != nil {
		t.Fatal(err)
	}
	for _, file := range blobs(t, o, "x") {
		kept, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for name, do := range map[string]func() error{
			"deleted": func() error { return os.Remove(file) },
			"flipped": func() error { return os.WriteFile(file, flipAt(len(kept)/2)(bytes.Clone(kept)), 0o600) },
			"cut off": func() error { return os.WriteFile(file, kept[:len(kept)/2], 0o600) },
		} {
			if err := do(); err != nil {
				t.Fatal(err)
			}
			rep, err := r.Verify(ctx, repository.VerifyOptions{})
			if err != nil || len(rep.Damage) == 0 {
				t.Errorf("%s %s: verification says %+v, %v", filepath.Base(file), name, rep, err)
			}
			if fresh, err := repository.Open(ctx, o); err == nil {
				if _, err := fresh.Maintain(ctx, repository.MaintainOptions{Exclusive: true}); err == nil {
					t.Errorf("%s %s: it was maintained", filepath.Base(file), name)
				}
				if err := fresh.Close(ctx); err != nil {
					t.Error(err)
				}
			} else if !errors.Is(err, repository.ErrCorrupt) {
				t.Errorf("%s %s: %v", filepath.Base(file), name, err)
			}
			if err := os.WriteFile(file, kept, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	r = repositorytest.Open(t, o)
	repositorytest.Check(t, r, s.ID, files)
	repositorytest.Clean(t, r)
}

// TestLostKey: without its key a repository takes no sealed object, and makes
// no new key in its place.
func TestLostKey(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine: nothing for the race detector")
	}
	t.Parallel()
	ctx := context.Background()
	o := repositorytest.File(t)
	repositorytest.New(t, o)
	for _, f := range blobs(t, o, "x") {
		if err := os.Remove(f); err != nil {
			t.Fatal(err)
		}
	}
	r, err := repository.Open(ctx, o)
	if err != nil {
		if !errors.Is(err, repository.ErrCorrupt) {
			t.Fatal(err)
		}
		return
	}
	defer r.Close(ctx)
	for range 2 {
		if err := r.PutSealed(ctx, "log/db/1", []byte("x")); !errors.Is(err, repository.ErrCorrupt) {
			t.Errorf("storing: %v", err)
		}
	}
	if _, err := r.GetSealed(ctx, "log/db/1"); !errors.Is(err, repository.ErrCorrupt) {
		t.Errorf("reading: %v", err)
	}
}

// TestFormatDamage: the blob that says how everything is encrypted.
func TestFormatDamage(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine: nothing for the race detector")
	}
	t.Parallel()
	ctx := context.Background()
	o := repositorytest.File(t)
	r := repositorytest.New(t, o)
	files := map[string][]byte{"f": []byte("x")}
	s := repositorytest.Save(t, r, "/db", files)
	file := filepath.Join(folder(o), "kopia.repository.f")
	kept, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	edit := func(key string, value any) []byte {
		var m map[string]any
		if err := json.Unmarshal(kept, &m); err != nil {
			t.Fatal(err)
		}
		m[key] = value
		b, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, c := range []struct {
		name string
		text []byte
		want error
	}{
		{"cut off", kept[:len(kept)/2], repository.ErrCorrupt},
		{"empty", nil, repository.ErrCorrupt},
		{"another encryption", edit("encryption", "AES512_GCM"), repository.ErrVersion},
		{"another key derivation", edit("keyAlgo", "argon3-1-2-3"), repository.ErrVersion},
		{"no parameters", edit("encryptedBlockFormat", nil), repository.ErrCorrupt},
	} {
		if err := os.WriteFile(file, c.text, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := repository.Open(ctx, o)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		if _, err := repository.Create(ctx, o); !errors.Is(err, repository.ErrExists) {
			t.Errorf("%s: creating over it: %v", c.name, err)
		}
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if _, err := repository.Open(ctx, o); !errors.Is(err, repository.ErrNoRepository) {
		t.Errorf("without it: %v", err)
	}
	// Nothing is lost by trying, and what is there is never written over.
	if _, err := repository.Create(ctx, o); !errors.Is(err, repository.ErrExists) {
		t.Errorf("creating over data without it: %v", err)
	}
	if err := os.WriteFile(file, kept, 0o600); err != nil {
		t.Fatal(err)
	}
	repositorytest.Check(t, repositorytest.Open(t, o), s.ID, files)
}
