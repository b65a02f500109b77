package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/refloat-db/refloat/internal/action"
	"github.com/refloat-db/refloat/internal/action/tracker"
	"github.com/refloat-db/refloat/internal/config"
)

// Trackers lists the names of issue trackers in the configuration.
func (a *App) Trackers() []string {
	var out []string
	for _, t := range a.cfg.Trackers {
		out = append(out, t.Name)
	}
	return out
}

func (a *App) tracker(name string) (*tracker.Tracker, string, error) {
	all := a.cfg.Trackers
	if name == "" && len(all) == 1 {
		name = all[0].Name
	}
	i := slices.IndexFunc(all, func(t config.Tracker) bool { return t.Name == name })
	switch {
	case len(all) == 0:
		return nil, "", fmt.Errorf("%w: %s names no issue tracker: write one under trackers", ErrUsage, a.cfg.Path)
	case i < 0:
		return nil, "", fmt.Errorf("%w: say which tracker: --tracker %s", ErrUsage, strings.Join(a.Trackers(), " or "))
	}
	t := all[i]
	return tracker.New(tracker.Options{Kind: tracker.Kind(t.Kind), URL: t.URL, Project: t.Project, User: t.User, Token: t.Token, Type: t.Type}), t.Name, nil
}

// FileAction makes an entry for an action in an issue tracker, and keeps its
// address. One that has an entry there gets no other.
func (a *App) FileAction(ctx context.Context, name, in, by string) (Action, error) {
	t, in, err := a.tracker(in)
	if err != nil {
		return Action{}, err
	}
	s, err := a.Action(ctx, name)
	if err != nil {
		return s, err
	}
	if i := slices.IndexFunc(s.Links, func(l action.Link) bool { return l.Tracker == in }); i >= 0 {
		return s, fmt.Errorf("%w: it is %s there", action.ErrNothing, s.Links[i].URL)
	}
	e, err := t.Create(ctx, s)
	if err != nil {
		return s, fmt.Errorf("file %s in %s: %w", s.ID, in, err)
	}
	link := action.Link{Tracker: in, Key: e.Key, URL: e.URL}
	// What was made must be written down, also when nobody waits any more.
	s, err = a.ActOnAction(context.WithoutCancel(ctx), s.ID, action.AddLink{Link: link}, by)
	if err != nil {
		return s, fmt.Errorf("%s was made and could not be written down: refloat action link %s %s: %w", e.URL, name, e.URL, err)
	}
	return s, nil
}

// SyncedAction is what became of an action when its tracker was asked.
type SyncedAction struct {
	Action string `json:"action"`
	URL    string `json:"url"`
	Done   bool   `json:"done"` // in the tracker
	What   string `json:"what"` // closed, noted, or empty for nothing new
	Error  string `json:"error,omitempty"`
}

// SyncActions asks the trackers how the entries of open actions stand. An entry
// that is done closes an action without a check; one with a check is closed by
// its check alone, and the tracker's word is noted.
func (a *App) SyncActions(ctx context.Context, by string) ([]SyncedAction, error) {
	open, err := a.Actions(ctx, ActionFilter{})
	if err != nil {
		return nil, err
	}
	out := []SyncedAction{}
	var errs []error
	for _, s := range open {
		for _, l := range s.Links {
			if l.Tracker == "" || l.Key == "" {
				continue
			}
			x := SyncedAction{Action: s.ID, URL: l.URL}
			if err := a.sync(ctx, s, l, by, &x); err != nil {
				x.Error = err.Error()
				errs = append(errs, fmt.Errorf("%s: %w", s.ID, err))
			}
			out = append(out, x)
		}
	}
	return out, errors.Join(errs...)
}

func (a *App) sync(ctx context.Context, s Action, l action.Link, by string, out *SyncedAction) error {
	t, _, err := a.tracker(l.Tracker)
	if err != nil {
		return err
	}
	e, err := t.Look(ctx, l.Key)
	if err != nil {
		return err
	}
	out.Done = e.Done
	if !e.Done {
		return nil
	}
	said := "done in " + l.Tracker + ": " + l.URL
	if s.Check == nil {
		out.What = "closed"
		_, err = a.ActOnAction(ctx, s.ID, action.Close{Result: said}, by)
		return err
	}
	said += fmt.Sprintf("; it stays open until %s passes", s.Check)
	if slices.ContainsFunc(s.Notes, func(n action.Note) bool { return n.Text == said }) {
		return nil
	}
	out.What = "noted"
	_, err = a.ActOnAction(ctx, s.ID, action.AddNote{Text: said}, by)
	return err
}
