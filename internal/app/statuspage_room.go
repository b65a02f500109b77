package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/monitor"
	"github.com/refloat-db/refloat/internal/status"
	"github.com/refloat-db/refloat/internal/statuspage"
	"github.com/refloat-db/refloat/internal/statuspage/site"
	"github.com/refloat-db/refloat/internal/target"
)

const (
	pageEvery    = time.Second      // what changed is looked for
	pageLook     = 20 * time.Second // how services stand is worked out though nothing changed
	watchedEvery = 30 * time.Second // that targets are watched is noted
	pageFails    = 2                // in a row, and it is an alert
	placeRetry   = 15 * time.Second
	placeWithin  = time.Minute // for one writing
)

// statusRoom keeps the status page up to date in a running server: it writes the
// page where it belongs whenever something on it changes, and every few minutes,
// so that a reader can tell a page that is old.
type statusRoom struct {
	*StatusPageOptions
	store  Store
	pager  *pager
	log    *slog.Logger
	folder string // in the state directory
	pages  *statuspage.Pages
	look   func(target string, now time.Time) (monitor.Standing, bool)

	all     map[string]*incident.State
	order   []string // as they were opened
	told    map[string]statuspage.Told
	last    int64
	open    int                          // outages
	watched map[string][]statuspage.Span // by target
	noted   time.Time

	made   statuspage.Publication
	madeAt time.Time
	fails  int
	places []*placeWriter
	subs   *subscriptions // nil for none
}

// startStatusPage begins to write the page and to serve it.
func (r *running) startStatusPage(ctx context.Context) error {
	o := r.o.StatusPage
	if o == nil {
		return nil
	}
	m := &statusRoom{
		StatusPageOptions: o, store: r.state, pager: r.pager, log: r.log, folder: filepath.Join(r.o.StateDir, pageFolder), look: r.standingOf,
		all: map[string]*incident.State{}, told: map[string]statuspage.Told{}, watched: map[string][]statuspage.Span{},
	}
	var err error
	if m.pages, err = statuspage.NewPages(); err != nil {
		return err
	}
	var signup site.Signup
	if len(o.Page.Ways) > 0 {
		keeper, can := r.state.(subscriberStore)
		if !can {
			return errors.New("this store keeps no subscribers: remove status_page.subscribe, or use the state directory's own")
		}
		key, err := subscriberKey(ctx, r.state, time.Now())
		if err != nil {
			return err
		}
		m.subs = newSubscriptions(o, keeper, key, r.log)
		signup = m.subs
	}
	ctx, end := context.WithCancel(ctx)
	var parts sync.WaitGroup
	for _, p := range o.Places {
		w := &placeWriter{statusPlace: p, tell: r.pager.Signal, log: r.log, box: make(chan []statuspage.File, 1)}
		m.places = append(m.places, w)
		parts.Go(func() { w.run(ctx) })
	}
	parts.Go(func() { every(ctx, pageEvery, func(ctx context.Context) { m.step(ctx, time.Now()) }) })
	if m.subs != nil {
		parts.Go(func() { every(ctx, subscriberEvery, func(ctx context.Context) { m.subs.send(ctx, time.Now()) }) })
	}
	r.later(func(context.Context) error {
		end()
		parts.Wait()
		if m.subs != nil {
			m.subs.sends.Wait()
		}
		return nil
	})
	if o.Listen == "" {
		return nil
	}
	s, err := site.Listen(ctx, site.Options{Address: o.Listen, CertFile: o.CertFile, KeyFile: o.KeyFile, File: filepath.Join(m.folder, "status.json"), Signup: signup, Logger: r.log})
	if err != nil {
		return err
	}
	r.page = s
	r.log.Info("status page", "address", s.Address())
	r.later(s.Close)
	return nil
}

// standingOf is what the watch sees of a target now.
func (r *running) standingOf(id string, now time.Time) (monitor.Standing, bool) {
	for _, w := range r.targets {
		if string(w.Target) == id && w.seen != nil {
			return w.seen.Standing(now), true
		}
	}
	return monitor.Standing{}, false
}

// step does what is due at now.
func (m *statusRoom) step(ctx context.Context, now time.Time) {
	err := m.update(ctx, now)
	if ctx.Err() != nil {
		return
	}
	if err == nil {
		m.fails = 0
	} else if m.fails++; m.fails == 1 {
		m.log.ErrorContext(ctx, "keep the status page up to date; trying again", "error", err)
	}
	s := alert.Signal{
		Key: "status-page/here", Code: "status-page", Source: "refloat", At: now, Firing: m.fails >= pageFails, Severity: alert.High,
		Summary: "the status page cannot be written: clients see an old one, and are told that it is old", Next: "see that " + m.folder + " can be written, and the log of refloat server",
	}
	if err != nil {
		s.Detail = err.Error()
	}
	m.pager.Signal(ctx, s)
	if m.subs != nil && !m.madeAt.IsZero() {
		m.subs.work(ctx, m.made, m.pager, now)
	}
}

func (m *statusRoom) update(ctx context.Context, now time.Time) error {
	changed, err := m.read(ctx)
	if err != nil {
		return err
	}
	if err := m.note(ctx, now, changed); err != nil {
		return err
	}
	if !changed && m.fails == 0 && now.Sub(m.madeAt) < pageLook && now.After(m.madeAt) {
		return nil
	}
	told := make([]statuspage.Told, 0, len(m.order))
	for _, id := range m.order {
		told = append(told, m.told[id])
	}
	p, err := m.make(ctx, m.store, told, now)
	if err != nil {
		return err
	}
	if m.fails == 0 && statuspage.Same(p, m.made) && now.Sub(m.made.WrittenAt) < statuspage.Every {
		m.madeAt = now
		return nil
	}
	files, err := m.pages.Files(p, now)
	if err != nil {
		return err
	}
	if err := statuspage.WriteFolder(m.folder, files); err != nil {
		return err
	}
	for _, w := range m.places {
		w.offer(files)
	}
	m.made, m.madeAt = p, now
	return nil
}

// read takes in what was added to incidents, and says whether something may have
// changed on the page.
func (m *statusRoom) read(ctx context.Context) (changed bool, err error) {
	entries, err := m.store.ReadScope(ctx, incidentScope, m.last)
	if err != nil {
		return false, err
	}
	touched := map[string]bool{}
	for _, e := range incidentEvents(entries) {
		s := m.all[e.Incident]
		if s == nil {
			s = &incident.State{}
			m.all[e.Incident], m.order = s, append(m.order, e.Incident)
		}
		if e.Seq > s.Last {
			*s = s.With(e)
		}
		m.last, touched[e.Incident] = e.Seq, true
	}
	for id := range touched {
		m.told[id], changed = clientsTold(*m.all[id]), true
	}
	open, err := m.store.OpenRecords(ctx, alert.KindOutage)
	if err != nil {
		return false, err
	}
	if len(open) != m.open {
		m.open, changed = len(open), true
	}
	return changed, nil
}

// note notes which targets of the page are being watched.
func (m *statusRoom) note(ctx context.Context, now time.Time, changed bool) error {
	if !changed && now.Sub(m.noted) < watchedEvery && now.After(m.noted) {
		return nil
	}
	for _, o := range m.Page.Services {
		for _, t := range o.Targets {
			if s, watched := m.look(t, now); !watched || s.State == monitor.Unknown || s.Blind != "" && s.Outage == nil {
				continue
			}
			spans, known := m.watched[t]
			if !known {
				if _, err := m.store.Kept(ctx, target.ID(t), factWatched, &spans); err != nil && !errors.Is(err, status.ErrNothing) {
					return fmt.Errorf("read when %s was watched: %w", t, err)
				}
			}
			spans = watchedAfter(spans, now)
			if err := m.store.Keep(ctx, target.ID(t), factWatched, now, spans); err != nil {
				return fmt.Errorf("note that %s is watched: %w", t, err)
			}
			m.watched[t] = spans
		}
	}
	m.noted = now
	return nil
}

// placeWriter writes the page to one place, apart from the others: one that hangs
// holds up none of them.
type placeWriter struct {
	statusPlace
	tell func(context.Context, alert.Signal)
	log  *slog.Logger
	box  chan []statuspage.File // the newest only
}

// offer gives it what is to be written, in place of what still waits.
func (w *placeWriter) offer(all []statuspage.File) {
	select {
	case <-w.box:
	default:
	}
	w.box <- all
}

func (w *placeWriter) run(ctx context.Context) {
	var todo []statuspage.File
	var again <-chan time.Time
	fails := 0
	for {
		select {
		case <-ctx.Done():
			return
		case todo = <-w.box:
		case <-again:
		}
		limited, cancel := context.WithTimeout(ctx, placeWithin)
		err := w.Write(limited, todo)
		cancel()
		if ctx.Err() != nil {
			return
		}
		again = nil
		switch {
		case err == nil:
			fails = 0
		default:
			if fails++; fails == 1 {
				w.log.ErrorContext(ctx, "publish the status page; trying again", "place", w.Name, "error", err)
			}
			again = time.After(placeRetry)
		}
		w.tell(ctx, w.signal(fails, err, time.Now()))
	}
}

func (w *placeWriter) signal(fails int, err error, now time.Time) alert.Signal {
	s := alert.Signal{
		Key: placeKey(w.Name), Code: "status-page", Source: "refloat", At: now, Firing: fails >= pageFails, Severity: alert.High,
		Summary: "the status page cannot be published to " + w.Name + ": clients see an old one there", Next: "try it: refloat status-page write --into " + w.Name,
	}
	if err != nil {
		s.Detail = err.Error()
	}
	return s
}

func placeKey(name string) string { return "status-page/" + name }

// alertKeys are the keys of all alerts that there can be about the page.
func (o *StatusPageOptions) alertKeys() []string {
	if o == nil {
		return nil
	}
	out := []string{"status-page/here"}
	if len(o.Page.Ways) > 0 {
		out = append(out, "status-page/mail")
	}
	for _, p := range o.Places {
		out = append(out, placeKey(p.Name))
	}
	return out
}
