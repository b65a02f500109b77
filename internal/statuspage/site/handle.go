package site

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/statuspage"
)

func (s *Site) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.file)
	mux.HandleFunc("GET /{name}", s.file)
	for _, p := range []string{"/subscribe", "/subscribe.html"} {
		mux.HandleFunc("GET "+p, s.or(s.form))
	}
	mux.HandleFunc("POST /subscribe", s.or(s.subscribe))
	mux.HandleFunc("GET /confirm/{token}", s.or(s.ask(statuspage.ToConfirm)))
	mux.HandleFunc("POST /confirm/{token}", s.or(s.act(statuspage.ToConfirm)))
	mux.HandleFunc("GET /unsubscribe/{token}", s.or(s.ask(statuspage.ToUnsubscribe)))
	mux.HandleFunc("POST /unsubscribe/{token}", s.or(s.act(statuspage.ToUnsubscribe)))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", statuspage.Policy+"; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer") // addresses hold tokens
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if r.TLS != nil {
			h.Set("Strict-Transport-Security", "max-age=15768000")
		}
		mux.ServeHTTP(w, r)
	})
}

// file serves one file of the page.
func (s *Site) file(w http.ResponseWriter, r *http.Request) {
	now, name := time.Now(), r.PathValue("name")
	if name == "" {
		name = "index.html"
	}
	made, err := s.current(now)
	if err != nil {
		s.o.Logger.Warn("there is no status page to show", "error", err)
		plain(w, http.StatusServiceUnavailable, "Nothing has been published here yet. Please try again later.\n")
		return
	}
	f, known := made.files[name]
	if !known {
		s.say(w, now, http.StatusNotFound, statuspage.Word{Headline: "There is no such page", Words: []string{"It may have been removed: incidents stay for about a year."}})
		return
	}
	h := w.Header()
	h.Set("Content-Type", f.Type)
	h.Set("Vary", "Accept-Encoding")
	body, tag := f.Body, f.tag
	if f.small != nil && takesGzip(r) {
		body, tag = f.small, tag+"-gzip"
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("ETag", `"`+tag+`"`)
	h.Set("Cache-Control", "public, max-age=15") // a page that is old must not come from a cache
	if name == "status.json" || name == "feed.atom" {
		h.Set("Access-Control-Allow-Origin", "*") // all of it is public
	}
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(body))
}

// takesGzip reports whether a reader takes what is compressed.
func takesGzip(r *http.Request) bool {
	for part := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, q, _ := strings.Cut(part, ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			return strings.ReplaceAll(q, " ", "") != "q=0"
		}
	}
	return false
}

func plain(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	_, _ = w.Write([]byte(text)) // the reader went away
}

func page(w http.ResponseWriter, code int, body []byte, err error) {
	if err != nil {
		plain(w, http.StatusInternalServerError, "This page cannot be made. Please try again later.\n")
		return
	}
	w.Header().Set("Content-Type", statuspage.TypeHTML)
	w.WriteHeader(code)
	_, _ = w.Write(body) // the reader went away
}

func (s *Site) say(w http.ResponseWriter, now time.Time, code int, word statuspage.Word) {
	made, err := s.current(now)
	if err != nil {
		plain(w, code, word.Headline+".\n"+strings.Join(word.Words, "\n")+"\n")
		return
	}
	body, err := s.pages.Word(made.p, now, word)
	page(w, code, body, err)
}

// or is a handler where something takes subscriptions; elsewhere they are
// forwarded, or told not to be possible now.
func (s *Site) or(h http.HandlerFunc) http.HandlerFunc {
	switch {
	case s.o.Signup != nil:
		return h
	case s.forward != nil:
		return s.forward.ServeHTTP
	}
	return s.closed
}

// closed says that signing up is not possible now.
func (s *Site) closed(w http.ResponseWriter, r *http.Request) {
	now := time.Now()
	made, err := s.current(now)
	if err != nil {
		plain(w, http.StatusServiceUnavailable, "Signing up is not possible right now. Please try again later.\n")
		return
	}
	code := http.StatusOK
	if r.Method != http.MethodGet && r.Method != http.MethodHead || strings.Count(r.URL.Path, "/") > 1 {
		code = http.StatusServiceUnavailable
		w.Header().Set("Retry-After", "300")
	}
	if strings.HasPrefix(r.URL.Path, "/subscribe") {
		body, err := s.pages.Form(made.p, now, false, "")
		page(w, code, body, err)
		return
	}
	s.say(w, now, code, statuspage.Word{Headline: "This is not possible right now", Words: []string{"Links for confirming and for unsubscribing work again once our server does. Please open this one again later."}, Deep: true})
}

// forwardTo hands requests to a running server.
func (s *Site) forwardTo(to *url.URL) http.Handler {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy, transport.ResponseHeaderTimeout = nil, 10*time.Second
	return &httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(to)
			p.Out.Header.Set("X-Forwarded-For", p.In.RemoteAddr[:max(strings.LastIndexByte(p.In.RemoteAddr, ':'), 0)])
		},
		ModifyResponse: func(r *http.Response) error {
			for k := range r.Header { // ours are set already
				if k != "Content-Type" && k != "Retry-After" && k != "Content-Length" {
					r.Header.Del(k)
				}
			}
			if r.StatusCode >= 500 {
				return errors.New(r.Status)
			}
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			s.o.Logger.Warn("no server takes sign-ups", "error", err)
			s.closed(w, r)
		},
	}
}

// form is the page of forms.
func (s *Site) form(w http.ResponseWriter, _ *http.Request) { s.showForm(w, http.StatusOK, "") }

func (s *Site) showForm(w http.ResponseWriter, code int, trouble string) {
	now := time.Now()
	made, err := s.current(now)
	if err != nil {
		plain(w, http.StatusServiceUnavailable, "Signing up is not possible right now. Please try again later.\n")
		return
	}
	body, err := s.pages.Form(made.p, now, true, trouble)
	page(w, code, body, err)
}

// subscribe takes what was put into a form. What it answers is the same whether
// or not the address is subscribed.
func (s *Site) subscribe(w http.ResponseWriter, r *http.Request) {
	now := time.Now()
	via, address, err := readForm(w, r)
	if err != nil {
		s.showForm(w, http.StatusBadRequest, "This could not be read. Please fill in the form again.")
		return
	}
	if wait, ok := s.limit.take(caller(r), now); !ok {
		w.Header().Set("Retry-After", strconv.Itoa(int(wait/time.Second)+1))
		s.showForm(w, http.StatusTooManyRequests, "Too many sign-ups came from where you are, or all in all. Please try again in a few minutes.")
		return
	}
	secret, err := s.o.Signup.Subscribe(r.Context(), via, address)
	switch {
	case errors.Is(err, statuspage.ErrAddress):
		s.showForm(w, http.StatusBadRequest, sentence(err))
	case errors.Is(err, statuspage.ErrBusy):
		w.Header().Set("Retry-After", "600")
		s.showForm(w, http.StatusTooManyRequests, "Too many sign up at the moment. Please try again in a few minutes.")
	case err != nil:
		s.failed(w, now, err)
	case via == statuspage.ByWebhook:
		s.say(w, now, http.StatusOK, statuspage.Word{Headline: "Now let your endpoint answer", Secret: secret})
	default:
		s.say(w, now, http.StatusOK, statuspage.Word{Headline: "Please look into your mailbox", Words: []string{
			"If mail can be sent to that address, one with a link is on its way to it. You are subscribed once you open the link, within a day.",
			"If nothing comes, look among unwanted mail, and try again in an hour.",
		}})
	}
}

// readForm reads what a form holds.
func readForm(w http.ResponseWriter, r *http.Request) (via, address string, err error) {
	r.Body = http.MaxBytesReader(w, r.Body, mostForm)
	if err := r.ParseForm(); err != nil {
		return "", "", err
	}
	via, address = r.PostForm.Get("via"), r.PostForm.Get("address")
	if via != statuspage.ByEmail && via != statuspage.ByWebhook || address == "" || len(r.PostForm["address"]) != 1 || len(address) > 1100 {
		return "", "", errors.New("no form of ours")
	}
	return via, address, nil
}

func (s *Site) failed(w http.ResponseWriter, now time.Time, err error) {
	s.o.Logger.Error("a subscription could not be kept", "error", err)
	s.say(w, now, http.StatusServiceUnavailable, statuspage.Word{Headline: "This is not possible right now", Words: []string{"Nothing was changed. Please try again later."}})
}

// sentence is an error as a person reads it.
func sentence(err error) string {
	text := err.Error()
	return strings.ToUpper(text[:1]) + text[1:] + "."
}

// purposes are what pages of links say.
func purposes(p statuspage.Purpose) (question, button, done string) {
	if p == statuspage.ToConfirm {
		return "Do you want to be told of disruptions?", "Yes, subscribe", "You are subscribed"
	}
	return "Do you want no more messages?", "Yes, unsubscribe", "You are unsubscribed"
}

// ask shows what a link is for. It does nothing yet: programs that look at mail
// open links in it.
func (s *Site) ask(p statuspage.Purpose) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		now := time.Now()
		if err := s.o.Signup.Check(p, r.PathValue("token")); err != nil {
			s.badLink(w, now, err)
			return
		}
		question, button, _ := purposes(p)
		s.say(w, now, http.StatusOK, statuspage.Word{Headline: question, Button: button, Deep: true})
	}
}

// act does what a link is for. For unsubscribing that is also what a mail
// program posts by itself (RFC 8058).
func (s *Site) act(p statuspage.Purpose) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		now, do := time.Now(), s.o.Signup.Confirm
		if p == statuspage.ToUnsubscribe {
			do = s.o.Signup.Unsubscribe
		}
		switch err := do(context.WithoutCancel(r.Context()), r.PathValue("token")); {
		case errors.Is(err, statuspage.ErrLinkInvalid) || errors.Is(err, statuspage.ErrLinkExpired):
			s.badLink(w, now, err)
		case err != nil:
			s.o.Logger.Error("a link could not be followed", "purpose", string(p), "error", err)
			s.say(w, now, http.StatusServiceUnavailable, statuspage.Word{Headline: "This is not possible right now", Words: []string{"Nothing was changed. Please open the link again later."}, Deep: true})
		default:
			_, _, done := purposes(p)
			s.say(w, now, http.StatusOK, statuspage.Word{Headline: done, Deep: true})
		}
	}
}

func (s *Site) badLink(w http.ResponseWriter, now time.Time, err error) {
	words := []string{"Perhaps it was cut off; or the subscription ended. You can subscribe anew."}
	if errors.Is(err, statuspage.ErrLinkExpired) {
		words = []string{"It was good for a day. You can subscribe anew."}
	}
	code := http.StatusNotFound
	if errors.Is(err, statuspage.ErrLinkExpired) {
		code = http.StatusGone
	}
	s.say(w, now, code, statuspage.Word{Headline: "This link leads nowhere", Words: words, Deep: true})
}
