package app

import (
	"context"
	"errors"
	"fmt"
	"os/user"
	"slices"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/monitor"
	"github.com/refloat-db/refloat/internal/status"
)

// What the alert commands speak of.
type (
	Alert         = alert.Alert
	AlertDelivery = alert.Delivery
	AlertSilence  = alert.Silence
	Outage        = monitor.Outage
)

// AlertView is an alert with all that was sent because of it.
type AlertView struct {
	Alert
	Deliveries []AlertDelivery `json:"deliveries"`
}

// recentAlerts bounds what is listed.
const recentAlerts = 1000

// Alerts lists open alerts, or all of the last days when all is set; newest
// first. A name selects one alert by its ID, or those of one target.
func (a *App) Alerts(ctx context.Context, name string, all bool) (out []AlertView, err error) {
	s, err := a.state(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	records, err := alertRecords(ctx, s, name, all)
	if err != nil {
		return nil, err
	}
	sent, err := s.RecentRecords(ctx, alert.KindDelivery, 20*recentAlerts)
	if err != nil {
		return nil, err
	}
	byAlert := map[string][]AlertDelivery{}
	for _, r := range slices.Backward(sent) {
		var d onItsWay
		if err := r.Read(&d); err != nil {
			return nil, err
		}
		byAlert[d.AlertID] = append(byAlert[d.AlertID], d.Delivery)
	}
	out = []AlertView{}
	for _, r := range records {
		var v AlertView
		if err := r.Read(&v.Alert); err != nil {
			return nil, err
		}
		if name != "" && name != v.ID && name != v.Signal.Target || !all && name != v.ID && v.State != alert.Firing {
			continue
		}
		v.Deliveries = orEmpty(byAlert[v.ID])
		out = append(out, v)
	}
	if name != "" && len(out) == 0 && !slices.Contains(a.Targets(), name) {
		return nil, fmt.Errorf("%w: %s; refloat alerts --all lists them", errNoAlert, name)
	}
	return out, nil
}

// alertRecords are the records of the alerts to list, newest first: all that are
// open, and the last of the others where those are wanted.
func alertRecords(ctx context.Context, s Store, name string, all bool) ([]alert.Record, error) {
	open, err := s.OpenRecords(ctx, alert.KindAlert)
	if err != nil {
		return nil, err
	}
	slices.Reverse(open)
	if name != "" {
		one, err := s.OneRecord(ctx, alert.KindAlert, name)
		if err == nil {
			return []alert.Record{one}, nil
		}
		if !errors.Is(err, status.ErrNothing) {
			return nil, err
		}
	}
	if !all {
		return open, nil
	}
	recent, err := s.RecentRecords(ctx, alert.KindAlert, recentAlerts)
	if err != nil {
		return nil, err
	}
	for _, r := range open {
		if !slices.ContainsFunc(recent, func(x alert.Record) bool { return x.ID == r.ID }) {
			recent = append(recent, r) // an old one that is still open
		}
	}
	return recent, nil
}

// Outages lists the last outages, newest first.
func (a *App) Outages(ctx context.Context, name string, limit int) (out []Outage, err error) {
	s, err := a.state(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	records, err := s.RecentRecords(ctx, alert.KindOutage, recentAlerts)
	if err != nil {
		return nil, err
	}
	out = []Outage{}
	for _, r := range records {
		var o Outage
		if err := r.Read(&o); err != nil {
			return nil, err
		}
		if (name == "" || name == r.Target) && len(out) < limit {
			out = append(out, o)
		}
	}
	return out, nil
}

// How long a running server is waited for.
const (
	requestWithin = 10 * time.Second
	startsWithin  = 2 * time.Second // one that is just starting
)

// errNotTaken means that the request waits for a server.
var errNotTaken = errors.New("the request is kept, and the next server does it, but none runs now")

// ask leaves a request for the server and waits for its answer. Without a
// running server the request waits for the next one: that is errNotTaken.
func (a *App) ask(ctx context.Context, q alert.Request) (answer string, err error) {
	s, err := a.writable(ctx)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	q.ID, q.At = newID()+newID(), time.Now().UTC()
	r, err := alert.NewRecord(alert.KindRequest, q.ID, "", true, q.At, q)
	if err != nil {
		return "", err
	}
	if err := s.Save(ctx, r); err != nil {
		return "", err
	}
	deadline := time.Now().Add(requestWithin)
	for {
		done, err := s.OneRecord(ctx, alert.KindRequest, q.ID)
		if err != nil && !errors.Is(err, status.ErrNothing) {
			return "", err
		}
		if err == nil && !done.Open {
			if err := done.Read(&q); err != nil {
				return "", err
			}
			if q.Failed {
				return "", fmt.Errorf("the server answers: %s", q.Answer)
			}
			return q.Answer, nil
		}
		runs, err := workIsDone(ctx, s, a.cfg.StateDir)
		idle := err == nil && !runs && time.Since(q.At) > startsWithin
		if idle || time.Now().After(deadline) {
			return "", fmt.Errorf("%w: start refloat server", errNotTaken)
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// caller is who asks on this machine.
func caller(by string) string {
	if by != "" {
		return by
	}
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "somebody on this machine"
}

// Acknowledge says that a person has taken an alert on: its escalation stops.
func (a *App) Acknowledge(ctx context.Context, id, by string) (string, error) {
	return a.ask(ctx, alert.Request{What: alert.RequestAcknowledge, Alert: id, By: caller(by)})
}

// SilenceRequest is what is to be silent, for how long and why.
type SilenceRequest struct {
	Target, Code, Reason, By string
	For                      time.Duration
	Planned                  bool // a maintenance window
}

// Silence keeps alerts from paging for a while.
func (a *App) Silence(ctx context.Context, r SilenceRequest) (AlertSilence, error) {
	if r.Target != "" {
		if _, _, err := a.target(r.Target); err != nil {
			return AlertSilence{}, err
		}
	}
	switch {
	case r.For <= 0 || r.For > 30*24*time.Hour:
		return AlertSilence{}, fmt.Errorf("%w: a silence lasts longer than nothing and at most 30 days", ErrUsage)
	case strings.TrimSpace(r.Reason) == "":
		return AlertSilence{}, fmt.Errorf("%w: say why with --reason: others will ask", ErrUsage)
	case r.Target == "" && r.Code == "":
		return AlertSilence{}, fmt.Errorf("%w: name a target or a code: nothing silences everything", ErrUsage)
	}
	now := time.Now().UTC()
	s := alert.Silence{ID: newID(), Target: r.Target, Code: r.Code, Owner: caller(r.By), Reason: r.Reason, From: now, Until: now.Add(r.For), Planned: r.Planned}
	_, err := a.ask(ctx, alert.Request{What: alert.RequestSilence, Silence: &s, By: s.Owner})
	return s, err
}

// Silences lists those that hold or are to come: what people asked for, and each
// target's planned work as the configuration says it.
func (a *App) Silences(ctx context.Context) ([]AlertSilence, error) {
	out, err := a.askedSilences(ctx)
	if err != nil && !noState(err) {
		return nil, err
	}
	for _, name := range a.Targets() {
		all, err := windows(name, a.cfg.Targets[name])
		if err != nil {
			return nil, err
		}
		out = append(out, planned(all, time.Now())...)
	}
	slices.SortFunc(out, func(x, y AlertSilence) int { return x.From.Compare(y.From) })
	return orEmpty(out), nil
}

// askedSilences are those that people asked for.
func (a *App) askedSilences(ctx context.Context) (out []AlertSilence, err error) {
	s, err := a.state(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	records, err := s.OpenRecords(ctx, alert.KindSilence)
	if err != nil {
		return nil, err
	}
	for _, r := range records {
		var x AlertSilence
		if err := r.Read(&x); err != nil {
			return nil, err
		}
		if time.Now().Before(x.Until) {
			out = append(out, x)
		}
	}
	return out, nil
}

// EndSilence ends one now.
func (a *App) EndSilence(ctx context.Context, id, by string) error {
	all, err := a.Silences(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(s AlertSilence) bool { return s.ID == id })
	if i < 0 {
		return fmt.Errorf("%w: there is no silence %s; refloat silence lists them", ErrUsage, id)
	}
	s := all[i]
	if _, asked := strings.CutPrefix(s.ID, "planned-"); asked {
		return fmt.Errorf("%w: %s is planned work of refloat.yaml: change it under targets.%s.maintenance", ErrUsage, s.ID, s.Target)
	}
	s.Until = time.Now().UTC()
	_, err = a.ask(ctx, alert.Request{What: alert.RequestEndSilence, Silence: &s, By: caller(by)})
	return err
}

// TestedContact is what came of a test message to one contact.
type TestedContact struct {
	Person  string        `json:"person,omitempty"`
	Contact alert.Contact `json:"contact"`
	Took    time.Duration `json:"took"`
	Said    string        `json:"said,omitempty"`
	Error   string        `json:"error,omitempty"`
}

// TestPage sends a test message now, through every contact of a person or of a
// team, and says what each service answered.
func (a *App) TestPage(ctx context.Context, name string) ([]TestedContact, error) {
	r := a.cfg.Roster
	contacts := r.People[name].Contacts
	if t, ok := r.Teams[name]; ok {
		contacts = t.Contacts
	} else if _, ok := r.People[name]; !ok {
		return nil, fmt.Errorf("%w: %s is neither a person nor a team of %s", ErrUsage, name, a.cfg.Path)
	}
	if len(contacts) == 0 {
		return nil, fmt.Errorf("%w: %s has no contact of its own", ErrUsage, name)
	}
	to, err := newSenders(a.cfg)
	if err != nil {
		return nil, err
	}
	return testContacts(ctx, to, r, name, contacts), nil
}

// testContacts sends a test message to contacts of a person or a team now.
func testContacts(ctx context.Context, to alert.Sender, r alert.Roster, name string, contacts []alert.Contact) []TestedContact {
	now := time.Now().UTC()
	x := alert.Alert{ID: newID(), State: alert.Firing, StartedAt: now, Signal: alert.Signal{Key: "test/" + name, Code: "test", Severity: alert.Low, Firing: true, At: now, Summary: "a test: nothing is wrong, and nothing has to be done"}}
	out := make([]TestedContact, len(contacts))
	for i, c := range contacts {
		m := alert.Message{ID: "refloat.test." + x.ID + "." + c.ID, Kind: alert.TestPage, To: c, Alert: x, At: now}
		if _, person := r.People[name]; person {
			m.Person = name
		}
		m.Subject, m.Body = alert.Text(x, alert.TestPage, r.People[name].Zone)
		limited, cancel := context.WithTimeout(ctx, sendWithin)
		began := time.Now()
		said, err := to.Send(limited, m)
		cancel()
		out[i] = TestedContact{Person: m.Person, Contact: c, Took: time.Since(began), Said: said.Said}
		if err != nil {
			out[i].Error = err.Error()
		}
	}
	return out
}
