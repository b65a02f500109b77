package repositorytest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/repository"
	"github.com/refloat-db/refloat/internal/secret"
)

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
