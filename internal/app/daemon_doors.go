package app

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/alert/inbound"
	"github.com/refloat-db/refloat/internal/secret"
	"github.com/refloat-db/refloat/internal/server"
	"github.com/refloat-db/refloat/internal/status"
)

// Source may post alerts to a running server.
type Source struct {
	Name  string
	Token secret.Value
	Team  string
	// Incidents lets it ask that an incident be opened.
	Incidents bool
	// Read turns what it posts into signals.
	Read func(source string, body []byte, now time.Time) ([]alert.Signal, error)
}

// ExpectedBeat is a sign of life with the token that gives it.
type ExpectedBeat struct {
	alert.Expected
	Token secret.Value
}

const expectedEvery = 5 * time.Second // signs of life that do not come are looked for

// doors is what others may do.
type doors struct {
	r   *running
	key []byte // of links

	mu    sync.Mutex
	heard map[string]alert.Heard
}

// newDoors opens the doors: the key of links is made if there is none, and signs
// of life are expected from the first start on.
func (r *running) newDoors(ctx context.Context) (*doors, error) {
	d := &doors{r: r, heard: map[string]alert.Heard{}}
	var err error
	if d.key, err = r.o.LinkKey(); err != nil {
		return nil, err
	}
	for _, x := range r.o.Expected {
		rec, err := r.state.OneRecord(ctx, alert.KindExpected, x.Name)
		var h alert.Heard
		if err == nil {
			err = rec.Read(&h)
		}
		switch {
		case errors.Is(err, status.ErrNothing):
			h = alert.Heard{Since: time.Now()}
			if err := d.keep(ctx, x.Name, h); err != nil {
				return nil, err
			}
		case err != nil:
			return nil, fmt.Errorf("read when %s last gave a sign of life: %w", x.Name, err)
		}
		d.heard[x.Name] = h
	}
	return d, nil
}

// linkKey reads the key that signs links, and makes it the first time. Of two that
// make it at once one wins, for both.
func linkKey(path string) ([]byte, error) {
	key, err := os.ReadFile(path)
	if err == nil && len(key) == 32 {
		return key, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the key of links: %w", err)
	}
	if err == nil { // cut off in a crash: old links then say that they are not ours
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("make the key of links anew: %w", err)
		}
	}
	key = make([]byte, 32)
	_, _ = rand.Read(key) // never fails, crypto/rand
	tmp, err := os.CreateTemp(filepath.Dir(path), "link.key.*")
	if err != nil {
		return nil, fmt.Errorf("make the key of links: %w", err)
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	_, err = tmp.Write(key)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return nil, fmt.Errorf("make the key of links: %w", err)
	}
	if err := os.Link(tmp.Name(), path); errors.Is(err, fs.ErrExist) {
		return linkKey(path)
	} else if err != nil {
		return nil, fmt.Errorf("make the key of links: %w", err)
	}
	return key, nil
}

func (d *doors) keep(ctx context.Context, name string, h alert.Heard) error {
	rec, err := alert.NewRecord(alert.KindExpected, name, "", true, h.Since, h)
	if err != nil {
		return err
	}
	return d.r.state.Save(ctx, rec)
}

// link is the address that acknowledges an alert, empty without a public one.
func (d *doors) link(alertID, person string, now time.Time) string {
	if d.r.o.PublicURL == "" {
		return ""
	}
	return strings.TrimSuffix(d.r.o.PublicURL, "/") + "/ack/" + alert.Link{Alert: alertID, Person: person, Until: now.Add(alert.LinkLasts)}.Sign(d.key)
}

func publicHost(public string) string {
	u, err := url.Parse(public)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// same compares tokens without telling by its time how much of one is right.
func same(given string, want secret.Value) bool {
	return subtle.ConstantTimeCompare([]byte(given), []byte(want.Reveal())) == 1
}

// receive keeps what a source posts, and then says so. Whether a name exists is
// not told to who has no token.
func (d *doors) receive(ctx context.Context, name, token string, body []byte) error {
	all, err := d.r.o.posted(name, token, body)
	if err != nil {
		return err
	}
	for _, x := range all {
		d.r.pager.Signal(ctx, x)
	}
	return d.r.pager.kept(ctx)
}

// posted are the signals of what a source posts.
func (o DaemonOptions) posted(name, token string, body []byte) ([]alert.Signal, error) {
	for _, s := range o.Sources {
		if s.Name != name || !same(token, s.Token) {
			continue
		}
		all, err := s.Read(name, body, time.Now())
		if err != nil {
			return nil, fmt.Errorf("%w: %w", server.ErrMessage, err)
		}
		if !s.Incidents {
			o.withoutIncidents(name, all)
		}
		for i := range all {
			if all[i].Team == "" {
				all[i].Team = s.Team
			}
		}
		return all, nil
	}
	return nil, server.ErrDenied
}

// withoutIncidents takes away what a source may not ask for. Its alerts are taken
// all the same: none is lost over it.
func (o DaemonOptions) withoutIncidents(name string, all []alert.Signal) {
	for i := range all {
		if all[i].Opens {
			all[i].Opens = false
			o.Logger.Warn("a source asks for an incident and may not: the alert is taken, and opens none by this; set incidents: true for it", "source", name, "key", all[i].Key)
		}
	}
}

func (d *doors) beat(ctx context.Context, name, token string) error {
	if !d.r.o.expects(name, token) {
		return server.ErrDenied
	}
	return d.heardFrom(ctx, name, time.Now())
}

// expects reports that a sign of life is the one of a name.
func (o DaemonOptions) expects(name, token string) bool {
	return slices.ContainsFunc(o.Expected, func(x ExpectedBeat) bool { return x.Name == name && same(token, x.Token) })
}

// heardFrom takes a sign of life into account.
func (d *doors) heardFrom(ctx context.Context, name string, at time.Time) error {
	for _, x := range d.r.o.Expected {
		if x.Name != name {
			continue
		}
		d.mu.Lock()
		h := d.heard[name]
		h.Last = later(h.Last, at)
		d.heard[name] = h
		d.mu.Unlock()
		d.r.pager.Signal(ctx, x.Judge(h, time.Now()))
		return d.keep(ctx, name, h)
	}
	return server.ErrUnknown
}

// watchExpected tells of signs of life that do not come.
func (d *doors) watchExpected(ctx context.Context) {
	every(ctx, expectedEvery, func(ctx context.Context) {
		for _, x := range d.r.o.Expected {
			d.mu.Lock()
			h := d.heard[x.Name]
			d.mu.Unlock()
			d.r.pager.Signal(ctx, x.Judge(h, time.Now()))
		}
	})
}

func (d *doors) read(token string) (alert.Link, error) { return readLink(d.key, token) }

func readLink(key []byte, token string) (alert.Link, error) {
	l, err := alert.ReadLink(token, key, time.Now())
	if err != nil {
		return l, fmt.Errorf("%w: %w", server.ErrLink, err)
	}
	return l, nil
}

func (d *doors) show(token string) (server.Acknowledgement, error) {
	l, err := d.read(token)
	if err != nil {
		return server.Acknowledgement{}, err
	}
	return d.see(l)
}

func (d *doors) acknowledge(ctx context.Context, token string) (server.Acknowledgement, error) {
	l, err := d.read(token)
	if err != nil {
		return server.Acknowledgement{}, err
	}
	by := l.Person
	if by == "" {
		by = "whoever opened the link"
	}
	if _, err := d.r.pager.Acknowledge(ctx, l.Alert, by, time.Now()); err != nil && !errors.Is(err, errNoAlert) {
		return server.Acknowledgement{}, err
	}
	return d.see(l) // one that has ended is shown as that
}

// see is an alert as its link shows it.
func (d *doors) see(l alert.Link) (server.Acknowledgement, error) {
	a, err := d.r.pager.find(l.Alert)
	if err != nil {
		return server.Acknowledgement{}, fmt.Errorf("%w: its alert is no longer known", server.ErrLink)
	}
	return shownByLink(a, l), nil
}

func shownByLink(a alert.Alert, l alert.Link) server.Acknowledgement {
	s := a.Signal
	return server.Acknowledgement{
		ID: a.ID, Severity: string(s.Severity), Summary: s.Summary, Detail: s.Detail, Next: s.Next, Target: s.Target, Since: a.StartedAt,
		Person: l.Person, By: a.AcknowledgedBy, At: a.AcknowledgedAt, Over: a.State != alert.Firing,
	}
}

// How much of its shifts a calendar shows.
const (
	calendarBack  = 31 * 24 * time.Hour
	calendarAhead = 180 * 24 * time.Hour
)

// calendar is the feed that a token is for.
func (o DaemonOptions) calendar(key []byte, token string, now time.Time) ([]byte, error) {
	l, err := alert.ReadCalendarLink(token, key)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", server.ErrLink, err)
	}
	roster := o.Paging.Roster
	if _, ok := roster.Teams[l.Team]; l.Team != "" && !ok {
		return nil, fmt.Errorf("%w: there is no team %s any more", server.ErrLink, l.Team)
	}
	if _, ok := roster.People[l.Person]; l.Person != "" && !ok {
		return nil, fmt.Errorf("%w: there is no person %s any more", server.ErrLink, l.Person)
	}
	return calendarFeed(roster, l, now.Add(-calendarBack), now.Add(calendarAhead), now), nil
}

// inboundReader is what reads the messages of a kind of source.
func inboundReader(kind string) func(string, []byte, time.Time) ([]alert.Signal, error) {
	if kind == "alertmanager" {
		return inbound.Alertmanager
	}
	return inbound.Generic
}
