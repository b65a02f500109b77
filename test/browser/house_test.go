package browser

import (
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/mail"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/target/targettest"
)

// post is a mail server, and what it was given.
type post struct {
	port int

	mu  sync.Mutex
	got []letter
}

// letter is one mail to one mailbox.
type letter struct {
	to, subject, text, id string
	at                    time.Time
}

type postSession struct {
	p  *post
	to string
}

func (s *postSession) Reset()                               {}
func (s *postSession) Logout() error                        { return nil }
func (s *postSession) Mail(string, *smtp.MailOptions) error { return nil }
func (s *postSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.to = to
	return nil
}

func (s *postSession) Data(r io.Reader) error {
	at := time.Now()
	m, err := mail.ReadMessage(r)
	if err != nil {
		return err
	}
	text, err := plainText(m)
	if err != nil {
		return err
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	if err != nil {
		subject = m.Header.Get("Subject")
	}
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	s.p.got = append(s.p.got, letter{to: s.to, subject: subject, text: text, id: m.Header.Get("Message-Id"), at: at})
	return nil
}

// plainText is a message as a person reads it.
func plainText(m *mail.Message) (string, error) {
	body := m.Body
	if strings.EqualFold(m.Header.Get("Content-Transfer-Encoding"), "quoted-printable") {
		body = quotedprintable.NewReader(m.Body)
	}
	text, err := io.ReadAll(body)
	return strings.ReplaceAll(strings.ReplaceAll(string(text), "=\r\n", ""), "=3D", "="), err
}

func openPost(t testing.TB) *post {
	t.Helper()
	p := &post{}
	srv := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &postSession{p: p}, nil }))
	srv.Domain = "mail.test"
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.port = l.Addr().(*net.TCPAddr).Port
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(l) }()
	t.Cleanup(func() { _, _ = srv.Close(), l.Close(); <-done })
	return p
}

// letters are those to a mailbox whose subject or text has some words.
func (p *post) letters(to, words string) []letter {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []letter
	for _, l := range p.got {
		if l.to == to && (strings.Contains(l.subject, words) || strings.Contains(l.text, words)) {
			out = append(out, l)
		}
	}
	return out
}

// house is the built program with a server in its care.
type house struct {
	t       testing.TB
	program string
	dir     string
	base    string // of the console
	status  string // of the status page
	pg      *targettest.Cluster
	post    *post

	mu     sync.Mutex
	server *exec.Cmd
}

func newHouse(t testing.TB) *house {
	t.Helper()
	h := &house{t: t, dir: targettest.TempDir(t), post: openPost(t)}
	h.program = filepath.Join(h.dir, "refloat")
	if out, err := exec.Command("go", "build", "-o", h.program, "github.com/refloat-db/refloat/cmd/refloat").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	h.pg = targettest.Start(t, targettest.Options{Settings: map[string]string{"autovacuum": "off"}})
	listen, page := targettest.FreePort(t), targettest.FreePort(t)
	h.base, h.status = fmt.Sprintf("http://127.0.0.1:%d", listen), fmt.Sprintf("http://127.0.0.1:%d", page)
	h.write("passphrase", "a passphrase for tests, long enough\n")
	h.write("refloat.yaml", fmt.Sprintf(`version: 1
state_dir: %[1]s/state
repository: {url: "file://%[1]s/repository", passphrase_file: passphrase}
server: {listen: "127.0.0.1:%[3]d", public_url: "%[5]s"}
targets:
  shop:
    dsn: postgres://postgres@127.0.0.1:%[2]d/postgres?sslmode=disable
    tier: critical
    watch: {flapping: 0}
    team: db
    log: {enabled: false}
    heartbeat: {enabled: false}
email: {host: 127.0.0.1, port: %[4]d, tls: plaintext, from: refloat@example.org}
people:
  ada: {contacts: [{via: email, to: ada@example.org}]}
  bob: {contacts: [{via: email, to: bob@example.org}]}
teams:
  db: {members: [ada, bob], rotations: [{people: [ada]}]}
incidents:
  audiences:
    clients: {contacts: [{via: email, name: clients, to: clients@example.org}]}
status_page:
  title: Acme status
  url: %[7]s
  services: [{name: Web shop, targets: [shop]}]
  listen: 127.0.0.1:%[6]d
`, h.dir, h.pg.Port, listen, h.post.port, h.base, page, h.status))
	h.must("repo", "init")
	h.start()
	t.Cleanup(h.kill)
	targettest.WaitFor(t, "the watch to hold a session", func() bool {
		n, err := h.pg.TryQuery("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'refloat watch' AND state_change > now() - interval '2 s' AND backend_start < now() - interval '700 ms'")
		return err == nil && n != "0"
	})
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
	log, err := os.OpenFile(filepath.Join(h.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		h.t.Error(err)
		return
	}
	defer log.Close()
	c := h.command("server")
	c.Stdout, c.Stderr = log, log
	if err := c.Start(); err != nil {
		h.t.Error(err)
		return
	}
	h.mu.Lock()
	h.server = c
	h.mu.Unlock()
}

// kill ends the server as kill -9 does.
func (h *house) kill() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.server != nil {
		_ = h.server.Process.Kill()
		_ = h.server.Wait()
		h.server = nil
	}
}

func (h *house) log() string {
	b, _ := os.ReadFile(filepath.Join(h.dir, "log"))
	return string(b)
}

var setupLink = regexp.MustCompile(`http://[0-9.:]+(/setup/[A-Za-z0-9_.~-]+)`)

// setup is the path of the link that makes the first account.
func (h *house) setup() string {
	h.t.Helper()
	var path string
	targettest.WaitFor(h.t, "the link of the first set-up in the log", func() bool {
		if m := setupLink.FindStringSubmatch(h.log()); m != nil {
			path = m[1]
		}
		return path != ""
	})
	return path
}

// incidents are all that there are, oldest first.
func (h *house) incidents() []incident.State {
	h.t.Helper()
	out, _ := h.command("incident", "list", "--all", "--json").Output() // its exit code says whether one is open
	var all []incident.State
	if err := json.Unmarshal(out, &all); err != nil {
		h.t.Fatalf("%v: %s", err, out)
	}
	return all
}

// incident is one with its timeline.
func (h *house) incident(id string) incident.State {
	h.t.Helper()
	out, err := h.command("incident", "show", id, "--json").Output()
	var s incident.State
	if jerr := json.Unmarshal(out, &s); jerr != nil {
		h.t.Fatalf("%v, %v: %s", err, jerr, out)
	}
	return s
}

// visitor is a browser without a screen, which keeps its session.
type visitor struct {
	t    testing.TB
	base string
	http *http.Client
}

func (h *house) visitor() *visitor {
	jar, err := cookiejar.New(nil)
	if err != nil {
		h.t.Fatal(err)
	}
	return &visitor{t: h.t, base: h.base, http: &http.Client{Jar: jar, Timeout: 15 * time.Second}}
}

// send posts a form and follows where it leads.
func (v *visitor) send(path string, form url.Values) (status int, page string, err error) {
	res, err := v.http.PostForm(v.base+path, form)
	return read(res, err)
}

func read(res *http.Response, err error) (int, string, error) {
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return res.StatusCode, string(b), err
}

// insist sends the same form until the server answers, through whatever kills.
func (v *visitor) insist(path string, form url.Values) (status int, page string) {
	v.t.Helper()
	var err error
	for deadline := time.Now().Add(40 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if status, page, err = v.send(path, form); err == nil && status < 500 {
			return status, page
		}
	}
	v.t.Fatalf("POST %s: %d %v\n%s", path, status, err, page)
	return 0, ""
}

// enter makes the first account through the link in the log.
func (v *visitor) enter(path, name, password string) {
	v.t.Helper()
	if status, page := v.insist(path, url.Values{"name": {name}, "password": {password}, "again": {password}}); status != http.StatusOK {
		v.t.Fatalf("set-up: %d\n%s", status, page)
	}
}
