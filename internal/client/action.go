package client

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/refloat-db/refloat/internal/access"
	"github.com/refloat-db/refloat/internal/action"
	"github.com/refloat-db/refloat/internal/server"
)

// Actions implements server.Reader.
func (c *Client) Actions(ctx context.Context, _ access.Principal, q server.ActionQuery) ([]server.ActionView, error) {
	v := query("owner", q.Owner, "incident", q.Incident)
	if q.All {
		v.Set("all", "true")
	}
	if q.Late {
		v.Set("late", "true")
	}
	out, _, err := get[[]server.ActionView](ctx, c, "/actions", v)
	return out, err
}

// Action implements server.Reader.
func (c *Client) Action(ctx context.Context, _ access.Principal, id string) (server.ActionView, error) {
	out, _, err := get[server.ActionView](ctx, c, "/actions/"+url.PathEscape(id), nil)
	return out, err
}

// AddAction implements server.Actor.
func (c *Client) AddAction(ctx context.Context, _ access.Principal, i action.Item, check *action.Check) (server.ActionView, error) {
	b := body("text", i.Text, "owner", i.Owner, "team", i.Team, "due", i.Due.String(), "kind", string(i.Kind), "priority", string(i.Priority), "incident", i.Source.Incident, "of", i.Source.Of, "mends", i.Source.Text)
	if check != nil {
		b["check"] = check.String()
	}
	out, _, err := ask[server.ActionView](ctx, c, request{method: http.MethodPost, path: "/actions", body: b})
	return out, err
}

// ActOnAction implements server.Actor.
func (c *Client) ActOnAction(ctx context.Context, _ access.Principal, id string, do action.Command) (server.ActionView, error) {
	var act string
	var b map[string]any
	switch x := do.(type) {
	case action.Change:
		act, b = "change", body("text", x.Text, "why", x.Why, "kind", string(x.Kind), "priority", string(x.Priority))
		b["owner"], b["team"], b["due"] = x.Owner, x.Team, x.Due.String()
	case action.AddNote:
		act, b = "note", body("text", x.Text)
	case action.Bind:
		act, b = "bind", body("check", x.Check.String())
	case action.Unbind:
		act, b = "unbind", body("why", x.Why)
	case action.AddLink:
		act, b = "link", body("url", x.URL)
	case action.Close:
		act, b = "close", body("result", x.Result, "despite", x.Despite)
	case action.Drop:
		act, b = "drop", body("why", x.Why)
	case action.Reopen:
		act, b = "reopen", body("why", x.Why)
	default:
		return server.ActionView{}, fmt.Errorf("%w: %s is not asked for over the API", server.ErrRefused, strings.TrimPrefix(fmt.Sprintf("%T", do), "action."))
	}
	out, _, err := ask[server.ActionView](ctx, c, request{method: http.MethodPost, path: "/actions/" + url.PathEscape(id) + "/acts/" + act, body: b})
	return out, err
}
