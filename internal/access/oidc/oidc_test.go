package oidc

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/access"
	"github.com/refloat-db/refloat/internal/access/oidc/oidctest"
	"github.com/refloat-db/refloat/internal/secret"
)

func options(idp *oidctest.Provider) Options {
	return Options{
		Issuer: idp.URL, ClientID: oidctest.ClientID, Secret: secret.New(oidctest.Secret), Redirect: "https://refloat.example.org/sign-in/oidc/callback",
		Scopes: []string{"profile"}, Name: "preferred_username", Groups: "groups", Create: true,
		Grants: []Grant{{"dba", access.Admin, ""}, {"dev", access.Viewer, "db"}, {"oncall", access.Responder, "db"}},
	}
}

// visit goes to the provider as a browser does and returns what it comes back with.
func visit(t *testing.T, to string) url.Values {
	t.Helper()
	c := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := c.Get(to)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	u, err := url.Parse(res.Header.Get("Location"))
	if err != nil || res.StatusCode != http.StatusFound || u.Host != "refloat.example.org" {
		t.Fatalf("%d to %v: %v", res.StatusCode, u, err)
	}
	return u.Query()
}

func begin(t *testing.T, p *Provider) (string, url.Values) {
	t.Helper()
	to, keep, err := p.Begin(t.Context(), "/incidents/3", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return keep, visit(t, to)
}

func TestSomebodyComesFromTheProvider(t *testing.T) {
	idp := oidctest.New(t)
	p, err := New(options(idp))
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		claims, info map[string]any
		name         string
		everywhere   access.Role
		db           access.Role
	}{
		{map[string]any{"sub": "1", "preferred_username": "Ada", "groups": []string{"dba", "other"}}, nil, "ada", access.Admin, ""},
		{map[string]any{"sub": "2", "preferred_username": "ben.li@example.org", "groups": []string{"dev", "oncall"}}, nil, "ben-li", "", access.Responder},
		{map[string]any{"sub": "3"}, map[string]any{"preferred_username": "cleo", "groups": "dev"}, "cleo", "", access.Viewer},
		{map[string]any{"sub": "4", "preferred_username": "eve"}, nil, "eve", "", ""},
		{map[string]any{"sub": "5", "preferred_username": 7, "groups": map[string]any{"dba": true}}, nil, "", "", ""},
	} {
		idp.Person(x.claims, x.info)
		keep, answer := begin(t, p)
		c, next, err := p.Finish(t.Context(), keep, answer, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if c.Name != x.name || c.Everywhere != x.everywhere || c.Teams["db"] != x.db || next != "/incidents/3" || c.Identity != idp.URL+" "+x.claims["sub"].(string) || !c.Create || !c.Mapped {
			t.Errorf("%+v, want %+v", c, x)
		}
	}
}

func TestWhatIsNotOursIsRefused(t *testing.T) {
	idp := oidctest.New(t)
	p, err := New(options(idp))
	if err != nil {
		t.Fatal(err)
	}
	idp.Person(map[string]any{"sub": "1", "preferred_username": "ada", "groups": []string{"dba"}}, nil)
	finish := func(keep string, answer url.Values, now time.Time) error {
		_, _, err := p.Finish(t.Context(), keep, answer, now)
		return err
	}
	now := time.Now()
	keep, answer := begin(t, p)
	other, _ := begin(t, p)
	for why, err := range map[string]error{
		"no cookie":            finish("", answer, now),
		"nonsense":             finish("e30", answer, now),
		"another browser":      finish(other, answer, now),
		"no state":             finish(keep, url.Values{"code": answer["code"]}, now),
		"after a long tea":     finish(keep, answer, now.Add(time.Hour)),
		"the provider says no": finish(keep, url.Values{"state": answer["state"], "error": {"access_denied"}, "error_description": {"no <b>"}}, now),
	} {
		if !errors.Is(err, access.ErrDenied) {
			t.Errorf("%s: %v", why, err)
		}
	}
	if err := finish(keep, url.Values{"state": answer["state"], "code": {"made up"}}, now); err == nil || errors.Is(err, access.ErrDenied) {
		t.Errorf("a made-up code: %v", err)
	}
	if err := finish(keep, answer, now); err != nil {
		t.Errorf("the real one: %v", err)
	}
	if err := finish(keep, answer, now); err == nil {
		t.Error("a code twice")
	}
	// A code that was stolen is no good without the verifier.
	_, stolen := begin(t, p)
	mine, own := begin(t, p)
	if err := finish(mine, url.Values{"state": own["state"], "code": stolen["code"]}, now); err == nil || !strings.Contains(err.Error(), "invalid_grant") {
		t.Errorf("a stolen code: %v", err)
	}
	for why, spoil := range map[string]func(map[string]any){
		"another sign-in's nonce": func(c map[string]any) { c["nonce"] = "x" },
		"no nonce":                func(c map[string]any) { delete(c, "nonce") },
		"for another client":      func(c map[string]any) { c["aud"] = "other" },
		"another issuer":          func(c map[string]any) { c["iss"] = "https://evil.example.org" },
		"expired":                 func(c map[string]any) { c["exp"] = now.Add(-time.Hour).Unix() },
	} {
		idp.Spoil(spoil)
		keep, answer := begin(t, p)
		if err := finish(keep, answer, now); err == nil {
			t.Errorf("%s: taken", why)
		}
	}
	idp.Spoil(nil)
	idp.Forge(true)
	keep, answer = begin(t, p)
	if err := finish(keep, answer, now); err == nil {
		t.Error("a forged signature is taken")
	}
	idp.Forge(false)
	idp.Person(map[string]any{"sub": "1"}, map[string]any{"sub": "2", "preferred_username": "eve"})
	keep, answer = begin(t, p)
	if err := finish(keep, answer, now); err == nil {
		t.Error("user info of somebody else is taken")
	}
}

// A provider that is away is asked again the next time.
func TestAProviderThatIsAway(t *testing.T) {
	p, err := New(Options{Issuer: "http://127.0.0.1:1", ClientID: "x"})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.Begin(context.Background(), "/", time.Now()); err == nil {
		t.Fatal("nobody answers, no error")
	}
	idp := oidctest.New(t)
	p.o.Issuer = idp.URL
	if _, _, err := p.Begin(context.Background(), "/", time.Now()); err != nil {
		t.Errorf("when it is back: %v", err)
	}
}
