// Package web is the console: the pages on which people see how everything
// stands and work in incidents. Every page works without scripts. What is shown
// and done comes from a server.Desk; who asks, from the gate before it.
//
// A page is a function that answers a view or an error (show), an act one that
// answers where to go next or an error (act). Parts of pages are in component,
// pictures in chart, the style sheet and the scripts in static.
package web

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/a-h/templ"
	"github.com/klauspost/compress/gzhttp"

	"github.com/refloat-db/refloat/internal/access"
	"github.com/refloat-db/refloat/internal/server"
	"github.com/refloat-db/refloat/internal/server/web/component"
	"github.com/refloat-db/refloat/internal/server/web/static"
)

// Options are what a Site is given beside its desk.
type Options struct {
	Version string           // of Refloat
	Logger  *slog.Logger     // nil for none
	Now     func() time.Time // nil for the clock
	// SignOut is where the form posts that signs somebody out; empty where nobody
	// can.
	SignOut string
	// Access is how people sign in; nil where nobody can.
	Access *Access
}

// Site is the console. Make it with New.
type Site struct {
	desk server.Desk
	o    Options
	log  *slog.Logger
	pack func(http.Handler) http.HandlerFunc
}

// New makes the console over a desk.
func New(desk server.Desk, o Options) *Site {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	// A padding of random length hides how well a secret in a page compresses
	// with what somebody else put there.
	pack, err := gzhttp.NewWrapper(gzhttp.RandomJitter(32, 0, false))
	if err != nil {
		panic(fmt.Sprintf("make the compression of pages: %v", err)) // its options are fixed above
	}
	return &Site{desk: desk, o: o, log: o.Logger, pack: pack}
}

// Routes are all pages and acts with what each needs.
func (s *Site) Routes() []server.Route {
	own := []server.Route{
		{Pattern: "GET " + static.Prefix + "{name}", Need: access.Nobody, Handler: static.Handler()},
		s.show("GET /{$}", access.View, s.board),
		s.show("GET /targets/{name}", access.View, s.target),
		s.act("POST /targets/{name}/ask", access.Respond, s.askWork),
		s.show("GET /proofs/{id}", access.View, s.proof),
		s.show("GET /findings", access.View, s.findings),
		s.show("GET /journal", access.View, s.journal),
		s.show("GET /settings", access.Administer, s.settings),
		s.show("GET /zone", access.SignedIn, s.zone),
		s.act("POST /zone", access.SignedIn, s.setZone),
		s.live(),
	}
	return slices.Concat(own, s.accessRoutes(), s.roomRoutes(), s.recoveryRoutes(), s.alertRoutes(), s.actionRoutes())
}

// NotFound is the page for what is not there.
func (s *Site) NotFound() http.Handler {
	return s.show("GET /", access.Nobody, func(asked) (view, error) { return view{}, server.ErrNotFound }).Handler
}

// Refused is the page for somebody who may not ask for what they asked for.
func (s *Site) Refused() http.Handler {
	return s.show("GET /", access.Nobody, func(asked) (view, error) { return view{}, server.ErrForbidden }).Handler
}

// asked is a request with who makes it.
type asked struct {
	*http.Request
	who access.Principal
	now time.Time
	w   http.ResponseWriter // for cookies
}

// view is what a page shows. The frame around it is made for it.
type view struct {
	title string        // of the page, in the title bar; the body has its own heading
	here  string        // the path of the entry in the navigation that it belongs to
	seq   int64         // of the journal, as of which the page holds; 0 where it does not matter
	about string        // the subjects, or beginnings of some, that the page changes with; empty for all
	code  int           // 0 for 200
	board *server.Board // as of this page, where it asked for it itself: the frame asks no second time
	body  templ.Component
}

// wrong is an error whose message is meant for whoever made the request.
type wrong struct {
	code        int
	title, text string
	next        string // what to do
}

func (w wrong) Error() string { return w.title + ": " + w.text }

// again shows a form again with what is wrong in it.
type again struct{ view }

func (again) Error() string { return "a form was not filled in as it must be" }

// show makes the route of a page.
func (s *Site) show(pattern string, need access.Need, f func(asked) (view, error)) server.Route {
	return server.Route{Pattern: pattern, Need: need, Handler: s.pack(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := s.ask(w, r)
		v, err := f(q)
		if err != nil {
			v = s.failure(q, err)
		}
		s.write(q, v)
	}))}
}

// act makes the route of something that is done: it leads on to a page, so that
// loading that page again does nothing twice.
func (s *Site) act(pattern string, need access.Need, f func(asked) (string, error)) server.Route {
	return s.show(pattern, need, func(q asked) (view, error) {
		to, err := f(q)
		if err != nil {
			return view{}, err
		}
		return view{code: http.StatusSeeOther, title: to}, nil
	})
}

// What is taken of a form, and of one with a file in it.
const (
	maxForm   = 1 << 20
	maxUpload = 5 << 20
)

func (s *Site) ask(w http.ResponseWriter, r *http.Request) asked {
	now := s.o.Now()
	if r.Method == http.MethodPost {
		limit := int64(maxForm)
		if strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/") {
			limit = maxUpload
		}
		r.Body = http.MaxBytesReader(w, r.Body, limit)
	}
	ctx := component.WithViewer(r.Context(), component.Viewer{Now: now, Zone: zoneOf(r)})
	return asked{Request: r.WithContext(ctx), who: server.Who(r.Context()), now: now, w: w}
}

// write sends a page in its frame, or leads on to another.
func (s *Site) write(q asked, v view) {
	secure(q.w.Header())
	if v.code == http.StatusSeeOther {
		http.Redirect(q.w, q.Request, v.title, v.code)
		return
	}
	if v.code == 0 {
		v.code = http.StatusOK
	}
	var out bytes.Buffer
	if err := frame(s.around(q, v), v.body).Render(q.Context(), &out); err != nil {
		s.log.ErrorContext(q.Context(), "make a page", "path", q.URL.Path, "error", err)
		http.Error(q.w, "This page could not be made: see the server's log.", http.StatusInternalServerError)
		return
	}
	q.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	q.w.WriteHeader(v.code)
	if q.Method != http.MethodHead {
		_, _ = q.w.Write(out.Bytes()) // the reader went away
	}
}

// secure lets a page load only what is ours, and be kept and framed by nobody.
func secure(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
}

// failure is the page for an error: what happened and what to do next. What is
// a failure of ours goes to the log, not to the page.
func (s *Site) failure(q asked, err error) view {
	var w wrong
	var a again
	var x instead
	refused, ofAccess := accessFailure(err)
	switch {
	case errors.As(err, &a):
		a.code = http.StatusUnprocessableEntity
		return a.view
	case errors.As(err, &x):
		return x.view
	case errors.As(err, &w):
	case ofAccess:
		w = refused
	case errors.Is(err, server.ErrNotFound):
		w = wrong{http.StatusNotFound, "Not found", "There is nothing here that you may see.", "It may have been merged or renamed, or belong to a team that you have no role for."}
	case errors.Is(err, server.ErrForbidden):
		w = wrong{http.StatusForbidden, "Not allowed", sentence(err), "An administrator can give you another role."}
	case errors.Is(err, server.ErrRefused):
		w = wrong{http.StatusConflict, "Not done", sentence(err), "Nothing was changed."}
	case errors.Is(err, context.Canceled):
		w = wrong{http.StatusServiceUnavailable, "Stopped", "The request was given up.", ""}
	default:
		s.log.ErrorContext(q.Context(), "page", "method", q.Method, "path", q.URL.Path, "error", err)
		w = wrong{http.StatusInternalServerError, "This could not be shown", "Something failed in Refloat itself. Nothing here says anything about your databases.",
			"Load the page again. If it stays, look at the server's log; refloat status answers on the command line."}
	}
	return view{title: w.title, code: w.code, body: component.Failure(w.title, w.text, w.next)}
}
