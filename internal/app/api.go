package app

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/refloat-db/refloat/internal/access"
	"github.com/refloat-db/refloat/internal/secret"
	"github.com/refloat-db/refloat/internal/server"
	"github.com/refloat-db/refloat/internal/server/rest"
	"github.com/refloat-db/refloat/internal/server/slash"
)

// DescribeAPI is the OpenAPI description of the HTTP API, as JSON.
func DescribeAPI() ([]byte, error) {
	return rest.New(rest.Options{Version: Version}).Description()
}

// explainShort is an error's stable code and what to do next; empty for one that
// nobody foresaw.
func explainShort(err error) (code, next string) {
	e := Explain(err)
	if e.Code == "failed" {
		return "", ""
	}
	return e.Code, e.Next
}

// apiRoutes are the HTTP API over the node's desk.
func (n *node) apiRoutes() []server.Route {
	return rest.New(rest.Options{Desk: n.desk, Calls: n.state, Version: n.o.Version, Logger: n.log, Explain: explainShort, Redact: redactor(n.o.Secrets)}).Routes()
}

// redactor takes secrets out of a text.
func redactor(secrets []secret.Value) func(string) string {
	var pairs []string
	for _, v := range secrets {
		if len(v.Reveal()) >= 4 { // shorter ones would garble everything
			pairs = append(pairs, v.Reveal(), v.String())
		}
	}
	return strings.NewReplacer(pairs...).Replace
}

// programRoutes are what programs ask for: the API and the slash commands.
func (n *node) programRoutes() []server.Route {
	h := slash.New(slash.Options{Doors: n.o.Slash, Desk: n.desk, Seen: n.state, Principal: n.person, Redact: redactor(n.o.Secrets), Logger: n.log})
	return append(n.apiRoutes(), h.Routes()...)
}

// person is who a person of the configuration is where no sign-in says it: by
// their account, and without one as who works in incidents of their teams. An
// account that is disabled may nothing.
func (n *node) person(ctx context.Context, name string) (access.Principal, error) {
	who := access.Principal{Kind: access.Token, ID: "chat", Name: name, Limit: access.Responder, Teams: map[string]access.Role{}}
	a, err := n.state.Account(ctx, name)
	switch {
	case err == nil && a.Disabled:
		return access.Principal{}, nil
	case err == nil:
		who.Everywhere, who.Teams = a.Everywhere, a.Teams
		return who, nil
	case !errors.Is(err, access.ErrNone):
		return access.Principal{}, err
	}
	for team, t := range n.o.Paging.Roster.Teams {
		if slices.Contains(t.Members, name) {
			who.Teams[team] = access.Responder
		}
	}
	return who, nil
}

// slashDoors are where chats send commands.
func (a *App) slashDoors() []slash.Door {
	var out []slash.Door
	for _, s := range a.cfg.Chat.Slash {
		out = append(out, slash.Door{Name: s.Name, Secret: s.Secret, People: s.People, OthersRead: s.OthersRead})
	}
	return out
}
