package rest

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/refloat-db/refloat/internal/access"
	"github.com/refloat-db/refloat/internal/action"
	"github.com/refloat-db/refloat/internal/server"
)

// ActionPath names an action item. It is exported since huma reads embedded
// fields of such types only.
type ActionPath struct {
	ID string `path:"action" pattern:"^(act-)?[0-9]{1,9}$" example:"act-4" doc:"The action item's ID, act-4 or 4."`
}

// action is the whole ID.
func (p ActionPath) action() string {
	if _, err := strconv.Atoi(p.ID); err == nil {
		return "act-" + p.ID
	}
	return p.ID
}

type newAction struct {
	Text     string          `json:"text" minLength:"1" maxLength:"4000" doc:"What is to be done."`
	Owner    string          `json:"owner,omitempty" maxLength:"200" doc:"Who does it: a person's name in the configuration where there is one."`
	Team     string          `json:"team,omitempty" maxLength:"200" doc:"That is told when it is late; when it is left out, the incident's, or the only one that you may respond for."`
	Due      action.Day      `json:"due,omitempty,omitzero" format:"date" doc:"The last day, in UTC, like 2026-12-31."`
	Kind     action.Kind     `json:"kind,omitempty" enum:"prevent,detect,mitigate,process" doc:"What it does about trouble."`
	Priority action.Priority `json:"priority,omitempty" enum:"p1,p2,p3" default:"p2" doc:"p1 is the first to do."`
	Incident string          `json:"incident,omitempty" pattern:"^(inc-)?[0-9]{1,9}$" doc:"The incident that it comes of."`
	Of       string          `json:"of,omitempty" enum:"cause,factor,challenge,lesson,recommendation,finding" doc:"What of the incident it mends."`
	Mends    string          `json:"mends,omitempty" maxLength:"4000" doc:"It, in words."`
	Check    string          `json:"check,omitempty" maxLength:"300" doc:"What closes it: rule:ID@TARGET, drill@TARGET, probe@TARGET or page:PERSON."`
}

func (b newAction) item() action.Item {
	i := action.Item{Text: b.Text, Owner: b.Owner, Team: b.Team, Due: b.Due, Kind: b.Kind, Priority: b.Priority, Source: action.Source{Of: b.Of, Text: b.Mends}}
	if b.Incident != "" {
		i.Source.Incident = IncidentPath{b.Incident}.incident()
	}
	if i.Priority == "" {
		i.Priority = action.P2
	}
	return i
}

// actionAct is what an act says. What a change leaves out stays as it is.
type actionAct struct {
	Text     *string          `json:"text,omitempty" maxLength:"4000" doc:"With change: what is to be done. With note: the note."`
	Owner    *string          `json:"owner,omitempty" maxLength:"200" doc:"With change."`
	Team     *string          `json:"team,omitempty" maxLength:"200" doc:"With change."`
	Due      *string          `json:"due,omitempty" maxLength:"10" pattern:"^([0-9]{4}-[0-9]{2}-[0-9]{2})?$" doc:"With change: the last day, in UTC; empty for none. A day that is moved back wants a why."`
	Kind     *action.Kind     `json:"kind,omitempty" enum:"prevent,detect,mitigate,process" doc:"With change."`
	Priority *action.Priority `json:"priority,omitempty" enum:"p1,p2,p3" doc:"With change."`
	Check    string           `json:"check,omitempty" maxLength:"300" doc:"With bind: rule:ID@TARGET, drill@TARGET, probe@TARGET or page:PERSON."`
	URL      string           `json:"url,omitempty" maxLength:"2000" doc:"With link: an entry in an issue tracker."`
	Result   string           `json:"result,omitempty" maxLength:"4000" doc:"With close: how it can be seen that it is done."`
	Despite  string           `json:"despite,omitempty" maxLength:"4000" doc:"With close: why it is done although its check does not pass."`
	Why      string           `json:"why,omitempty" maxLength:"4000" doc:"With change, unbind, drop and reopen."`
}

func given[T any](to *T, v *T) {
	if v != nil {
		*to = *v
	}
}

// command is what an act of a name does to an action item.
func (b actionAct) command(act string, s action.State) (action.Command, error) {
	switch act {
	case "change":
		i := s.Item
		given(&i.Text, b.Text)
		given(&i.Owner, b.Owner)
		given(&i.Team, b.Team)
		given(&i.Kind, b.Kind)
		given(&i.Priority, b.Priority)
		if b.Due != nil {
			day, err := action.ParseDay(*b.Due)
			if err != nil {
				return nil, unfit(err)
			}
			i.Due = day
		}
		return action.Change{Item: i, Why: b.Why}, nil
	case "note":
		var text string
		given(&text, b.Text)
		return action.AddNote{Text: text}, nil
	case "bind":
		c, err := action.ParseCheck(b.Check)
		return action.Bind{Check: c}, unfit(err)
	case "unbind":
		return action.Unbind{Why: b.Why}, nil
	case "link":
		return action.AddLink{Link: action.Link{URL: b.URL}}, nil
	case "close":
		return action.Close{Result: b.Result, Despite: b.Despite}, nil
	case "drop":
		return action.Drop{Why: b.Why}, nil
	}
	return action.Reopen{Why: b.Why}, nil
}

// unfit is an error of what was sent.
func unfit(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", server.ErrRefused, err)
}

func (a *API) actionOperations() {
	get, post := http.MethodGet, http.MethodPost
	register(a, operation{
		id: "list-actions", method: get, path: "/actions", tag: "actions", need: access.View, fails: []int{404}, summary: "Action items that are open, the most pressing first",
		about: "What is late, what nobody owns and what prevents come first. The timeline of each is left out.", answers: []server.ActionView{shortAction()},
	}, func(ctx context.Context, who access.Principal, in *struct {
		All      bool   `query:"all" example:"true" doc:"Also those that are done or dropped."`
		Owner    string `query:"owner" maxLength:"200" example:"ada" doc:"Only those of this person."`
		Incident string `query:"incident" pattern:"^(inc-)?[0-9]{1,9}$" example:"inc-3" doc:"Only those that come of this incident."`
		Late     bool   `query:"late" example:"true" doc:"Only those that are open past their due day."`
	}) (out answer[[]server.ActionView], err error) {
		all, err := a.o.Desk.Actions(ctx, who, server.ActionQuery{All: in.All, Owner: in.Owner, Incident: in.Incident, Late: in.Late})
		out.Body = full(all)
		return out, err
	})
	register(a, operation{
		id: "get-action", method: get, path: "/actions/{action}", tag: "actions", need: access.View, fails: []int{404}, summary: "An action item with everything that happened to it", answers: exampleAction(),
	}, func(ctx context.Context, who access.Principal, in *ActionPath) (out answer[server.ActionView], err error) {
		out.Body, err = a.o.Desk.Action(ctx, who, in.action())
		return out, err
	})
	register(a, operation{
		id: "add-action", method: post, path: "/actions", tag: "actions", need: access.Respond, status: http.StatusCreated, fails: []int{404}, summary: "Add an action item",
		about: "With a check it closes by itself when the check passes, and opens again when it fails.",
		sends: newAction{Text: "alert when the log volume is over 80 %", Owner: "ada", Kind: action.Detect, Priority: action.P1, Incident: "inc-3"}, answers: exampleAction(),
	}, func(ctx context.Context, who access.Principal, in *struct{ Body newAction }) (out answer[server.ActionView], err error) {
		var check *action.Check
		if in.Body.Check != "" {
			c, err := action.ParseCheck(in.Body.Check)
			if err != nil {
				return out, unfit(err)
			}
			check = &c
		}
		v, err := a.o.Desk.AddAction(ctx, who, in.Body.item(), check)
		if again(ctx) && nothing(err) && v.ID != "" {
			err = nil
		}
		out.Body = v
		return out, err
	})
	register(a, operation{
		id: "act-on-action", method: post, path: "/actions/{action}/acts/{act}", tag: "actions", need: access.Respond, fails: []int{404}, summary: "Do one thing to an action item",
		about: "One that has a check is closed by the check; a person closes it only with despite.", sends: actionAct{Result: "the alert fired in the drill of 2 December"}, answers: exampleAction(),
	}, func(ctx context.Context, who access.Principal, in *struct {
		ActionPath
		Act  string `path:"act" enum:"change,note,bind,unbind,link,close,drop,reopen" example:"close" doc:"What is done."`
		Body actionAct
	}) (out answer[server.ActionView], err error) {
		s, err := a.o.Desk.Action(ctx, who, in.action())
		if err != nil {
			return out, err
		}
		c, err := in.Body.command(in.Act, s.State)
		if err != nil {
			return out, err
		}
		v, err := a.o.Desk.ActOnAction(ctx, who, in.action(), c)
		if again(ctx) && nothing(err) && v.ID != "" {
			err = nil
		}
		out.Body = v
		return out, err
	})
}

func exampleAction() server.ActionView {
	now := noon().Add(48 * time.Hour)
	item := action.Item{
		Text: "alert when the log volume is over 80 %", Owner: "ada", Team: "db", Due: action.DayOf(now.AddDate(0, 0, 14)), Kind: action.Detect, Priority: action.P1,
		Source: action.Source{Incident: "inc-3", Of: "factor", Text: "nobody saw the volume fill for six hours"},
	}
	s := action.State{}
	seq := int64(4720)
	for _, c := range []action.Command{action.Add{ID: "act-4", Added: action.Added{Item: item}}, action.Bind{Check: action.Check{Kind: action.CheckDrill, Target: "shop"}}, action.AddNote{Text: "the exporter has the figure already"}} {
		events, err := action.Decide(s, c, "ada", now)
		if err != nil {
			panic("rest: an example is refused: " + err.Error()) // a mistake of ours, at start
		}
		for _, e := range events {
			seq++
			e.Seq = seq
			s = s.With(e)
		}
	}
	return server.ActionView{State: s, At: now, Can: access.Responder}
}

// shortAction is one of a list.
func shortAction() server.ActionView {
	v := exampleAction()
	v.Timeline = []action.Event{}
	return v
}
