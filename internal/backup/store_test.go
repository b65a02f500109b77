package backup

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/repository"
)

// folder is a sealed store over a plain directory, so that a killed process
// leaves what it stored. It can be made to fail and to be slow.
type folder struct {
	dir   string
	mu    sync.Mutex
	fail  error
	delay time.Duration
}

func newFolder(t testing.TB) *folder { t.Helper(); return &folder{dir: t.TempDir()} }

func (f *folder) path(name string) string {
	return filepath.Join(f.dir, strings.ReplaceAll(name, "/", "~"))
}

func (f *folder) setFail(err error) { f.mu.Lock(); f.fail = err; f.mu.Unlock() }

func (f *folder) broken() error {
	f.mu.Lock()
	err, delay := f.fail, f.delay
	f.mu.Unlock()
	time.Sleep(delay)
	return err
}

func (f *folder) PutSealed(_ context.Context, name string, content []byte) error {
	if err := f.broken(); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(f.dir, "tmp-")
	if err != nil {
		return err
	}
	_, err = tmp.Write(content)
	if err := errors.Join(err, tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), f.path(name))
}

func (f *folder) GetSealed(_ context.Context, name string) ([]byte, error) {
	b, err := os.ReadFile(f.path(name))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", name, repository.ErrNotFound)
	}
	if string(b) == "damaged" {
		return nil, fmt.Errorf("%s: %w", name, repository.ErrCorrupt)
	}
	return b, err
}

func (f *folder) ListSealed(_ context.Context, prefix string) iter.Seq2[repository.SealedInfo, error] {
	return func(yield func(repository.SealedInfo, error) bool) {
		entries, err := os.ReadDir(f.dir)
		if err != nil {
			yield(repository.SealedInfo{}, err)
			return
		}
		var names []string
		for _, e := range entries {
			if n := strings.ReplaceAll(e.Name(), "~", "/"); strings.HasPrefix(n, prefix) {
				names = append(names, n)
			}
		}
		slices.Sort(names)
		for _, n := range names {
			if !yield(repository.SealedInfo{Name: n}, nil) {
				return
			}
		}
	}
}

func (f *folder) DeleteSealed(_ context.Context, name string) error {
	if err := os.Remove(f.path(name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
