package app

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"html"
	"io"
	"mime/quotedprintable"
	"net"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/alert/webhook"
	"github.com/refloat-db/refloat/internal/statuspage"
	"github.com/refloat-db/refloat/internal/target"
)

// postOffice is a real SMTP server that keeps what it takes, and can refuse.
type postOffice struct {
	port int

	mu     sync.Mutex
	refuse bool
	got    []*letter
}

type letter struct {
	to   string
	head mail.Header
	text string
}

type postSession struct {
	p  *postOffice
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
	m, err := mail.ReadMessage(r)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(m.Body)
	if err != nil {
		return err
	}
	plain, err := io.ReadAll(quotedprintable.NewReader(strings.NewReader(string(body))))
	if err != nil {
		plain = body
	}
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	if s.p.refuse {
		return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "not now"}
	}
	s.p.got = append(s.p.got, &letter{s.to, m.Header, string(plain)})
	return nil
}

func openPostOffice(t *testing.T) *postOffice {
	t.Helper()
	p := &postOffice{}
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

// letters are those to an address whose subject holds some words.
func (p *postOffice) letters(to, subject string) (out []*letter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.got {
		if l.to == to && strings.Contains(l.head.Get("Subject"), subject) {
			out = append(out, l)
		}
	}
	return out
}

func (p *postOffice) config() string {
	return "email: {host: 127.0.0.1, port: " + strconv.Itoa(p.port) + ", tls: plaintext, from: status@acme.example}\n"
}

var anyLink = regexp.MustCompile(`https://status\.acme\.example/((?:confirm|unsubscribe)/\S+)`)

// linkIn is the path of the link in a letter.
func linkIn(t *testing.T, text string) string {
	t.Helper()
	m := anyLink.FindStringSubmatch(strings.ReplaceAll(text, "=\r\n", ""))
	if m == nil {
		t.Fatalf("no link in %q", text)
	}
	return strings.TrimRight(m[1], ">")
}

func postForm(t *testing.T, d *Daemon, path string, form url.Values) (int, string) {
	t.Helper()
	resp, err := http.PostForm("http://"+d.running.page.Address()+"/"+path, form)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

const subscribing = "  url: https://status.acme.example/\n  subscribe: [email, webhook]\n"

// Somebody subscribes by mail, confirms, is told each update once, across a
// restart and a mail server that refuses, and leaves with one click.
func TestSubscribingByMail(t *testing.T) {
	dir, eyes, office := t.TempDir(), &staged{}, openPostOffice(t)
	eyes.set(target.Serving)
	page := subscribing + office.config()
	d, a := paged(t, dir, eyes, page)
	eventually(t, "the page", func() bool { return shows(t, d, "", "Acme status") })
	for _, address := range []string{"ann@example.org", "ben@example.org", "ann@example.org"} {
		if code, body := postForm(t, d, "subscribe", url.Values{"via": {"email"}, "address": {address}}); code != 200 || !strings.Contains(body, "look into your mailbox") {
			t.Fatalf("%d %s", code, body)
		}
	}
	eventually(t, "mails to confirm", func() bool {
		return len(office.letters("ann@example.org", "Please confirm")) == 1 && len(office.letters("ben@example.org", "Please confirm")) == 1
	})
	ask := office.letters("ann@example.org", "Please confirm")[0]
	if ask.head.Get("List-Unsubscribe") != "" || ask.head.Get("Auto-Submitted") != "auto-generated" {
		t.Errorf("%v", ask.head)
	}
	confirm := linkIn(t, ask.text)
	if code, body := get(t, d, confirm); code != 200 || !strings.Contains(body, "Yes, subscribe") {
		t.Fatalf("%d %s", code, body)
	}
	if all, err := a.StatusSubscribers(t.Context()); err != nil || len(all) != 2 || !all[0].Confirmed.IsZero() {
		t.Fatalf("opening the link confirmed: %+v %v", all, err)
	}
	if code, _ := postForm(t, d, confirm, nil); code != 200 {
		t.Fatal(code)
	}
	if code, _ := postForm(t, d, confirm+"x", nil); code != 404 {
		t.Errorf("a forged link: %d", code)
	}

	open(t, a)
	tell(t, a, "first: SAID")
	eventually(t, "the first update", func() bool { return len(office.letters("ann@example.org", "Disruption")) == 1 })
	office.mu.Lock()
	office.refuse = true
	office.mu.Unlock()
	tell(t, a, "second: SAID")
	eventually(t, "an attempt", func() bool {
		due, err := d.running.state.(subscriberStore).DueDeliveries(context.Background(), time.Now().Add(time.Hour), 10)
		return err == nil && len(due) == 1 && len(due[0].Attempts) > 0
	})
	stopped(t, d)
	office.mu.Lock()
	office.refuse = false
	office.mu.Unlock()
	d, a = paged(t, dir, eyes, page)
	eventually(t, "the second update", func() bool { return len(office.letters("ann@example.org", "Disruption")) == 2 })
	tell(t, a, "third: SAID")
	eventually(t, "the third update", func() bool { return len(office.letters("ann@example.org", "Disruption")) == 3 })
	if n := len(office.letters("ben@example.org", "Disruption")); n != 0 {
		t.Errorf("who did not confirm was told %d times", n)
	}
	ids := map[string]bool{}
	for _, l := range office.letters("ann@example.org", "Disruption") {
		ids[l.head.Get("Message-Id")] = true
		if !strings.Contains(l.text, "SAID") || !strings.Contains(l.text, "https://status.acme.example/incident-") || strings.Contains(l.text, "inc-1") || strings.Contains(l.text, "HIDDEN") {
			t.Errorf("%s", l.text)
		}
		if !strings.Contains(l.head.Get("List-Unsubscribe-Post"), "One-Click") {
			t.Errorf("%v", l.head)
		}
	}
	if len(ids) != 3 {
		t.Errorf("%d messages", len(ids))
	}
	leave := linkIn(t, office.letters("ann@example.org", "Disruption")[0].head.Get("List-Unsubscribe"))
	eventually(t, "the page", func() bool { return shows(t, d, "", "Acme status") })
	if code, body := get(t, d, leave); code != 200 || !strings.Contains(body, "Yes, unsubscribe") {
		t.Errorf("%d %s", code, body)
	}
	if code, body := postForm(t, d, leave, url.Values{"List-Unsubscribe": {"One-Click"}}); code != 200 || !strings.Contains(body, "You are unsubscribed") {
		t.Errorf("%d %s", code, body)
	}
	if all, err := a.StatusSubscribers(t.Context()); err != nil || len(all) != 1 || all[0].Address != "ben@example.org" {
		t.Errorf("%+v %v", all, err)
	}
	if n, err := a.RemoveStatusSubscriber(t.Context(), "BEN@example.org"); err != nil || n != 1 {
		t.Error(n, err)
	}
	if _, err := a.RemoveStatusSubscriber(t.Context(), "ben@example.org"); !errors.Is(err, ErrUsage) {
		t.Error(err)
	}
}

// open opens an incident with what is hidden from clients.
func open(t *testing.T, a *App) {
	t.Helper()
	if _, err := a.OpenIncident(t.Context(), IncidentRequest{Title: "HIDDEN title", Target: "shop", By: "HIDDEN"}); err != nil {
		t.Fatal(err)
	}
}

// tell sends an update to clients.
func tell(t *testing.T, a *App, text string) {
	t.Helper()
	if _, err := a.SendUpdate(t.Context(), UpdateRequest{Incident: "1", Audience: "clients", Text: text, By: "HIDDEN"}); err != nil {
		t.Fatal(err)
	}
}

// endpoint is a subscriber's server. It knows its secret only after a while.
type endpoint struct {
	*httptest.Server
	mu     sync.Mutex
	secret string
	got    map[string]int // by message ID
	bodies []hookBody
	forged int
}

func newEndpoint(t *testing.T) *endpoint {
	e := &endpoint{got: map[string]int{}}
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.secret == "" {
			http.Error(w, "who are you?", http.StatusNotFound)
			return
		}
		key, err := webhookKey(e.secret)
		if err != nil || r.Header.Get("Webhook-Signature") != webhook.Signature(key, r.Header.Get("Webhook-Id"), r.Header.Get("Webhook-Timestamp"), body) {
			e.forged++
			http.Error(w, "forged", http.StatusUnauthorized)
			return
		}
		var b hookBody
		if err := json.Unmarshal(body, &b); err != nil {
			http.Error(w, "what?", http.StatusBadRequest)
			return
		}
		if b.Type == "status.challenge" {
			_ = json.NewEncoder(w).Encode(map[string]string{"challenge": statuspage.ChallengeAnswer(e.secret, b.Challenge)})
			return
		}
		e.got[r.Header.Get("Webhook-Id")]++
		e.bodies = append(e.bodies, b)
	}))
	t.Cleanup(e.Close)
	return e
}

func webhookKey(secret string) ([]byte, error) {
	return base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
}

var shownSecret = regexp.MustCompile(`whsec_[^<]+`)

// An endpoint subscribes, shows that it has the secret, and is told each update
// once, signed.
func TestSubscribingByWebhook(t *testing.T) {
	dir, eyes, office := t.TempDir(), &staged{}, openPostOffice(t)
	eyes.set(target.Serving)
	d, a := paged(t, dir, eyes, subscribing+"  allow_private_webhooks: true\n"+office.config())
	eventually(t, "the page", func() bool { return shows(t, d, "", "Acme status") })
	e := newEndpoint(t)
	code, body := postForm(t, d, "subscribe", url.Values{"via": {"webhook"}, "address": {e.URL + "/hook"}})
	secret := html.UnescapeString(shownSecret.FindString(body))
	if code != 200 || secret == "" {
		t.Fatalf("%d %s", code, body)
	}
	store := d.running.state.(subscriberStore)
	waits := func() int {
		due, err := store.DueDeliveries(context.Background(), time.Now().Add(time.Hour), 10)
		if err != nil || len(due) == 0 {
			return 0
		}
		return len(due[0].Attempts)
	}
	eventually(t, "a challenge that is refused", func() bool { return waits() > 0 })
	open(t, a)
	tell(t, a, "before it confirmed")
	e.mu.Lock()
	e.secret = secret
	e.mu.Unlock()
	eventually(t, "the endpoint to be confirmed", func() bool {
		all, err := a.StatusSubscribers(t.Context())
		return err == nil && len(all) == 1 && !all[0].Confirmed.IsZero()
	})
	tell(t, a, "after it confirmed")
	seen := func() []hookBody {
		e.mu.Lock()
		defer e.mu.Unlock()
		return e.bodies
	}
	eventually(t, "the update", func() bool { return len(seen()) == 1 })
	b := seen()[0]
	if b.Type != "status.update" || b.Notice == nil || b.Notice.Update.Text != "after it confirmed" || b.Notice.Title != "Disruption: The web shop" || b.Page != "https://status.acme.example" || strings.Contains(b.ID, "inc-") {
		t.Errorf("%+v", b)
	}
	if code, _ := postForm(t, d, linkIn(t, b.Unsubscribe), nil); code != 200 {
		t.Error(code)
	}
	tell(t, a, "after it left")
	eventually(t, "the update to be handed out", func() bool { return shows(t, d, "", "after it left") })
	if all, err := a.StatusSubscribers(t.Context()); err != nil || len(all) != 0 || len(seen()) != 1 || e.forged != 0 {
		t.Errorf("%+v %v %d", all, err, len(seen()))
	}
}

// What strangers name leads into no network of ours, whatever name it has and
// whenever that changes.
func TestWebhooksStayOutside(t *testing.T) {
	e := newEndpoint(t)
	at := netip.MustParseAddrPort(strings.TrimPrefix(e.URL, "http://"))
	inner := &StatusPageOptions{Page: statuspage.Input{URL: "https://status.acme.example", Ways: []string{"webhook"}}}
	b := newSubscriptions(inner, nil, []byte("k"), nil)
	for _, address := range []string{"http://" + at.String(), "https://" + at.String(), "https://localhost:1/", "https://169.254.169.254/", "https://[::1]/x", "https://nowhere.invalid/"} {
		if _, err := b.Subscribe(t.Context(), statuspage.ByWebhook, address); !errors.Is(err, statuspage.ErrAddress) {
			t.Errorf("%s: %v", address, err)
		}
	}
	if _, err := b.Subscribe(t.Context(), statuspage.ByEmail, "ann@example.org"); !errors.Is(err, statuspage.ErrAddress) {
		t.Errorf("a way that is not offered: %v", err)
	}
	// One that was public when it was asked for, and is not when it is dialled.
	d := statuspage.Delivery{Key: statuspage.ConfirmKey, Subscriber: statuspage.Subscriber{ID: "s", Via: statuspage.ByWebhook, Address: "https://localhost:" + strconv.Itoa(int(at.Port())) + "/", Secret: "whsec_AAAA"}}
	if _, err := b.post(t.Context(), d); !errors.Is(err, alert.ErrRefused) || !strings.Contains(err.Error(), "not on the public internet") {
		t.Errorf("dialled: %v", err)
	}
}
