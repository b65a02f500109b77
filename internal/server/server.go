// Package server is Refloat's listener: metrics, health and status, on the
// loopback interface unless another is asked for.
package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/refloat-db/refloat/internal/access"
	"github.com/refloat-db/refloat/internal/secret"
	"github.com/refloat-db/refloat/internal/status"
)

// DefaultAddress is where the server listens when nothing is configured.
const DefaultAddress = "127.0.0.1:9464"

// fresh is how long a gathered status is served again: several scrapers cost
// no more than one.
const fresh = 2 * time.Second

// Options are what a Server is given.
type Options struct {
	Address string // host:port; DefaultAddress when empty
	// Remote allows an address that is not loopback. The pages carry no secret,
	// but names, positions and ages of everything in care.
	Remote  bool
	Version string // of Refloat
	Logger  *slog.Logger
	Secrets []secret.Value // never to appear in anything that is served
	// Status gathers how each target stands.
	Status func(context.Context) ([]status.Report, error)
	// Paging counts alerts and messages; nil for none.
	Paging func() Paging
	// Headroom is what could run out; nil for none.
	Headroom func() []Gauge
	// Doors are what others may do; PublicHost is the name under which they reach
	// us beside loopback names.
	Doors      Doors
	PublicHost string
	// Node is the server's place among the nodes that share its store; nil, or
	// answering nil, when its store is its own.
	Node func() *Place
	// Ready says why the server cannot do its work yet; nil when it can.
	Ready func() error
	// Routes are pages and the API, each behind the Gate.
	Routes []Route
	Gate   Gate
	// TLS is how the listener speaks TLS; nil for not. BehindProxy says that a
	// proxy before it does.
	TLS         *tls.Config
	BehindProxy bool
}

// Place is a node's among those that share a store.
type Place struct {
	Node    string `json:"node"`
	Leads   bool   `json:"leads"`             // does the work
	Leader  string `json:"leader"`            // which node does, as this one last saw it; empty for none
	Trouble string `json:"trouble,omitempty"` // why that cannot be seen now
}

// Paging is how many alerts and messages there are.
type Paging struct {
	Open, Unacknowledged map[string]int // by severity
	Deliveries           map[string]int // by state
}

// Gauge is how much of something is used, and when it runs out.
type Gauge struct {
	Target, Code, Object string
	Ratio                float64
	Runs                 time.Time // zero when it does not grow, or that is not known
}

// Server is a listener. Make it with Listen.
type Server struct {
	o    Options
	http *http.Server
	l    net.Listener
	from origins
	mux  *patterns
	done chan error
	ends func() // tells answers without an end to stop

	mu      sync.Mutex
	reports []status.Report
	at      time.Time
}

// Errors of Listen.
var (
	ErrRemote = errors.New("not a loopback address")
	ErrPlain  = errors.New("without TLS")
)

// Listen opens the listener and serves until Close.
func Listen(ctx context.Context, o Options) (*Server, error) {
	if o.Address == "" {
		o.Address = DefaultAddress
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	host, _, err := net.SplitHostPort(o.Address)
	if err != nil {
		return nil, fmt.Errorf("listen on %q: %w (use host:port, for example %s)", o.Address, err, DefaultAddress)
	}
	if !o.Remote && !loopback(host) {
		return nil, fmt.Errorf("listen on %s: %w: metrics and status would be readable from other machines; allow that in the configuration, or use %s", o.Address, ErrRemote, DefaultAddress)
	}
	switch {
	case len(o.Routes) > 0 && o.Gate == nil:
		return nil, errors.New("listen: pages without a gate before them") // a mistake of ours
	case o.Gate != nil && !loopback(host) && o.TLS == nil && !o.BehindProxy:
		return nil, fmt.Errorf("listen on %s: %w: passwords would be sent in the open; set server.tls or server.acme, or server.behind_proxy with server.trusted_proxies", o.Address, ErrPlain)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", o.Address)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", o.Address, err)
	}
	if o.TLS != nil {
		l = tls.NewListener(l, withProtocols(o.TLS))
	}
	s := &Server{o: o, l: l, from: newOrigins(o.TLS != nil, nil, ""), done: make(chan error, 1)}
	closing := make(chan struct{})
	s.ends = sync.OnceFunc(func() { close(closing) })
	s.http = &http.Server{
		Handler: s.routes(), ErrorLog: slog.NewLogLogger(o.Logger.Handler(), slog.LevelWarn),
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute,
		MaxHeaderBytes: 16 << 10,
		BaseContext:    func(net.Listener) context.Context { return WithClosing(context.Background(), closing) },
	}
	if o.TLS != nil {
		s.http.TLSConfig = withProtocols(o.TLS)
	}
	go func() { s.done <- s.http.Serve(l) }()
	return s, nil
}

// Address is where the server listens.
func (s *Server) Address() string { return s.l.Addr().String() }

// Close stops listening and waits for answers that are being given, at most
// until ctx ends. Idempotent.
func (s *Server) Close(ctx context.Context) error {
	s.ends()
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, s.http.Close())
	}
	serve := <-s.done
	s.done <- http.ErrServerClosed
	if !errors.Is(serve, http.ErrServerClosed) {
		err = errors.Join(err, serve)
	}
	if err != nil {
		return fmt.Errorf("close the listener: %w", err)
	}
	return nil
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && a.IsLoopback()
}

// patterns is a mux that remembers what it was given.
type patterns struct {
	*http.ServeMux
	all []string
}

// Handle adds a route.
func (p *patterns) Handle(pattern string, h http.Handler) {
	p.all = append(p.all, pattern)
	p.ServeMux.Handle(pattern, h)
}

// HandleFunc adds a route.
func (p *patterns) HandleFunc(pattern string, h func(http.ResponseWriter, *http.Request)) {
	p.Handle(pattern, http.HandlerFunc(h))
}

// Patterns are all routes, as they were given.
func (s *Server) Patterns() []string { return slices.Clone(s.mux.all) }

func (s *Server) routes() http.Handler {
	mux := &patterns{ServeMux: http.NewServeMux()}
	s.mux = mux
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { text(w, http.StatusOK, "ok\n") })
	s.machine(mux, "GET /readyz", http.HandlerFunc(s.ready))
	s.machine(mux, "GET /status.json", http.HandlerFunc(s.status))
	s.machine(mux, "GET /metrics", promhttp.HandlerFor(s.registry(), promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(s.o.Logger.Handler(), slog.LevelWarn), ErrorHandling: promhttp.ContinueOnError, Timeout: 20 * time.Second,
	}))
	s.doors(mux)
	for _, r := range s.o.Routes {
		mux.Handle(r.Pattern, s.o.Gate.Guard(r))
	}
	return s.guard(mux)
}

// machine is what programs on this machine read without signing in. From outside
// it takes a role for every team, since it shows every target; without a gate
// nothing is read from there unless that was allowed.
func (s *Server) machine(mux *patterns, pattern string, h http.Handler) {
	var gated http.Handler
	if s.o.Gate != nil {
		gated = s.o.Gate.Guard(Route{Pattern: pattern, Need: access.View, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if Who(r.Context()).Everywhere == "" {
				text(w, http.StatusForbidden, "this shows every target: it takes a role for every team\n")
				return
			}
			h.ServeHTTP(w, r)
		})})
	}
	mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case gated != nil && s.from.of(r).Outside:
			gated.ServeHTTP(w, r)
		case gated == nil && !s.o.Remote && s.from.of(r).Outside:
			text(w, http.StatusNotFound, "not found\n")
		default:
			h.ServeHTTP(w, r)
		}
	})
}

// withProtocols offers HTTP/2 beside what a configuration asks for.
func withProtocols(c *tls.Config) *tls.Config {
	c = c.Clone()
	for _, p := range []string{"h2", "http/1.1"} {
		if !slices.Contains(c.NextProtos, p) {
			c.NextProtos = append(c.NextProtos, p)
		}
	}
	return c
}

// guard refuses requests that a page in a browser made to us under another
// name (DNS rebinding).
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		public := s.o.PublicHost != "" && strings.EqualFold(host, s.o.PublicHost)
		if !s.o.Remote && !loopback(host) && !public {
			text(w, http.StatusMisdirectedRequest, "this server answers to loopback names only\n")
			return
		}
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		next.ServeHTTP(w, r)
	})
}

func proxied(r *http.Request) bool {
	return r.Header.Get("X-Forwarded-For") != "" || r.Header.Get("Forwarded") != ""
}

func text(w http.ResponseWriter, code int, body string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	_, _ = w.Write([]byte(body)) // the reader went away
}

func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	if s.o.Ready != nil {
		if err := s.o.Ready(); err != nil {
			text(w, http.StatusServiceUnavailable, "not ready: "+s.redact(err.Error())+"\n")
			return
		}
	}
	if p := s.place(); p != nil && !p.Leads {
		text(w, http.StatusOK, "ready: stands by, "+p.Leader+" leads\n")
		return
	}
	text(w, http.StatusOK, "ready\n")
}

func (s *Server) place() *Place {
	if s.o.Node == nil {
		return nil
	}
	return s.o.Node()
}

// Document is what /status.json serves.
type Document struct {
	Version string          `json:"version"`
	Node    *Place          `json:"node,omitempty"` // among those that share a store
	At      time.Time       `json:"at"`
	Targets []status.Report `json:"targets"`
}

func (s *Server) status(w http.ResponseWriter, r *http.Request) {
	reports, err := s.gather(r.Context())
	if err != nil {
		s.o.Logger.ErrorContext(r.Context(), "gather status", "error", err)
		text(w, http.StatusInternalServerError, "status could not be gathered: see the server's log\n")
		return
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(Document{Version: s.o.Version, Node: s.place(), At: time.Now().UTC(), Targets: reports}); err != nil {
		text(w, http.StatusInternalServerError, "status could not be written: see the server's log\n")
		s.o.Logger.ErrorContext(r.Context(), "write status", "error", err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(s.redact(out.String()))) // the reader went away
}

// redact takes out secrets that an error of some library carried along, as they
// are and as JSON writes them.
func (s *Server) redact(t string) string {
	for _, v := range s.o.Secrets {
		if len(v.Reveal()) < 4 {
			continue // it would garble everything
		}
		t = strings.ReplaceAll(t, v.Reveal(), v.String())
		for _, html := range []bool{false, true} {
			var b bytes.Buffer
			enc := json.NewEncoder(&b)
			enc.SetEscapeHTML(html)
			if enc.Encode(v.Reveal()) == nil { // a string always encodes
				quoted := strings.TrimSpace(b.String())
				t = strings.ReplaceAll(t, quoted[1:len(quoted)-1], v.String())
			}
		}
	}
	return t
}

// gather returns a status that is at most a moment old.
func (s *Server) gather(ctx context.Context) ([]status.Report, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reports != nil && time.Since(s.at) < fresh {
		return s.reports, nil
	}
	reports, err := s.o.Status(ctx)
	if err != nil {
		return nil, err
	}
	if reports == nil {
		reports = []status.Report{}
	}
	s.reports, s.at = reports, time.Now()
	return reports, nil
}
