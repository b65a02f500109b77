// Package nodes runs the built program on two nodes that share a store, ends
// either in every way in which a machine ends, and looks at what people get.
package nodes

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/server"
	"github.com/refloat-db/refloat/internal/target/targettest"
)

// bed is two nodes, the store that they share, a target, and the phone of whoever
// is on call.
type bed struct {
	t       *testing.T
	program string
	dir     string
	store   *targettest.Cluster
	shop    *targettest.Cluster
	nodes   [2]*node
	phone   *httptest.Server
	outages int // so far

	mu  sync.Mutex
	got []call
}

type call struct {
	alert.Message
	at time.Time
}

// node is one server.
type node struct {
	b      *bed
	name   string
	dir    string
	port   int
	cmd    *exec.Cmd
	done   chan struct{}
	starts int
}

func newBed(t *testing.T, settings string) *bed {
	b := &bed{t: t, dir: targettest.TempDir(t)}
	b.program = filepath.Join(b.dir, "refloat")
	if out, err := exec.Command("go", "build", "-o", b.program, "github.com/refloat-db/refloat/cmd/refloat").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	b.store = targettest.Start(t, targettest.Options{})
	b.shop = targettest.Start(t, targettest.Options{Settings: map[string]string{"autovacuum": "off"}})
	b.phone = httptest.NewServer(http.HandlerFunc(b.ring))
	t.Cleanup(b.phone.Close)
	for name, text := range map[string]string{"passphrase": "a passphrase for tests, long enough\n", "phone": b.phone.URL, "token": "a token of the tests, long"} {
		b.write(name, text)
	}
	for i, name := range []string{"ams", "fra"} {
		n := &node{b: b, name: name, dir: filepath.Join(b.dir, name), port: targettest.FreePort(t)}
		b.nodes[i] = n
		b.write(name+".yaml", b.config(n, settings))
	}
	grants := exec.Command(b.program, "init", b.dsn("refloat_store", "refloat"), "--store-grants")
	sql, err := grants.Output()
	if err != nil {
		t.Fatalf("grants: %v", err)
	}
	psql := b.store.Command(t, "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", strconv.Itoa(b.store.Port), "-U", "postgres", "-d", "postgres")
	psql.Stdin = strings.NewReader(string(sql))
	if out, err := psql.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	b.nodes[0].must("repo", "init")
	for _, n := range b.nodes {
		n.start()
	}
	t.Cleanup(func() {
		for _, n := range b.nodes {
			n.kill()
		}
		if t.Failed() {
			for _, n := range b.nodes {
				text, _ := os.ReadFile(n.dir + ".log")
				t.Logf("the log of %s:\n%s", n.name, text[max(0, len(text)-6000):])
			}
		}
	})
	return b
}

func (b *bed) dsn(role, database string) string {
	return fmt.Sprintf("postgres://%s@127.0.0.1:%d/%s?sslmode=disable", role, b.store.Port, database)
}

// config pages ada every second until she acknowledges.
func (b *bed) config(n *node, settings string) string {
	steps := strings.Repeat("      - {after: 1s, page: [\"person:ada\"]}\n", 40)
	return fmt.Sprintf(`version: 1
state_dir: %[1]s
store: {url: %[2]q, node: %[3]s}
repository: {url: "file://%[4]s/repository", passphrase_file: passphrase}
server: {listen: "127.0.0.1:%[5]d", public_url: "http://127.0.0.1:%[5]d"}
targets:
  shop:
    dsn: postgres://postgres@127.0.0.1:%[6]d/postgres?sslmode=disable
    tier: critical
    watch: {flapping: 0}
    team: db
    heartbeat: {enabled: false}
    backup: {schedule: "off"}
    drill: {schedule: "off"}
    %[7]s
inbound:
  sources: [{name: ci, kind: generic, token_file: token}]
people:
  ada: {contacts: [{via: webhook, url_file: phone}]}
teams:
  db: {members: [ada], rotations: [{people: [ada]}], policy: often}
policies:
  often:
    steps:
      - {page: ["person:ada"]}
%[8]s`, n.dir, b.dsn("refloat_store", "refloat"), n.name, b.dir, n.port, b.shop.Port, settings, steps)
}

func (b *bed) write(name, text string) {
	b.t.Helper()
	if err := os.WriteFile(filepath.Join(b.dir, name), []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bed) ring(w http.ResponseWriter, r *http.Request) {
	at := time.Now()
	var m alert.Message
	if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.got = append(b.got, call{m, at})
}

// pages are those about an outage that arrived from a moment on.
func (b *bed) pages(from time.Time) []call {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []call
	for _, c := range b.got {
		if c.Kind == alert.Page && c.Alert.Signal.Code == "outage" && !c.at.Before(from) {
			out = append(out, c)
		}
	}
	return out
}

// page waits for a page about an outage.
func (b *bed) page(from time.Time) call {
	b.t.Helper()
	targettest.WaitFor(b.t, "a page", func() bool { return len(b.pages(from)) > 0 })
	return b.pages(from)[0]
}

func (n *node) command(args ...string) *exec.Cmd {
	c := exec.Command(n.b.program, append([]string{"--config", n.dir + ".yaml"}, args...)...)
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return c
}

func (n *node) must(args ...string) string {
	n.b.t.Helper()
	out, err := n.command(args...).CombinedOutput()
	if err != nil {
		n.b.t.Fatalf("refloat %s on %s: %v\n%s", strings.Join(args, " "), n.name, err, out)
	}
	return string(out)
}

// shown is what a command shows whose exit code says whether something is open.
func (n *node) shown(args ...string) string {
	out, _ := n.command(args...).Output()
	return string(out)
}

func (n *node) start() {
	n.b.t.Helper()
	log, err := os.OpenFile(n.dir+".log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		n.b.t.Fatal(err)
	}
	n.cmd, n.done = n.command("server"), make(chan struct{})
	n.starts++
	n.cmd.Stdout, n.cmd.Stderr = log, log
	if err := n.cmd.Start(); err != nil {
		n.b.t.Fatal(err)
	}
	_ = log.Close()
	go func(cmd *exec.Cmd, done chan struct{}) {
		defer close(done)
		_ = cmd.Wait() // how it ended is in its log
	}(n.cmd, n.done)
}

func (n *node) signal(s syscall.Signal) {
	n.b.t.Helper()
	if err := n.cmd.Process.Signal(s); err != nil {
		n.b.t.Fatalf("%s: %v", n.name, err)
	}
}

// kill ends it at once, frozen or not.
func (n *node) kill() {
	if n.cmd == nil {
		return
	}
	_ = n.cmd.Process.Kill()
	<-n.done
	n.cmd = nil
}

// place is what a node says of itself; false when it does not answer.
func (n *node) place() (server.Place, bool) {
	client := http.Client{Timeout: time.Second}
	resp, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d/status.json", n.port))
	if err != nil {
		return server.Place{}, false
	}
	defer resp.Body.Close()
	var d server.Document
	if resp.StatusCode != http.StatusOK || json.NewDecoder(resp.Body).Decode(&d) != nil || d.Node == nil {
		return server.Place{}, false
	}
	return *d.Node, true
}

// follow does on this node what a link in a message is for, wherever it leads.
func (n *node) follow(link string) string {
	n.b.t.Helper()
	u, err := url.Parse(link)
	if err != nil || u.Path == "" {
		n.b.t.Fatalf("a page without a link: %q %v", link, err)
	}
	return n.post(u.Path, "", "")
}

func (n *node) post(path, token, body string) string {
	n.b.t.Helper()
	q, err := http.NewRequest(http.MethodPost, fmt.Sprintf("http://127.0.0.1:%d%s", n.port, path), strings.NewReader(body))
	if err != nil {
		n.b.t.Fatal(err)
	}
	if token != "" {
		q.Header.Set("Authorization", "Bearer "+token)
	}
	client := http.Client{Timeout: 15 * time.Second}
	resp, err := client.Do(q)
	if err != nil {
		n.b.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode/100 != 2 {
		n.b.t.Fatalf("%s on %s: %s %v\n%s", path, n.name, resp.Status, err, text)
	}
	return string(text)
}

// started reports that the last start has come to its end: it then says that
// nobody has an account yet.
func (n *node) started() bool {
	text, _ := os.ReadFile(n.dir + ".log")
	return strings.Count(string(text), "has an account yet") >= n.starts
}

func (n *node) leads() bool {
	p, ok := n.place()
	return ok && p.Leads
}

// settled waits until one leads and the other stands by, and returns them.
func (b *bed) settled() (leader, other *node) {
	b.t.Helper()
	targettest.WaitFor(b.t, "one to lead and the other to stand by", func() bool {
		for i, n := range b.nodes {
			o := b.nodes[1-i]
			p, ok := o.place()
			if n.leads() && ok && !p.Leads && p.Leader == n.name && n.started() && o.started() {
				leader, other = n, o
				return true
			}
		}
		return false
	})
	return leader, other
}

// watched waits until the leader holds a session to the target.
func (b *bed) watched() {
	b.t.Helper()
	targettest.WaitFor(b.t, "the watch to hold a session", func() bool {
		n, err := b.shop.TryQuery("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'refloat watch' AND state_change > now() - interval '2 s' AND backend_start < now() - interval '700 ms'")
		return err == nil && n != "0"
	})
}

func (n *node) incidents() []incident.State {
	n.b.t.Helper()
	out, _ := n.command("incident", "list", "--all", "--json").Output() // its exit code says whether one is open
	var all []incident.State
	if err := json.Unmarshal(out, &all); err != nil {
		n.b.t.Fatalf("%v: %s", err, out)
	}
	return all
}
