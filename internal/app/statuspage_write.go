package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/statuspage"
	"github.com/refloat-db/refloat/internal/statuspage/site"
)

// StatusPublication is what clients are shown.
type StatusPublication = statuspage.Publication

// StatusSubscriber is somebody who wants to be told of what is published.
type StatusSubscriber = statuspage.Subscriber

// ErrNoStatusPage means that the configuration has none.
var ErrNoStatusPage = errors.New("there is no status page")

// StatusPageWritten is what was written where.
type StatusPageWritten struct {
	Into      string    `json:"into"`
	Files     int       `json:"files"`
	WrittenAt time.Time `json:"written_at"` // of the publication
	// Kept says why it is the one that the server wrote last, rather than one of
	// now; empty for one of now.
	Kept string `json:"kept,omitempty"`
}

func (a *App) wantsStatusPage() (*StatusPageOptions, error) {
	o, err := a.statusPage()
	if err == nil && o == nil {
		err = fmt.Errorf("%w: %s has no status_page.services", ErrNoStatusPage, a.cfg.Path)
	}
	return o, err
}

// StatusPage makes what clients are shown now. Where what the server remembers
// cannot be read it is what it published last, and kept says why.
func (a *App) StatusPage(ctx context.Context) (p StatusPublication, kept string, err error) {
	o, err := a.wantsStatusPage()
	if err != nil {
		return p, "", err
	}
	p, err = a.publication(ctx, o)
	if err == nil {
		return p, "", nil
	}
	last, lerr := statuspage.Load(filepath.Join(a.cfg.StateDir, pageFolder, "status.json"))
	if lerr != nil {
		return p, "", errors.Join(err, lerr)
	}
	return last, err.Error(), nil
}

func (a *App) publication(ctx context.Context, o *StatusPageOptions) (p StatusPublication, err error) {
	s, err := a.state(ctx)
	if err != nil {
		return p, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	events, err := incidentLog{s}.Events(ctx, "")
	if err != nil {
		return p, err
	}
	var told []statuspage.Told
	for _, x := range incident.FoldAll(events) {
		told = append(told, clientsTold(x))
	}
	return o.make(ctx, s, told, time.Now())
}

// WriteStatusPage writes the page's files to a place: a folder, or an s3: URL.
func (a *App) WriteStatusPage(ctx context.Context, into string) (StatusPageWritten, error) {
	if into != "" && !strings.Contains(into, "://") {
		abs, err := filepath.Abs(into)
		if err != nil {
			return StatusPageWritten{}, fmt.Errorf("%w: %w", ErrUsage, err)
		}
		into = abs
	}
	place, err := a.statusPlace(into)
	if err != nil {
		return StatusPageWritten{}, err
	}
	p, kept, err := a.StatusPage(ctx)
	if err != nil {
		return StatusPageWritten{}, err
	}
	pages, err := statuspage.NewPages()
	if err != nil {
		return StatusPageWritten{}, err
	}
	files, err := pages.Files(p, time.Now())
	if err != nil {
		return StatusPageWritten{}, err
	}
	return StatusPageWritten{Into: into, Files: len(files), WrittenAt: p.WrittenAt, Kept: kept}, place.Write(ctx, files)
}

// StatusSubscribers lists who subscribed to the page.
func (a *App) StatusSubscribers(ctx context.Context) (out []StatusSubscriber, err error) {
	err = a.withSubscribers(ctx, false, func(s subscriberStore) error {
		out, err = s.Subscribers(ctx)
		return err
	})
	return out, err
}

// RemoveStatusSubscriber forgets a subscriber by address or ID, and says how many
// that were.
func (a *App) RemoveStatusSubscriber(ctx context.Context, who string) (n int, err error) {
	err = a.withSubscribers(ctx, true, func(s subscriberStore) error {
		all, err := s.Subscribers(ctx)
		if err != nil {
			return err
		}
		for _, x := range all {
			if x.ID != who && !strings.EqualFold(x.Address, who) {
				continue
			}
			if _, err := s.RemoveSubscriber(ctx, x.ID); err != nil {
				return err
			}
			n++
		}
		if n == 0 {
			return fmt.Errorf("%w: nobody subscribed as %s", ErrUsage, who)
		}
		return nil
	})
	return n, err
}

func (a *App) withSubscribers(ctx context.Context, writing bool, f func(subscriberStore) error) (err error) {
	open := a.state
	if writing {
		open = a.writable
	}
	s, err := open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	inner := s
	if l, is := s.(lent); is {
		inner = l.Store
	}
	keeper, can := inner.(subscriberStore)
	if !can {
		return errors.New("this store keeps no subscribers of the status page")
	}
	return f(keeper)
}

// StatusSite says what is served, and where.
type StatusSite struct {
	Dir               string // that holds status.json
	Listen            string
	CertFile, KeyFile string
	Forward           string // a running server that takes sign-ups; empty for none
	Listening         func(address string)
}

// ServeStatusPage serves a page that was written to a folder until ctx ends. It
// needs neither configuration nor server.
func ServeStatusPage(ctx context.Context, o StatusSite, log *slog.Logger) error {
	file := filepath.Join(o.Dir, "status.json")
	if _, err := statuspage.Load(file); err != nil {
		return fmt.Errorf("%w: %s is no folder with a status page: refloat server keeps one in STATE_DIR/%s, and refloat status-page write makes one: %w", ErrUsage, o.Dir, pageFolder, err)
	}
	s, err := site.Listen(ctx, site.Options{Address: o.Listen, CertFile: o.CertFile, KeyFile: o.KeyFile, File: file, Forward: o.Forward, Logger: log})
	if err != nil {
		return err
	}
	if o.Listening != nil {
		o.Listening(s.Address())
	}
	<-ctx.Done()
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return s.Close(stop)
}

// StatusPageFolder is where the server keeps the page.
func (a *App) StatusPageFolder() string { return filepath.Join(a.cfg.StateDir, pageFolder) }
