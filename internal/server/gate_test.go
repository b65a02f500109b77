package server

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/access"
	"github.com/refloat-db/refloat/internal/store/sqlite"
)

// gated is a listener with a gate over a real register and two accounts.
type gated struct {
	*Server
	register *access.Register
	root     access.Principal
}

func withGate(t *testing.T, o Options, g GateOptions) gated {
	t.Helper()
	s, err := sqlite.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	reg := access.NewRegister(s, access.Rules{Password: true, Cost: access.Cost{Memory: 64, Passes: 1, Lanes: 1}, Teams: []string{"db"}}, nil)
	root := access.Principal{Kind: access.Local, Name: "root", Everywhere: access.Admin}
	for _, a := range []access.Account{{Name: "ada", Everywhere: access.Admin}, {Name: "ben", Teams: map[string]access.Role{"db": access.Viewer}}} {
		if _, err := reg.Add(t.Context(), root, a, "correct horse battery", time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	g.Register = reg
	o.Gate = NewGate(g)
	say := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		text(w, http.StatusOK, Who(r.Context()).Name+"|"+OriginOf(r.Context()).Address+"|"+string(body))
		if err != nil {
			t.Log(err)
		}
	})
	o.Routes = []Route{
		{"GET /open", access.Nobody, say}, {"POST /open", access.Nobody, say}, {"GET /mine", access.SignedIn, say}, {"GET /{$}", access.View, say}, {"POST /do", access.Respond, say},
		{"GET /people", access.Administer, say}, {"GET /api/v1/x", access.View, say}, {"POST /api/v1/x", access.Respond, say},
	}
	return gated{listen(t, o), reg, root}
}

func (g gated) session(t *testing.T, name string) string {
	t.Helper()
	b, err := g.register.SignIn(t.Context(), name, "correct horse battery", access.Visit{From: "test"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return b.Secret
}

func (g gated) token(t *testing.T, name string, limit access.Role) string {
	t.Helper()
	_, secret, err := g.register.MakeToken(t.Context(), g.root, access.NewToken{Account: name, Name: "t", Limit: limit}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

type request struct {
	method, path, host, cookie, bearer, body string
	header                                   map[string]string
}

func send(t *testing.T, c *http.Client, base string, q request) (*http.Response, string) {
	t.Helper()
	if q.method == "" {
		q.method = "GET"
	}
	r, err := http.NewRequestWithContext(t.Context(), q.method, base+q.path, strings.NewReader(q.body))
	if err != nil {
		t.Fatal(err)
	}
	r.Host = q.host
	if q.cookie != "" {
		r.Header.Set("Cookie", "refloat="+q.cookie+"; __Host-refloat="+q.cookie)
	}
	if q.bearer != "" {
		r.Header.Set("Authorization", "Bearer "+q.bearer)
	}
	for k, v := range q.header {
		r.Header.Set(k, v)
	}
	res, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(b)
}

func plainClient() *http.Client {
	return &http.Client{Timeout: 10 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func TestWhoMayPassTheGate(t *testing.T) {
	g := withGate(t, Options{}, GateOptions{})
	base := "http://" + g.Address()
	ada, ben := g.session(t, "ada"), g.session(t, "ben")
	adaToken, benToken, small := g.token(t, "ada", access.Admin), g.token(t, "ben", access.Admin), g.token(t, "ada", access.Viewer)
	for _, x := range []struct {
		q                                                 request
		stranger, ben, ada, tokenBen, tokenAda, tokenAda0 int
	}{
		{request{path: "/open"}, 200, 200, 200, 200, 200, 200},
		{request{path: "/mine"}, 401, 200, 200, 200, 200, 200},
		{request{path: "/"}, 401, 200, 200, 200, 200, 200},
		{request{path: "/do", method: "POST"}, 401, 403, 200, 403, 200, 403},
		{request{path: "/people"}, 401, 403, 200, 403, 200, 403},
		{request{path: "/api/v1/x"}, 401, 200, 200, 200, 200, 200},
		{request{path: "/api/v1/x", method: "POST"}, 401, 403, 200, 403, 200, 403},
	} {
		for who, y := range map[string]struct {
			cookie, bearer string
			want           int
		}{
			"stranger": {"", "", x.stranger}, "ben": {ben, "", x.ben}, "ada": {ada, "", x.ada},
			"token of ben": {"", benToken, x.tokenBen}, "token of ada": {"", adaToken, x.tokenAda}, "small token of ada": {"", small, x.tokenAda0},
			"bad cookie": {strings.Repeat("A", 43), "", x.stranger}, "bad token": {"", "rft_" + strings.Repeat("a", 52), x.stranger},
			"bad token beside a session": {ada, "nonsense", x.stranger},
		} {
			q := x.q
			q.cookie, q.bearer = y.cookie, y.bearer
			res, body := send(t, plainClient(), base, q)
			if res.StatusCode != y.want {
				t.Errorf("%s %s as %s: %d, want %d: %s", q.method, q.path, who, res.StatusCode, y.want, body)
			}
			if y.want >= 400 {
				var p map[string]any
				if err := json.Unmarshal([]byte(body), &p); err != nil || p["status"] != float64(y.want) || p["next"] == "" || res.Header.Get("Content-Type") != "application/problem+json" {
					t.Errorf("%s as %s: no problem document: %s", q.path, who, body)
				}
			}
			for _, h := range []string{"Content-Security-Policy", "X-Content-Type-Options", "Referrer-Policy", "X-Frame-Options"} {
				if res.Header.Get(h) == "" {
					t.Errorf("%s: no %s", q.path, h)
				}
			}
		}
	}
}

// A person is sent to sign in and comes back to where they were, on this server.
func TestAPersonIsSentToSignIn(t *testing.T) {
	g := withGate(t, Options{}, GateOptions{})
	for _, x := range []struct{ method, path, want string }{
		{"GET", "/?a=b%20c&d", "/sign-in?next=%2F%3Fa%3Db%2520c%26d"}, {"POST", "/do", "/sign-in"}, {"GET", "/people", "/sign-in?next=%2Fpeople"},
	} {
		res, _ := send(t, plainClient(), "http://"+g.Address(), request{method: x.method, path: x.path, header: map[string]string{"Accept": "text/html,*/*"}})
		if res.StatusCode != 303 || res.Header.Get("Location") != x.want {
			t.Errorf("%s %s: %d to %s", x.method, x.path, res.StatusCode, res.Header.Get("Location"))
		}
	}
	for next, want := range map[string]string{
		"/incidents/3?tab=x#y": "/incidents/3?tab=x", "": "/", "https://evil.example.org/": "/", "//evil.example.org": "/", "/\\evil.example.org": "/", "/%2F/evil": "/", "javascript:alert(1)": "/",
		"/sign-in?next=/": "/", "/\nx": "/", "relative": "/", "/api/v1/x": "/", "/a//b": "/a//b", "/" + strings.Repeat("a", 3000): "/",
	} {
		if got := Local(next); got != want {
			t.Errorf("%q leads to %q, want %q", next, got, want)
		}
	}
}

func FuzzLocal(f *testing.F) {
	for _, s := range []string{"/", "//x", "/\\x", "/%5cx", "https://x", "/%2f%2fx", "/x?y=//z", "/;@x", "/\tx", "/..//x"} {
		f.Add(s)
	}
	base := "https://refloat.example.org/sign-in"
	f.Fuzz(func(t *testing.T, next string) {
		got := Local(next)
		r, err := http.NewRequest("GET", base, nil)
		if err != nil {
			t.Fatal(err)
		}
		to, err := r.URL.Parse(got)
		if err != nil || to.Host != "refloat.example.org" || to.Scheme != "https" || strings.HasPrefix(got, "//") || strings.ContainsAny(got, "\\\r\n\t") {
			t.Errorf("%q leads to %q", next, got)
		}
	})
}

// What another site sends with the visitor's cookie is refused; programs and our
// own pages are not.
func TestOtherSitesAreRefused(t *testing.T) {
	g := withGate(t, Options{}, GateOptions{PublicURL: "https://refloat.example.org"})
	base := "http://" + g.Address()
	ada, token := g.session(t, "ada"), g.token(t, "ada", access.Admin)
	for why, x := range map[string]struct {
		header         map[string]string
		cookie, bearer string
		want           int
	}{
		"cross-site":            {map[string]string{"Sec-Fetch-Site": "cross-site"}, ada, "", 403},
		"same site":             {map[string]string{"Sec-Fetch-Site": "same-site"}, ada, "", 403},
		"another origin":        {map[string]string{"Origin": "https://evil.example.org"}, ada, "", 403},
		"a null origin":         {map[string]string{"Origin": "null"}, ada, "", 403},
		"our own page":          {map[string]string{"Sec-Fetch-Site": "same-origin", "Origin": base}, ada, "", 200},
		"under the public name": {map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://refloat.example.org"}, ada, "", 200},
		"a program":             {nil, "", token, 200},
	} {
		for _, path := range []string{"/do", "/open"} { // also signing in: nobody is signed in as somebody else
			if res, body := send(t, plainClient(), base, request{method: "POST", path: path, header: x.header, cookie: x.cookie, bearer: x.bearer}); res.StatusCode != x.want {
				t.Errorf("%s to %s: %d, want %d: %s", why, path, res.StatusCode, x.want, body)
			}
		}
	}
	if res, _ := send(t, plainClient(), base, request{path: "/", header: map[string]string{"Sec-Fetch-Site": "cross-site"}, cookie: ada}); res.StatusCode != 200 {
		t.Errorf("a link on another site: %d", res.StatusCode)
	}
}

// From outside pages are served over TLS alone, and metrics to who signed in.
func TestFromOutside(t *testing.T) {
	g := withGate(t, Options{PublicHost: "refloat.example.org"}, GateOptions{PublicURL: "https://refloat.example.org", Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("10.0.0.0/8")}})
	base := "http://" + g.Address()
	ada, ben := g.session(t, "ada"), g.session(t, "ben")
	through := map[string]string{"X-Forwarded-For": "203.0.113.9, 10.1.2.3", "X-Forwarded-Proto": "https"}
	open := map[string]string{"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "http"}
	for _, x := range []struct {
		q    request
		want int
	}{
		{request{path: "/", cookie: ada, header: through, host: "refloat.example.org"}, 200},
		{request{path: "/", cookie: ada, header: open, host: "refloat.example.org"}, 403},
		{request{path: "/open", header: open}, 403},
		{request{path: "/metrics", header: through}, 401},
		{request{path: "/metrics", header: through, cookie: ada}, 200},
		{request{path: "/metrics", header: through, bearer: g.token(t, "ada", access.Viewer)}, 200},
		{request{path: "/metrics", header: through, cookie: ben}, 403}, // it shows every team's targets
		{request{path: "/status.json", header: through, cookie: ben}, 403},
		{request{path: "/readyz", header: through}, 401},
		{request{path: "/healthz", header: through}, 200},
		{request{path: "/metrics"}, 200},
		{request{path: "/status.json"}, 200},
		{request{path: "/", host: "evil.example.org", cookie: ada}, 421},
	} {
		if res, body := send(t, plainClient(), base, x.q); res.StatusCode != x.want {
			t.Errorf("%+v: %d, want %d: %s", x.q, res.StatusCode, x.want, body)
		}
	}
	res, body := send(t, plainClient(), base, request{path: "/mine", header: through, cookie: ada})
	if body != "ada|203.0.113.9|" || res.Header.Get("Strict-Transport-Security") == "" {
		t.Errorf("%s %v", body, res.Header)
	}
	// Nobody forges where they come from.
	forged := map[string]string{"X-Forwarded-For": "1.1.1.1, 203.0.113.9", "X-Forwarded-Proto": "https"}
	if _, body := send(t, plainClient(), base, request{path: "/mine", header: forged, cookie: ada}); body != "ada|203.0.113.9|" {
		t.Errorf("forged: %s", body)
	}
	// A proxy that is not trusted is not believed.
	g = withGate(t, Options{PublicHost: "refloat.example.org"}, GateOptions{PublicURL: "https://refloat.example.org"})
	if res, _ := send(t, plainClient(), "http://"+g.Address(), request{path: "/open", header: through}); res.StatusCode != 403 {
		t.Errorf("through a proxy that nobody named: %d", res.StatusCode)
	}
}

func TestAnAddressThatIsNotLoopbackWantsTLS(t *testing.T) {
	gate := NewGate(GateOptions{})
	if s, err := Listen(t.Context(), Options{Address: "0.0.0.0:0", Remote: true, Gate: gate}); !errors.Is(err, ErrPlain) {
		_ = s.Close(t.Context())
		t.Errorf("%v", err)
	}
	if _, err := Listen(t.Context(), Options{Routes: []Route{{Pattern: "GET /{$}"}}}); err == nil {
		t.Error("pages without a gate")
	}
	listen(t, Options{Address: "0.0.0.0:0", Remote: true, Gate: gate, BehindProxy: true})
}

func TestTooManyRequests(t *testing.T) {
	now := time.Now()
	g := withGate(t, Options{}, GateOptions{Now: func() time.Time { return now }}) // no time passes
	base := "http://" + g.Address()
	many := 0
	for range 250 {
		res, _ := send(t, plainClient(), base, request{path: "/open"})
		if res.StatusCode == 429 {
			many++
			if res.Header.Get("Retry-After") == "" {
				t.Fatal("no Retry-After")
			}
		}
	}
	if many != 50 {
		t.Errorf("%d of 250 requests of a stranger were put off", many)
	}
	if res, _ := send(t, plainClient(), base, request{path: "/mine", cookie: g.session(t, "ada")}); res.StatusCode != 200 {
		t.Errorf("who is signed in shares the strangers' limit: %d", res.StatusCode)
	}
}

// A session that is revoked while an answer is being given says so.
func TestStill(t *testing.T) {
	ctx := t.Context()
	s, err := sqlite.Open(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	reg := access.NewRegister(s, access.Rules{Password: true, Cost: access.Cost{Memory: 64, Passes: 1, Lanes: 1}}, nil)
	root := access.Principal{Kind: access.Local, Name: "root", Everywhere: access.Admin}
	if _, err := reg.Add(ctx, root, access.Account{Name: "ada", Everywhere: access.Viewer}, "correct horse battery", time.Now()); err != nil {
		t.Fatal(err)
	}
	b, err := reg.SignIn(ctx, "ada", "correct horse battery", access.Visit{}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	asked, answer := make(chan struct{}), make(chan [3]bool, 1)
	l := listen(t, Options{Gate: NewGate(GateOptions{Register: reg}), Routes: []Route{{"GET /live", access.View, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var a [3]bool
		a[0] = Still(r.Context())
		asked <- struct{}{}
		<-asked
		a[1] = Still(r.Context())
		asked <- struct{}{}
		<-asked
		a[2] = Still(r.Context())
		answer <- a
	})}}})
	go func() {
		<-asked
		if err := reg.Revoke(ctx, root, access.Session, b.Pass.ID, time.Now()); err != nil {
			t.Error(err)
		}
		asked <- struct{}{}
		<-asked
		_ = s.Close() // a store that does not answer ends nothing
		asked <- struct{}{}
	}()
	send(t, plainClient(), "http://"+l.Address(), request{path: "/live", cookie: b.Secret})
	if a := <-answer; a != [3]bool{true, false, true} {
		t.Errorf("%v", a)
	}
	// Nor does it let anybody in.
	if res, body := send(t, plainClient(), "http://"+l.Address(), request{path: "/live", cookie: b.Secret}); res.StatusCode != 503 {
		t.Errorf("%d %s", res.StatusCode, body)
	}
}

// writeCertificate writes one for 127.0.0.1 with a serial number.
func writeCertificate(t *testing.T, dir string, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "refloat"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, &c, &c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "EC PRIVATE KEY", Bytes: raw}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTLSFromFiles(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	if _, err := TLSFromFiles(cert, key, nil); err == nil {
		t.Fatal("no files, no error")
	}
	writeCertificate(t, dir, 1)
	var log bytes.Buffer
	c, err := TLSFromFiles(cert, key, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	g := withGate(t, Options{TLS: c}, GateOptions{TLS: true})
	client := plainClient()
	client.Transport = &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
	res, body := send(t, client, "https://"+g.Address(), request{path: "/mine", cookie: g.session(t, "ada")})
	if res.StatusCode != 200 || res.ProtoMajor != 2 || res.Header.Get("Strict-Transport-Security") == "" || res.TLS.PeerCertificates[0].SerialNumber.Int64() != 1 {
		t.Errorf("%d %s %s", res.StatusCode, res.Proto, body)
	}
	// A cookie without the prefix that only this host can set is none.
	if res, _ := send(t, client, "https://"+g.Address(), request{path: "/mine", header: map[string]string{"Cookie": "refloat=" + g.session(t, "ada")}}); res.StatusCode != 401 {
		t.Errorf("a cookie that a neighbour could set: %d", res.StatusCode)
	}
}

func TestARenewedCertificateIsUsed(t *testing.T) {
	dir := t.TempDir()
	writeCertificate(t, dir, 1)
	var log bytes.Buffer
	c := &certificate{cert: filepath.Join(dir, "cert.pem"), key: filepath.Join(dir, "key.pem"), log: slog.New(slog.NewTextHandler(&log, nil))}
	if err := c.read(); err != nil {
		t.Fatal(err)
	}
	serial := func(now time.Time) int64 {
		leaf, err := x509.ParseCertificate(c.get(now).Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		return leaf.SerialNumber.Int64()
	}
	now := time.Now()
	if serial(now) != 1 {
		t.Fatal("not the first")
	}
	if err := os.WriteFile(c.key, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if serial(now.Add(time.Duration(i+1)*lookEvery)) != 1 {
			t.Error("half a renewal lost the certificate")
		}
	}
	if n := strings.Count(log.String(), "the one before is used"); n != 1 {
		t.Errorf("it was said %d times: %s", n, log.String())
	}
	writeCertificate(t, dir, 2)
	if got := serial(now.Add(10 * lookEvery)); got != 2 {
		t.Errorf("the certificate is %d", got)
	}
}

func TestCookiesAreOurs(t *testing.T) {
	for secure, want := range map[bool]string{true: "__Host-refloat=v; Path=/; Max-Age=60; HttpOnly; Secure; SameSite=Lax", false: "refloat=v; Path=/; Max-Age=60; HttpOnly; SameSite=Lax"} {
		r, err := http.NewRequestWithContext(context.WithValue(t.Context(), originKey{}, Origin{Secure: secure}), "GET", "/", nil)
		if err != nil {
			t.Fatal(err)
		}
		w := &header{h: http.Header{}}
		SetSession(w, r, "v", time.Minute)
		if got := w.h.Get("Set-Cookie"); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

type header struct{ h http.Header }

func (h *header) Header() http.Header         { return h.h }
func (h *header) Write(b []byte) (int, error) { return len(b), nil }
func (h *header) WriteHeader(int)             {}
