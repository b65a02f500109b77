package app

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/alert/email"
	"github.com/refloat-db/refloat/internal/config"
	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/journal"
	"github.com/refloat-db/refloat/internal/monitor"
	"github.com/refloat-db/refloat/internal/status"
	"github.com/refloat-db/refloat/internal/statuspage"
	"github.com/refloat-db/refloat/internal/statuspage/bucket"
	"github.com/refloat-db/refloat/internal/target"
)

const (
	// factWatched is since when, and with which gaps, a target was looked at.
	factWatched = "status-page-watched"
	// watchedFresh is how long a look is news of now.
	watchedFresh = 2 * time.Minute
	// pageOutages are as many as a page of 90 days is made of.
	pageOutages = 10000
	// pageFolder is where the server keeps the page, in the state directory.
	pageFolder = "statuspage"
)

// StatusPageOptions are what the status page of a server is made of.
type StatusPageOptions struct {
	Page    statuspage.Input // what the configuration says of it
	Planned []announcedWork

	Listen, CertFile, KeyFile string
	Places                    []statusPlace // where its files go, beside the state directory
	Mail                      alert.Sender  // to subscribers; nil for none
	AllowPrivate              bool          // endpoints of subscribers
	// May lets this node act for the time of the context that it gives, which is to
	// be ended; nil where it always may.
	May func(ctx context.Context) (context.Context, context.CancelFunc, error)
}

// announcedWork is planned work with the words for clients.
type announcedWork struct {
	Window alert.Window
	Text   string
}

// statusPlace is somewhere that the page's files are written to.
type statusPlace struct {
	Name  string
	Write func(ctx context.Context, all []statuspage.File) error
}

// statusStore is what the page needs of the store.
type statusStore interface {
	journal.Log
	OpenRecords(ctx context.Context, kind string) ([]alert.Record, error)
	RecentRecords(ctx context.Context, kind string, limit int) ([]alert.Record, error)
	Kept(ctx context.Context, id target.ID, name string, fact any) (time.Time, error)
}

// statusPage is what the configuration says; nil where there is none.
func (a *App) statusPage() (*StatusPageOptions, error) {
	c := a.cfg.StatusPage
	if !c.Enabled() {
		return nil, nil
	}
	o := &StatusPageOptions{
		Page:   statuspage.Input{Title: c.Title, URL: c.URL, Zone: c.Place, Ways: c.Subscribe, Automatic: c.Automatic},
		Listen: c.Listen, CertFile: c.TLS.CertFile, KeyFile: c.TLS.KeyFile, AllowPrivate: c.AllowPrivateWebhooks,
	}
	for _, s := range c.Services {
		o.Page.Services = append(o.Page.Services, statuspage.Offer{Name: s.Name, Group: s.Group, Description: s.Description, Targets: s.Targets})
	}
	for _, name := range a.Targets() {
		t := a.cfg.Targets[name]
		all, err := windows(name, t)
		if err != nil {
			return nil, err
		}
		for i, m := range t.Maintenance {
			if m.Announce != "" {
				o.Planned = append(o.Planned, announcedWork{all[i], m.Announce})
			}
		}
	}
	for _, p := range c.Publish {
		x, err := a.statusPlace(p)
		if err != nil {
			return nil, err
		}
		o.Places = append(o.Places, x)
	}
	if slices.Contains(c.Subscribe, statuspage.ByEmail) {
		mail, err := mailSender(a.cfg.Email)
		if err != nil {
			return nil, err
		}
		o.Mail = mail
	}
	return o, nil
}

func mailSender(e config.Email) (alert.Sender, error) {
	return email.New(email.Options{Host: e.Host, Port: e.Port, TLS: email.TLS(e.TLS), From: e.From, Username: e.Username, Password: e.Password, RootCAFile: e.RootCAFile})
}

// statusPlace is a place that somebody named: a folder's path, a file: or an s3:
// URL.
func (a *App) statusPlace(name string) (statusPlace, error) {
	folder := name
	if !filepath.IsAbs(name) {
		var err error
		if folder, err = config.StatusPlace(name); err != nil {
			return statusPlace{}, fmt.Errorf("%w: %w", ErrUsage, err)
		}
	}
	if folder != "" {
		return statusPlace{name, func(_ context.Context, all []statuspage.File) error { return statuspage.WriteFolder(folder, all) }}, nil
	}
	s := a.cfg.StatusPage.S3
	b, err := bucket.New(bucket.Options{
		URL: name, Endpoint: s.Endpoint, Region: s.Region, AccessKeyID: s.AccessKeyID.Reveal(), SecretAccessKey: s.SecretAccessKey, SessionToken: s.SessionToken,
		CAFile: s.CAFile, Plaintext: s.Plaintext,
	})
	if err != nil {
		return statusPlace{}, err
	}
	return statusPlace{name, b.Write}, nil
}

// clientsTold is what clients were told in an incident: the one way from an
// incident to the page. It is about the targets that the incident had when they
// were last told.
func clientsTold(s incident.State) statuspage.Told {
	out := statuspage.Told{Key: s.ID, Into: s.MergedInto}
	for _, u := range s.Updates {
		if u.Audience == incident.Clients {
			out.Updates = append(out.Updates, statuspage.Update{Status: string(u.Status), Text: u.Text, At: u.At, Next: u.Next})
		}
	}
	if len(out.Updates) == 0 {
		return out
	}
	var then incident.State
	for _, e := range s.Timeline {
		then = then.With(e)
		if n := len(then.Updates); e.Kind == incident.KindPublished && n > 0 && then.Updates[n-1].Audience == incident.Clients {
			out.Targets = slices.Clone(then.Targets)
		}
	}
	return out
}

// seen is what the watch saw of each target of the page, as the store has it.
func (o *StatusPageOptions) seen(ctx context.Context, s statusStore, now time.Time) (map[string]statuspage.Seen, error) {
	out := map[string]statuspage.Seen{}
	for _, x := range o.Page.Services {
		for _, t := range x.Targets {
			out[t] = statuspage.Seen{}
		}
	}
	open, err := s.OpenRecords(ctx, alert.KindOutage)
	if err != nil {
		return nil, fmt.Errorf("read outages: %w", err)
	}
	recent, err := s.RecentRecords(ctx, alert.KindOutage, pageOutages)
	if err != nil {
		return nil, fmt.Errorf("read outages: %w", err)
	}
	known := map[string]bool{}
	for _, r := range append(open, recent...) {
		x, wanted := out[r.Target]
		if !wanted || known[r.ID] {
			continue
		}
		known[r.ID] = true
		var outage monitor.Outage
		if err := r.Read(&outage); err != nil {
			return nil, fmt.Errorf("read outages: %w", err)
		}
		x.Down = append(x.Down, statuspage.Span{From: outage.FirstBad, Until: outage.Recovered})
		if outage.Recovered.IsZero() {
			x.Now = statuspage.Down
		}
		out[r.Target] = x
	}
	for t, x := range out {
		if _, err := s.Kept(ctx, target.ID(t), factWatched, &x.Watched); err != nil && !errors.Is(err, status.ErrNothing) {
			return nil, fmt.Errorf("read when %s was watched: %w", t, err)
		}
		if n := len(x.Watched); n > 0 && x.Now == statuspage.Blind && now.Sub(x.Watched[n-1].Until) < watchedFresh {
			x.Now = statuspage.Up
		}
		out[t] = x
	}
	return out, nil
}

// make makes the publication of a moment.
func (o *StatusPageOptions) make(ctx context.Context, s statusStore, told []statuspage.Told, now time.Time) (statuspage.Publication, error) {
	in := o.Page
	in.Told = told
	var err error
	if in.Seen, err = o.seen(ctx, s, now); err != nil {
		return statuspage.Publication{}, err
	}
	for _, w := range o.Planned {
		if x, comes := w.Window.Silence(now); comes {
			in.Planned = append(in.Planned, statuspage.Announced{Targets: []string{x.Target}, Text: w.Text, From: x.From, Until: x.Until})
		}
	}
	return statuspage.Make(in, now), nil
}

// watchedAfter is when a target was watched after one more look at it.
func watchedAfter(all []statuspage.Span, now time.Time) []statuspage.Span {
	all = slices.Clone(all)
	now = now.UTC().Truncate(time.Second)
	if n := len(all); n > 0 && now.Sub(all[n-1].Until) < watchedFresh && !now.Before(all[n-1].Until) {
		all[n-1].Until = now
	} else {
		all = append(all, statuspage.Span{From: now, Until: now})
	}
	return slices.DeleteFunc(all, func(x statuspage.Span) bool { return now.Sub(x.Until) > (statuspage.HistoryDays+2)*24*time.Hour })
}
