package detect

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/monitor"
	"github.com/refloat-db/refloat/internal/target/targettest"
)

// BenchmarkScale watches many targets once a second from one process, refloat
// watch, and measures what that costs and how fast one that goes down is
// noticed among them.
func BenchmarkScale(b *testing.B) {
	program := build(b)
	for _, n := range []int{100, 500, 2000, 5000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			f := startFleet(b)
			w := startWatch(b, program, f.port, n)
			cpu, began := w.cpu(), time.Now()
			time.Sleep(20 * time.Second)
			used, spent := w.cpu()-cpu, time.Since(began)
			var all []time.Duration
			for i := range 30 {
				name := fmt.Sprintf("t%d", i*(n/30))
				at := f.tell("down " + name)
				all = append(all, w.confirmed(b, name).Sub(at))
				f.tell("up " + name)
			}
			slices.Sort(all)
			b.ReportMetric(used.Seconds()/spent.Seconds(), "cores")
			b.ReportMetric(float64(w.memory())/(1<<20), "MiB")
			b.ReportMetric(all[len(all)/2].Seconds(), "p50-s")
			b.ReportMetric(all[len(all)-1].Seconds(), "worst-s")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// fakeFleet is the process of the fakes.
type fakeFleet struct {
	in   io.WriteCloser
	out  *bufio.Scanner
	port int
}

func startFleet(b *testing.B) *fakeFleet {
	b.Helper()
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	c := exec.Command(self)
	c.Env = append(os.Environ(), "REFLOAT_FAKES=1")
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	c.Stderr = os.Stderr
	in, err := c.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := c.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = in.Close(); _ = c.Process.Kill(); _ = c.Wait() })
	f := &fakeFleet{in: in, out: bufio.NewScanner(out)}
	f.out.Scan()
	if f.port, err = strconv.Atoi(f.out.Text()); err != nil {
		b.Fatal(err)
	}
	return f
}

func (f *fakeFleet) tell(what string) time.Time {
	at := time.Now()
	_, _ = io.WriteString(f.in, what+"\n")
	f.out.Scan()
	return at
}

// watchProcess is refloat watch over many targets.
type watchProcess struct {
	pid int

	mu     sync.Mutex
	events map[string]time.Time // confirmed, by target
}

func startWatch(b *testing.B, program string, port, n int) *watchProcess {
	b.Helper()
	dir := targettest.TempDir(b)
	var text strings.Builder
	fmt.Fprintf(&text, "version: 1\nrepository: {url: \"file://%s/repository\", passphrase_file: passphrase}\ntargets:\n", dir)
	for i := range n {
		fmt.Fprintf(&text, "  t%d: {dsn: \"postgres://watcher@127.0.0.1:%d/t%d?sslmode=disable\", watch: {every: 1s}}\n", i, port, i)
	}
	for name, body := range map[string]string{"refloat.yaml": text.String(), "passphrase": "a passphrase for tests, long enough\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(body), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	c := exec.Command(program, "--config", filepath.Join(dir, "refloat.yaml"), "watch", "--json")
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := c.Start(); err != nil {
		b.Fatal(err)
	}
	w := &watchProcess{pid: c.Process.Pid, events: map[string]time.Time{}}
	done := make(chan struct{})
	go func() { defer close(done); w.read(out) }()
	b.Cleanup(func() { _ = c.Process.Kill(); <-done; _ = c.Wait() })
	time.Sleep(5*time.Second + time.Duration(n)*2*time.Millisecond) // all have their sessions
	return w
}

func (w *watchProcess) read(out io.Reader) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		at := time.Now()
		var e monitor.Event
		if json.Unmarshal(lines.Bytes(), &e) == nil && e.Kind == monitor.Confirmed {
			w.mu.Lock()
			w.events[string(e.Outage.Target)] = at
			w.mu.Unlock()
		}
	}
}

func (w *watchProcess) confirmed(b *testing.B, name string) (at time.Time) {
	b.Helper()
	targettest.WaitFor(b, name+" to be noticed", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		at = w.events[name]
		return !at.IsZero()
	})
	return at
}

// cpu is the processor time used so far.
func (w *watchProcess) cpu() time.Duration {
	s, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", w.pid))
	if err != nil {
		return 0
	}
	f := strings.Fields(string(s[strings.LastIndexByte(string(s), ')')+1:]))
	user, _ := strconv.Atoi(f[11])
	system, _ := strconv.Atoi(f[12])
	return time.Duration(user+system) * 10 * time.Millisecond // USER_HZ is 100
}

// memory is the resident set, bytes.
func (w *watchProcess) memory() int64 {
	s, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", w.pid))
	for line := range strings.Lines(string(s)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kb << 10
		}
	}
	return 0
}
