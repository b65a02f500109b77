package app

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/status"
)

// snapshot is what the pager has in memory: alerts, and deliveries by alert.
func (p *pager) snapshot() ([]alert.Alert, map[string][]alert.Delivery) {
	p.mu.Lock()
	defer p.mu.Unlock()
	alerts := make([]alert.Alert, 0, len(p.alerts))
	for _, a := range p.alerts {
		alerts = append(alerts, *a)
	}
	deliveries := map[string][]alert.Delivery{}
	for _, d := range p.deliveries {
		deliveries[d.AlertID] = append(deliveries[d.AlertID], d.Delivery)
	}
	slices.SortFunc(alerts, func(a, b alert.Alert) int { return a.StartedAt.Compare(b.StartedAt) })
	return alerts, deliveries
}

// seeAlerts opens incidents for grave alerts, gathers those that belong to one,
// and writes down in it who was paged, and who took them on.
func (m *incidentRoom) seeAlerts(ctx context.Context, now time.Time) error {
	alerts, pages := m.pager.snapshot()
	var errs []error
	here := map[string]bool{}
	for _, a := range alerts {
		here[a.ID] = true
		if ofIncidents(a.Signal) || a.Signal.Code == "page-test" {
			continue
		}
		s, found := m.homeOf(a)
		if !found {
			if errs = append(errs, m.openAlert(ctx, a, now)); !m.opens(a) {
				continue
			}
			if s, found = m.homeOf(a); !found {
				continue
			}
		}
		errs = append(errs, m.act(ctx, s.ID, incident.GatherAlert{Alert: gathered(a)}, now))
		a = m.takeOn(ctx, s, a)
		errs = append(errs, m.follow(ctx, s.ID, a, now))
		for _, d := range pages[a.ID] {
			if c, ended := recordOf(d); ended {
				errs = append(errs, m.act(ctx, s.ID, c, now))
			}
		}
	}
	// What the pager has forgotten is looked up: it ended while no server ran.
	for _, s := range m.order {
		for _, g := range s.Alerts {
			if here[g.ID] || !g.Ended.IsZero() || s.MergedInto != "" {
				continue
			}
			r, err := m.store.OneRecord(ctx, alert.KindAlert, g.ID)
			var a alert.Alert
			if err == nil {
				err = r.Read(&a)
			}
			if err == nil {
				err = m.follow(ctx, s.ID, a, now)
			}
			if err != nil && !errors.Is(err, status.ErrNothing) {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

// takeOn acknowledges an alert that was up when somebody took command of its
// incident: they have it in hand, and nobody else is paged for it.
func (m *incidentRoom) takeOn(ctx context.Context, s *incident.State, a alert.Alert) alert.Alert {
	h, has := s.Roles[incident.Commander]
	if !has || !s.Open() || a.Settled() || h.Since.Before(a.StartedAt) {
		return a
	}
	taken, err := m.pager.Acknowledge(ctx, a.ID, h.Person, h.Since)
	if err != nil { // it ended meanwhile
		return a
	}
	return taken
}

func alertCause(a alert.Alert) incident.Cause {
	return incident.Cause{
		Key: "alert/" + a.Signal.Key + "/" + a.StartedAt.UTC().Format("20060102T150405.000Z"), Kind: incident.FromAlert, Target: a.Signal.Target,
		Reason: a.Signal.Summary, Started: a.StartedAt, Detected: a.StartedAt,
	}
}

func gathered(a alert.Alert) incident.GatheredAlert {
	s := a.Signal
	return incident.GatheredAlert{ID: a.ID, Key: s.Key, Code: s.Code, Severity: string(s.Severity), Target: s.Target, Summary: s.Summary, Started: a.StartedAt}
}

// homeOf finds the incident that an alert belongs to: the one that has it, the
// one that was opened for the same, or the open one about its target.
func (m *incidentRoom) homeOf(a alert.Alert) (*incident.State, bool) {
	for _, belongs := range []func(s *incident.State) bool{
		func(s *incident.State) bool {
			return slices.ContainsFunc(s.Alerts, func(g incident.GatheredAlert) bool { return g.ID == a.ID })
		},
		func(s *incident.State) bool { return s.HasCause(alertCause(a).Key) },
		func(s *incident.State) bool {
			same := slices.ContainsFunc(s.Causes, func(c incident.Cause) bool { return strings.HasPrefix(c.Key, "alert/"+a.Signal.Key+"/") })
			return (s.Open() && same || s.Takes(a.Signal.Target, a.StartedAt)) && (a.State == alert.Firing || a.ResolvedAt.After(s.Started))
		},
	} {
		for _, s := range slices.Backward(m.order) {
			if s.MergedInto == "" && belongs(s) {
				return s, true
			}
		}
	}
	return nil, false
}

// opens reports whether an alert opens an incident by itself. That of an outage
// does not: the outage does. Nor does one that is held back, or that has not
// been looked at yet. One whose source asks for it does, however grave it is.
func (m *incidentRoom) opens(a alert.Alert) bool {
	s := a.Signal
	grave := m.Rules.Alerts != "" && s.Severity.Rank() >= m.Rules.Alerts.Rank()
	return (grave || s.Opens) && a.State == alert.Firing && a.HeldBy == "" && !a.PagedFrom.IsZero() &&
		(s.Code != status.AlarmOutage || s.Target == "" || m.Rules.Outages == "")
}

func (m *incidentRoom) openAlert(ctx context.Context, a alert.Alert, now time.Time) error {
	if !m.opens(a) {
		return nil
	}
	title := strings.Join(strings.Fields(a.Signal.Summary), " ")
	if r := []rune(title); len(r) > 100 {
		title = string(r[:99]) + "…"
	}
	if title == "" {
		title = a.Signal.Key
	}
	return m.open(ctx, title, severityOf(a.Signal.Severity), a.Signal.Team, alertCause(a), now)
}

// follow writes down that an alert was taken on, and that it ended.
func (m *incidentRoom) follow(ctx context.Context, id string, a alert.Alert, now time.Time) error {
	var errs []error
	if !a.AcknowledgedAt.IsZero() {
		errs = append(errs, m.act(ctx, id, incident.ChangeAlert{AlertChanged: incident.AlertChanged{ID: a.ID, By: a.AcknowledgedBy, At: a.AcknowledgedAt}}, now))
	}
	if a.State == alert.Resolved {
		errs = append(errs, m.act(ctx, id, incident.ChangeAlert{AlertChanged: incident.AlertChanged{ID: a.ID, At: a.ResolvedAt}}, now))
	}
	return errors.Join(errs...)
}

// recordOf is what came of a page; false while it is on its way, and for one
// that was not needed.
func recordOf(d alert.Delivery) (incident.Command, bool) {
	p := incident.Page{ID: d.ID, Alert: d.AlertID, Kind: string(d.Kind), Person: d.Person, Contact: d.Contact.ID, At: d.SentAt, Attempts: d.Attempts, Said: d.Said}
	switch d.State {
	case alert.Sent:
		return incident.RecordPage{Page: p}, true
	case alert.Failed:
		p.Error, p.At = d.Error, d.NotBefore
		if p.Error == "" {
			p.Error = "given up"
		}
		return incident.RecordPage{Page: p}, true
	}
	return nil, false
}
