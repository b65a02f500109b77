package rest

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/refloat-db/refloat/internal/access"
	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/server"
)

// IncidentPath names an incident. It is exported since huma reads embedded
// fields of such types only.
type IncidentPath struct {
	ID string `path:"id" pattern:"^(inc-)?[0-9]{1,9}$" example:"inc-3" doc:"The incident's ID, inc-3 or 3."`
}

// incident is the whole ID.
func (p IncidentPath) incident() string {
	if _, err := strconv.Atoi(p.ID); err == nil {
		return "inc-" + p.ID
	}
	return p.ID
}

func nothing(err error) bool { return errors.Is(err, incident.ErrNothing) }

// settled is what came of an act: one that was sent again and is done already is
// no error.
func (a *API) settled(ctx context.Context, who access.Principal, id string, v server.IncidentView, err error) (server.IncidentView, error) {
	if !again(ctx) || !nothing(err) {
		return v, err
	}
	if v.ID != "" {
		return v, nil
	}
	return a.o.Desk.Incident(ctx, who, id)
}

func (a *API) incidentOperations() {
	get, post := http.MethodGet, http.MethodPost
	register(a, operation{
		id: "list-incidents", method: get, path: "/incidents", tag: "incidents", need: access.View, summary: "Incidents that are open, newest first",
		about: "The Link header says where the next page is. The timeline of each is left out.", answers: []server.IncidentView{shortIncident()},
	}, func(ctx context.Context, who access.Principal, in *struct {
		All    bool   `query:"all" example:"true" doc:"Also those that are resolved."`
		Target string `query:"target" maxLength:"63" example:"shop" doc:"Only about this target."`
		Before string `query:"before" pattern:"^inc-[0-9]{1,9}$" example:"inc-17" doc:"Only those that were opened before this one."`
		Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50" example:"50" doc:"At most so many."`
	}) (out answer[[]server.IncidentView], err error) {
		all, err := a.o.Desk.Incidents(ctx, who, server.IncidentQuery{All: in.All, Target: in.Target, Before: in.Before, Limit: in.Limit})
		out.Body = full(all)
		if n := len(all); n == in.Limit && n > 0 {
			q := url.Values{"limit": {strconv.Itoa(in.Limit)}, "before": {all[n-1].ID}}
			if in.All {
				q.Set("all", "true")
			}
			if in.Target != "" {
				q.Set("target", in.Target)
			}
			out.Link = next("/incidents", q)
		}
		return out, err
	})
	register(a, operation{
		id: "open-incident", method: post, path: "/incidents", tag: "incidents", need: access.Respond, status: http.StatusCreated, fails: []int{404}, summary: "Open an incident",
		about: "When one about the target is open it is refused, unless another is true.", sends: newIncident{Title: "orders are refused", Target: "shop"}, answers: exampleIncident(),
	}, func(ctx context.Context, who access.Principal, in *struct{ Body newIncident }) (out answer[server.IncidentView], err error) {
		b := in.Body
		v, err := a.o.Desk.OpenIncident(ctx, who, server.NewIncident{Title: b.Title, Severity: b.Severity, Target: b.Target, Team: b.Team, Since: b.Since, Another: b.Another})
		if again(ctx) && nothing(err) && v.ID != "" {
			err = nil
		}
		out.Body = v
		return out, err
	})
	register(a, operation{
		id: "get-incident", method: get, path: "/incidents/{id}", tag: "incidents", need: access.View, fails: []int{404}, summary: "An incident with all that belongs to it", answers: exampleIncident(),
	}, func(ctx context.Context, who access.Principal, in *IncidentPath) (out answer[server.IncidentView], err error) {
		out.Body, err = a.o.Desk.Incident(ctx, who, in.incident())
		return out, err
	})
	register(a, operation{
		id: "get-timeline", method: get, path: "/incidents/{id}/timeline", tag: "incidents", need: access.View, fails: []int{404}, summary: "Everything that happened in an incident, in order", answers: exampleIncident().Timeline,
	}, func(ctx context.Context, who access.Principal, in *struct {
		IncidentPath
		After int64 `query:"after" minimum:"0" example:"17" doc:"Only events with a greater sequence number."`
	}) (out answer[[]incident.Event], err error) {
		v, err := a.o.Desk.Incident(ctx, who, in.incident())
		out.Body = []incident.Event{}
		for _, e := range v.Timeline {
			if e.Seq > in.After {
				out.Body = append(out.Body, e)
			}
		}
		return out, err
	})
	register(a, operation{
		id: "draft-update", method: get, path: "/incidents/{id}/draft", tag: "incidents", need: access.Respond, fails: []int{404}, summary: "An update, prepared from the facts",
		about: "Nothing is sent. A person reads it, changes it, and publishes it.", answers: exampleDraft(),
	}, func(ctx context.Context, who access.Principal, in *struct {
		IncidentPath
		Audience string `query:"audience" required:"true" enum:"responders,teams,clients" example:"clients" doc:"Who is to be told."`
	}) (out answer[server.Draft], err error) {
		out.Body, err = a.o.Desk.Draft(ctx, who, in.incident(), incident.Audience(in.Audience))
		return out, err
	})
	register(a, operation{
		id: "publish-update", method: post, path: "/incidents/{id}/updates", tag: "incidents", need: access.Respond, status: http.StatusCreated, fails: []int{404}, summary: "Tell an audience how it stands",
		about: "It is sent to the audience of the configuration, and is never changed.", sends: exampleUpdate(), answers: exampleIncident(),
	}, func(ctx context.Context, who access.Principal, in *struct {
		IncidentPath
		Body update
	}) (out answer[server.IncidentView], err error) {
		b, after := in.Body, "*"
		if b.After != nil {
			after = *b.After
		}
		v, err := a.o.Desk.Publish(ctx, who, in.incident(), server.Draft{Audience: b.Audience, Subject: b.Subject, Text: b.Text, Next: b.Next, After: after})
		out.Body, err = a.settled(ctx, who, in.incident(), v, err)
		return out, err
	})
	a.attachmentOperations()
}

type newIncident struct {
	Title    string            `json:"title" minLength:"1" maxLength:"200" doc:"One line."`
	Severity incident.Severity `json:"severity,omitempty" enum:"sev1,sev2,sev3,sev4" doc:"What the target's tier makes of an outage when it is left out, else sev2."`
	Target   string            `json:"target,omitempty" maxLength:"63" doc:"The target that it is about."`
	Team     string            `json:"team,omitempty" maxLength:"63" doc:"Who answers for it; the target's team when it is left out."`
	Since    time.Time         `json:"since,omitempty" doc:"When it began; now when it is left out."`
	Another  bool              `json:"another,omitempty" doc:"Although one about the target is open."`
}

type update struct {
	Audience incident.Audience `json:"audience" enum:"responders,teams,clients" doc:"Who is told."`
	Subject  string            `json:"subject,omitempty" maxLength:"300" doc:"One line; what the status says when it is left out."`
	Text     string            `json:"text" minLength:"1" maxLength:"65536"`
	Next     time.Time         `json:"next,omitempty" doc:"When the next update is promised; none is when it is left out."`
	After    *string           `json:"after,omitempty" maxLength:"20" doc:"The last update to the audience when this one was written, as the draft said, empty for none: when somebody published another since then, this one is refused. Left out, it is not looked at."`
}

// attached is a file. It is sent as it is, and never as what a browser runs.
type attached struct {
	Kind     string `header:"Content-Type"`
	Disposal string `header:"Content-Disposition"`
	Body     []byte
}

func (a *API) attachmentOperations() {
	binary := &huma.Schema{Type: huma.TypeString, Format: "binary"}
	o := operation{
		id: "get-attachment", method: http.MethodGet, path: "/incidents/{id}/attachments/{sha256}", tag: "incidents", need: access.View, fails: []int{404}, summary: "A file of an incident",
		about: "Text and images only. It is answered as a download.",
	}
	op := a.describe(o)
	op.Responses["200"] = &huma.Response{Description: "OK", Content: map[string]*huma.MediaType{"application/octet-stream": {Schema: binary, Example: "2026-11-23 12:00:00 UTC PANIC: could not write"}}}
	huma.Register(a.huma, op, func(ctx context.Context, in *struct {
		IncidentPath
		SHA256 string `path:"sha256" pattern:"^[0-9a-f]{64}$" example:"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" doc:"The file's hash, as the incident names it."`
	}) (*attached, error) {
		f, data, err := a.o.Desk.Attachment(ctx, server.Who(ctx), in.incident(), in.SHA256)
		if err != nil {
			return nil, a.problem(ctx, err)
		}
		kind := f.Type
		if kind == "text/plain" {
			kind = "text/plain; charset=utf-8"
		}
		return &attached{Kind: kind, Disposal: "attachment; filename*=UTF-8''" + url.PathEscape(f.Name), Body: data}, nil
	})
	a.finish(o)

	register(a, operation{
		id: "attach", method: http.MethodPost, path: "/incidents/{id}/attachments", tag: "incidents", need: access.Respond, status: http.StatusCreated, fails: []int{404}, summary: "Keep a file with an incident",
		about: "The body is the file: text of at most 1 MiB, or a PNG, JPEG, GIF or WebP image of at most 4 MiB. What it is, its bytes say.", raw: "application/octet-stream", sends: "2026-11-23 12:00:00 UTC PANIC: could not write", answers: exampleIncident(),
	}, func(ctx context.Context, who access.Principal, in *struct {
		IncidentPath
		Name    string `query:"name" required:"true" minLength:"1" maxLength:"200" example:"postgresql.log" doc:"The file's name."`
		RawBody []byte `contentType:"application/octet-stream"`
	}) (out answer[server.IncidentView], err error) {
		v, err := a.o.Desk.Attach(ctx, who, in.incident(), in.Name, in.RawBody)
		out.Body, err = a.settled(ctx, who, in.incident(), v, err)
		return out, err
	})
}
