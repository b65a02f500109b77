package app

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/access"
	"github.com/refloat-db/refloat/internal/access/oidc"
	"github.com/refloat-db/refloat/internal/access/oidc/oidctest"
	"github.com/refloat-db/refloat/internal/secret"
	"github.com/refloat-db/refloat/internal/server/web"
)

// front lets people in with passwords that cost little.
func front() Front {
	return Front{Rules: access.Rules{Password: true, Cost: access.Cost{Memory: 64, Passes: 1, Lanes: 1}, Teams: []string{"blue", "red"}}, People: []string{"ada", "bob"}}
}

// browser is one with cookies, which follows no redirect by itself.
type browser struct {
	t    *testing.T
	base string
	http *http.Client
}

func newBrowser(t *testing.T, base string) *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{t, base, &http.Client{Jar: jar, Timeout: 20 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// do asks for a page; with a form it posts.
func (b *browser) do(path string, form url.Values) (int, string, string) {
	b.t.Helper()
	method, body := http.MethodGet, io.Reader(nil)
	if form != nil {
		method, body = http.MethodPost, strings.NewReader(form.Encode())
	}
	if strings.HasPrefix(path, "/") {
		path = b.base + path
	}
	r, err := http.NewRequestWithContext(b.t.Context(), method, path, body)
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	res, err := b.http.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return res.StatusCode, res.Header.Get("Location"), string(text)
}

// shared is a buffer that several write to.
type shared struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *shared) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *shared) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

const goodPassword = "correct horse battery"

// The first admin comes in by the link in the server's log, gives another access,
// who signs in, makes a token, and is put out again.
func TestSignInFromTheFirstStart(t *testing.T) {
	var log shared
	o := twoTeamsOptions(t)
	o.Listen, o.Front, o.Logger = "127.0.0.1:0", front(), slog.New(slog.NewTextHandler(&log, nil))
	d := daemonOver(t, o)
	base := "http://" + d.Address()
	m := regexp.MustCompile(`link=(http://[0-9.:]+(/setup/\S+))`).FindStringSubmatch(log.String())
	if m == nil || !strings.HasPrefix(m[1], base) {
		t.Fatalf("no link in the log: %s", log.String())
	}
	ada := newBrowser(t, base)
	expect := func(b *browser, what, path string, form url.Values, code int, to string, words ...string) string {
		t.Helper()
		got, location, text := b.do(path, form)
		if got != code || to != "" && location != to {
			t.Fatalf("%s: %d to %q, want %d to %q\n%s", what, got, location, code, to, text)
		}
		for _, w := range words {
			if !strings.Contains(text, w) {
				t.Fatalf("%s: no %q in\n%s", what, w, text)
			}
		}
		return text
	}
	expect(ada, "a stranger", "/", nil, 303, "/sign-in?next=%2F")
	expect(ada, "the link", m[2], nil, 200, "", "Set up Refloat")
	expect(ada, "passwords that differ", m[2], url.Values{"name": {"ada"}, "password": {goodPassword}, "again": {"x"}}, 422, "", "not the same")
	expect(ada, "a weak one", m[2], url.Values{"name": {"ada"}, "password": {"weak"}, "again": {"weak"}}, 422, "", "12 characters")
	expect(ada, "set-up", m[2], url.Values{"name": {"ada"}, "password": {goodPassword}, "again": {goodPassword}}, 303, "/")
	expect(ada, "the board", "/", nil, 200, "", "shop", "books", "People")
	expect(newBrowser(t, base), "the link again", m[2], nil, 404, "", "not valid")

	// ada gives bob access to the team red.
	text := expect(ada, "adding bob", "/people", url.Values{"name": {"bob"}, "team-red": {"viewer"}, "by": {"password"}}, 200, "", "A link for bob")
	link := regexp.MustCompile(`/setup/[A-Za-z0-9_-]{43}`).FindString(text)
	expect(ada, "twice", "/people", url.Values{"name": {"bob"}}, 422, "", "an account bob already")
	bob := newBrowser(t, base)
	expect(bob, "bob's link", link, nil, 200, "", "Set a password for bob")
	expect(bob, "bob's password", link, url.Values{"password": {goodPassword}, "again": {goodPassword}}, 303, "/")
	text = expect(bob, "bob's board", "/", nil, 200, "", "shop")
	if strings.Contains(text, "books") || strings.Contains(text, "/people") {
		t.Error("bob sees what is not his")
	}
	expect(bob, "people", "/people", nil, 403, "", "Not allowed")
	expect(bob, "a role for himself", "/people/bob/roles", url.Values{"everywhere": {"admin"}}, 403, "")

	// bob makes a token, which may what he may.
	text = expect(bob, "a token", "/account/tokens", url.Values{"token": {"ci"}, "limit": {"viewer"}, "days": {"30"}}, 200, "", "shown this once")
	token := regexp.MustCompile(`rft_[a-z2-7]{52}`).FindString(text)
	if code, body := ask(t, "GET", base+"/api/v1/targets/shop", "", token, ""); code != 200 {
		t.Errorf("bob's token: %d %s", code, body)
	}
	if code, body := ask(t, "GET", base+"/api/v1/targets/books", "", token, ""); code != 404 {
		t.Errorf("bob's token where he may not: %d %s", code, body)
	}
	if text := expect(bob, "his account", "/account", nil, 200, "", "ci"); strings.Contains(text, token) {
		t.Error("the token is shown again")
	}

	// ada puts him out.
	expect(ada, "disabling bob", "/people/bob/disable", url.Values{}, 303, "/people/bob?done=disabled")
	expect(bob, "bob afterwards", "/", nil, 303, "/sign-in?next=%2F")
	if code, _ := ask(t, "GET", base+"/api/v1/targets/shop", "", token, ""); code != 401 {
		t.Errorf("his token afterwards: %d", code)
	}
	expect(ada, "disabling herself", "/people/ada/disable", url.Values{}, 409, "", "last who is admin")
	expect(ada, "signing out", "/sign-out", url.Values{}, 303, "/sign-in")
	expect(ada, "afterwards", "/", nil, 303, "/sign-in?next=%2F")
	expect(ada, "a wrong password", "/sign-in", url.Values{"name": {"ada"}, "password": {"wrong"}, "next": {"/findings"}}, 422, "", "The name or the password is wrong", `value="/findings"`)
	expect(ada, "the right one", "/sign-in", url.Values{"name": {"Ada "}, "password": {goodPassword}, "next": {"//evil.example.org"}}, 303, "/")
	expect(ada, "a new password", "/account/password", url.Values{"old": {goodPassword}, "password": {"other words here"}, "again": {"other words here"}}, 303, "/account?done=password")
	expect(ada, "still in", "/account", nil, 200, "", "this one")
	for _, secret := range []string{goodPassword, token, strings.TrimPrefix(link, "/setup/")} {
		if strings.Contains(log.String(), secret) {
			t.Error("a secret is in the log")
		}
	}
}

// Somebody comes through an identity provider, with the roles of their groups, and
// lands where they wanted to go.
func TestSignInThroughAProvider(t *testing.T) {
	idp := oidctest.New(t)
	o := twoTeamsOptions(t)
	o.Listen, o.Front = "127.0.0.1:0", front()
	o.Front.Label = "the company"
	p, err := oidc.New(oidc.Options{
		Issuer: idp.URL, ClientID: oidctest.ClientID, Secret: secret.New(oidctest.Secret), Redirect: "http://127.0.0.1" + web.CallbackPath,
		Name: "preferred_username", Groups: "groups", Create: true, Grants: []oidc.Grant{{Group: "red", Role: access.Viewer, Team: "red"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	o.Front.Provider = p
	b := newBrowser(t, "http://"+daemonOver(t, o).Address())
	in := func(b *browser) (int, string, string) {
		t.Helper()
		if _, _, text := b.do("/sign-in?next=/targets/shop", nil); !strings.Contains(text, "Sign in with the company") {
			t.Fatalf("no way to the provider: %s", text)
		}
		code, to, text := b.do("/sign-in/oidc?next=/targets/shop", nil)
		if code != 303 || !strings.HasPrefix(to, idp.URL+"/authorize?") {
			t.Fatalf("%d to %s: %s", code, to, text)
		}
		_, back, _ := b.do(to, nil)
		u, err := url.Parse(back)
		if err != nil || u.Path != web.CallbackPath {
			t.Fatalf("back to %s", back)
		}
		return b.do(u.RequestURI(), nil)
	}
	idp.Person(map[string]any{"sub": "1", "preferred_username": "cleo", "groups": []string{"blue"}}, nil)
	if code, _, text := in(b); code != 403 || !strings.Contains(text, "no group that has a role") {
		t.Errorf("without a role: %d %s", code, text)
	}
	idp.Person(map[string]any{"sub": "1", "preferred_username": "cleo", "groups": []string{"red"}}, nil)
	if code, to, text := in(b); code != 303 || to != "/targets/shop" {
		t.Fatalf("%d to %s: %s", code, to, text)
	}
	if code, _, text := b.do("/", nil); code != 200 || !strings.Contains(text, "shop") || strings.Contains(text, "books") {
		t.Errorf("the board: %d", code)
	}
	// What somebody else began is not finished in this browser.
	if code, _, _ := newBrowser(t, b.base).do(web.CallbackPath+"?code=x&state=y", nil); code != 403 {
		t.Errorf("an answer that nobody asked for: %d", code)
	}
}
