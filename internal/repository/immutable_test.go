package repository_test

import (
	"testing"

	"github.com/refloat-db/refloat/internal/repository"
	"github.com/refloat-db/refloat/internal/repository/repositorytest"
)

func TestImmutable(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector finds nothing in it that it does not elsewhere")
	}
	t.Parallel()
	s3 := repositorytest.StartS3(t)
	for name, x := range map[string]struct {
		o          repository.Options
		offers, on bool
	}{
		"folder":          {repositorytest.File(t), false, false},
		"bucket":          {s3.Bucket(t, "plain-bucket"), true, false},
		"bucket and lock": {s3.LockedBucket(t, "locked-bucket"), true, true},
	} {
		r := repositorytest.New(t, x.o)
		if offers, on, err := r.Immutable(t.Context()); err != nil || offers != x.offers || on != x.on {
			t.Errorf("%s: offers %t, on %t, %v", name, offers, on, err)
		}
		// Whatever the storage does, the repository works on it.
		snap := repositorytest.Save(t, r, "/shop", map[string][]byte{"a": []byte("b")})
		repositorytest.Check(t, r, snap.ID, map[string][]byte{"a": []byte("b")})
	}
	s3.Stop()
	r, err := repository.Open(t.Context(), s3.Bucket(t, "gone-bucket"))
	if err == nil {
		t.Errorf("a repository without a server: %v", r)
	}
}
