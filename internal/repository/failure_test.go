package repository_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/repository"
	"github.com/refloat-db/refloat/internal/repository/repositorytest"
	"github.com/refloat-db/refloat/internal/secret"
)

// smallDisk mounts a file system of so many MiB; skipped without the right to.
func smallDisk(t *testing.T, mib string) string {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size="+mib+"m", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("cannot mount a small file system: %v %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v %s", err, out)
		}
	})
	return dir
}

// TestFullDisk: a disk that fills half-way gives ErrFull, at once, and loses
// nothing that was stored before; with space again all goes on.
func TestFullDisk(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector finds nothing in it that it does not elsewhere")
	}
	t.Parallel()
	ctx := context.Background()
	disk := smallDisk(t, "64")
	o := repository.Options{URL: "file://" + disk + "/repository", Passphrase: secret.New("x")}
	r := repositorytest.New(t, o)
	files := map[string][]byte{"f": repositorytest.Noise(1, 10<<20)}
	s := repositorytest.Save(t, r, "/db", files)
	if err := r.PutSealed(ctx, "log/db/segment-1", []byte("one")); err != nil {
		t.Fatal(err)
	}
	w, err := r.NewWriter(ctx, "test")
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	_, _, err = w.WriteObject(ctx, "big", bytes.NewReader(repositorytest.Noise(2, 100<<20)))
	if err == nil {
		err = w.Checkpoint(ctx)
	}
	if !errors.Is(err, repository.ErrFull) || time.Since(start) > 20*time.Second {
		t.Errorf("writing: %v after %s", err, time.Since(start))
	}
	if err := w.Abort(ctx); err != nil {
		t.Error(err)
	}
	fill := filepath.Join(disk, "fill")
	if err := os.WriteFile(fill, make([]byte, 64<<20), 0o600); err == nil {
		t.Fatal("the disk is not full")
	}
	if err := r.PutSealed(ctx, "log/db/segment-1", repositorytest.Noise(3, 1<<20)); !errors.Is(err, repository.ErrFull) {
		t.Errorf("storing a sealed object: %v", err)
	}
	if b, err := r.GetSealed(ctx, "log/db/segment-1"); err != nil || string(b) != "one" {
		t.Errorf("the sealed object before: %q, %v", b, err)
	}
	if err := os.Remove(fill); err != nil {
		t.Fatal(err)
	}
	r = repositorytest.Open(t, o)
	repositorytest.Check(t, r, s.ID, files)
	repositorytest.Clean(t, r)
	if _, err := r.Maintain(ctx, repository.MaintainOptions{Exclusive: true}); err != nil {
		t.Error(err)
	}
	more := map[string][]byte{"g": repositorytest.Noise(4, 5<<20)}
	repositorytest.Check(t, r, repositorytest.Save(t, r, "/db", more).ID, more)
}

// TestStorageGone: what cannot be reached says so, in bounded time, and an
// unmounted disk is never taken for an empty one.
func TestStorageGone(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	o := repositorytest.File(t)
	r := repositorytest.New(t, o)
	if err := os.Rename(folder(o), folder(o)+".away"); err != nil {
		t.Fatal(err)
	}
	if _, err := repository.Open(ctx, o); !errors.Is(err, repository.ErrUnreachable) {
		t.Errorf("opening: %v", err)
	}
	if err := r.PutSealed(ctx, "log/db/segment-1", nil); !errors.Is(err, repository.ErrUnreachable) {
		t.Errorf("storing a sealed object: %v", err)
	}
	if _, err := r.GetSealed(ctx, "log/db/segment-2"); !errors.Is(err, repository.ErrUnreachable) || errors.Is(err, repository.ErrNotFound) {
		t.Errorf("reading a sealed object: %v", err)
	}
	if _, err := os.Stat(folder(o)); err == nil {
		t.Error("the folder was made anew")
	}
	if err := os.Rename(folder(o)+".away", folder(o)); err != nil {
		t.Fatal(err)
	}
	if err := r.PutSealed(ctx, "log/db/segment-1", nil); err != nil {
		t.Errorf("after it came back: %v", err)
	}
}

func TestBucketGone(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector finds nothing in it that it does not elsewhere")
	}
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	s := repositorytest.StartS3(t)
	o := s.Bucket(t, "bucket")
	r := repositorytest.New(t, o)
	if err := r.PutSealed(ctx, "log/db/1", []byte("x")); err != nil {
		t.Fatal(err)
	}
	wrong := o
	wrong.S3.SecretAccessKey = secret.New("wrong")
	if _, err := repository.Open(ctx, wrong); !errors.Is(err, repository.ErrUnreachable) {
		t.Errorf("with wrong credentials: %v", err)
	}
	if err := os.Rename(filepath.Join(s.Root, "bucket"), filepath.Join(s.Root, "away")); err != nil {
		t.Fatal(err)
	}
	if _, err := repository.Open(ctx, o); !errors.Is(err, repository.ErrUnreachable) {
		t.Errorf("opening without the bucket: %v", err)
	}
	if _, err := r.GetSealed(ctx, "log/db/1"); !errors.Is(err, repository.ErrUnreachable) {
		t.Errorf("reading without the bucket: %v", err)
	}
	if err := r.PutSealed(ctx, "log/db/1", nil); !errors.Is(err, repository.ErrUnreachable) {
		t.Errorf("storing without the bucket: %v", err)
	}
	for _, err := range r.ListSealed(ctx, "") {
		if !errors.Is(err, repository.ErrUnreachable) {
			t.Errorf("listing without the bucket: %v", err)
		}
	}
	if err := os.Rename(filepath.Join(s.Root, "away"), filepath.Join(s.Root, "bucket")); err != nil {
		t.Fatal(err)
	}
	if b, err := r.GetSealed(ctx, "log/db/1"); err != nil || string(b) != "x" {
		t.Errorf("after it came back: %q, %v", b, err)
	}
	s.Stop()
	start := time.Now()
	if _, err := repository.Open(ctx, o); !errors.Is(err, repository.ErrUnreachable) || time.Since(start) > time.Minute {
		t.Errorf("opening without the server: %v after %s", err, time.Since(start))
	}
}

// TestErrorsSayWhere: every error names the place, never a secret, and what to
// do next.
func TestErrorsSayWhere(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	o := repositorytest.File(t)
	r := repositorytest.New(t, o)
	_, err := r.GetSealed(ctx, "log/db/none")
	for _, want := range []string{folder(o), "log/db/none", "not found"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
	o.Passphrase = secret.New("very wrong")
	_, err = repository.Open(ctx, o)
	if text := err.Error(); !strings.Contains(text, "Give the passphrase") || strings.Contains(text, "very wrong") {
		t.Errorf("%q", text)
	}
}

// TestNothingSecretOnDisk: neither passphrase nor credentials are in any file
// that opening makes.
func TestNothingSecretOnDisk(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	s := repositorytest.StartS3(t)
	o := s.Bucket(t, "bucket")
	o.CacheDir = filepath.Join(dir, "cache")
	r := repositorytest.New(t, o)
	repositorytest.Save(t, r, "/db", map[string][]byte{"f": []byte("x")})
	err := filepath.Walk(dir, func(p string, st os.FileInfo, err error) error {
		if err != nil || strings.HasPrefix(p, s.Root) {
			return err
		}
		if st.IsDir() {
			return nil
		}
		b, err := os.ReadFile(p)
		for _, hidden := range []string{repositorytest.Passphrase, o.S3.SecretAccessKey.Reveal(), o.S3.AccessKeyID} {
			if bytes.Contains(b, []byte(hidden)) {
				t.Errorf("%s holds %q", p, hidden)
			}
		}
		if st.Mode().Perm()&0o077 != 0 && !strings.Contains(p, "cache") {
			t.Errorf("%s has mode %v", p, st.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(o.CacheDir); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("cache: %v, %v", st, err)
	}
}
