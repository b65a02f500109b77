package script

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/mail"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
)

// mailroom is a real SMTP server: who was sent which message how often.
type mailroom struct {
	port int
	mu   sync.Mutex
	link map[string]string         // to confirm, by mailbox
	got  map[string]map[string]int // updates: by mailbox, by message ID
	text string
}

type mailSession struct {
	m  *mailroom
	to string
}

func (s *mailSession) Reset()                               {}
func (s *mailSession) Logout() error                        { return nil }
func (s *mailSession) Mail(string, *smtp.MailOptions) error { return nil }
func (s *mailSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.to = to
	return nil
}

var confirmLink = regexp.MustCompile(`https://status\.acme\.example(/confirm/[A-Za-z0-9._-]+)`)

func (s *mailSession) Data(r io.Reader) error {
	msg, err := mail.ReadMessage(r)
	if err != nil {
		return err
	}
	raw, err := io.ReadAll(msg.Body)
	if err != nil {
		return err
	}
	body := strings.ReplaceAll(string(raw), "=\r\n", "")
	if m := confirmLink.FindStringSubmatch(body); m != nil {
		s.m.mu.Lock()
		defer s.m.mu.Unlock()
		s.m.link[s.to] = m[1]
		return nil
	}
	time.Sleep(300 * time.Millisecond) // a mail server takes its time, so that kills fall in between
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	if s.m.got[s.to] == nil {
		s.m.got[s.to] = map[string]int{}
	}
	s.m.got[s.to][msg.Header.Get("Message-Id")]++
	s.m.text += body
	return nil
}

func openMailroom(t *testing.T) *mailroom {
	m := &mailroom{link: map[string]string{}, got: map[string]map[string]int{}}
	srv := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &mailSession{m: m}, nil }))
	srv.Domain = "mail.test"
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m.port = l.Addr().(*net.TCPAddr).Port
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(l) }()
	t.Cleanup(func() { _, _ = srv.Close(), l.Close(); <-done })
	return m
}

// told is how many mailboxes have so many updates, and how many messages came
// more than once.
func (m *mailroom) told(updates int) (mailboxes, repeated int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, messages := range m.got {
		if len(messages) == updates {
			mailboxes++
		}
		for _, n := range messages {
			repeated += n - 1
		}
	}
	return mailboxes, repeated
}

func freePort(t *testing.T) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// Each update reaches each subscriber though the server is killed again and
// again while they are told, and the page is there all the time.
func TestSubscribersAreToldThroughKills(t *testing.T) {
	t.Parallel()
	const subscribers, kills = 60, 6
	room, port, front := openMailroom(t), freePort(t), freePort(t)
	a := newAlone(t, aloneConfig+fmt.Sprintf(`email: {host: 127.0.0.1, port: %d, tls: plaintext, from: status@acme.example}
status_page:
  title: Acme status
  url: https://status.acme.example
  listen: 127.0.0.1:%d
  subscribe: [email]
  publish: ["file://DIR/www"]
  services: [{name: The web shop, targets: [shop]}]
`, room.port, port))
	read := func(port int, path string) (int, string) {
		resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/%s", port, path))
		if err != nil {
			return 0, err.Error()
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return 0, err.Error()
		}
		return resp.StatusCode, string(body)
	}
	post := func(path string, form url.Values, from int) int {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, fmt.Sprintf("http://127.0.0.1:%d%s", port, path), strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("X-Forwarded-For", fmt.Sprintf("192.0.2.%d", from))
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			return 0
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	a.must("repo", "init")
	kill := a.serve()
	a.until("the page", func() bool { code, _ := read(port, ""); return code == 200 })
	for i := range subscribers {
		if code := post("/subscribe", url.Values{"via": {"email"}, "address": {fmt.Sprintf("p%d@example.org", i)}}, i); code != 200 {
			t.Fatal(code)
		}
	}
	a.until("all to be asked", func() bool { room.mu.Lock(); defer room.mu.Unlock(); return len(room.link) == subscribers })
	for _, link := range room.link {
		if code := post(link, nil, 1); code != 200 {
			t.Fatal(code)
		}
	}
	beside := a.run("status-page", "serve", "--dir", "state/statuspage", "--listen", fmt.Sprintf("127.0.0.1:%d", front), "--sign-up", fmt.Sprintf("http://127.0.0.1:%d", port))
	log, err := beside.StderrPipe()
	if err == nil {
		err = beside.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = beside.Process.Kill(), beside.Wait() })
	if line, err := bufio.NewReader(log).ReadString('\n'); err != nil || !strings.Contains(line, "the status page is at") {
		t.Fatal(line, err)
	}
	if code, body := read(front, "subscribe"); code != 200 || !strings.Contains(body, "<form") {
		t.Errorf("signing up beside a server: %d", code)
	}
	a.until("the outage opens an incident", func() bool { return a.run("incident", "note", "1", "SECRET").Run() == nil })
	a.must("incident", "update", "1", "--audience", "clients", "--text", "Orders are refused.", "--send")
	between := 0
	for range kills {
		before, _ := room.told(1)
		a.until("more to be told", func() bool { n, _ := room.told(1); return n > before || n == subscribers })
		time.Sleep(time.Duration(rand.IntN(200)) * time.Millisecond) // any moment of sending
		kill()
		if n, _ := room.told(1); n > 0 && n < subscribers {
			between++
		}
		if code, body := read(front, ""); code != 200 || !strings.Contains(body, "The web shop") {
			t.Errorf("without a server the page is %d", code)
		}
		if code, body := read(front, "subscribe"); code != 200 || !strings.Contains(body, "not possible right now") {
			t.Errorf("without a server signing up is %d", code)
		}
		kill = a.serve()
	}
	a.until("all to be told", func() bool { n, _ := room.told(1); return n == subscribers })
	a.must("incident", "update", "1", "--audience", "clients", "--text", "Orders are taken again.", "--send")
	a.until("all to be told again", func() bool { n, _ := room.told(2); return n == subscribers })
	kill()
	kill = a.serve()
	a.until("the page", func() bool {
		code, body := read(front, "")
		return code == 200 && strings.Contains(body, "Orders are taken again.")
	})
	kill()
	n, repeated := room.told(2)
	if n != subscribers || repeated > kills*16 {
		t.Errorf("%d of %d were told both updates; %d messages came again", n, subscribers, repeated)
	}
	t.Logf("%d messages came again, under the same ID, in %d kills, %d of them while updates went out", repeated, kills, between)
	if between == 0 {
		t.Error("no kill fell between two messages: this shows nothing")
	}
	if strings.Contains(room.text, "SECRET") || strings.Contains(room.text, "127.0.0.1") || strings.Contains(room.text, "inc-1") {
		t.Error("subscribers were told what is internal")
	}
	for _, f := range []string{"index.html", "feed.atom", "status.json"} {
		text, err := os.ReadFile(filepath.Join(a.dir, "www", f))
		if err != nil || !strings.Contains(string(text), "Orders are taken again.") || strings.Contains(string(text), "SECRET") {
			t.Errorf("the copy's %s: %v", f, err)
		}
	}
}
