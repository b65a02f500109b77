package server

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/access"
)

// Register knows who holds a secret. Its errors are access.ErrDenied, or those of
// a store that does not answer.
type Register interface {
	Resume(ctx context.Context, secret, from string, now time.Time) (access.Principal, error)
	Bearer(ctx context.Context, secret, from string, now time.Time) (access.Principal, error)
}

// GateOptions are what a gate is given.
type GateOptions struct {
	Register  Register
	PublicURL string         // how people reach the listener; empty for on this machine only
	TLS       bool           // the listener speaks TLS itself
	Proxies   []netip.Prefix // that are believed when they say whom they ask for
	Refused   http.Handler   // the page for who may not; nil for plain text
	Logger    *slog.Logger
	Now       func() time.Time // nil for the clock
}

// SignInPath is the page to which strangers are sent; it leads on to ?next=.
const SignInPath = "/sign-in"

// gate is the Gate.
type gate struct {
	o     GateOptions
	from  origins
	cross *http.CrossOriginProtection
	known *limits // by account
	other *limits // by address
}

// NewGate makes a gate over a register.
func NewGate(o GateOptions) Gate {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	g := &gate{o: o, from: newOrigins(o.TLS, o.Proxies, o.PublicURL), cross: http.NewCrossOriginProtection(), known: newLimits(50, 300), other: newLimits(20, 200)}
	if g.from.public != nil {
		// A proxy may ask us under another name than people see. What is no origin
		// was refused by the configuration.
		_ = g.cross.AddTrustedOrigin(g.from.public.Scheme + "://" + g.from.public.Host)
	}
	return g
}

// mostBody is the most that anybody sends; routes have their own limits below.
const mostBody = 32 << 20

// Guard implements Gate.
func (g *gate) Guard(r Route) http.Handler {
	inner := r.Handler
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		o := g.from.of(q)
		q = q.WithContext(context.WithValue(q.Context(), originKey{}, o))
		protect(w.Header(), o)
		if o.Outside && !o.Secure {
			g.refuse(w, q, http.StatusForbidden, "no-tls", "passwords and sessions are not sent in the open: this server is reached without TLS",
				"set server.tls or server.acme; behind a proxy that speaks TLS, server.behind_proxy, server.trusted_proxies and an https:// server.public_url")
			return
		}
		who, err := g.who(q, o)
		if wait := g.limit(who, o); wait > 0 {
			w.Header().Set("Retry-After", retryAfter(wait))
			g.refuse(w, q, http.StatusTooManyRequests, "too-many-requests", "too many requests", "wait a little")
			return
		}
		if err != nil && r.Need != access.Nobody {
			g.unknown(w, q, err)
			return
		}
		if !g.here(q) {
			g.refuse(w, q, http.StatusForbidden, "cross-origin", "another site sent this request", "use the form on this server's own page")
			return
		}
		if !who.Has(access.SignedIn, "") && r.Need != access.Nobody {
			g.stranger(w, q)
			return
		}
		if !who.Somewhere(r.Need) && g.o.Refused != nil && page(q) {
			g.o.Refused.ServeHTTP(w, q.WithContext(WithWho(q.Context(), who)))
			return
		}
		if !who.Somewhere(r.Need) {
			g.refuse(w, q, http.StatusForbidden, "forbidden", "your role does not allow this: it takes "+string(r.Need), "an admin can give you another role")
			return
		}
		q.Body = http.MaxBytesReader(w, q.Body, mostBody)
		ctx := WithWho(q.Context(), who)
		ctx = WithStill(ctx, func(ctx context.Context) bool {
			now, err := g.who(q.WithContext(ctx), o)
			// A store that does not answer for a moment ends no stream.
			return err != nil && !errors.Is(err, access.ErrDenied) || now.Kind == who.Kind && now.ID == who.ID && now.Somewhere(r.Need)
		})
		inner.ServeHTTP(w, q.WithContext(ctx))
	})
}

// protect lets a page load only what is ours, and be framed and read by nobody
// else. Handlers may say more.
func protect(h http.Header, o Origin) {
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
	h.Add("Vary", "Cookie, Authorization")
	if o.Secure {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

// who asks. A request with a token is the token's alone, so that a page of
// another site gains nothing by adding one.
func (g *gate) who(q *http.Request, o Origin) (access.Principal, error) {
	if q.Header.Get("Authorization") != "" {
		secret := bearer(q)
		if secret == "" {
			return access.Principal{}, access.ErrDenied
		}
		return g.o.Register.Bearer(q.Context(), secret, o.Address, g.o.Now())
	}
	if secret := SessionSecret(q); secret != "" {
		return g.o.Register.Resume(q.Context(), secret, o.Address, g.o.Now())
	}
	return access.Principal{}, nil
}

// here reports whether a request that changes something comes from a page of
// ours, or from a program.
func (g *gate) here(q *http.Request) bool {
	return q.Header.Get("Authorization") != "" || g.cross.Check(q) == nil
}

func (g *gate) limit(who access.Principal, o Origin) time.Duration {
	if who.Known() {
		return g.known.wait(who.Name+"/"+who.ID, g.o.Now())
	}
	return g.other.wait(o.Bucket(), g.o.Now())
}

// unknown answers somebody whose secret is not good, or cannot be looked up.
func (g *gate) unknown(w http.ResponseWriter, q *http.Request, err error) {
	if errors.Is(err, access.ErrDenied) {
		g.stranger(w, q)
		return
	}
	if q.Context().Err() == nil {
		g.o.Logger.ErrorContext(q.Context(), "look who asks", "error", err)
	}
	g.refuse(w, q, http.StatusServiceUnavailable, "unavailable", "it could not be looked up who asks", "try again; the server's log says why")
}

// stranger is sent to sign in, or told that a token is wanted.
func (g *gate) stranger(w http.ResponseWriter, q *http.Request) {
	if page(q) {
		to := SignInPath
		if q.Method == http.MethodGet {
			to += "?next=" + url.QueryEscape(q.URL.RequestURI())
		}
		http.Redirect(w, q, to, http.StatusSeeOther)
		return
	}
	w.Header().Set("WWW-Authenticate", `Bearer realm="refloat"`)
	g.refuse(w, q, http.StatusUnauthorized, "not-signed-in", "this takes a session or an API token that is good", "make a token: refloat token create; send it as Authorization: Bearer")
}

// page reports whether a person waits for the answer.
func page(q *http.Request) bool {
	return !strings.HasPrefix(q.URL.Path, "/api/") && strings.Contains(q.Header.Get("Accept"), "text/html") && q.Header.Get("Authorization") == ""
}

// refuse answers with what is wrong and what to do next: a person in words, a
// program as RFC 9457 has it.
func (g *gate) refuse(w http.ResponseWriter, q *http.Request, code int, kind, what, next string) {
	if page(q) {
		text(w, code, "refloat: "+what+"\nNext: "+next+"\n")
		return
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]any{ // the reader went away
		"type": "urn:refloat:problem:" + kind, "title": http.StatusText(code), "status": code, "detail": what, "code": kind, "next": next,
	})
}

// Local is a path on this server that an address given by anybody leads to; "/"
// for whatever leads elsewhere.
func Local(next string) string {
	u, err := url.Parse(next)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || u.Opaque != "" || !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") ||
		strings.ContainsAny(next, "\\\r\n\t") || strings.HasPrefix(u.Path, "//") || strings.HasPrefix(u.Path, SignInPath) || strings.HasPrefix(u.Path, "/api/") || len(next) > 2000 {
		return "/"
	}
	return u.RequestURI()
}
