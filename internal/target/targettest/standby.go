package targettest

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// StartStandby makes a standby of a running cluster, with settings of its own,
// starts it, and waits until it streams.
func StartStandby(t testing.TB, primary *Cluster, settings map[string]string) *Cluster {
	t.Helper()
	c := &Cluster{Major: primary.Major, Bin: primary.Bin, base: TempDir(t), Port: FreePort(t)}
	c.Dir = filepath.Join(c.base, "data")
	c.run(t, "pg_basebackup", "-D", c.Dir, "-h", "127.0.0.1", "-p", strconv.Itoa(primary.Port), "-U", "postgres", "-c", "fast", "-R", "-X", "stream", "--no-sync")
	c.configure(t, settings)
	t.Cleanup(func() { c.end(syscall.SIGQUIT) })
	c.Start(t)
	WaitFor(t, "the standby to stream", func() bool {
		return c.Query(t, "SELECT status FROM pg_stat_wal_receiver") == "streaming"
	})
	return c
}

// WaitFor waits until a condition holds, half a minute at most.
func WaitFor(t testing.TB, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(30 * time.Second)
	for !holds() {
		select {
		case <-deadline:
			t.Fatalf("waited in vain for %s", what)
		case <-tick.C:
		}
	}
}

// Append adds a line to a file of the cluster's data directory.
func (c *Cluster) Append(t testing.TB, name, line string) {
	t.Helper()
	if err := appendTo(filepath.Join(c.Dir, name), fmt.Sprintf("%s\n", line)); err != nil {
		t.Fatal(err)
	}
}

// Write replaces a file of the cluster's data directory.
func (c *Cluster) Write(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(c.Dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
