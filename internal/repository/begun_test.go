package repository_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/refloat-db/refloat/internal/repository"
	"github.com/refloat-db/refloat/internal/repository/repositorytest"
)

// removeBlobs removes the blobs whose name the function picks.
func removeBlobs(t *testing.T, o repository.Options, pick func(string) bool) {
	t.Helper()
	root := strings.TrimPrefix(o.URL, "file://")
	removed := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".f") {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err == nil && pick(strings.ReplaceAll(strings.TrimSuffix(rel, ".f"), "/", "")) {
			removed++
			err = os.Remove(path)
		}
		return err
	})
	if err != nil || removed == 0 {
		t.Fatalf("removed %d: %v", removed, err)
	}
}

// TestCreateGoesOn: making a repository may be cut off after each of its steps,
// and the same call finishes it.
func TestCreateGoesOn(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine: nothing for the race detector")
	}
	ctx := context.Background()
	for name, lost := range map[string]func(string) bool{
		"after the configuration": func(id string) bool { return id != "kopia.blobcfg" },
		"after the format":        func(id string) bool { return !strings.HasPrefix(id, "kopia.") },
		"before the index":        func(id string) bool { return strings.HasPrefix(id, "x") || strings.HasPrefix(id, "refloat-") },
		"before the record":       func(id string) bool { return strings.HasPrefix(id, "refloat-") },
	} {
		t.Run(name, func(t *testing.T) {
			o := repositorytest.File(t)
			r, err := repository.Create(ctx, o)
			if err = errors.Join(err, r.Close(ctx)); err != nil {
				t.Fatal(err)
			}
			removeBlobs(t, o, lost)
			if name == "before the index" {
				half := repositorytest.Open(t, o)
				if err := half.PutSealed(ctx, "log/a/1", []byte("x")); err == nil || !strings.Contains(err.Error(), "repo init") {
					t.Errorf("a repository without its key says %v", err)
				}
			}
			r, err = repository.Create(ctx, o)
			if err != nil {
				t.Fatal(err)
			}
			if err = errors.Join(r.PutSealed(ctx, "log/a/1", []byte("x")), r.Close(ctx)); err != nil {
				t.Fatal(err)
			}
			if _, err := repository.Create(ctx, o); !errors.Is(err, repository.ErrExists) {
				t.Errorf("made again: %v", err)
			}
			repositorytest.Clean(t, repositorytest.Open(t, o))
		})
	}
}

// TestCreateOverLostIndex: a repository in use that lost its index is not taken
// for one that was never finished.
func TestCreateOverLostIndex(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine: nothing for the race detector")
	}
	ctx := context.Background()
	for name, use := range map[string]func(*testing.T, *repository.Repository){
		"with a snapshot": func(t *testing.T, r *repository.Repository) {
			repositorytest.Save(t, r, "/db", map[string][]byte{"f": repositorytest.Noise(1, 200<<10)})
		},
		"with a sealed object": func(t *testing.T, r *repository.Repository) {
			if err := r.PutSealed(ctx, "log/a/1", []byte("x")); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := repositorytest.File(t)
			use(t, repositorytest.New(t, o))
			removeBlobs(t, o, func(id string) bool { return strings.HasPrefix(id, "x") })
			if _, err := repository.Create(ctx, o); !errors.Is(err, repository.ErrExists) {
				t.Errorf("a damaged repository was written over: %v", err)
			}
		})
	}
}
