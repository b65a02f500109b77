package rest

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/access"
	"github.com/refloat-db/refloat/internal/server"
)

// needed is what each operation needs. One without a row fails, and so does a row
// without an operation.
const needed = `
nobody     GET /docs, GET /docs.css, GET /openapi.json
signed-in  GET /me
viewer     GET /board, GET /targets, GET /targets/{target}, GET /proofs/{proof}, GET /findings, GET /journal, GET /events
viewer     GET /incidents, GET /incidents/{id}, GET /incidents/{id}/timeline, GET /incidents/{id}/attachments/{sha256}
viewer     GET /actions, GET /actions/{action}
responder  POST /actions, POST /actions/{action}/acts/{act}
viewer     GET /alerts, GET /alerts/{alert}, GET /silences, GET /oncall, GET /oncall/simulation
responder  GET /incidents/{id}/draft, POST /incidents, POST /incidents/{id}/updates, POST /incidents/{id}/attachments, POST /incidents/{id}/notes
responder  POST /incidents/{id}/severity, POST /incidents/{id}/status, POST /incidents/{id}/roles/{role}, POST /incidents/{id}/tasks
responder  POST /incidents/{id}/tasks/{task}/close, POST /incidents/{id}/links, POST /incidents/{id}/data-loss, POST /incidents/{id}/updates/{update}/acknowledge
responder  POST /incidents/{id}/resolve, POST /incidents/{id}/reopen, POST /incidents/{id}/merge
responder  GET /incidents/{id}/recovery, POST /incidents/{id}/recovery, POST /incidents/{id}/recovery/{run}/confirm
responder  POST /incidents/{id}/recovery/{run}/continue, POST /incidents/{id}/recovery/{run}/done, POST /incidents/{id}/recovery/{run}/abandon
responder  POST /alerts/{alert}/acknowledge, POST /silences, DELETE /silences/{silence}, POST /people/{person}/test-page, POST /targets/{target}/work/{work}
admin      GET /settings
`

// holders knows tokens by their role.
type holders struct{}

func (holders) Resume(context.Context, string, string, time.Time) (access.Principal, error) {
	return access.Principal{}, access.ErrDenied
}

func (holders) Bearer(_ context.Context, secret, _ string, _ time.Time) (access.Principal, error) {
	p := access.Principal{Kind: access.Token, ID: secret, Name: "ada"}
	switch role := access.Role(secret); role {
	case access.Viewer, access.Responder, access.Admin:
		p.Teams = map[string]access.Role{"db": role}
	case "limited": // an admin's token that may only see
		p.Everywhere, p.Limit = access.Admin, access.Viewer
	case "nothing":
	default:
		return access.Principal{}, access.ErrDenied
	}
	return p, nil
}

func TestWhoMayAskForWhat(t *testing.T) {
	want := map[string]access.Need{}
	for line := range strings.Lines(strings.TrimSpace(needed)) {
		need, patterns, _ := strings.Cut(line, " ")
		for p := range strings.SplitSeq(strings.TrimSpace(patterns), ", ") {
			method, path, _ := strings.Cut(p, " ")
			want[method+" "+Prefix+path] = access.Need(need)
		}
	}
	ranks := map[string]int{"": 0, "wrong": 0, "nothing": 1, "viewer": 2, "limited": 2, "responder": 3, "admin": 4}
	least := map[access.Need]int{access.Nobody: 0, access.SignedIn: 1, access.View: 2, access.Respond: 3, access.Administer: 4}
	gate := server.NewGate(server.GateOptions{Register: holders{}, TLS: true, Now: slowly()})
	for _, r := range New(Options{}).Routes() {
		need, there := want[r.Pattern]
		if !there || need != r.Need {
			t.Errorf("%s needs %q; the table says %q", r.Pattern, r.Need, need)
			continue
		}
		delete(want, r.Pattern)
		method, path, _ := strings.Cut(r.Pattern, " ")
		r.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
		guarded := gate.Guard(r)
		for who, rank := range ranks {
			q := httptest.NewRequestWithContext(t.Context(), method, path, nil)
			q.RemoteAddr, q.Host = "127.0.0.1:4711", "localhost"
			if who != "" {
				q.Header.Set("Authorization", "Bearer "+who)
			}
			w := httptest.NewRecorder()
			guarded.ServeHTTP(w, q)
			code := http.StatusTeapot
			switch {
			case need == access.Nobody || rank >= least[need]:
			case rank == 0:
				code = http.StatusUnauthorized
			default:
				code = http.StatusForbidden
			}
			if w.Code != code {
				t.Errorf("%s as %q: %d, want %d", r.Pattern, who, w.Code, code)
			}
		}
	}
	for p := range want {
		t.Errorf("there is no %s", p)
	}
}

// slowly is a clock by which nobody asks too often.
func slowly() func() time.Time {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	return func() time.Time {
		now = now.Add(time.Minute)
		return now
	}
}
