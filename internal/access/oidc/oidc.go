// Package oidc signs people in through an identity provider, by OpenID Connect:
// authorization code with PKCE, state and nonce.
package oidc

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/refloat-db/refloat/internal/access"
	"github.com/refloat-db/refloat/internal/secret"
)

// Grant gives those in a group a role, for a team or everywhere.
type Grant struct {
	Group string
	Role  access.Role
	Team  string // empty for every team
}

// Options are what a Provider is given.
type Options struct {
	Issuer   string
	ClientID string
	Secret   secret.Value // none for a public client
	RootCA   string       // PEM file that its certificate is checked against; empty for the system's
	Redirect string       // the whole address to which people come back
	Scopes   []string     // beside openid
	Name     string       // claim that names the account
	Groups   string       // claim that lists groups
	Create   bool         // make accounts at the first sign-in
	Grants   []Grant      // none for roles that are given here
}

// Provider is an identity provider. What it publishes of itself is read when it is
// first needed, so that one that is away keeps no server from starting.
type Provider struct {
	o    Options
	http *http.Client

	mu    sync.Mutex
	known *oidc.Provider
}

const (
	askWithin  = 10 * time.Second
	flowLasts  = 10 * time.Minute
	mostGroups = 1000
)

// New makes one; nothing is asked yet.
func New(o Options) (*Provider, error) {
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}, TLSHandshakeTimeout: askWithin, IdleConnTimeout: time.Minute}
	if o.RootCA != "" {
		pem, err := os.ReadFile(o.RootCA)
		if err != nil {
			return nil, fmt.Errorf("read the identity provider's certificate: %w", err)
		}
		transport.TLSClientConfig.RootCAs = x509.NewCertPool()
		if !transport.TLSClientConfig.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("read the identity provider's certificate: %s holds none", o.RootCA)
		}
	}
	return &Provider{o: o, http: &http.Client{Timeout: askWithin, Transport: transport}}, nil
}

// provider is what it publishes of itself. What was read is kept.
func (p *Provider) provider(ctx context.Context) (*oidc.Provider, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known != nil {
		return p.known, nil
	}
	// The keys are fetched again later, after this request has ended.
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), askWithin)
	defer cancel()
	known, err := oidc.NewProvider(oidc.ClientContext(limited, p.http), p.o.Issuer)
	if err != nil {
		return nil, fmt.Errorf("ask the identity provider %s what it is: %w", p.o.Issuer, err)
	}
	p.known = known
	return known, nil
}

func (p *Provider) oauth(known *oidc.Provider) oauth2.Config {
	return oauth2.Config{
		ClientID: p.o.ClientID, ClientSecret: p.o.Secret.Reveal(), Endpoint: known.Endpoint(), RedirectURL: p.o.Redirect,
		Scopes: append([]string{oidc.ScopeOpenID}, p.o.Scopes...),
	}
}

// flow is what the browser keeps until it comes back. It is the visitor's own:
// the provider checks the verifier, and we that state and nonce are the same.
type flow struct {
	State    string    `json:"s"`
	Nonce    string    `json:"n"`
	Verifier string    `json:"v"`
	Next     string    `json:"x"`
	Until    time.Time `json:"u"`
}

func random() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails, crypto/rand
	return base64.RawURLEncoding.EncodeToString(b)
}

// Begin answers where to send somebody who wants to sign in, and what their
// browser is to keep until they come back.
func (p *Provider) Begin(ctx context.Context, next string, now time.Time) (to, keep string, err error) {
	known, err := p.provider(ctx)
	if err != nil {
		return "", "", err
	}
	f := flow{State: random(), Nonce: random(), Verifier: oauth2.GenerateVerifier(), Next: next, Until: now.Add(flowLasts)}
	raw, err := json.Marshal(f)
	if err != nil {
		return "", "", err
	}
	c := p.oauth(known)
	// What goes out is a hash: the nonce itself never leaves the browser's cookie.
	return c.AuthCodeURL(f.State, oauth2.S256ChallengeOption(f.Verifier), oidc.Nonce(hashed(f.Nonce))), base64.RawURLEncoding.EncodeToString(raw), nil
}

func hashed(s string) string {
	h := sha256.Sum256([]byte(s))
	return base64.RawURLEncoding.EncodeToString(h[:])
}

func read(keep string, now time.Time) (flow, error) {
	var f flow
	raw, err := base64.RawURLEncoding.DecodeString(keep)
	if err == nil {
		err = json.Unmarshal(raw, &f)
	}
	if err != nil || f.State == "" || f.Nonce == "" || f.Verifier == "" {
		return f, fmt.Errorf("%w: this browser did not begin to sign in here, or keeps no cookies", access.ErrDenied)
	}
	if now.After(f.Until) {
		return f, fmt.Errorf("%w: it took longer than %s", access.ErrDenied, flowLasts)
	}
	return f, nil
}

// Finish reads what somebody comes back with: who they are and where they wanted
// to go. access.ErrDenied with words for them when they are not to come in.
func (p *Provider) Finish(ctx context.Context, keep string, answer url.Values, now time.Time) (access.Claim, string, error) {
	f, err := read(keep, now)
	if err != nil {
		return access.Claim{}, "", err
	}
	if subtle.ConstantTimeCompare([]byte(answer.Get("state")), []byte(f.State)) != 1 {
		return access.Claim{}, "", fmt.Errorf("%w: the answer belongs to another sign-in", access.ErrDenied)
	}
	if e := answer.Get("error"); e != "" {
		return access.Claim{}, "", fmt.Errorf("%w: the identity provider says %q", access.ErrDenied, cut(e+" "+answer.Get("error_description")))
	}
	known, err := p.provider(ctx)
	if err != nil {
		return access.Claim{}, "", err
	}
	c := p.oauth(known)
	asked := oidc.ClientContext(ctx, p.http)
	token, err := c.Exchange(asked, answer.Get("code"), oauth2.VerifierOption(f.Verifier))
	if err != nil {
		return access.Claim{}, "", fmt.Errorf("redeem the identity provider's code: %w", err)
	}
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		return access.Claim{}, "", errors.New("the identity provider gave no ID token")
	}
	id, err := known.VerifierContext(oidc.ClientContext(context.WithoutCancel(ctx), p.http), &oidc.Config{ClientID: p.o.ClientID, Now: func() time.Time { return now }}).Verify(asked, raw)
	if err != nil {
		return access.Claim{}, "", fmt.Errorf("check the identity provider's ID token: %w", err)
	}
	if subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(hashed(f.Nonce))) != 1 {
		return access.Claim{}, "", errors.New("check the identity provider's ID token: it was made for another sign-in")
	}
	claims := map[string]any{}
	if err := id.Claims(&claims); err != nil {
		return access.Claim{}, "", fmt.Errorf("read the identity provider's ID token: %w", err)
	}
	if err := p.more(asked, known, token, id.Subject, claims); err != nil {
		return access.Claim{}, "", err
	}
	return p.claim(id.Issuer, id.Subject, claims), f.Next, nil
}

// more asks for claims that the ID token lacks.
func (p *Provider) more(ctx context.Context, known *oidc.Provider, token *oauth2.Token, subject string, claims map[string]any) error {
	_, named := claims[p.o.Name]
	_, grouped := claims[p.o.Groups]
	if named && (grouped || len(p.o.Grants) == 0) || known.UserInfoEndpoint() == "" {
		return nil
	}
	info, err := known.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if err != nil {
		return fmt.Errorf("ask the identity provider who it is: %w", err)
	}
	if info.Subject != subject {
		return errors.New("the identity provider tells of somebody else than its ID token")
	}
	extra := map[string]any{}
	if err := info.Claims(&extra); err != nil {
		return fmt.Errorf("read what the identity provider says: %w", err)
	}
	for _, k := range []string{p.o.Name, p.o.Groups} {
		if _, has := claims[k]; !has && extra[k] != nil {
			claims[k] = extra[k]
		}
	}
	return nil
}

// claim is what the claims say, as the register takes it.
func (p *Provider) claim(issuer, subject string, claims map[string]any) access.Claim {
	name, _ := claims[p.o.Name].(string)
	name, _, _ = strings.Cut(strings.ToLower(strings.TrimSpace(name)), "@")
	c := access.Claim{Identity: issuer + " " + subject, Name: strings.NewReplacer(".", "-", "_", "-", " ", "-").Replace(name), Create: p.o.Create, Mapped: len(p.o.Grants) > 0}
	groups := texts(claims[p.o.Groups])
	for _, g := range p.o.Grants {
		switch {
		case !slices.Contains(groups, g.Group):
		case g.Team == "":
			c.Everywhere = access.Higher(c.Everywhere, g.Role)
		default:
			if c.Teams == nil {
				c.Teams = map[string]access.Role{}
			}
			c.Teams[g.Team] = access.Higher(c.Teams[g.Team], g.Role)
		}
	}
	return c
}

// texts are the strings in a claim, which is a list of them or one.
func texts(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		var out []string
		for _, x := range v {
			if s, ok := x.(string); ok && len(out) < mostGroups {
				out = append(out, s)
			}
		}
		return out
	}
	return nil
}

func cut(s string) string {
	s = strings.ToValidUTF8(strings.TrimSpace(s), "")
	if r := []rune(s); len(r) > 200 {
		return string(r[:200]) + "…"
	}
	return s
}
