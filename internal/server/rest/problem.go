package rest

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/refloat-db/refloat/internal/access"
	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/server"
)

// Problem is an error as RFC 9457 has it. Code is stable.
type Problem struct {
	Type   string  `json:"type" format:"uri" doc:"urn:refloat:problem: and the code."`
	Title  string  `json:"title" doc:"What kind of error it is."`
	Status int     `json:"status" doc:"The HTTP status."`
	Detail string  `json:"detail" doc:"What happened, to what."`
	Code   string  `json:"code" doc:"Stable: programs tell errors apart by it."`
	Next   string  `json:"next" doc:"What to do next."`
	Faults []Fault `json:"faults,omitempty" doc:"What is wrong with the request, one by one."`
}

// Fault is one thing that is wrong with a request.
type Fault struct {
	Where   string `json:"where" doc:"Where in the request, like body.severity."`
	Message string `json:"message"`
}

// Error implements error.
func (p *Problem) Error() string { return p.Title + ": " + p.Detail }

// GetStatus implements huma.StatusError.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType implements huma.ContentTypeFilter.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

var _ huma.StatusError = (*Problem)(nil)

func newProblem(status int, code, detail, next string) *Problem {
	return &Problem{Type: "urn:refloat:problem:" + code, Title: http.StatusText(status), Status: status, Detail: detail, Code: code, Next: next}
}

// problem is what an error of the desk is answered with. What it says of a
// failure of ours stays in the log.
func (a *API) problem(ctx context.Context, err error) *Problem {
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	code, next := a.o.Explain(err)
	detail := a.o.Redact(err.Error())
	for _, x := range [...]struct {
		err        error
		status     int
		code, next string
	}{
		{server.ErrForbidden, http.StatusForbidden, "forbidden", "ask an admin of the team for a role that may do this"},
		{server.ErrNotFound, http.StatusNotFound, "not-found", "check the name; what you may not see is not found, too"},
		{incident.ErrNone, http.StatusNotFound, "no-incident", "GET " + Prefix + "/incidents?all=true lists them"},
		{server.ErrRefused, http.StatusConflict, "refused", "do what the detail says, or look again how it stands"},
		{incident.ErrRefused, http.StatusConflict, "refused", "do what the detail says, or look again how it stands"},
		{incident.ErrNothing, http.StatusConflict, "nothing-to-do", "nothing: it is as you want it"},
		{context.DeadlineExceeded, http.StatusServiceUnavailable, "timeout", "try again with the same Idempotency-Key; see whether the server is overloaded"},
		{context.Canceled, http.StatusServiceUnavailable, "cancelled", "try again with the same Idempotency-Key"},
	} {
		if errors.Is(err, x.err) {
			return newProblem(x.status, x.code, detail, x.next)
		}
	}
	a.o.Logger.ErrorContext(ctx, "answer a request to the API", "error", err)
	if code == "" {
		code = "failed"
	}
	if next == "" || code == "failed" {
		next = "see the server's log; try again with the same Idempotency-Key"
	}
	return newProblem(http.StatusInternalServerError, code, "it could not be done: the server's log says why", next)
}

// problems turns huma's own errors, about requests that are not as described,
// into ours.
func (a *API) problems(_ huma.Context, _ string, v any) (any, error) {
	m, is := v.(*huma.ErrorModel)
	if !is {
		return v, nil
	}
	code, next := "invalid-request", "mend the request as the description says: GET "+Prefix+"/openapi.json"
	switch m.Status {
	case http.StatusRequestEntityTooLarge:
		code, next = "too-large", "send less"
	case http.StatusUnsupportedMediaType:
		code, next = "media-type", "send application/json"
	case http.StatusRequestTimeout:
		code, next = "timeout", "send the whole request at once"
	case http.StatusInternalServerError:
		code, next = "failed", "see the server's log"
	}
	p := newProblem(m.Status, code, a.o.Redact(m.Detail), next)
	for _, e := range m.Errors {
		p.Faults = append(p.Faults, Fault{e.Location, a.o.Redact(e.Message)})
	}
	return p, nil
}

// write answers with a problem where huma does not.
func (p *Problem) write(w http.ResponseWriter) {
	raw, err := json.Marshal(p)
	if err != nil {
		raw = []byte("{}")
	}
	w.Header().Set("Content-Type", p.ContentType(""))
	w.WriteHeader(p.Status)
	_, _ = w.Write(raw) // the reader went away
}

// failures are the statuses that an operation may fail with.
func (a *API) failures(o operation) []int {
	all := append([]int{http.StatusUnprocessableEntity, http.StatusInternalServerError, http.StatusServiceUnavailable}, o.fails...)
	if o.need != access.Nobody {
		all = append(all, http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests)
	}
	if o.method != http.MethodGet {
		all = append(all, http.StatusBadRequest, http.StatusConflict, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// failure describes one, with an example.
func (a *API) failure(status int) *huma.Response {
	examples := map[int]*Problem{
		400: newProblem(400, "invalid-request", "the body is not JSON", "mend the request as the description says: GET "+Prefix+"/openapi.json"),
		401: newProblem(401, "not-signed-in", "this takes a session or an API token that is good", "make a token: refloat token create; send it as Authorization: Bearer"),
		403: newProblem(403, "forbidden", server.ErrForbidden.Error(), "ask an admin of the team for a role that may do this"),
		404: newProblem(404, "not-found", "not found", "check the name; what you may not see is not found, too"),
		409: newProblem(409, "refused", "refused: inc-3 is resolved: reopen it first", "do what the detail says, or look again how it stands"),
		413: newProblem(413, "too-large", "the request has more than 262144 bytes", "send less"),
		415: newProblem(415, "media-type", "unknown content type: text/plain", "send application/json"),
		422: newProblem(422, "invalid-request", "validation failed", "mend the request as the description says: GET "+Prefix+"/openapi.json"),
		429: newProblem(429, "too-many-requests", "too many requests", "wait as long as Retry-After says"),
		500: newProblem(500, "failed", "it could not be done: the server's log says why", "see the server's log; try again with the same Idempotency-Key"),
		503: newProblem(503, "timeout", "it took too long", "try again with the same Idempotency-Key"),
	}
	p := examples[status]
	if status == 422 {
		p.Faults = []Fault{{"body.sverity", "unexpected property"}}
	}
	return &huma.Response{
		Description: http.StatusText(status),
		Content: map[string]*huma.MediaType{p.ContentType(""): {
			Schema: huma.SchemaFromType(a.huma.OpenAPI().Components.Schemas, typeOf[Problem]()), Example: plain(p),
		}},
	}
}
