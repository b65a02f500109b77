package repository_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/repository"
	"github.com/refloat-db/refloat/internal/repository/repositorytest"
)

func folder(o repository.Options) string { return strings.TrimPrefix(o.URL, "file://") }

// fillSealed makes n objects log/db/… by linking one, since only their names
// matter to a listing.
func fillSealed(t testing.TB, r *repository.Repository, o repository.Options, n int) {
	t.Helper()
	if err := r.PutSealed(context.Background(), "log/db/000000000000000000000000", []byte("x")); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(folder(o), "refloat.")
	for i := 1; i < n; i++ {
		if err := os.Link(filepath.Join(dir, "log~db~000000000000000000000000.f"), filepath.Join(dir, fmt.Sprintf("log~db~%024X.f", i))); err != nil {
			t.Fatal(err)
		}
	}
}

// TestListSealedIsCheap: what a day of log makes is listed well under a second.
func TestListSealedIsCheap(t *testing.T) {
	t.Parallel()
	o := repositorytest.File(t)
	r := repositorytest.New(t, o)
	const n = 20000
	fillSealed(t, r, o, n)
	start, got, last := time.Now(), 0, ""
	for i, err := range r.ListSealed(context.Background(), "log/db/") {
		if err != nil {
			t.Fatal(err)
		}
		if i.Name <= last {
			t.Fatalf("%s after %s", i.Name, last)
		}
		got, last = got+1, i.Name
	}
	if took := time.Since(start); got != n || took > 5*time.Second {
		t.Errorf("%d objects of %d in %s", got, n, took)
	}
}

// TestSealedDamage: no damaged, cut off or swapped object is ever returned.
func TestSealedDamage(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine: nothing for the race detector")
	}
	t.Parallel()
	ctx := context.Background()
	o := repositorytest.File(t)
	r := repositorytest.New(t, o)
	for _, n := range []string{"log/db/object-one", "log/db/object-two"} {
		if err := r.PutSealed(ctx, n, repositorytest.Noise(1, 300<<10)); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(folder(o), "refloat.", "log~db~object-one.f")
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	other, err := os.ReadFile(filepath.Join(folder(o), "refloat.", "log~db~object-two.f"))
	if err != nil {
		t.Fatal(err)
	}
	flip := func(at int) []byte {
		b := append([]byte(nil), good...)
		b[at] ^= 1
		return b
	}
	for name, bad := range map[string][]byte{
		"first byte flipped": flip(0), "header flipped": flip(100), "middle flipped": flip(len(good) / 2), "last byte flipped": flip(len(good) - 1),
		"cut off": good[:len(good)-1], "cut at a chunk": good[:len(good)/2], "empty": {}, "longer": append(append([]byte(nil), good...), 0),
		"swapped with another": other,
	} {
		if err := os.WriteFile(file, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := r.GetSealed(ctx, "log/db/object-one"); !errors.Is(err, repository.ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
		rep, err := r.Verify(ctx, repository.VerifyOptions{Full: true})
		if err != nil || len(rep.Damage) != 1 || !strings.Contains(rep.Damage[0].Object, "log/db/object-one") {
			t.Errorf("%s: verification says %+v, %v", name, rep.Damage, err)
		}
	}
}
