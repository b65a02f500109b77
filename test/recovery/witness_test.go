package recovery

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/target/targettest"
)

// A repository that was put back to an older state (a snapshot of its disk, a
// copy from before) looks whole, and is: but production was told of more.
func TestRepositoryRolledBack(t *testing.T) {
	t.Parallel()
	b := protected(t, targettest.Options{}, settings{}, nil)
	b.endServer(syscall.SIGTERM)
	old := b.copyTo(t)
	b.startServer()
	b.load(2)
	b.shipped()
	b.mustProve()
	b.endServer(syscall.SIGTERM)
	now, was := filepath.Join(b.dir, "repository"), filepath.Join(old.dir, "repository")
	if err := os.Rename(now, now+".new"); err != nil {
		t.Fatal(err)
	}
	copyTree(t, was, now)
	notProven(t, b)
	// Without our own record it is production's slot that tells.
	if err := os.RemoveAll(filepath.Join(b.dir, "state")); err != nil {
		t.Fatal(err)
	}
	notProven(t, b)
}

// The server's clock jumps: what was lost cannot be told by it, and is not
// taken for nothing.
func TestClockJump(t *testing.T) {
	t.Parallel()
	b := protected(t, targettest.Options{FakeClock: true}, settings{DataLoss: "1m"}, nil)
	b.prod.SetClock(t, 2*time.Hour)
	b.until("production's clock to jump ahead", func() bool {
		return b.prod.Query(t, "SELECT clock_timestamp() > '"+time.Now().UTC().Add(time.Hour).Format(time.RFC3339)+"'") == "t"
	})
	b.load(2)
	b.shipped()
	b.mustProve()
	// The stream dies, work goes on, and the clock is set back: by it, nothing
	// was written since.
	b.endServer(syscall.SIGKILL)
	b.prod.SetClock(t, -2*time.Hour)
	b.until("production's clock to be set back", func() bool {
		return b.prod.Query(t, "SELECT clock_timestamp() < '"+time.Now().UTC().Add(-time.Hour).Format(time.RFC3339)+"'") == "t"
	})
	b.load(2)
	notProven(t, b)
}
