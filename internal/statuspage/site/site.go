// Package site serves a status page on a listener of its own: the files of a
// publication, and forms where somebody can subscribe. It needs no more than the
// publication: where nothing else runs, the forms say so and the page is there.
package site

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync"
	"time"

	"golang.org/x/net/netutil"

	"github.com/refloat-db/refloat/internal/statuspage"
)

// Options are what a Site is given.
type Options struct {
	Address           string // host:port
	CertFile, KeyFile string // PEM; none for plain HTTP
	// File holds the publication; it is read again when it changes.
	File string
	// Signup takes what is put into the forms; nil where nothing does. Forward
	// is where a running server takes them instead; empty for nowhere.
	Signup  Signup
	Forward string
	Logger  *slog.Logger
}

// Signup takes subscriptions. Errors are those of statuspage; any other is not
// shown.
type Signup interface {
	// Subscribe takes a wish. What it answers is the same whether or not the
	// address is known already. The secret is a webhook's.
	Subscribe(ctx context.Context, via, address string) (secret string, err error)
	// Check says whether a link leads anywhere.
	Check(p statuspage.Purpose, token string) error
	// Confirm and Unsubscribe do what a link is for; again is no error.
	Confirm(ctx context.Context, token string) error
	Unsubscribe(ctx context.Context, token string) error
}

// Limits of a listener that strangers reach: it must not take from what pages.
const (
	mostConnections = 512
	mostForm        = 8 << 10
	lookEvery       = time.Second // whether the publication changed
)

// Site is a listener. Make it with Listen.
type Site struct {
	o       Options
	pages   *statuspage.Pages
	http    *http.Server
	l       net.Listener
	done    chan error
	limit   limiter
	forward http.Handler

	mu     sync.Mutex
	looked time.Time
	seen   os.FileInfo
	made   rendering
}

// rendering is the files of a publication at a time.
type rendering struct {
	p     statuspage.Publication
	files map[string]file
	stale bool
	at    time.Time
}

type file struct {
	statuspage.File
	small []byte // compressed
	tag   string
}

// newFile compresses a file once rather than for each reader.
func newFile(f statuspage.File) (file, error) {
	sum := sha256.Sum256(f.Body)
	out := file{File: f, tag: hex.EncodeToString(sum[:12])}
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write(f.Body)
	if err = errors.Join(err, w.Close()); err != nil {
		return out, fmt.Errorf("compress %s: %w", f.Name, err)
	}
	if b.Len() < len(f.Body) {
		out.small = b.Bytes()
	}
	return out, nil
}

// Listen opens the listener and serves until Close.
func Listen(ctx context.Context, o Options) (*Site, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	pages, err := statuspage.NewPages()
	if err != nil {
		return nil, err
	}
	s := &Site{o: o, pages: pages, done: make(chan error, 1), limit: newLimiter()}
	if o.Forward != "" {
		u, err := url.Parse(o.Forward)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return nil, fmt.Errorf("the server that takes sign-ups is written like http://127.0.0.1:9480, not %q", o.Forward)
		}
		s.forward = s.forwardTo(u)
	}
	s.http = &http.Server{
		Handler: s.routes(), ErrorLog: slog.NewLogLogger(o.Logger.Handler(), slog.LevelDebug), // strangers cause them
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
	}
	if o.CertFile != "" || o.KeyFile != "" {
		if s.http.TLSConfig, err = certificates(o.CertFile, o.KeyFile); err != nil {
			return nil, err
		}
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", o.Address)
	if err != nil {
		return nil, fmt.Errorf("listen for the status page on %s: %w", o.Address, err)
	}
	s.l = l
	go func() {
		limited := netutil.LimitListener(l, mostConnections)
		if s.http.TLSConfig != nil {
			s.done <- s.http.ServeTLS(limited, "", "")
			return
		}
		s.done <- s.http.Serve(limited)
	}()
	return s, nil
}

// Address is where the site listens.
func (s *Site) Address() string { return s.l.Addr().String() }

// Close stops listening and waits for answers that are being given, at most
// until ctx ends. Idempotent.
func (s *Site) Close(ctx context.Context) error {
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
		return fmt.Errorf("close the status page: %w", err)
	}
	return nil
}

// current is the page as it is now. A publication that cannot be read leaves the
// one before, which then says how old it is.
func (s *Site) current(now time.Time) (rendering, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.made.files != nil && now.Sub(s.looked) < lookEvery && now.After(s.looked) {
		return s.made, nil
	}
	s.looked = now
	p, err := s.load()
	if err != nil {
		if s.made.files == nil {
			return rendering{}, err
		}
		s.o.Logger.Warn("the status page cannot be read; showing the one before", "error", err)
		p = s.made.p
	}
	stale := p.Stale(now)
	if s.made.files != nil && p.WrittenAt.Equal(s.made.p.WrittenAt) && stale == s.made.stale && (!stale || now.Sub(s.made.at) < time.Minute) {
		return s.made, nil
	}
	all, err := s.pages.Files(p, now)
	if err != nil {
		return rendering{}, err
	}
	made := rendering{p: p, files: map[string]file{}, stale: stale, at: now}
	for _, f := range all {
		if made.files[f.Name], err = newFile(f); err != nil {
			return rendering{}, err
		}
	}
	s.made = made
	return made, nil
}

// load reads the publication if its file is another one. Call with mu held.
func (s *Site) load() (statuspage.Publication, error) {
	info, err := os.Stat(s.o.File)
	if err != nil {
		return statuspage.Publication{}, fmt.Errorf("read the status page: %w", err)
	}
	if s.made.files != nil && s.seen != nil && os.SameFile(info, s.seen) && info.ModTime().Equal(s.seen.ModTime()) && info.Size() == s.seen.Size() {
		return s.made.p, nil
	}
	p, err := statuspage.Load(s.o.File)
	if err == nil {
		s.seen = info
	}
	return p, err
}
