// Package repositorytest makes repositories for tests, on a folder and on a
// real S3 server, and holds the suite that every kind of storage must pass.
package repositorytest

import (
	"context"
	"testing"

	"github.com/refloat-db/refloat/internal/repository"
	"github.com/refloat-db/refloat/internal/secret"
)

// Passphrase is that of every repository made here.
const Passphrase = "correct horse battery staple"

// File gives options for a repository in a new folder that ends with the test.
func File(t testing.TB) repository.Options {
	t.Helper()
	return repository.Options{URL: "file://" + t.TempDir() + "/repository", Passphrase: secret.New(Passphrase)}
}

// S3 gives options for a repository in a new bucket of a real S3 server that
// ends with the test; see StartS3.
func S3(t testing.TB) repository.Options {
	t.Helper()
	return StartS3(t).Bucket(t, "backups")
}

// NewFile makes an empty repository in a new folder; both end with the test.
func NewFile(t testing.TB) *repository.Repository {
	t.Helper()
	return New(t, File(t))
}

// New makes the repository that o says and closes it with the test.
func New(t testing.TB, o repository.Options) *repository.Repository {
	t.Helper()
	r, err := repository.Create(context.Background(), o)
	if err != nil {
		t.Fatalf("create repository: %v", err)
	}
	closeAfter(t, r)
	return r
}

// Open opens the repository that o says and closes it with the test.
func Open(t testing.TB, o repository.Options) *repository.Repository {
	t.Helper()
	r, err := repository.Open(context.Background(), o)
	if err != nil {
		t.Fatalf("open repository: %v", err)
	}
	closeAfter(t, r)
	return r
}

func closeAfter(t testing.TB, r *repository.Repository) {
	t.Cleanup(func() {
		if err := r.Close(context.Background()); err != nil {
			t.Errorf("close repository: %v", err)
		}
	})
}
