package detect

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
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

	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/target/targettest"
)

// house is the built program taking care of a server, and the phone of whoever
// is on call.
type house struct {
	t       testing.TB
	program string
	dir     string
	server  *exec.Cmd
	phone   *httptest.Server

	mu   sync.Mutex
	got  []call
	more chan struct{}
}

// call is a message that reached the phone.
type call struct {
	alert.Message
	at time.Time
}

func build(t testing.TB) string {
	t.Helper()
	program := filepath.Join(targettest.TempDir(t), "refloat")
	if out, err := exec.Command("go", "build", "-o", program, "github.com/refloat-db/refloat/cmd/refloat").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return program
}

func newHouse(t testing.TB, program string, port int, role string) *house {
	t.Helper()
	h := &house{t: t, program: program, dir: targettest.TempDir(t), more: make(chan struct{}, 1)}
	h.phone = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		at := time.Now()
		var m alert.Message
		if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		h.mu.Lock()
		h.got = append(h.got, call{m, at})
		h.mu.Unlock()
		select {
		case h.more <- struct{}{}:
		default:
		}
	}))
	t.Cleanup(h.phone.Close)
	h.write("passphrase", "a passphrase for tests, long enough\n")
	h.write("phone", h.phone.URL)
	h.write("refloat.yaml", fmt.Sprintf(`version: 1
state_dir: %[1]s/state
repository: {url: "file://%[1]s/repository", passphrase_file: passphrase}
server: {listen: "off"}
targets:
  shop:
    dsn: postgres://%[3]s@127.0.0.1:%[2]d/postgres?sslmode=disable
    tier: critical
    watch: {flapping: 0}
    team: db
    log: {enabled: false}
    heartbeat: {enabled: false}
people:
  ada: {contacts: [{via: webhook, url_file: phone}]}
teams:
  db: {members: [ada], rotations: [{people: [ada]}]}
`, h.dir, port, role))
	h.must("repo", "init")
	h.start()
	return h
}

func (h *house) write(name, text string) {
	h.t.Helper()
	if err := os.WriteFile(filepath.Join(h.dir, name), []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) command(args ...string) *exec.Cmd {
	c := exec.Command(h.program, append([]string{"--config", filepath.Join(h.dir, "refloat.yaml")}, args...)...)
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return c
}

func (h *house) must(args ...string) string {
	h.t.Helper()
	out, err := h.command(args...).CombinedOutput()
	if err != nil {
		h.t.Fatalf("refloat %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func (h *house) start() {
	h.t.Helper()
	log, err := os.OpenFile(filepath.Join(h.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		h.t.Fatal(err)
	}
	h.server = h.command("server")
	h.server.Stdout, h.server.Stderr = log, log
	if err := h.server.Start(); err != nil {
		h.t.Fatal(err)
	}
	_ = log.Close()
	h.t.Cleanup(h.kill)
}

func (h *house) kill() {
	if h.server != nil && h.server.Process != nil {
		_ = h.server.Process.Kill()
		_ = h.server.Wait()
		h.server = nil
	}
}

// log is what the server wrote.
func (h *house) log() string {
	b, _ := os.ReadFile(filepath.Join(h.dir, "log"))
	return string(b)
}

// calls are the messages of a kind about an outage, so far.
func (h *house) calls(kind alert.MessageKind) []call {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []call
	for _, c := range h.got {
		if c.Kind == kind && c.Alert.Signal.Code == "outage" {
			out = append(out, c)
		}
	}
	return out
}

// wait returns the n-th message of a kind, counted from 1.
func (h *house) wait(kind alert.MessageKind, n int, within time.Duration) call {
	h.t.Helper()
	deadline := time.After(within)
	for {
		if got := h.calls(kind); len(got) >= n {
			return got[n-1]
		}
		select {
		case <-h.more:
		case <-time.After(50 * time.Millisecond):
		case <-deadline:
			h.t.Fatalf("no %s number %d within %s\n%s", kind, n, within, tail(h.log()))
		}
	}
}

func tail(s string) string { return s[max(0, len(s)-4000):] }

// settled waits until the server holds a session to the target and has nothing
// to do with it.
func (h *house) settled(c *targettest.Cluster) {
	h.t.Helper()
	targettest.WaitFor(h.t, "the watch to hold a session", func() bool {
		n, err := c.TryQuery("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'refloat watch' AND state_change > now() - interval '2 s' AND backend_start < now() - interval '700 ms'")
		return err == nil && n != "0"
	})
}

// A crash pages within a moment; killed at any time, the server pages neither
// twice nor never; a second outage a minute after the first recovered pages
// again; an acknowledgement from the command line stops the chain.
func TestTheProgramPages(t *testing.T) {
	c := targettest.Start(t, targettest.Options{Settings: map[string]string{"autovacuum": "off"}})
	h := newHouse(t, build(t), c.Port, "postgres")
	h.settled(c)
	c.KillPostmaster(t)
	first := h.wait(alert.Page, 1, 10*time.Second)
	if !strings.Contains(first.Subject, "[CRITICAL] shop ") || first.Person != "ada" {
		t.Fatalf("%+v", first.Message)
	}
	h.kill()
	h.start()
	h.must("ack", first.Alert.ID, "--by", "ada")
	h.kill()
	c.Kill(t)
	c.Start(t)
	h.start()
	over := h.wait(alert.Notice, 1, 20*time.Second)
	if over.Alert.ID != first.Alert.ID || !strings.HasPrefix(over.Subject, "[RESOLVED]") {
		t.Fatalf("%+v", over.Message)
	}
	h.story("the outage, her acknowledgement and its end", func(s incident.State) bool {
		return len(s.Causes) == 1 && s.Started.Equal(first.Alert.StartedAt) && s.AcknowledgedBy == "ada" && !s.Mitigated.IsZero() && len(s.Pages) > 0
	})
	h.settled(c)
	c.KillPostmaster(t)
	second := h.wait(alert.Page, 2, 10*time.Second)
	if second.Alert.ID == first.Alert.ID {
		t.Error("the second outage joined the first")
	}
	h.story("both outages", func(s incident.State) bool { return len(s.Causes) == 2 && s.Mitigated.IsZero() && len(s.Unread) == 0 })
	c.Kill(t)
	if n := len(h.calls(alert.Page)); n != 2 {
		t.Errorf("%d pages for two outages", n)
	}
	if out := h.must("outages", "--json"); strings.Count(out, `"first_bad"`) != 2 {
		t.Errorf("outages: %s", out)
	}
}

// Killed between noticing and paging, the server pages when it is back: for each
// moment after the fault, in steps.
func TestKilledBeforeItPaged(t *testing.T) {
	rounds := 4
	if testing.Short() {
		rounds = 1
	}
	program := build(t)
	c := targettest.Start(t, targettest.Options{Settings: map[string]string{"autovacuum": "off"}})
	for i := range rounds {
		h := newHouse(t, program, c.Port, "postgres")
		h.settled(c)
		c.KillPostmaster(t)
		time.Sleep(time.Duration(30+20*i) * time.Millisecond) // the moment is the point of the test
		h.kill()
		before := len(h.calls(alert.Page))
		h.start()
		h.wait(alert.Page, 1, 15*time.Second)
		time.Sleep(300 * time.Millisecond)
		if n := len(h.calls(alert.Page)); n > before+1 {
			t.Errorf("%d ms: %d pages, %d before the kill", 30+20*i, n, before)
		}
		h.story("one outage", func(s incident.State) bool { return len(s.Causes) == 1 && !s.Serves() })
		h.kill()
		c.Kill(t)
		c.Start(t)
	}
}

// BenchmarkDetect measures from the fault to the message on the phone, through
// the built program. REFLOAT_DETECT_ROUNDS sets how often each fault is played
// (30 when it is not set); make bench-detect runs it.
func BenchmarkDetect(b *testing.B) {
	rounds, _ := strconv.Atoi(os.Getenv("REFLOAT_DETECT_ROUNDS"))
	rounds = cmp.Or(rounds, 30)
	program := build(b)
	for _, f := range append(faults(), diskFull()) {
		b.Run(strings.ReplaceAll(f.name, " ", "-"), func(b *testing.B) {
			s := benchSite(b, f)
			h := newHouse(b, program, s.port(), "postgres")
			var all []time.Duration
			for i := range rounds {
				h.settled(s.c)
				pages, notices := len(h.calls(alert.Page)), len(h.calls(alert.Notice))
				time.Sleep(time.Duration(i*37%500) * time.Millisecond) // at every phase of the watch
				f.do(b, s)
				did := time.Now()
				all = append(all, h.wait(alert.Page, pages+1, 30*time.Second).at.Sub(did))
				f.undo(b, s)
				h.wait(alert.Notice, notices+1, 200*time.Second)
			}
			slices.Sort(all)
			b.ReportMetric(all[len(all)/2].Seconds(), "p50-s")
			b.ReportMetric(all[(len(all)*99+99)/100-1].Seconds(), "p99-s")
			b.ReportMetric(float64(len(all)), "rounds")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func benchSite(b *testing.B, f fault) *site {
	if f.name == "disk full" {
		return smallSite(b)
	}
	s := newSite(b)
	if f.name != "network" {
		s.net = nil
	}
	return s
}

// port is where the program reaches the server: through the network that fails,
// where there is one.
func (s *site) port() int {
	if s.net != nil {
		return s.net.Port
	}
	return s.c.Port
}
