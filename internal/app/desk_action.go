package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/refloat-db/refloat/internal/access"
	"github.com/refloat-db/refloat/internal/action"
	"github.com/refloat-db/refloat/internal/audit"
	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/journal"
	"github.com/refloat-db/refloat/internal/server"
)

// actionStates are the action items as they stand. A state is only ever made
// from the newest one of its action, so that what was handed out stays as it is.
type actionStates struct {
	mu    sync.Mutex
	by    map[string]Action
	order []string // as they were added
}

func (a *actionStates) fold(entries []journal.Entry) {
	events := actionEvents(entries)
	if len(events) == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.by == nil {
		a.by = map[string]Action{}
	}
	for _, e := range events {
		s, known := a.by[e.Action]
		if !known {
			a.order = append(a.order, e.Action)
		}
		if e.Seq > s.Last {
			a.by[e.Action] = s.With(e)
		}
	}
}

func (a *actionStates) all() []Action {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := make([]Action, 0, len(a.order))
	for _, id := range a.order {
		out = append(out, a.by[id])
	}
	return out
}

func (a *actionStates) one(name string) (Action, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s, known := a.by[actionID(strings.TrimSpace(name))]
	return s, known
}

// roleOnAction is what somebody may do with an action item: as much as for its
// team, or in the incident that it comes of.
func (d *desk) roleOnAction(who access.Principal, s Action) access.Role {
	from := d.follow.incident(s.Source.Incident)
	if s.Team == "" && from == nil {
		if who.Everywhere == "" { // what belongs to no team is not for every team
			return ""
		}
		return everywhere(who)
	}
	var role access.Role
	if s.Team != "" {
		role = roleIn(who, []string{s.Team})
	}
	if from != nil {
		if there := d.roleAt(who, from); there != "" && may(there, access.Need(role)) || role == "" {
			role = there
		}
	}
	return role
}

// findAction is an action item that somebody asks for, if they may.
func (d *desk) findAction(who access.Principal, name string, n access.Need) (Action, error) {
	s, known := d.follow.actions.one(name)
	if !known {
		return s, fmt.Errorf("%w: there is no action item %s", server.ErrNotFound, name)
	}
	return s, allowed(d.roleOnAction(who, s), n, "action item", name)
}

func (d *desk) viewAction(who access.Principal, s Action, now time.Time, whole bool) server.ActionView {
	v := server.ActionView{State: s, At: now, IsLate: s.Late(now), Can: d.roleOnAction(who, s)}
	if !whole {
		v.Timeline = []action.Event{}
	}
	return v
}

// Actions implements server.Reader. The timeline of each is left out.
func (d *desk) Actions(ctx context.Context, who access.Principal, q server.ActionQuery) ([]server.ActionView, error) {
	d.follow.catchUp(ctx)
	if q.Incident != "" {
		from, err := d.find(who, q.Incident, access.View)
		if err != nil {
			return nil, err
		}
		q.Incident = from.ID
	}
	now := time.Now().UTC()
	all := slices.DeleteFunc(d.follow.actions.all(), func(s Action) bool {
		return !q.All && s.Status != action.Open || q.Owner != "" && s.Owner != q.Owner || q.Incident != "" && s.Source.Incident != q.Incident || q.Late && !s.Late(now) || d.roleOnAction(who, s) == ""
	})
	action.ByRisk(all, now)
	out := make([]server.ActionView, 0, len(all))
	for _, s := range all {
		out = append(out, d.viewAction(who, s, now, false))
	}
	return out, nil
}

// Action implements server.Reader.
func (d *desk) Action(ctx context.Context, who access.Principal, id string) (server.ActionView, error) {
	d.follow.catchUp(ctx)
	s, err := d.findAction(who, id, access.View)
	if err != nil {
		return server.ActionView{}, err
	}
	return d.viewAction(who, s, time.Now().UTC(), true), nil
}

// errOfAction turns the room's errors into those of the desk.
func errOfAction(err error) error {
	for _, x := range [...]struct{ of, to error }{{action.ErrNone, server.ErrNotFound}, {action.ErrRefused, server.ErrRefused}, {action.ErrNothing, incident.ErrNothing}} {
		if errors.Is(err, x.of) {
			return fmt.Errorf("%w: %s", x.to, strings.TrimPrefix(err.Error(), x.of.Error()+": "))
		}
	}
	return err
}

// actedOn is an action item after somebody did something to it.
func (d *desk) actedOn(ctx context.Context, who access.Principal, id string, err error) (server.ActionView, error) {
	if err = errOfAction(err); err != nil && !errors.Is(err, incident.ErrNothing) {
		return server.ActionView{}, err
	}
	v, lookErr := d.Action(ctx, who, id)
	if lookErr != nil {
		return v, lookErr
	}
	return v, err
}

// AddAction implements server.Actor.
func (d *desk) AddAction(ctx context.Context, who access.Principal, item action.Item, check *action.Check) (server.ActionView, error) {
	d.follow.catchUp(ctx)
	if err := d.homeOfAction(who, &item); err != nil {
		return server.ActionView{}, err
	}
	if err := d.checkMay(who, check); err != nil {
		return server.ActionView{}, err
	}
	add := action.Added{Item: item}
	if once := server.Once(ctx); once != "" {
		add.Key = "asked/" + who.Name + "/" + once
	}
	id, now := "", time.Now()
	_, err := actionLog{d.state}.act(ctx, func(all []Action) ([]action.Event, error) {
		if i := slices.IndexFunc(all, func(s Action) bool { return add.Key != "" && s.Key == add.Key }); i >= 0 {
			id = all[i].ID
			return nil, fmt.Errorf("%w: it was added when it was asked for before", action.ErrNothing)
		}
		id = action.NextID(all)
		events, err := action.Decide(Action{}, action.Add{ID: id, Added: add}, who.Name, now)
		if err != nil || check == nil {
			return events, err
		}
		bound, err := action.Decide(action.Fold(events)[0], action.Bind{Check: *check}, who.Name, now)
		return append(events, bound...), err
	})
	return d.actedOn(ctx, who, id, err)
}

// homeOfAction sees that a new action item belongs to somebody who may say so,
// and fills in the team that is told when it is late.
func (d *desk) homeOfAction(who access.Principal, item *action.Item) error {
	if item.Source.Incident != "" {
		need := access.View
		if item.Team == "" {
			need = access.Respond
		}
		from, err := d.find(who, item.Source.Incident, need)
		if err != nil {
			return err
		}
		if item.Source.Incident = from.ID; item.Team == "" {
			item.Team = from.Team
			return nil
		}
	}
	if item.Team != "" {
		return d.teamMay(who, item.Team)
	}
	if who.Has(access.Respond, "") {
		for _, team := range slices.Sorted(maps.Keys(d.o.Paging.Roster.Teams)) {
			if slices.Contains(d.o.Paging.Roster.Teams[team].Members, item.Owner) {
				item.Team = team
				return nil
			}
		}
		return nil
	}
	var theirs []string
	for _, t := range slices.Sorted(maps.Keys(who.Teams)) {
		if who.Has(access.Respond, t) {
			theirs = append(theirs, t)
		}
	}
	switch len(theirs) {
	case 0:
		return fmt.Errorf("%w: to add an action item of a team needs the role %s there", server.ErrForbidden, access.Respond)
	case 1:
		item.Team = theirs[0]
		return nil
	}
	return fmt.Errorf("%w: say which team it belongs to: %s", server.ErrRefused, strings.Join(theirs, ", "))
}

// teamMay is nil when somebody may give an action item to a team.
func (d *desk) teamMay(who access.Principal, team string) error {
	_, known := d.o.Paging.Roster.Teams[team]
	switch {
	case !who.Has(access.View, team):
		return fmt.Errorf("%w: there is no team %s", server.ErrNotFound, team)
	case !known && len(d.o.Paging.Roster.Teams) > 0:
		return fmt.Errorf("%w: there is no team %s", server.ErrRefused, team)
	case !who.Has(access.Respond, team):
		return fmt.Errorf("%w: to give an action item to the team %s needs the role %s there", server.ErrForbidden, team, access.Respond)
	}
	return nil
}

// checkMay refuses a check of what there is not, or of what somebody may not
// see: what it finds is told to all who see the action item.
func (d *desk) checkMay(who access.Principal, c *action.Check) error {
	if c == nil {
		return nil
	}
	if c.Target != "" {
		if err := allowed(d.roleOn(who, c.Target), access.View, "target", c.Target); err != nil {
			return err
		}
	}
	if c.Rule != "" && !slices.ContainsFunc(audit.Rules(), func(r audit.Rule) bool { return r.ID == c.Rule }) {
		return fmt.Errorf("%w: there is no rule %s", server.ErrRefused, c.Rule)
	}
	return d.knownPerson(c.Person)
}

// ActOnAction implements server.Actor.
func (d *desk) ActOnAction(ctx context.Context, who access.Principal, id string, c action.Command) (server.ActionView, error) {
	d.follow.catchUp(ctx)
	s, err := d.findAction(who, id, access.Respond)
	if err != nil {
		return server.ActionView{}, err
	}
	switch x := c.(type) {
	case action.Unbind, action.AddLink, action.Close, action.Drop, action.Reopen:
	case action.AddNote:
		if n := len(s.Notes); n > 0 && server.Once(ctx) != "" && s.Notes[n-1].By == who.Name && s.Notes[n-1].Text == strings.TrimSpace(x.Text) {
			return d.actedOn(ctx, who, s.ID, fmt.Errorf("%w: it was written down when it was asked for before", action.ErrNothing))
		}
	case action.Bind:
		if err := d.checkMay(who, &x.Check); err != nil {
			return server.ActionView{}, err
		}
	case action.Change:
		if err := d.mayMove(who, s, x.Item); err != nil {
			return server.ActionView{}, err
		}
	default: // it is asked for by name, or is for the server to tell
		return server.ActionView{}, fmt.Errorf("%w: this is not done by an act", server.ErrRefused)
	}
	_, err = actionLog{d.state}.one(ctx, s.ID, c, who.Name, time.Now())
	return d.actedOn(ctx, who, s.ID, err)
}

// mayMove is nil when somebody may give an action item another team, or another
// incident that it comes of.
func (d *desk) mayMove(who access.Principal, s Action, to action.Item) error {
	if to.Source.Incident != "" && to.Source.Incident != s.Source.Incident {
		if _, err := d.find(who, to.Source.Incident, access.View); err != nil {
			return err
		}
	}
	switch {
	case to.Team == s.Team:
		return nil
	case to.Team == "" && to.Source.Incident == "":
		return fmt.Errorf("%w: it belongs to nobody then: leave it a team", server.ErrRefused)
	case to.Team == "":
		return nil
	}
	return d.teamMay(who, to.Team)
}
