package repository_test

import (
	"testing"

	"github.com/refloat-db/refloat/internal/repository"
	"github.com/refloat-db/refloat/internal/repository/repositorytest"
)

func TestFolder(t *testing.T) {
	t.Parallel()
	repositorytest.Run(t, repositorytest.File)
}

func TestS3(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector finds nothing in it that it does not elsewhere")
	}
	t.Parallel()
	s := repositorytest.StartS3(t)
	n := 0
	repositorytest.Run(t, func(t testing.TB) repository.Options {
		n++
		return s.Bucket(t, "bucket-"+string(rune('a'+n)))
	})
}
