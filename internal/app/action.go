package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/action"
	"github.com/refloat-db/refloat/internal/audit"
	"github.com/refloat-db/refloat/internal/journal"
	"github.com/refloat-db/refloat/internal/postmortem"
)

// What the action commands speak of.
type (
	Action         = action.State
	ActionItem     = action.Item
	ActionCommand  = action.Command
	ActionCheck    = action.Check
	ActionKind     = action.Kind
	ActionPriority = action.Priority

	ChangeAction = action.Change
	BindAction   = action.Bind
	UnbindAction = action.Unbind
	NoteAction   = action.AddNote
	LinkAction   = action.AddLink
	CloseAction  = action.Close
	DropAction   = action.Drop
	ReopenAction = action.Reopen
	ActionLink   = action.Link
)

// What actions can be made of.
var (
	ParseActionCheck = action.ParseCheck
	ParseActionDay   = action.ParseDay
	ActionKinds      = action.Kinds
	ActionPriorities = action.Priorities
	ActionSources    = action.Sources
	ExportActions    = action.Export
)

// The statuses of an action.
const (
	ActionOpen = action.Open
	ActionDone = action.Done
)

// actionScope is what the subjects of all actions begin with.
const actionScope = "action/"

func actionEvents(entries []journal.Entry) []action.Event {
	var out []action.Event
	for _, e := range entries {
		if id, is := strings.CutPrefix(e.Subject, actionScope); is {
			out = append(out, action.Event{Action: id, Seq: e.Seq, Time: e.Time, Actor: e.Actor, Kind: e.Kind, Body: e.Body})
		}
	}
	return out
}

// actionLog keeps the events of actions in the journal.
type actionLog struct{ journal journal.Log }

// all are the states of all actions, and the sequence number of their last event.
func (l actionLog) all(ctx context.Context) ([]Action, int64, error) {
	entries, err := l.journal.ReadScope(ctx, actionScope, 0)
	if err != nil {
		return nil, 0, err
	}
	last := int64(0)
	if n := len(entries); n > 0 {
		last = entries[n-1].Seq
	}
	return action.Fold(actionEvents(entries)), last, nil
}

// act decides against all actions as they stand and keeps the events, all or
// none; when something is added meanwhile it looks and decides again.
func (l actionLog) act(ctx context.Context, decide func(all []Action) ([]action.Event, error)) ([]Action, error) {
	for {
		all, last, err := l.all(ctx)
		if err != nil {
			return nil, err
		}
		events, err := decide(all)
		if err != nil || len(events) == 0 {
			return all, err
		}
		in := make([]journal.Event, len(events))
		for i, e := range events {
			in[i] = journal.Event{Time: e.Time, Actor: e.Actor, Subject: actionScope + e.Action, Kind: e.Kind, Body: e.Body}
		}
		if _, err := l.journal.AppendAfter(ctx, actionScope, last, in...); err != nil {
			if errors.Is(err, journal.ErrMoved) {
				continue
			}
			return nil, err
		}
		all, _, err = l.all(ctx)
		return all, err
	}
}

// one does one thing to one action.
func (l actionLog) one(ctx context.Context, id string, c ActionCommand, by string, now time.Time) (Action, error) {
	all, err := l.act(ctx, func(all []Action) ([]action.Event, error) {
		s, err := findAction(all, id)
		if err != nil {
			return nil, err
		}
		return action.Decide(s, c, by, now)
	})
	if err != nil {
		return Action{}, err
	}
	return findAction(all, id)
}

func actionID(name string) string {
	if _, err := strconv.Atoi(name); err == nil {
		return "act-" + name
	}
	return name
}

func findAction(all []Action, name string) (Action, error) {
	i := slices.IndexFunc(all, func(s Action) bool { return s.ID == actionID(name) })
	if i < 0 {
		return Action{}, fmt.Errorf("%w: %s", action.ErrNone, name)
	}
	return all[i], nil
}

// ActionFilter selects actions.
type ActionFilter struct {
	All      bool // also those that are done or dropped
	Owner    string
	Incident string
	Late     bool
}

// Actions lists actions, the most pressing first.
func (a *App) Actions(ctx context.Context, f ActionFilter) (out []Action, err error) {
	s, err := a.state(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	all, _, err := actionLog{s}.all(ctx)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	out = []Action{}
	for _, x := range all {
		if (f.All || x.Status == action.Open) && (f.Owner == "" || x.Owner == f.Owner) && (f.Incident == "" || x.Source.Incident == incidentID(f.Incident)) && (!f.Late || x.Late(now)) {
			out = append(out, x)
		}
	}
	action.ByRisk(out, now)
	return out, nil
}

// Action shows one action.
func (a *App) Action(ctx context.Context, name string) (_ Action, err error) {
	s, err := a.state(ctx)
	if err != nil {
		return Action{}, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	all, _, err := actionLog{s}.all(ctx)
	if err != nil {
		return Action{}, err
	}
	return findAction(all, name)
}

// AddAction writes an action down, with a check that closes it where one is given.
func (a *App) AddAction(ctx context.Context, item ActionItem, bind *ActionCheck, by string) (_ Action, err error) {
	out, err := a.addActions(ctx, []action.Imported{{Add: action.Added{Item: item}, Bind: bind}}, by)
	if err != nil {
		return Action{}, err
	}
	return out[0], nil
}

// addActions adds those that were not imported before, all or none.
func (a *App) addActions(ctx context.Context, list []action.Imported, by string) (_ []Action, err error) {
	if by, err = actor(by); err != nil {
		return nil, err
	}
	for i := range list {
		x := &list[i]
		if x.Add.Source.Incident != "" {
			x.Add.Source.Incident = incidentID(x.Add.Source.Incident)
		}
		if err := errors.Join(a.checkBound(x.Bind), a.ownerTeam(&x.Add.Item)); err != nil {
			if x.Line > 0 {
				err = fmt.Errorf("line %d: %w", x.Line, err)
			}
			return nil, err
		}
	}
	s, err := a.writable(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	now := time.Now()
	var ids []string
	all, err := actionLog{s}.act(ctx, func(all []Action) ([]action.Event, error) {
		ids = nil
		var out []action.Event
		for _, x := range list {
			if x.Add.Key != "" && slices.ContainsFunc(all, func(s Action) bool { return s.Key == x.Add.Key }) {
				continue
			}
			id := action.NextID(all)
			events, err := action.Decide(Action{}, action.Add{ID: id, Added: x.Add}, by, now)
			if err != nil {
				return nil, err
			}
			state := action.Fold(events)[0]
			if x.Bind != nil {
				bound, err := action.Decide(state, action.Bind{Check: *x.Bind}, by, now)
				if err != nil {
					return nil, err
				}
				events = append(events, bound...)
			}
			all, ids, out = append(all, state), append(ids, id), append(out, events...)
		}
		return out, nil
	})
	if err != nil {
		return nil, err
	}
	out := []Action{}
	for _, id := range ids {
		x, err := findAction(all, id)
		if err != nil {
			return nil, err
		}
		out = append(out, x)
	}
	return out, nil
}

// checkBound refuses a check of what there is not: it would never close anything.
func (a *App) checkBound(c *ActionCheck) error {
	if c == nil {
		return nil
	}
	if c.Target != "" {
		if _, _, err := a.target(c.Target); err != nil {
			return err
		}
	}
	if c.Rule != "" && !slices.ContainsFunc(audit.Rules(), func(r audit.Rule) bool { return r.ID == c.Rule }) {
		return fmt.Errorf("%w: there is no rule %s; refloat check --list shows them", ErrUsage, c.Rule)
	}
	return a.knownPerson(c.Person)
}

// ownerTeam fills in the team of an action from what it is about: nobody is
// told of a late one otherwise. Owners outside the configuration are allowed, and
// are reminded through their team.
func (a *App) ownerTeam(i *ActionItem) error {
	if i.Team != "" {
		if _, ok := a.cfg.Teams[i.Team]; !ok && len(a.cfg.Teams) > 0 {
			return fmt.Errorf("%w: there is no team %s in %s", ErrUsage, i.Team, a.cfg.Path)
		}
		return nil
	}
	for name, t := range a.cfg.Roster.Teams {
		if slices.Contains(t.Members, i.Owner) && (i.Team == "" || name < i.Team) {
			i.Team = name
		}
	}
	return nil
}

// ActOnAction does one thing to an action, as a person. It is kept when it
// returns, whether or not a server runs.
func (a *App) ActOnAction(ctx context.Context, name string, c ActionCommand, by string) (_ Action, err error) {
	if b, is := c.(BindAction); is {
		if err := a.checkBound(&b.Check); err != nil {
			return Action{}, err
		}
	}
	if by, err = actor(by); err != nil {
		return Action{}, err
	}
	s, err := a.writable(ctx)
	if err != nil {
		return Action{}, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return actionLog{s}.one(ctx, name, c, by, time.Now())
}

// ImportedActions are what an import adds, or would add.
type ImportedActions struct {
	Added []Action `json:"added"`
	// Known is how many were there already, from an import before.
	Known  int  `json:"known"`
	DryRun bool `json:"dry_run"`
}

// ImportActions adds the actions of a CSV file; the same file again adds nothing.
func (a *App) ImportActions(ctx context.Context, r io.Reader, dryRun bool, by string) (ImportedActions, error) {
	list, err := action.Import(r)
	if err != nil {
		return ImportedActions{}, err
	}
	return a.importActions(ctx, list, dryRun, by)
}

// ImportReport adds the actions of a report of an incident.
func (a *App) ImportReport(ctx context.Context, file, incidentName string, stdin io.Reader, dryRun bool, by string) (ImportedActions, error) {
	r, err := readReport(file, stdin)
	if err != nil {
		return ImportedActions{}, err
	}
	return a.importActions(ctx, reportActions(r, incidentName), dryRun, by)
}

func reportActions(r *postmortem.Report, incidentName string) []action.Imported {
	var list []action.Imported
	for _, x := range r.Actions {
		if x.Done {
			continue
		}
		item := ActionItem{Text: x.Text, Owner: x.Owner, Priority: action.P2, Source: action.Source{Incident: incidentID(incidentName), Text: x.Source}}
		if x.Source != "" {
			item.Source.Of = "finding"
		}
		if !x.Due.IsZero() {
			item.Due = action.DayOf(x.Due)
		}
		if k := action.Kind(strings.ToLower(x.Kind)); slices.Contains(action.Kinds(), k) {
			item.Kind = k
		}
		one := action.Imported{Line: x.Place.Line, Add: action.Added{Item: item, Key: action.ImportKey(item)}}
		if c, err := action.ParseCheck(strings.TrimSpace(x.Check)); err == nil {
			one.Bind = &c
		}
		list = append(list, one)
	}
	return list
}

func (a *App) importActions(ctx context.Context, list []action.Imported, dryRun bool, by string) (ImportedActions, error) {
	out := ImportedActions{DryRun: dryRun, Added: []Action{}}
	if !dryRun {
		added, err := a.addActions(ctx, list, by)
		out.Added, out.Known = orEmpty(added), len(list)-len(added)
		return out, err
	}
	there, err := a.Actions(ctx, ActionFilter{All: true})
	if err != nil {
		return out, err
	}
	for _, x := range list {
		if slices.ContainsFunc(there, func(s Action) bool { return s.Key == x.Add.Key }) {
			out.Known++
			continue
		}
		if err := a.checkBound(x.Bind); err != nil {
			return out, fmt.Errorf("line %d: %w", x.Line, err)
		}
		out.Added = append(out.Added, Action{Item: x.Add.Item, Key: x.Add.Key, Check: x.Bind, Status: action.Open})
	}
	return out, nil
}
