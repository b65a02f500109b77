package webtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/access"
	"github.com/refloat-db/refloat/internal/action"
	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/server"
)

func (d *Desk) actions(who access.Principal) []server.ActionView {
	d.mu.Lock()
	all := action.Fold(slices.Clone(d.todo))
	d.mu.Unlock()
	action.ByRisk(all, d.Now)
	out := []server.ActionView{}
	for _, s := range all {
		if who.Has(access.View, s.Team) {
			out = append(out, server.ActionView{State: s, At: d.Now, IsLate: s.Late(d.Now), Can: can(who, s.Team)})
		}
	}
	return out
}

// Actions implements server.Desk.
func (d *Desk) Actions(_ context.Context, who access.Principal, q server.ActionQuery) ([]server.ActionView, error) {
	return slices.DeleteFunc(d.actions(who), func(v server.ActionView) bool {
		return !q.All && v.Status != action.Open || q.Owner != "" && v.Owner != q.Owner || q.Incident != "" && v.Source.Incident != q.Incident || q.Late && !v.IsLate
	}), d.Err
}

// Action implements server.Desk.
func (d *Desk) Action(_ context.Context, who access.Principal, id string) (server.ActionView, error) {
	for _, v := range d.actions(who) {
		if v.ID == id {
			return v, d.Err
		}
	}
	return server.ActionView{}, fmt.Errorf("%w: action item %s", server.ErrNotFound, id)
}

// AddAction implements server.Desk.
func (d *Desk) AddAction(ctx context.Context, who access.Principal, item action.Item, check *action.Check) (server.ActionView, error) {
	if item.Source.Incident != "" {
		v, err := d.Incident(ctx, who, item.Source.Incident)
		if err != nil {
			return server.ActionView{}, err
		}
		item.Team = v.Team
	}
	if !who.Has(access.Respond, item.Team) {
		return server.ActionView{}, server.ErrForbidden
	}
	d.mu.Lock()
	id := action.NextID(action.Fold(slices.Clone(d.todo)))
	d.mu.Unlock()
	if err := d.decide(id, who.Name, d.Now, action.Add{ID: id, Added: action.Added{Item: item}}); err != nil {
		return server.ActionView{}, err
	}
	if check != nil {
		if err := d.decide(id, who.Name, d.Now, action.Bind{Check: *check}); err != nil {
			return server.ActionView{}, err
		}
	}
	return d.Action(ctx, who, id)
}

// ActOnAction implements server.Desk.
func (d *Desk) ActOnAction(ctx context.Context, who access.Principal, id string, c action.Command) (server.ActionView, error) {
	v, err := d.Action(ctx, who, id)
	if err != nil {
		return v, err
	}
	if !who.Has(access.Respond, v.Team) {
		return v, server.ErrForbidden
	}
	if err := d.decide(id, who.Name, d.Now, c); err != nil {
		return v, err
	}
	return d.Action(ctx, who, id)
}

// decide takes in what follows from a command, with the errors of a desk.
func (d *Desk) decide(id, by string, at time.Time, c action.Command) error {
	d.mu.Lock()
	var s action.State
	for _, x := range action.Fold(slices.Clone(d.todo)) {
		if x.ID == id {
			s = x
		}
	}
	d.mu.Unlock()
	events, err := action.Decide(s, c, by, at)
	switch {
	case errors.Is(err, action.ErrRefused):
		return fmt.Errorf("%w: %s", server.ErrRefused, strings.TrimPrefix(err.Error(), action.ErrRefused.Error()+": "))
	case errors.Is(err, action.ErrNothing):
		return fmt.Errorf("%w: %w", incident.ErrNothing, err)
	case err != nil:
		return err
	}
	for _, e := range events {
		d.Add(e.Time, e.Actor, "action/"+e.Action, e.Kind, e.Body)
		d.mu.Lock()
		e.Seq = int64(len(d.Written))
		d.todo = append(d.todo, e)
		d.mu.Unlock()
	}
	return nil
}

// toDo is what was decided after incidents, in every state.
func toDo(d *Desk) {
	day := func(n int) time.Time { return d.Now.AddDate(0, 0, n) }
	do := func(id, by string, at int, c action.Command) {
		if err := d.decide(id, by, day(at), c); err != nil {
			panic(fmt.Sprintf("fixed data: %v", err))
		}
	}
	add := func(id string, at int, i action.Item) {
		do(id, "Ada Byron", at, action.Add{ID: id, Added: action.Added{Item: i}})
	}
	add("act-1", -40, action.Item{Text: "Alert when the volume of the log is over 80 %", Owner: "Ada Byron", Team: "commerce", Due: action.DayOf(day(-6)), Kind: action.Detect, Priority: action.P1, Source: action.Source{Incident: "inc-7", Of: "factor", Text: "Nobody saw the volume fill for six hours."}})
	do("act-1", action.Server, -5, action.Remind{Reminded: action.Reminded{Due: action.DayOf(day(-6)), To: "Ada Byron"}, Late: true})
	add("act-2", -30, action.Item{Text: "Drill shop every week, not every month", Owner: "Rae", Team: "commerce", Due: action.DayOf(day(9)), Kind: action.Prevent, Priority: action.P1, Source: action.Source{Incident: "inc-7", Of: "cause", Text: "The standby was never promoted before."}})
	do("act-2", "Ada Byron", -30, action.Bind{Check: action.Check{Kind: action.CheckDrill, Target: "shop"}})
	do("act-2", action.Server, -2, action.Checked{Result: action.Result{Outcome: action.Failed, Evidence: "the last drill of shop did not prove it: 2 relations are missing", At: day(-2)}})
	do("act-2", "Rae", -1, action.AddNote{Text: "The scratch machine was too small; a larger one is ordered."})
	do("act-2", "Rae", -1, action.AddLink{Link: action.Link{URL: "https://issues.example.org/OPS-412"}})
	add("act-3", -12, action.Item{Text: "Write down who tells the shops, and when", Team: "commerce", Kind: action.Process, Priority: action.P3})
	add("act-4", -9, action.Item{Text: "Turn on data checksums", Owner: "Ada Byron", Team: "finance", Due: action.DayOf(day(20)), Kind: action.Mitigate, Priority: action.P2})
	add("act-5", -50, action.Item{Text: "Let a second person confirm before a table is dropped", Owner: "Rae", Team: "commerce", Due: action.DayOf(day(-20)), Kind: action.Prevent, Priority: action.P2})
	do("act-5", "Rae", -25, action.Close{Result: "Merged and rolled out on every application server."})
	add("act-6", -45, action.Item{Text: "Move to another hoster", Team: "commerce", Kind: action.Prevent, Priority: action.P3})
	do("act-6", "Ada Byron", -44, action.Drop{Why: "It costs more than it saves."})
}
