// Package rest is the HTTP API: everything that the pages show and do, under
// /api/v1. Its OpenAPI description is made of the code. docs/api.md is the guide.
package rest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/refloat-db/refloat/internal/access"
	"github.com/refloat-db/refloat/internal/server"
)

// Prefix is what every path of the API begins with.
const Prefix = "/api/v1"

// answerWithin is how long an operation may take.
const answerWithin = 20 * time.Second

// Options are what an API is given.
type Options struct {
	Desk    server.Desk // nil for a description only
	Calls   Calls       // keeps what repeated requests are answered; nil for no Idempotency-Key
	Version string      // of Refloat
	Logger  *slog.Logger
	// Explain finds the stable code of an error and what to do next; nil for none.
	Explain func(error) (code, next string)
	// Redact takes secrets out of a text; nil for nothing to take out.
	Redact func(string) string
}

// API is the HTTP API. Make it with New.
type API struct {
	o       Options
	huma    huma.API
	mux     *recorder
	needs   map[string]access.Need // by method and path
	streams streams
	locks   locks
	forgot  lastTime
}

// New makes the API.
func New(o Options) *API {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Explain == nil {
		o.Explain = func(error) (string, string) { return "", "" }
	}
	if o.Redact == nil {
		o.Redact = func(s string) string { return s }
	}
	a := &API{o: o, mux: &recorder{handlers: map[string]http.HandlerFunc{}}, needs: map[string]access.Need{}}
	a.huma = humago.New(a.mux, configuration(o.Version, a.problems))
	a.stateOperations()
	a.incidentOperations()
	a.actOperations()
	a.recoveryOperations()
	a.alertOperations()
	a.actionOperations()
	a.eventOperation()
	a.metaOperations()
	admitNull(a.huma.OpenAPI().Components.Schemas)
	return a
}

// Routes are all that can be asked for, for a Gate.
func (a *API) Routes() []server.Route {
	var out []server.Route
	for _, p := range a.mux.patterns {
		need, described := a.needs[p]
		if !described {
			panic("rest: " + p + " says nothing of what it needs") // a mistake of ours, at start
		}
		out = append(out, server.Route{Pattern: p, Need: need, Handler: a.limited(p, a.mux.handlers[p])})
	}
	return out
}

// recorder takes handlers as a mux does and gives them away one by one.
type recorder struct {
	patterns []string
	handlers map[string]http.HandlerFunc
}

// HandleFunc implements humago.Mux.
func (m *recorder) HandleFunc(pattern string, h func(http.ResponseWriter, *http.Request)) {
	m.patterns = append(m.patterns, pattern)
	m.handlers[pattern] = h
}

// ServeHTTP implements humago.Mux; requests come through Routes.
func (m *recorder) ServeHTTP(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) }

// Limits of a request's body, bytes.
const (
	maxBody       = 256 << 10
	maxAttachment = 5 << 20 // more than is ever kept, so that the room says why
)

// limited bounds the time and the size of a request, and does what has an
// Idempotency-Key once.
func (a *API) limited(pattern string, next http.HandlerFunc) http.Handler {
	if pattern == eventPattern {
		return next // it lasts
	}
	limit := limitOf(pattern)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), answerWithin)
		defer cancel()
		r = r.WithContext(ctx)
		r.Body = http.MaxBytesReader(w, r.Body, limit+1) // huma says so at limit
		if r.Method == http.MethodGet {
			unlessKnown(w, r, pattern, next)
			return
		}
		a.once(w, r, pattern, next)
	})
}

func limitOf(path string) int64 {
	if strings.HasSuffix(path, "/attachments") {
		return maxAttachment
	}
	return maxBody
}

func configuration(version string, problems huma.Transformer) huma.Config {
	format := huma.Format{
		Marshal: func(w io.Writer, v any) error {
			e := json.NewEncoder(w)
			e.SetEscapeHTML(false)
			return e.Encode(v)
		},
		Unmarshal: json.Unmarshal,
	}
	if version == "" {
		version = "dev"
	}
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title: "Refloat", Version: version, Description: about,
				License: &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"},
			},
			Tags: []*huma.Tag{
				{Name: "state", Description: "How targets stand."}, {Name: "incidents", Description: "Working together on an outage."},
				{Name: "actions", Description: "What was decided after incidents, carried through."},
				{Name: "alerts", Description: "Alerts, silences, who is on call."}, {Name: "record", Description: "The journal, and what is added to it."},
				{Name: "meta", Description: "The API itself, and who asks."},
			},
			Components: &huma.Components{
				Schemas: huma.NewMapRegistry("#/components/schemas/", schemaName),
				SecuritySchemes: map[string]*huma.SecurityScheme{
					"token":   {Type: "http", Scheme: "bearer", Description: "An API token with scopes and an end. refloat token makes one."},
					"session": {Type: "apiKey", In: "cookie", Name: "refloat", Description: "The session of a browser that signed in."},
				},
			},
		},
		Formats:                      map[string]huma.Format{"application/json": format, "json": format},
		DefaultFormat:                "application/json",
		RejectUnknownQueryParameters: true,
		Transformers:                 []huma.Transformer{problems},
	}
}

const about = `Everything that Refloat's pages show and do.

Times are RFC 3339 in UTC. Durations are whole nanoseconds. Errors are
application/problem+json (RFC 9457) with a stable code and what to do next.
Lists say where the next page is in a Link header. What changes something takes
an Idempotency-Key: the same request with the same key is done once.`

// schemaName names a type by its room, so that alert.Delivery and another room's
// are told apart. What is declared for pages and the API has its name alone.
func schemaName(t reflect.Type, hint string) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	name := huma.DefaultSchemaNamer(t, hint)
	if t.Name() == "" || strings.Contains(t.Name(), "[") {
		return name
	}
	room := t.PkgPath()[strings.LastIndex(t.PkgPath(), "/")+1:]
	if slices.Contains([]string{"", "server", "rest"}, room) {
		return name
	}
	return strings.ToUpper(room[:1]) + room[1:] + name
}

// operation describes one thing that can be asked for.
type operation struct {
	id, method, path, tag string
	need                  access.Need
	summary, about        string
	status                int // of success; 0 for 200
	fails                 []int
	sends, answers        any // examples
	raw                   string
}

// answer is what a handler gives back: a body, and where the next page is.
type answer[O any] struct {
	Link string `header:"Link" doc:"Where the next page is, as rel=next; absent on the last page."`
	Body O
}

// register adds an operation whose handler is told who asks.
func register[I, O any](a *API, o operation, handle func(ctx context.Context, who access.Principal, in *I) (answer[O], error)) {
	op := a.describe(o)
	huma.Register(a.huma, op, func(ctx context.Context, in *I) (*answer[O], error) {
		out, err := handle(ctx, server.Who(ctx), in)
		if err != nil {
			return nil, a.problem(ctx, err)
		}
		return &out, nil
	})
	a.finish(o)
}

// describe is an operation as huma takes it.
func (a *API) describe(o operation) huma.Operation {
	if o.status == 0 {
		o.status = http.StatusOK
	}
	op := huma.Operation{
		OperationID: o.id, Method: o.method, Path: Prefix + o.path, Summary: o.summary, Description: o.about + needs(o.need), Tags: []string{o.tag},
		DefaultStatus: o.status, MaxBodyBytes: limitOf(o.path), BodyReadTimeout: 10 * time.Second,
		Metadata: map[string]any{"need": o.need}, Extensions: map[string]any{"x-refloat-need": string(o.need)},
		Responses: map[string]*huma.Response{}, Security: []map[string][]string{},
	}
	if o.need != access.Nobody {
		op.Security = []map[string][]string{{"token": {}}, {"session": {}}}
	}
	for _, code := range a.failures(o) {
		op.Responses[fmt.Sprint(code)] = a.failure(code)
	}
	if o.method == http.MethodGet && steady(o.path) {
		op.Responses["304"] = &huma.Response{Description: "It is what If-None-Match names."}
	}
	a.needs[o.method+" "+op.Path] = o.need
	return op
}

func needs(n access.Need) string {
	switch n {
	case access.Nobody:
		return "\n\nNeeds no sign-in."
	case access.SignedIn:
		return "\n\nNeeds a sign-in."
	}
	return "\n\nNeeds the role " + string(n) + " or more."
}

// finish adds what huma does not know: examples, and the header that makes
// repeats harmless.
func (a *API) finish(o operation) {
	item := a.huma.OpenAPI().Paths[Prefix+o.path]
	op := map[string]*huma.Operation{http.MethodGet: item.Get, http.MethodPost: item.Post, http.MethodDelete: item.Delete}[o.method]
	for _, p := range op.Parameters {
		if p.Description == "" {
			p.Description = p.Schema.Description
		}
		if p.Example == nil && len(p.Schema.Examples) > 0 {
			p.Example = p.Schema.Examples[0]
		}
	}
	if o.method == http.MethodGet && steady(o.path) {
		op.Parameters = append(op.Parameters, &huma.Param{
			Name: "If-None-Match", In: "header", Description: "The ETag of what you have: when it has not changed, the answer is 304.", Schema: &huma.Schema{Type: huma.TypeString}, Example: `"9f86d081884c7d659a2feaa0c55ad015"`,
		})
	}
	if o.method != http.MethodGet {
		least, most := 8, 200
		op.Parameters = append(op.Parameters, &huma.Param{
			Name: keyHeader, In: "header", Description: "Chosen by you, new for each thing that you want done. The same request with the same key within 24 hours is done once, and answered the same.",
			Schema: &huma.Schema{Type: huma.TypeString, MinLength: &least, MaxLength: &most}, Example: "4f6f0a52-3a4e-4d43-9f5b-0d8a3a1f6c11",
		})
	}
	if op.RequestBody != nil && o.sends != nil {
		for kind, media := range op.RequestBody.Content {
			if kind == "application/json" || kind == o.raw {
				media.Example = plain(o.sends)
			}
		}
	}
	if res := op.Responses[fmt.Sprint(op.DefaultStatus)]; res != nil && o.answers != nil {
		for _, media := range res.Content {
			media.Example = plain(o.answers)
		}
	}
}

// plain is an example as JSON has it, so that what stands in the description is
// what is sent.
func plain(v any) any {
	if s, is := v.(string); is {
		return s
	}
	raw, err := json.Marshal(v)
	if err != nil {
		panic("rest: an example cannot be written: " + err.Error()) // a mistake of ours, at start
	}
	return json.RawMessage(raw)
}

// Description is the OpenAPI description as JSON.
func (a *API) Description() ([]byte, error) {
	raw, err := json.MarshalIndent(a.huma.OpenAPI(), "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the description of the API: %w", err)
	}
	return append(raw, '\n'), nil
}
