package detect

import (
	"os"
	"os/exec"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/monitor"
	"github.com/refloat-db/refloat/internal/target/targettest"
)

// A live server behind a bad network, on a machine whose processors are all
// taken, while every table is rewritten again and again, is never told to be
// down. REFLOAT_SOAK sets for how long (make soak-detect: 30 minutes); else it
// is a few seconds.
func TestALiveServerIsNeverDown(t *testing.T) {
	lasts, err := time.ParseDuration(os.Getenv("REFLOAT_SOAK"))
	if err != nil {
		lasts = 8 * time.Second
	}
	c := targettest.Start(t, targettest.Options{Settings: map[string]string{"max_connections": "60"}})
	c.Exec(t, "CREATE ROLE watcher LOGIN")
	c.Exec(t, "CREATE TABLE big AS SELECT g, repeat('x', 200) AS filler FROM generate_series(1, 60000) g")
	n := targettest.NewNetwork(t, c.Port)
	b := watch(t, n.Port, "watcher", monitor.DefaultRules())
	n.Weather(0.02, 300*time.Millisecond)
	end := time.Now().Add(lasts)
	var storms sync.WaitGroup
	for _, sql := range []string{"VACUUM FULL big", "VACUUM FULL pg_class", "VACUUM FULL", "UPDATE big SET filler = filler", "CHECKPOINT"} {
		storms.Go(func() {
			for time.Now().Before(end) {
				_, _ = c.TryQuery(sql) // deadlocks with the others are part of it
			}
		})
	}
	for range 4 * runtime.NumCPU() { // starve everybody
		busy := exec.Command("sh", "-c", "while :; do :; done")
		busy.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := busy.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = busy.Process.Kill(); _ = busy.Wait() })
	}
	storms.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	suspected, confirmed, longest := 0, 0, time.Duration(0)
	for _, e := range b.events {
		switch e.Kind {
		case monitor.Suspected:
			suspected++
		case monitor.Confirmed:
			confirmed++
		case monitor.Cleared:
			longest = max(longest, e.At.Sub(e.Outage.FirstBad))
		}
	}
	if i := slices.IndexFunc(b.events, func(e monitor.Event) bool { return e.Kind == monitor.Confirmed }); i >= 0 {
		t.Errorf("a live server was told to be down: %+v", b.events[i])
	}
	t.Logf("%s: %d suspicions, %d confirmed; the longest that came to nothing lasted %s", lasts, suspected, confirmed, longest.Round(time.Millisecond))
}
