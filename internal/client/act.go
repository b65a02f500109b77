package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/access"
	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/server"
)

func asError(err error, to *toldError) bool { return errors.As(err, to) }

func asProblem(err error) bool {
	var p *Problem
	return errors.As(err, &p) && p.Status/100 == 4 && p.Status != http.StatusTooManyRequests
}

// body is a JSON object of those values that are not empty.
func body(pairs ...any) map[string]any {
	out := map[string]any{}
	for i := 0; i+1 < len(pairs); i += 2 {
		switch v := pairs[i+1].(type) {
		case string:
			if v == "" {
				continue
			}
		case bool:
			if !v {
				continue
			}
		case time.Time:
			if v.IsZero() {
				continue
			}
		}
		out[pairs[i].(string)] = pairs[i+1]
	}
	return out
}

// post asks for something to be done.
func (c *Client) post(ctx context.Context, path string, b any) (server.IncidentView, error) {
	out, _, err := ask[server.IncidentView](ctx, c, request{method: http.MethodPost, path: path, body: b})
	return out, err
}

// OpenIncident implements server.Actor.
func (c *Client) OpenIncident(ctx context.Context, _ access.Principal, q server.NewIncident) (server.IncidentView, error) {
	return c.post(ctx, "/incidents", body("title", q.Title, "severity", string(q.Severity), "target", q.Target, "team", q.Team, "since", q.Since, "another", q.Another))
}

// Act implements server.Actor.
func (c *Client) Act(ctx context.Context, _ access.Principal, id string, do incident.Command) (server.IncidentView, error) {
	path, b, err := operation(do)
	if err != nil {
		return server.IncidentView{}, err
	}
	return c.post(ctx, incidentPath(id)+path, b)
}

// operation is a command as the API takes it.
func operation(do incident.Command) (path string, b any, err error) {
	role := func(r incident.Role, do, to, why string) (string, any, error) {
		return "/roles/" + url.PathEscape(string(r)), body("do", do, "to", to, "why", why), nil
	}
	switch x := do.(type) {
	case incident.AddNote:
		return "/notes", body("text", x.Text), nil
	case incident.SetSeverity:
		return "/severity", body("to", string(x.To), "why", x.Why), nil
	case incident.SetStatus:
		return "/status", body("to", string(x.To), "why", x.Why), nil
	case incident.TakeRole:
		return role(x.Role, "take", "", x.Why)
	case incident.HandOver:
		return role(x.Role, "hand", x.To, "")
	case incident.ReleaseRole:
		return role(x.Role, "release", "", "")
	case incident.AddTask:
		return "/tasks", body("text", x.Text, "owner", x.Owner), nil
	case incident.CloseTask:
		return "/tasks/" + url.PathEscape(x.ID) + "/close", body("result", x.Result), nil
	case incident.AddLink:
		return "/links", body("url", x.URL, "title", x.Title), nil
	case incident.MeasureDataLoss:
		return "/data-loss", body("loss", x.Loss, "source", x.Source), nil
	case incident.AcknowledgeUpdate:
		return "/updates/" + url.PathEscape(x.Update) + "/acknowledge", nil, nil
	case incident.Resolve:
		return "/resolve", body("summary", x.Summary, "despite", x.Despite), nil
	case incident.Reopen:
		return "/reopen", body("why", x.Why), nil
	}
	name := strings.TrimPrefix(fmt.Sprintf("%T", do), "incident.")
	return "", nil, fmt.Errorf("%w: %s is not asked for over the API", server.ErrRefused, name)
}

// Merge implements server.Actor.
func (c *Client) Merge(ctx context.Context, _ access.Principal, id, into, why string) (server.IncidentView, error) {
	return c.post(ctx, incidentPath(id)+"/merge", body("into", into, "why", why))
}

// Attach implements server.Actor.
func (c *Client) Attach(ctx context.Context, _ access.Principal, id, name string, data []byte) (server.IncidentView, error) {
	out, _, err := ask[server.IncidentView](ctx, c, request{method: http.MethodPost, path: incidentPath(id) + "/attachments", query: query("name", name), raw: data})
	return out, err
}

// Publish implements server.Actor.
func (c *Client) Publish(ctx context.Context, _ access.Principal, id string, d server.Draft) (server.IncidentView, error) {
	b := body("audience", string(d.Audience), "subject", d.Subject, "text", d.Text, "next", d.Next)
	if d.After != "*" {
		b["after"] = d.After
	}
	return c.post(ctx, incidentPath(id)+"/updates", b)
}

// Acknowledge implements server.Actor.
func (c *Client) Acknowledge(ctx context.Context, _ access.Principal, id string) (server.AlertView, error) {
	out, _, err := ask[server.AlertView](ctx, c, request{method: http.MethodPost, path: "/alerts/" + url.PathEscape(id) + "/acknowledge"})
	return out, err
}

// Silence implements server.Actor.
func (c *Client) Silence(ctx context.Context, _ access.Principal, s alert.Silence) (alert.Silence, error) {
	out, _, err := ask[alert.Silence](ctx, c, request{method: http.MethodPost, path: "/silences", body: body("target", s.Target, "code", s.Code, "reason", s.Reason, "from", s.From, "until", s.Until, "planned", s.Planned)})
	return out, err
}

// EndSilence implements server.Actor.
func (c *Client) EndSilence(ctx context.Context, _ access.Principal, id string) error {
	_, err := c.do(ctx, request{method: http.MethodDelete, path: "/silences/" + url.PathEscape(id)})
	return err
}

// Ask implements server.Actor.
func (c *Client) Ask(ctx context.Context, _ access.Principal, target, work string) (bool, error) {
	out, _, err := ask[struct{ Fresh bool }](ctx, c, request{method: http.MethodPost, path: "/targets/" + url.PathEscape(target) + "/work/" + url.PathEscape(work)})
	return out.Fresh, err
}

// TestPage implements server.Actor.
func (c *Client) TestPage(ctx context.Context, _ access.Principal, person string) error {
	_, err := c.do(ctx, request{method: http.MethodPost, path: "/people/" + url.PathEscape(person) + "/test-page"})
	return err
}
