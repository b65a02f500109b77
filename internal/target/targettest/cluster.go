// Package targettest starts real PostgreSQL clusters for tests, in temporary
// directories on 127.0.0.1, and cleans up every process by its pid.
package targettest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Options say what kind of cluster a test wants.
type Options struct {
	Major       int               // 15 (Debian), 14, 16, 17 or 18; default 15
	Settings    map[string]string // appended to postgresql.conf
	NoChecksums bool
	SegmentMiB  int // WAL segment size; default 16
	// FakeClock runs the server by a clock that SetClock moves, through Debian's
	// faketime.
	FakeClock bool
	// Base is where the cluster is made; a temporary directory when empty.
	Base string
}

// Cluster is a running server, signed in to as superuser "postgres" with
// trust authentication over 127.0.0.1.
type Cluster struct {
	Major int
	Dir   string // data directory
	Bin   string // directory of the server's programs
	Port  int
	base  string
	proc  *process
	clock string // file that libfaketime reads; empty for the real clock
}

type process struct {
	pid  int
	done chan struct{}
	err  error
}

// BinDir finds the programs of a major version, or skips the test; with
// REFLOAT_TEST_REQUIRE=1 their absence is a failure.
func BinDir(t testing.TB, major int) string {
	t.Helper()
	home, _ := os.UserHomeDir()
	for _, d := range []string{
		fmt.Sprintf("/usr/lib/postgresql/%d/bin", major),
		fmt.Sprintf("/opt/refloat-test/postgres/%d/bin", major),
		filepath.Join(home, ".cache/refloat-test/postgres", strconv.Itoa(major), "bin"),
	} {
		if _, err := os.Stat(filepath.Join(d, "postgres")); err == nil {
			return d
		}
	}
	if os.Getenv("REFLOAT_TEST_REQUIRE") == "1" {
		t.Fatalf("PostgreSQL %d is not installed; run test/tools/install-postgres.sh", major)
	}
	t.Skipf("PostgreSQL %d is not installed; run test/tools/install-postgres.sh", major)
	return ""
}

// Start makes a cluster and starts it. It is stopped and removed when the test
// ends.
func Start(t testing.TB, o Options) *Cluster {
	t.Helper()
	if o.Major == 0 {
		o.Major = 15
	}
	c := &Cluster{Major: o.Major, Bin: BinDir(t, o.Major), base: o.Base}
	if c.base == "" {
		c.base = TempDir(t)
	}
	c.Dir = filepath.Join(c.base, "data")
	args := []string{"-D", c.Dir, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"}
	switch {
	case !o.NoChecksums:
		args = append(args, "--data-checksums")
	case o.Major >= 18:
		args = append(args, "--no-data-checksums")
	}
	if o.SegmentMiB > 0 {
		args = append(args, fmt.Sprintf("--wal-segsize=%d", o.SegmentMiB))
	}
	c.run(t, "initdb", args...)
	c.Port = FreePort(t)
	c.configure(t, o.Settings)
	if o.FakeClock {
		c.clock = filepath.Join(c.base, "clock")
		c.SetClock(t, 0)
	}
	t.Cleanup(func() { c.end(syscall.SIGQUIT) })
	c.Start(t)
	return c
}

// Adopt makes a cluster of a data directory that exists, in a directory of its
// own, and whose settings name the port. The caller starts it.
func Adopt(t testing.TB, dir string, major, port int) *Cluster {
	t.Helper()
	c := &Cluster{Major: major, Dir: dir, Bin: BinDir(t, major), Port: port, base: filepath.Dir(dir)}
	t.Cleanup(func() { c.end(syscall.SIGQUIT) })
	return c
}

func (c *Cluster) configure(t testing.TB, settings map[string]string) {
	t.Helper()
	all := map[string]string{
		"listen_addresses": "127.0.0.1", "port": strconv.Itoa(c.Port), "unix_socket_directories": c.base,
		"wal_level": "replica", "max_wal_senders": "10", "max_replication_slots": "10", "fsync": "on",
		"shared_buffers": "64MB", "logging_collector": "off", "log_line_prefix": "%m [%p] ", "autovacuum_naptime": "10s",
	}
	for k, v := range settings {
		all[k] = v
	}
	var lines []string
	for k, v := range all {
		lines = append(lines, fmt.Sprintf("%s = '%s'\n", k, strings.ReplaceAll(v, "'", "''")))
	}
	sort.Strings(lines)
	if err := appendTo(filepath.Join(c.Dir, "postgresql.conf"), "\n"+strings.Join(lines, "")); err != nil {
		t.Fatal(err)
	}
}

func appendTo(path, text string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// SetClock moves the server's clock to so much after the real one, at once.
func (c *Cluster) SetClock(t testing.TB, after time.Duration) {
	t.Helper()
	temp := c.clock + ".new"
	if err := os.WriteFile(temp, fmt.Appendf(nil, "%+ds\n", int(after.Seconds())), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(temp, c.clock); err != nil {
		t.Fatal(err)
	}
}

// fakeClock finds libfaketime, or skips the test; with REFLOAT_TEST_REQUIRE=1
// its absence is a failure.
func fakeClock(t testing.TB) string {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
	if len(found) > 0 {
		return found[0]
	}
	if os.Getenv("REFLOAT_TEST_REQUIRE") == "1" {
		t.Fatal("libfaketime is not installed; run test/tools/install-debian.sh test")
	}
	t.Skip("libfaketime is not installed")
	return ""
}

// FreePort returns a TCP port that was free a moment ago.
func FreePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return port
}

// Start starts a stopped server and waits until it answers.
func (c *Cluster) Start(t testing.TB) {
	t.Helper()
	logf, err := os.OpenFile(c.LogFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = logf.Close() }()
	cmd := exec.Command(filepath.Join(c.Bin, "postgres"), "-D", c.Dir)
	if c.clock != "" {
		cmd.Env = append(os.Environ(), "LD_PRELOAD="+fakeClock(t), "FAKETIME_TIMESTAMP_FILE="+c.clock, "FAKETIME_NO_CACHE=1", "FAKETIME_DONT_FAKE_MONOTONIC=1")
	}
	cmd.Stdout, cmd.Stderr = logf, logf
	// The server dies with the test process, however that ends.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: credential(t), Pdeathsig: syscall.SIGQUIT}
	p := &process{done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // the death signal follows the thread, not the process
		defer runtime.UnlockOSThread()
		defer close(p.done)
		if err := cmd.Start(); err != nil {
			started <- err
			return
		}
		p.pid = cmd.Process.Pid
		started <- nil
		p.err = cmd.Wait()
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	c.proc = p
	c.waitReady(t)
}

func (c *Cluster) waitReady(t testing.TB) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(60 * time.Second)
	for {
		err := c.ping()
		if err == nil {
			return
		}
		select {
		case <-c.proc.done:
			t.Fatalf("the server ended: %v\n%s", c.proc.err, c.Log(t))
		case <-deadline:
			t.Fatalf("the server does not answer: %v\n%s", err, c.Log(t))
		case <-tick.C:
		}
	}
}

func (c *Cluster) ping() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, c.DSN("postgres"))
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// Stop shuts the server down cleanly (fast mode).
func (c *Cluster) Stop(t testing.TB) {
	t.Helper()
	c.end(syscall.SIGINT)
}

// Kill sends SIGKILL to every process of the server at once.
func (c *Cluster) Kill(t testing.TB) {
	t.Helper()
	c.end(syscall.SIGKILL)
}

// Signal sends sig to the postmaster.
func (c *Cluster) Signal(sig syscall.Signal) error { return syscall.Kill(c.proc.pid, sig) }

// Pid is the postmaster's.
func (c *Cluster) Pid() int { return c.proc.pid }

// Running reports whether the server was started and has not ended.
func (c *Cluster) Running() bool {
	if c.proc == nil {
		return false
	}
	select {
	case <-c.proc.done:
		return false
	default:
		return true
	}
}

func (c *Cluster) end(sig syscall.Signal) {
	if c.proc == nil {
		return
	}
	if sig == syscall.SIGKILL {
		_ = syscall.Kill(c.proc.pid, syscall.SIGSTOP) // it forks no more while its children are counted
	}
	all := append(children(c.proc.pid), c.proc.pid)
	killAll := func() {
		for _, pid := range all {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	if sig == syscall.SIGKILL {
		killAll()
	} else {
		_ = syscall.Kill(c.proc.pid, sig)
	}
	select {
	case <-c.proc.done:
	case <-time.After(30 * time.Second):
		killAll()
		<-c.proc.done
	}
	// A killed child may hold the shared memory for a moment more, and a new
	// server would refuse to start.
	for deadline := time.Now().Add(10 * time.Second); slices.ContainsFunc(all, alive) && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	c.proc = nil
}

// alive reports whether a process is there and is more than a zombie.
func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	state := strings.TrimSpace(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	return !strings.HasPrefix(state, "Z")
}

// children lists the processes whose parent is pid.
func children(pid int) []int {
	var out []int
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, p := range stats {
		b, err := os.ReadFile(p)
		if err != nil {
			continue // it ended meanwhile
		}
		f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
		if len(f) > 1 && f[1] == strconv.Itoa(pid) {
			if n, err := strconv.Atoi(filepath.Base(filepath.Dir(p))); err == nil {
				out = append(out, n)
			}
		}
	}
	return out
}

// LogFile is the path of the server's log.
func (c *Cluster) LogFile() string { return filepath.Join(c.base, "server.log") }

// Log returns the server's log so far.
func (c *Cluster) Log(t testing.TB) string {
	t.Helper()
	b, err := os.ReadFile(c.LogFile())
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
