package server

import (
	"net/http"
	"time"
)

// Names of cookies. Over TLS they begin with __Host-, so that no neighbour of
// this host can set them.
const (
	sessionCookie = "refloat"
	deviceCookie  = "refloat-known"
)

func cookieName(o Origin, name string) string {
	if o.Secure {
		return "__Host-" + name
	}
	return name
}

// SetCookie keeps a value in the browser until it is over; an empty one removes
// it. Scripts cannot read it. Strict ones are not sent when a link elsewhere
// leads here.
func SetCookie(w http.ResponseWriter, r *http.Request, name, value string, lasts time.Duration, strict bool) {
	o := OriginOf(r.Context())
	c := &http.Cookie{Name: cookieName(o, name), Value: value, Path: "/", MaxAge: int(lasts / time.Second), Secure: o.Secure, HttpOnly: true, SameSite: http.SameSiteLaxMode}
	if strict {
		c.SameSite = http.SameSiteStrictMode
	}
	if value == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}

// Cookie is a value that SetCookie kept; empty for none.
func Cookie(r *http.Request, name string) string {
	c, err := r.Cookie(cookieName(OriginOf(r.Context()), name))
	if err != nil {
		return ""
	}
	return c.Value
}

// SetSession keeps the secret of a session in the browser; an empty one ends it.
func SetSession(w http.ResponseWriter, r *http.Request, secret string, lasts time.Duration) {
	SetCookie(w, r, sessionCookie, secret, lasts, false)
}

// SessionSecret is what SetSession kept.
func SessionSecret(r *http.Request) string { return Cookie(r, sessionCookie) }

// SetDevice keeps the secret by which this browser is known again.
func SetDevice(w http.ResponseWriter, r *http.Request, secret string, lasts time.Duration) {
	SetCookie(w, r, deviceCookie, secret, lasts, true)
}

// DeviceSecret is what SetDevice kept.
func DeviceSecret(r *http.Request) string { return Cookie(r, deviceCookie) }
