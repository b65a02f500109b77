package site

import (
	"compress/gzip"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/statuspage"
)

// desk takes subscriptions, and notes what it is asked for.
type desk struct {
	mu   sync.Mutex
	did  []string
	fail error
}

func (d *desk) note(what string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.did = append(d.did, what)
	return d.fail
}

func (d *desk) Subscribe(_ context.Context, via, address string) (string, error) {
	if via == statuspage.ByEmail {
		if _, err := statuspage.ReadEmail(address); err != nil {
			return "", err
		}
	}
	return "whsec_shown", d.note(via + " " + address)
}

func (d *desk) Check(p statuspage.Purpose, token string) error {
	switch token {
	case "good":
		return nil
	case "old":
		return statuspage.ErrLinkExpired
	}
	return statuspage.ErrLinkInvalid
}

func (d *desk) Confirm(_ context.Context, token string) error {
	if err := d.Check("", token); err != nil {
		return err
	}
	return d.note("confirm " + token)
}

func (d *desk) Unsubscribe(_ context.Context, token string) error {
	if err := d.Check("", token); err != nil {
		return err
	}
	return d.note("unsubscribe " + token)
}

func publication(t *testing.T, dir string, now time.Time, ways ...string) statuspage.Publication {
	t.Helper()
	in := statuspage.Input{Title: "Acme status", URL: "https://status.acme.example", Ways: ways, Services: []statuspage.Offer{{Name: "Shop", Targets: []string{"shop"}}},
		Told: []statuspage.Told{{Key: "1", Targets: []string{"shop"}, Updates: []statuspage.Update{{Status: "identified", Text: "Orders are refused.", At: now.Add(-time.Minute)}}}}}
	p := statuspage.Make(in, now)
	text, err := p.Encode()
	if err == nil {
		err = statuspage.WriteFolder(dir, []statuspage.File{{Name: "status.json", Body: text}})
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func listen(t *testing.T, o Options) *Site {
	t.Helper()
	if o.Address == "" {
		o.Address = "127.0.0.1:0"
	}
	s, err := Listen(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, end := context.WithTimeout(context.Background(), 5*time.Second)
		defer end()
		for range 2 { // idempotent
			if err := s.Close(ctx); err != nil {
				t.Error(err)
			}
		}
	})
	return s
}

type answer struct {
	code   int
	header http.Header
	body   string
}

func do(t *testing.T, method, address string, form url.Values, header ...string) answer {
	t.Helper()
	var body io.Reader = http.NoBody
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r, err := http.NewRequestWithContext(t.Context(), method, address, body)
	if err != nil {
		t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(text)}
}

func TestServesThePage(t *testing.T) {
	dir := t.TempDir()
	s := listen(t, Options{File: filepath.Join(dir, "status.json")})
	home := "http://" + s.Address() + "/"
	if a := do(t, "GET", home, nil); a.code != 503 || !strings.Contains(a.body, "Nothing has been published") {
		t.Errorf("before there is a page: %+v", a)
	}
	p := publication(t, dir, time.Now(), statuspage.ByEmail)
	for name, kind := range map[string]string{"": "text/html", "index.html": "text/html", "style.css": "text/css", "feed.atom": "application/atom+xml", "status.json": "application/json", "incident-" + p.Incidents[0].ID + ".html": "text/html", "icon.svg": "image/svg+xml"} {
		a := do(t, "GET", home+name, nil)
		if a.code != 200 || !strings.HasPrefix(a.header.Get("Content-Type"), kind) || a.body == "" {
			t.Errorf("%s: %d %s", name, a.code, a.header)
		}
		csp := a.header.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "style-src 'self'", "form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'"} {
			if !strings.Contains(csp, want) {
				t.Errorf("%s: policy %q", name, csp)
			}
		}
		if strings.Contains(csp, "script-src") || strings.Contains(csp, "unsafe") || a.header.Get("X-Content-Type-Options") != "nosniff" || a.header.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s: %v", name, a.header)
		}
		if b := do(t, "GET", home+name, nil, "If-None-Match", a.header.Get("ETag")); b.code != 304 {
			t.Errorf("%s: the same again is answered %d", name, b.code)
		}
		if b := do(t, "HEAD", home+name, nil); b.code != 200 || b.body != "" {
			t.Errorf("%s: HEAD %d", name, b.code)
		}
	}
	for accept, want := range map[string]string{"gzip": "gzip", "br, gzip;q=0.5": "gzip", "gzip; q=0": "", "br": "", "identity": ""} {
		a := do(t, "GET", home, nil, "Accept-Encoding", accept)
		if a.header.Get("Content-Encoding") != want || a.header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("to who takes %s: %v", accept, a.header)
		}
		if want == "gzip" {
			r, err := gzip.NewReader(strings.NewReader(a.body))
			if err != nil {
				t.Fatal(err)
			}
			plain, err := io.ReadAll(r)
			if whole := do(t, "GET", home, nil, "Accept-Encoding", "identity"); err != nil || string(plain) != whole.body || len(a.body)*3 > len(plain) {
				t.Errorf("%v: %d bytes, compressed %d", err, len(plain), len(a.body))
			}
		}
	}
	for _, name := range []string{"..%2f..%2fetc%2fpasswd", "a/b", "status.json/x", ".git", "refloat.db"} {
		if a := do(t, "GET", home+name, nil); a.code != 404 {
			t.Errorf("%s: %d", name, a.code)
		}
	}
	for _, m := range []string{"PUT", "DELETE", "POST", "PATCH"} {
		if a := do(t, m, home+"index.html", nil); a.code != 405 {
			t.Errorf("%s: %d", m, a.code)
		}
	}
}

func TestFollowsThePublication(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "status.json")
	s := &Site{o: Options{File: file}}
	var err error
	if s.pages, err = statuspage.NewPages(); err != nil {
		t.Fatal(err)
	}
	s.o.Logger = slog.New(slog.DiscardHandler)
	now := time.Now()
	read := func(now time.Time) string {
		m, err := s.current(now)
		if err != nil {
			t.Fatal(err)
		}
		return string(m.files["index.html"].Body)
	}
	publication(t, dir, now)
	if strings.Contains(read(now), "This page is old") {
		t.Error("a fresh page is said to be old")
	}
	if text := read(now.Add(time.Hour)); !strings.Contains(text, "This page is old") || !strings.Contains(text, "1 h ago") {
		t.Error("an old page is not said to be old")
	}
	if text := read(now.Add(3 * time.Hour)); !strings.Contains(text, "3 h ago") {
		t.Error("it says a wrong age")
	}
	publication(t, dir, now.Add(3*time.Hour))
	if strings.Contains(read(now.Add(3*time.Hour+lookEvery)), "This page is old") {
		t.Error("the new page is not shown")
	}
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil { // half of one: nobody of ours writes so
		t.Fatal(err)
	}
	if !strings.Contains(read(now.Add(3*time.Hour+2*lookEvery)), "Disrupted: Shop") {
		t.Error("the page before is gone")
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(read(now.Add(9*time.Hour)), "This page is old") {
		t.Error("without its file it does not get old")
	}
}

func subscribeForm(via, address string) url.Values {
	return url.Values{"via": {via}, "address": {address}}
}

func TestSubscribing(t *testing.T) {
	dir := t.TempDir()
	publication(t, dir, time.Now(), statuspage.ByEmail, statuspage.ByWebhook)
	d := &desk{}
	s := listen(t, Options{File: filepath.Join(dir, "status.json"), Signup: d})
	home := "http://" + s.Address() + "/"
	for _, name := range []string{"subscribe", "subscribe.html"} {
		if a := do(t, "GET", home+name, nil); a.code != 200 || strings.Count(a.body, "<form") != 2 || a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %v", name, a.code, a.header)
		}
	}
	new1 := do(t, "POST", home+"subscribe", subscribeForm("email", "ann@example.org"))
	if new1.code != 200 || !strings.Contains(new1.body, "look into your mailbox") {
		t.Errorf("%d %s", new1.code, new1.body)
	}
	if again := do(t, "POST", home+"subscribe", subscribeForm("email", "ben@example.org")); again.body != new1.body {
		t.Error("the answer depends on the address")
	}
	if a := do(t, "POST", home+"subscribe", subscribeForm("email", `"x"<script>@y`)); a.code != 400 || !strings.Contains(a.body, "An email address looks like") && !strings.Contains(a.body, "an email address looks like") || strings.Contains(a.body, "<script>") {
		t.Errorf("%d %s", a.code, a.body)
	}
	if a := do(t, "POST", home+"subscribe", subscribeForm("webhook", "https://example.org/h")); a.code != 200 || !strings.Contains(a.body, "whsec_shown") {
		t.Errorf("%d %s", a.code, a.body)
	}
	d.fail = statuspage.ErrBusy
	if a := do(t, "POST", home+"subscribe", subscribeForm("email", "c@example.org")); a.code != 429 || a.header.Get("Retry-After") == "" {
		t.Errorf("%d", a.code)
	}
	d.fail = nil
	if a := do(t, "POST", home+"subscribe", subscribeForm("email", "d@example.org")); a.code != 429 {
		t.Errorf("the sixth from one place: %d", a.code)
	}
	if a := do(t, "POST", home+"subscribe", subscribeForm("email", "d@example.org"), "X-Forwarded-For", "192.0.2.7, 203.0.113.9"); a.code != 200 {
		t.Errorf("from another place: %d", a.code)
	}
	for name, form := range map[string]url.Values{"no way": subscribeForm("pigeon", "x"), "nothing": {}, "two": {"via": {"email"}, "address": {"a@b.c", "d@e.f"}}, "much": subscribeForm("email", strings.Repeat("x", 9000))} {
		if a := do(t, "POST", home+"subscribe", form, "X-Forwarded-For", "198.51.100.1"); a.code != 400 {
			t.Errorf("%s: %d", name, a.code)
		}
	}
}

func TestLinks(t *testing.T) {
	dir := t.TempDir()
	publication(t, dir, time.Now(), statuspage.ByEmail)
	d := &desk{}
	s := listen(t, Options{File: filepath.Join(dir, "status.json"), Signup: d})
	home := "http://" + s.Address() + "/"
	for _, p := range []string{"confirm", "unsubscribe"} {
		a := do(t, "GET", home+p+"/good", nil)
		if a.code != 200 || !strings.Contains(a.body, `<form method="post">`) || !strings.Contains(a.body, `href="../style.css"`) {
			t.Errorf("%s: %d %s", p, a.code, a.body)
		}
	}
	if len(d.did) != 0 {
		t.Fatalf("opening a link did %v: what looks at mail would have done it", d.did)
	}
	if a := do(t, "POST", home+"confirm/good", url.Values{}); a.code != 200 || !strings.Contains(a.body, "You are subscribed") {
		t.Errorf("%d %s", a.code, a.body)
	}
	// As a mail program posts it (RFC 8058): no cookie, no origin.
	if a := do(t, "POST", home+"unsubscribe/good", url.Values{"List-Unsubscribe": {"One-Click"}}); a.code != 200 || !strings.Contains(a.body, "You are unsubscribed") {
		t.Errorf("%d %s", a.code, a.body)
	}
	if fmt.Sprint(d.did) != "[confirm good unsubscribe good]" {
		t.Errorf("did %v", d.did)
	}
	for _, m := range []string{"GET", "POST"} {
		for token, code := range map[string]int{"old": 410, "bad": 404} {
			if a := do(t, m, home+"confirm/"+token, nil); a.code != code || !strings.Contains(a.body, "leads nowhere") {
				t.Errorf("%s %s: %d", m, token, a.code)
			}
		}
	}
	d.fail = errors.New("the disk SECRET is full")
	if a := do(t, "POST", home+"confirm/good", nil); a.code != 503 || strings.Contains(a.body, "SECRET") {
		t.Errorf("%d %s", a.code, a.body)
	}
}

// Without a server the page is there, and says that nobody can sign up; with one
// behind it, it takes sign-ups; and when that one is gone, says so again.
func TestSigningUpThroughAnother(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "status.json")
	publication(t, dir, time.Now(), statuspage.ByEmail)
	alone := listen(t, Options{File: file})
	closed := func(home string) {
		t.Helper()
		if a := do(t, "GET", home+"subscribe", nil); a.code != 200 || strings.Contains(a.body, "<form") || !strings.Contains(a.body, "not possible right now") {
			t.Errorf("%d %s", a.code, a.body)
		}
		if a := do(t, "POST", home+"subscribe", subscribeForm("email", "a@example.org")); a.code != 503 || !strings.Contains(a.body, "not possible right now") {
			t.Errorf("%d %s", a.code, a.body)
		}
		if a := do(t, "GET", home+"unsubscribe/x", nil); a.code != 503 || !strings.Contains(a.body, "not possible right now") || !strings.Contains(a.body, "../style.css") {
			t.Errorf("%d %s", a.code, a.body)
		}
		if a := do(t, "GET", home, nil); a.code != 200 || !strings.Contains(a.body, "Disrupted: Shop") {
			t.Errorf("the page itself: %d", a.code)
		}
	}
	closed("http://" + alone.Address() + "/")

	d := &desk{}
	behind, err := Listen(t.Context(), Options{Address: "127.0.0.1:0", File: file, Signup: d})
	if err != nil {
		t.Fatal(err)
	}
	front := listen(t, Options{File: file, Forward: "http://" + behind.Address()})
	home := "http://" + front.Address() + "/"
	if a := do(t, "GET", home+"subscribe", nil); a.code != 200 || !strings.Contains(a.body, "<form") || len(a.header.Values("Content-Security-Policy")) != 1 {
		t.Errorf("%d %v", a.code, a.header)
	}
	for i := range 6 { // it believes whom the one in front names
		want := 200
		if i == 5 {
			want = 429
		}
		if a := do(t, "POST", home+"subscribe", subscribeForm("email", fmt.Sprintf("a%d@example.org", i)), "X-Forwarded-For", fmt.Sprint("192.0.2.", i)); a.code != want {
			t.Errorf("sign-up %d: %d", i, a.code)
		}
	}
	if len(d.did) != 5 {
		t.Errorf("did %v", d.did)
	}
	if err := behind.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	closed(home)
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "SECRET", http.StatusBadGateway) }))
	defer broken.Close()
	closed("http://" + listen(t, Options{File: file, Forward: broken.URL}).Address() + "/")
}

// pair writes a certificate for 127.0.0.1 and its key.
func pair(t *testing.T, dir string, serial int64) (cert, key string, pool *x509.CertPool) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "status"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.ParseIP("127.0.0.1")}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	kder, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for name, b := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: kder}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool = x509.NewCertPool()
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool.AddCert(c)
	return cert, key, pool
}

func TestTLS(t *testing.T) {
	dir, keys := t.TempDir(), t.TempDir()
	publication(t, dir, time.Now())
	cert, key, pool := pair(t, keys, 1)
	s := listen(t, Options{File: filepath.Join(dir, "status.json"), CertFile: cert, KeyFile: key})
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}}
	resp, err := c.Get("https://" + s.Address() + "/")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 200 || resp.Header.Get("Strict-Transport-Security") == "" {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
	if _, err := tls.Dial("tcp", s.Address(), &tls.Config{RootCAs: pool, MaxVersion: tls.VersionTLS11}); err == nil {
		t.Error("TLS 1.1 is taken")
	}
	k := &keyPair{cert: cert, key: key}
	first, err := k.get(nil)
	if err != nil {
		t.Fatal(err)
	}
	pair(t, keys, 2)
	later := time.Now().Add(time.Minute)
	for _, name := range []string{cert, key} {
		if err := os.Chtimes(name, later, later); err != nil {
			t.Fatal(err)
		}
	}
	k.looked = k.looked.Add(-keysEvery)
	if renewed, err := k.get(nil); err != nil || renewed == first {
		t.Error("a renewed certificate is not taken", err)
	}
	if err := os.WriteFile(cert, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	k.looked = k.looked.Add(-keysEvery)
	if c, err := k.get(nil); err != nil || c == nil {
		t.Error("a broken file takes the certificate away", err)
	}
	if _, err := Listen(t.Context(), Options{Address: "127.0.0.1:0", CertFile: cert, KeyFile: key}); err == nil {
		t.Error("it starts without a certificate")
	}
}

func TestLimits(t *testing.T) {
	l, now := newLimiter(), time.Now()
	from := func(remote string, forwarded ...string) string {
		r := httptest.NewRequest("POST", "/subscribe", nil)
		r.RemoteAddr = remote
		for _, f := range forwarded {
			r.Header.Add("X-Forwarded-For", f)
		}
		return caller(r).String()
	}
	for want, got := range map[string]string{
		"203.0.113.5/32":    from("203.0.113.5:99"),
		"203.0.113.6/32":    from("203.0.113.6:99", "192.0.2.1"), // a stranger says what they like
		"192.0.2.1/32":      from("127.0.0.1:99", "10.0.0.1, 192.0.2.1"),
		"192.0.2.3/32":      from("[::ffff:127.0.0.1]:99", "192.0.2.1", "192.0.2.3"),
		"2001:db8:1:2::/64": from("[2001:db8:1:2:3::4]:99"),
		"127.0.0.1/32":      from("127.0.0.1:99", "nonsense"),
		"2001:db8:9:9::/64": from("[::1]:9", "[2001:db8:9:9::1]"),
	} {
		if got != want {
			t.Errorf("from %s, want %s", got, want)
		}
	}
	r := httptest.NewRequest("POST", "/", nil)
	r.RemoteAddr = "203.0.113.5:1"
	for i := range limitOne + 1 {
		if _, ok := l.take(caller(r), now); ok != (i < limitOne) {
			t.Errorf("%d: %v", i, ok)
		}
	}
	if wait, _ := l.take(caller(r), now.Add(time.Minute)); wait != limitEvery-time.Minute {
		t.Errorf("wait %v", wait)
	}
	n := 0
	for i := range 300 {
		r.RemoteAddr = fmt.Sprintf("198.51.%d.%d:1", i/200, i%200)
		if _, ok := l.take(caller(r), now); ok {
			n++
		}
	}
	if n != limitAll-limitOne {
		t.Errorf("%d in all", n)
	}
	if _, ok := l.take(caller(r), now.Add(limitEvery)); !ok {
		t.Error("it does not end")
	}
}

func FuzzForm(f *testing.F) {
	f.Add("via=email&address=a%40example.org", "application/x-www-form-urlencoded")
	f.Add("via=webhook&address=https%3A%2F%2Fx.example%2F&address=2", "multipart/form-data; boundary=x")
	f.Fuzz(func(t *testing.T, body, kind string) {
		r := httptest.NewRequest("POST", "/subscribe", strings.NewReader(body))
		r.Header.Set("Content-Type", kind)
		via, address, err := readForm(httptest.NewRecorder(), r)
		if err == nil && (via != "email" && via != "webhook" || address == "" || len(address) > 1100) {
			t.Fatalf("%q %q", via, address)
		}
	})
}
