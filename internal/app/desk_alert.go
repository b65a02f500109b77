package app

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/access"
	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/journal"
	"github.com/refloat-db/refloat/internal/server"
	"github.com/refloat-db/refloat/internal/status"
)

// Alerts implements server.Reader.
func (d *desk) Alerts(ctx context.Context, who access.Principal, q server.AlertQuery) ([]server.AlertView, error) {
	if q.Target != "" {
		if err := allowed(d.roleOn(who, q.Target), access.View, "target", q.Target); err != nil {
			return nil, err
		}
	}
	d.follow.catchUp(ctx)
	limit := q.Limit
	if limit <= 0 {
		limit = 100
	}
	all, deliveries, err := d.openAlerts(ctx)
	if err != nil {
		return nil, err
	}
	if q.All || q.ID != "" {
		if all, err = d.pastAlerts(ctx, q, all, deliveries, limit); err != nil {
			return nil, err
		}
	}
	home := d.alertHomes()
	out := []server.AlertView{}
	for _, a := range slices.Backward(all) {
		role := roleIn(who, []string{d.teamOfAlert(a)})
		switch {
		case role == "", q.ID != "" && a.ID != q.ID, q.Target != "" && a.Signal.Target != q.Target, !q.All && q.ID == "" && a.State != alert.Firing:
			continue
		}
		v := server.AlertView{Alert: a, Deliveries: []alert.Delivery{}, Attempts: map[string][]alert.Attempt{}, Incident: home[a.ID], Can: role}
		for _, x := range deliveries[a.ID] {
			v.Deliveries = append(v.Deliveries, x.Delivery)
			v.Attempts[x.ID] = orEmpty(x.All)
		}
		if out = append(out, v); len(out) == limit {
			break
		}
	}
	if q.ID != "" && len(out) == 0 {
		return nil, fmt.Errorf("%w: there is no alert %s", server.ErrNotFound, q.ID)
	}
	return out, nil
}

// openAlerts are those that are open or ended lately, with what was sent: from the
// pager, and where another node pages, from the store.
func (d *desk) openAlerts(ctx context.Context) ([]alert.Alert, map[string][]onItsWay, error) {
	if r := d.lead(); r != nil {
		alerts, deliveries := r.pager.whole()
		return alerts, deliveries, nil
	}
	deliveries := map[string][]onItsWay{}
	records, err := d.state.OpenRecords(ctx, alert.KindAlert)
	if err != nil {
		return nil, nil, err
	}
	sent, err := d.state.OpenRecords(ctx, alert.KindDelivery)
	if err != nil {
		return nil, nil, err
	}
	for _, r := range sent {
		var x onItsWay
		if r.Read(&x) == nil {
			deliveries[x.AlertID] = append(deliveries[x.AlertID], x)
		}
	}
	var alerts []alert.Alert
	for _, r := range records {
		var a alert.Alert
		if r.Read(&a) == nil {
			alerts = append(alerts, a)
		}
	}
	return alerts, deliveries, nil
}

// whole is what the pager has in memory, alerts by their beginning.
func (p *pager) whole() ([]alert.Alert, map[string][]onItsWay) {
	p.mu.Lock()
	defer p.mu.Unlock()
	alerts := make([]alert.Alert, 0, len(p.alerts))
	for _, a := range p.alerts {
		alerts = append(alerts, *a)
	}
	deliveries := map[string][]onItsWay{}
	for _, d := range p.deliveries {
		x := *d
		x.All = slices.Clone(d.All)
		deliveries[d.AlertID] = append(deliveries[d.AlertID], x)
	}
	for _, of := range deliveries {
		slices.SortFunc(of, func(a, b onItsWay) int { return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID)) })
	}
	slices.SortFunc(alerts, func(a, b alert.Alert) int { return cmp.Or(a.StartedAt.Compare(b.StartedAt), cmp.Compare(a.ID, b.ID)) })
	return alerts, deliveries
}

// pastAlerts adds those that the pager has forgotten, with what was sent.
func (d *desk) pastAlerts(ctx context.Context, q server.AlertQuery, here []alert.Alert, deliveries map[string][]onItsWay, limit int) ([]alert.Alert, error) {
	known := func(id string) bool {
		return slices.ContainsFunc(here, func(a alert.Alert) bool { return a.ID == id })
	}
	var records []alert.Record
	if q.ID != "" {
		if known(q.ID) {
			return here, nil
		}
		one, err := d.state.OneRecord(ctx, alert.KindAlert, q.ID)
		if err != nil && !errors.Is(err, status.ErrNothing) {
			return nil, err
		}
		if err == nil {
			records = append(records, one)
		}
	} else {
		var err error
		if records, err = d.state.RecentRecords(ctx, alert.KindAlert, recentAlerts); err != nil {
			return nil, err
		}
	}
	forgotten := map[string]bool{}
	for _, r := range records {
		var a alert.Alert
		if known(r.ID) || r.Read(&a) != nil || q.Target != "" && a.Signal.Target != q.Target {
			continue
		}
		here, forgotten[a.ID] = append(here, a), true
		if len(forgotten) == limit {
			break
		}
	}
	slices.SortFunc(here, func(a, b alert.Alert) int { return a.StartedAt.Compare(b.StartedAt) })
	if len(forgotten) == 0 {
		return here, nil
	}
	sent, err := d.state.RecentRecords(ctx, alert.KindDelivery, 5*recentAlerts)
	if err != nil {
		return nil, err
	}
	for _, r := range slices.Backward(sent) {
		id, _, _ := strings.Cut(r.ID, ".")
		var x onItsWay
		if forgotten[id] && r.Read(&x) == nil {
			deliveries[id] = append(deliveries[id], x)
		}
	}
	return here, nil
}

// alertHomes are the incidents that alerts were gathered in.
func (d *desk) alertHomes() map[string]string {
	out := map[string]string{}
	for _, s := range d.follow.all() {
		for _, a := range s.Alerts {
			out[a.ID] = cmp.Or(s.MergedInto, s.ID)
		}
	}
	return out
}

// Acknowledge implements server.Actor.
func (d *desk) Acknowledge(ctx context.Context, who access.Principal, alertID string) (server.AlertView, error) {
	found, err := d.Alerts(ctx, who, server.AlertQuery{ID: alertID})
	if err != nil {
		return server.AlertView{}, err
	}
	if err := allowed(found[0].Can, access.Respond, "alert", alertID); err != nil {
		return server.AlertView{}, err
	}
	if err := d.acknowledge(ctx, alertID, who.Name); err != nil {
		return server.AlertView{}, err
	}
	found, err = d.Alerts(ctx, who, server.AlertQuery{ID: alertID}) // one that has ended is shown as that
	if err != nil {
		return server.AlertView{}, err
	}
	return found[0], nil
}

// acknowledge stops an alert's chain, here or on the node that pages. That one has
// ended is no error.
func (d *desk) acknowledge(ctx context.Context, id, by string) error {
	if r := d.lead(); r != nil {
		_, err := r.pager.Acknowledge(ctx, id, by, time.Now())
		if errors.Is(err, errNoAlert) {
			err = nil
		}
		return err
	}
	return d.request(ctx, alert.Request{What: alert.RequestAcknowledge, Alert: id, By: by})
}

// setSilence begins or ends a silence, here or on the node that pages.
func (d *desk) setSilence(ctx context.Context, s alert.Silence) error {
	if r := d.lead(); r != nil {
		r.pager.Silence(ctx, s)
		return nil
	}
	return d.request(ctx, alert.Request{What: alert.RequestSilence, Silence: &s, By: s.Owner})
}

// request asks the node that pages for something, and waits for its answer.
func (d *desk) request(ctx context.Context, q alert.Request) error {
	q.ID, q.At = newID()+newID(), time.Now().UTC()
	r, err := alert.NewRecord(alert.KindRequest, q.ID, "", true, q.At, q)
	if err != nil {
		return err
	}
	if err := d.state.Save(ctx, r); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, requestWithin)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		done, err := d.state.OneRecord(ctx, alert.KindRequest, q.ID)
		if err == nil && !done.Open {
			if err := done.Read(&q); err != nil || !q.Failed {
				return err
			}
			return fmt.Errorf("%w: %s", server.ErrRefused, q.Answer)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: no node has taken it up yet; it is kept, and the next that leads does it", server.ErrRefused)
		case <-tick.C:
		}
	}
}

// silences are all that hold or are to come, by their beginning.
func (d *desk) silences(ctx context.Context, now time.Time) ([]alert.Silence, error) {
	all, err := d.askedSilences(ctx)
	if err != nil {
		return nil, err
	}
	out := slices.DeleteFunc(all, func(s alert.Silence) bool { return !now.Before(s.Until) })
	for _, c := range d.o.Paging.Charges {
		out = append(out, planned(c.Planned, now)...)
	}
	slices.SortFunc(out, func(a, b alert.Silence) int { return cmp.Or(a.From.Compare(b.From), cmp.Compare(a.ID, b.ID)) })
	return out, nil
}

// askedSilences are those that people asked for.
func (d *desk) askedSilences(ctx context.Context) ([]alert.Silence, error) {
	out := []alert.Silence{}
	if r := d.lead(); r != nil {
		r.pager.mu.Lock()
		defer r.pager.mu.Unlock()
		for _, s := range r.pager.silences {
			out = append(out, s)
		}
		return out, nil
	}
	records, err := d.state.OpenRecords(ctx, alert.KindSilence)
	if err != nil {
		return nil, err
	}
	for _, r := range records {
		var s alert.Silence
		if err := r.Read(&s); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// Silences implements server.Reader.
func (d *desk) Silences(ctx context.Context, who access.Principal) ([]alert.Silence, error) {
	all, err := d.silences(ctx, time.Now())
	return slices.DeleteFunc(all, func(s alert.Silence) bool {
		return roleIn(who, []string{d.teamOf(s.Target)}) == ""
	}), err
}

// Silence implements server.Actor.
func (d *desk) Silence(ctx context.Context, who access.Principal, s alert.Silence) (alert.Silence, error) {
	role := everywhere(who)
	if s.Target != "" {
		role = d.roleOn(who, s.Target)
	}
	if role == "" && s.Target == "" {
		return s, fmt.Errorf("%w: to silence a code for every target needs a role for every team", server.ErrForbidden)
	}
	if err := allowed(role, access.Respond, "target", cmp.Or(s.Target, "of every team")); err != nil {
		return s, err
	}
	now := time.Now().UTC()
	if s.From.IsZero() {
		s.From = now
	}
	switch lasts := s.Until.Sub(s.From); {
	case lasts <= 0 || lasts > 30*24*time.Hour || !s.Until.After(now):
		return s, fmt.Errorf("%w: a silence lasts longer than nothing and at most 30 days", server.ErrRefused)
	case strings.TrimSpace(s.Reason) == "":
		return s, fmt.Errorf("%w: say why: others will ask", server.ErrRefused)
	case s.Target == "" && s.Code == "" && s.Key == "":
		return s, fmt.Errorf("%w: name a target or a code: nothing silences everything", server.ErrRefused)
	}
	s.ID, s.Owner, s.Reason = newID(), who.Name, strings.TrimSpace(s.Reason)
	if key := server.Once(ctx); key != "" { // asked for twice, it is one; nobody's key names what another asked for
		sum := sha256.Sum256([]byte(who.Name + "\n" + key))
		s.ID = hex.EncodeToString(sum[:16])
	}
	err := d.setSilence(ctx, s)
	d.follow.catchUp(ctx)
	return s, err
}

// EndSilence implements server.Actor.
func (d *desk) EndSilence(ctx context.Context, who access.Principal, id string) error {
	now := time.Now().UTC()
	all, err := d.silences(ctx, now)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(s alert.Silence) bool { return s.ID == id })
	if i < 0 {
		return fmt.Errorf("%w: there is no silence %s", server.ErrNotFound, id)
	}
	s := all[i]
	if err := allowed(roleIn(who, []string{d.teamOf(s.Target)}), access.Respond, "silence", id); err != nil {
		return err
	}
	if strings.HasPrefix(id, "planned-") {
		return fmt.Errorf("%w: it is planned work of refloat.yaml: change it under targets.%s.maintenance", server.ErrRefused, s.Target)
	}
	s.Until = now
	if err := d.setSilence(ctx, s); err != nil {
		return err
	}
	d.note(ctx, who, "silence/"+id, "silence.ended", map[string]string{"by": who.Name, "target": s.Target})
	return nil
}

// OnCall implements server.Reader.
func (d *desk) OnCall(_ context.Context, who access.Principal, from, until time.Time) (server.OnCall, error) {
	out := server.OnCall{From: from, Until: until, Teams: []server.TeamOnCall{}, Names: map[string]string{}}
	if !from.Before(until) || until.Sub(from) > 400*24*time.Hour {
		return out, fmt.Errorf("%w: ask for at least a moment and at most 400 days", server.ErrRefused)
	}
	r, now := d.o.Paging.Roster, time.Now()
	for _, name := range slices.Sorted(maps.Keys(r.Teams)) {
		if !who.Has(access.View, name) {
			continue
		}
		t := r.Teams[name]
		x := server.TeamOnCall{Team: name, Members: orEmpty(t.Members), Policy: r.PolicyOf(name).Name, Now: []alert.Shift{}, Shifts: []alert.Shift{}, Gaps: []alert.Gap{}}
		if len(t.Rotations)+len(t.Overrides) > 0 {
			x.Now, x.Shifts, x.Gaps = orEmpty(r.OnCall(name, now)), orEmpty(r.Shifts(name, from, until)), orEmpty(r.Gaps(name, from, until))
		}
		out.Teams = append(out.Teams, x)
		for _, m := range t.Members {
			out.Names[m] = r.People[m].Shown()
		}
		for _, s := range append(slices.Clone(x.Now), x.Shifts...) {
			out.Names[s.Person] = r.People[s.Person].Shown()
		}
	}
	return out, nil
}

// Simulate implements server.Reader.
func (d *desk) Simulate(_ context.Context, who access.Principal, q server.PageQuery) (server.PageSimulation, error) {
	out := server.PageSimulation{At: q.At, Target: q.Target, Team: q.Team, Severity: q.Severity, Names: map[string]string{}}
	if out.At.IsZero() {
		out.At = time.Now().UTC()
	}
	if q.Target != "" {
		if err := allowed(d.roleOn(who, q.Target), access.View, "target", q.Target); err != nil {
			return out, err
		}
		c := d.o.Paging.Charges[q.Target]
		out.Team = cmp.Or(out.Team, c.Team)
		out.Severity = cmp.Or(out.Severity, alert.SeverityFor(c.Tier, alert.Critical))
	}
	out.Severity = cmp.Or(out.Severity, alert.Critical)
	r := d.o.Paging.Roster
	if _, known := r.Teams[out.Team]; out.Team != "" && !known || !who.Has(access.View, out.Team) {
		return out, fmt.Errorf("%w: there is no team %s", server.ErrNotFound, out.Team)
	}
	if out.Severity.Rank() == 0 {
		return out, fmt.Errorf("%w: the severity is critical, high, medium or low", server.ErrRefused)
	}
	a := alert.Alert{ID: "simulated", State: alert.Firing, StartedAt: out.At, Signal: alert.Signal{Target: out.Target, Team: out.Team, Severity: out.Severity}}
	out.Simulation = alert.Simulate(a, r.PolicyOf(out.Team), r, out.At)
	for _, p := range out.Pages {
		if p.Person != "" {
			out.Names[p.Person] = r.People[p.Person].Shown()
		}
	}
	return out, nil
}

// TestPage implements server.Actor.
func (d *desk) TestPage(ctx context.Context, who access.Principal, person string) error {
	r := d.o.Paging.Roster
	p, known := r.People[person]
	var teams []string
	for _, name := range slices.Sorted(maps.Keys(r.Teams)) {
		if slices.Contains(r.Teams[name].Members, person) {
			teams = append(teams, name)
		}
	}
	if len(teams) == 0 {
		teams = []string{""}
	}
	role := roleIn(who, teams)
	if person == who.Name && who.Known() {
		role = access.Responder // everybody may see whether they can be reached
	}
	if !known || role == "" {
		return fmt.Errorf("%w: there is no person %s", server.ErrNotFound, person)
	}
	if err := allowed(role, access.Respond, "person", person); err != nil {
		return err
	}
	if len(p.Contacts) == 0 {
		return fmt.Errorf("%w: %s has no contact", server.ErrRefused, person)
	}
	to := d.o.Paging.Sender
	if to == nil {
		to = noSender{}
	}
	var errs []error
	results := testContacts(ctx, to, r, person, p.Contacts)
	for _, x := range results {
		if x.Error != "" {
			errs = append(errs, fmt.Errorf("%s: %s", x.Contact.ID, x.Error))
		}
	}
	d.note(ctx, who, "person/"+person, "page.tested", results)
	if len(errs) > 0 {
		return fmt.Errorf("%w: %w", server.ErrRefused, errors.Join(errs...))
	}
	return nil
}

// note writes down what somebody did. It is done, so that it cannot be written
// down is told and no more.
func (d *desk) note(ctx context.Context, who access.Principal, subject, kind string, body any) {
	if _, err := d.state.Append(context.WithoutCancel(ctx), journal.Event{Time: time.Now(), Actor: who.Name, Subject: subject, Kind: kind, Body: body}); err != nil {
		d.log.ErrorContext(ctx, "write the journal", "kind", kind, "error", err)
	}
	d.follow.catchUp(ctx)
}
