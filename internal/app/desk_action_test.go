package app

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/refloat-db/refloat/internal/access"
	"github.com/refloat-db/refloat/internal/action"
	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/server"
)

func TestDeskShowsActionsToWhoMaySeeTheirTeamOrIncident(t *testing.T) {
	d, ctx := twoTeams(t), t.Context()
	p := apiPeople
	v, err := d.OpenIncident(ctx, p["root"], server.NewIncident{Title: "orders fail", Target: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	add := func(i action.Item) string {
		t.Helper()
		i.Priority = action.P2
		a, err := d.AddAction(ctx, p["root"], i, nil)
		if err != nil {
			t.Fatal(err)
		}
		return a.ID
	}
	red, blue := add(action.Item{Text: "red's", Team: "red"}), add(action.Item{Text: "blue's", Team: "blue"})
	both := add(action.Item{Text: "blue's, from an incident of red's", Team: "blue", Source: action.Source{Incident: v.ID}})
	none := add(action.Item{Text: "nobody's"})
	for _, x := range []struct {
		who, id   string
		see, note error
	}{
		{"ada", red, nil, nil},
		{"ada", blue, server.ErrNotFound, server.ErrNotFound},
		{"ada", both, nil, nil},
		{"ada", none, server.ErrNotFound, server.ErrNotFound},
		{"bob", red, server.ErrNotFound, server.ErrNotFound},
		{"bob", both, nil, nil},
		{"cyd", red, nil, server.ErrForbidden},
		{"cyd", both, nil, server.ErrForbidden},
		{"root", none, nil, nil},
	} {
		if _, err := d.Action(ctx, p[x.who], x.id); !errors.Is(err, x.see) {
			t.Errorf("%s sees %s: %v, want %v", x.who, x.id, err, x.see)
		}
		if _, err := d.ActOnAction(ctx, p[x.who], x.id, action.AddNote{Text: "a note"}); !errors.Is(err, x.note) {
			t.Errorf("%s notes on %s: %v, want %v", x.who, x.id, err, x.note)
		}
		list, err := d.Actions(ctx, p[x.who], server.ActionQuery{})
		shown := false
		for _, a := range list {
			shown = shown || a.ID == x.id
		}
		if err != nil || shown != (x.see == nil) {
			t.Errorf("%s is shown %s in the list: %v %v", x.who, x.id, shown, err)
		}
	}
	books := &action.Check{Kind: action.CheckProbe, Target: "books"}
	for name, x := range map[string]struct {
		do   func() error
		want error
	}{
		"a check of another team's target": {func() error {
			_, err := d.AddAction(ctx, p["ada"], action.Item{Text: "x", Priority: action.P2, Team: "red"}, books)
			return err
		}, server.ErrNotFound},
		"another team's": {func() error {
			_, err := d.AddAction(ctx, p["ada"], action.Item{Text: "x", Priority: action.P2, Team: "blue"}, nil)
			return err
		}, server.ErrNotFound},
		"to another team": {func() error {
			_, err := d.ActOnAction(ctx, p["ada"], red, action.Change{Item: action.Item{Text: "x", Priority: action.P2, Team: "blue"}})
			return err
		}, server.ErrNotFound},
		"what only the server tells": {func() error {
			_, err := d.ActOnAction(ctx, p["root"], red, action.Checked{})
			return err
		}, server.ErrRefused},
		"done without a result": {func() error {
			_, err := d.ActOnAction(ctx, p["root"], red, action.Close{})
			return err
		}, server.ErrRefused},
		"open again, and open": {func() error {
			_, err := d.ActOnAction(ctx, p["root"], red, action.Reopen{Why: "x"})
			return err
		}, incident.ErrNothing},
		"asked for twice": {func() error {
			once := server.WithOnce(ctx, "form/1")
			if _, err := d.AddAction(once, p["ada"], action.Item{Text: "x", Priority: action.P2}, nil); err != nil {
				return err
			}
			_, err := d.AddAction(once, p["ada"], action.Item{Text: "x", Priority: action.P2}, nil)
			return err
		}, incident.ErrNothing},
	} {
		if err := x.do(); !errors.Is(err, x.want) {
			t.Errorf("%s: %v, want %v", name, err, x.want)
		}
	}
	a, err := d.Action(ctx, p["ada"], red)
	if err != nil || a.Can != access.Responder || a.Timeline[len(a.Timeline)-1].Actor == "" {
		t.Errorf("%+v %v", a, err)
	}
}

func TestAPICarriesAnActionThrough(t *testing.T) {
	s := apiOver(t, twoTeams(t), apiPeople)
	var v server.ActionView
	must := func(a answered, code int) {
		t.Helper()
		if v = (server.ActionView{}); a.code != code || json.Unmarshal([]byte(a.body), &v) != nil {
			t.Fatalf("%d, want %d: %s", a.code, code, a.body)
		}
	}
	must(askAPI(t, s, "ada", "POST", "/actions", `{"text":"alert on the log volume","owner":"ada","due":"2036-01-31","kind":"detect","check":"probe@shop"}`), 201)
	if v.Team != "red" || v.AddedBy != "ada" || v.Check == nil || v.Due.String() != "2036-01-31" || v.Priority != action.P2 {
		t.Errorf("%+v", v)
	}
	must(askAPI(t, s, "ada", "POST", "/actions/1/acts/change", `{"due":"2035-12-31","priority":"p1"}`), 200)
	if v.Due.String() != "2035-12-31" || v.Priority != action.P1 || v.Text != "alert on the log volume" {
		t.Errorf("%+v", v.Item)
	}
	if p := askAPI(t, s, "ada", "POST", "/actions/1/acts/close", `{"result":"done"}`); p.code != 409 || p.problem(t).Code != "refused" {
		t.Errorf("its check did not pass: %+v", p)
	}
	must(askAPI(t, s, "ada", "POST", "/actions/1/acts/close", `{"despite":"shop is no more"}`), 200)
	if v.Status != action.Done || v.ClosedBy != "ada" {
		t.Errorf("%+v", v)
	}
	if got := askAPI(t, s, "cyd", "GET", "/actions", ""); got.body != "[]\n" {
		t.Errorf("open: %s", got.body)
	}
	if got := askAPI(t, s, "cyd", "GET", "/actions?all=true", ""); got.code != 200 || len(got.body) < 100 {
		t.Errorf("all: %s", got.body)
	}
	if got := askAPI(t, s, "bob", "GET", "/actions/1", ""); got.code != 404 {
		t.Errorf("another team's: %+v", got)
	}
}
