package tracker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/refloat-db/refloat/internal/action"
	"github.com/refloat-db/refloat/internal/secret"
)

// site speaks the parts of the three APIs that are used, as they are documented.
type site struct {
	t    *testing.T
	kind Kind
	code int // answers with it when it is not 0

	mu     sync.Mutex
	issues map[string]map[string]any
	closed map[string]bool
}

const token = "s3cret-token"

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.code != 0 {
		w.Header().Set("Location", "https://elsewhere.example/")
		w.WriteHeader(s.code)
		fmt.Fprintf(w, `{"message":"no, %s"}`, token)
		return
	}
	auth := map[Kind]string{GitHub: "Bearer " + token, GitLab: token, Jira: "Basic b3BzQGV4YW1wbGU6czNjcmV0LXRva2Vu"}[s.kind]
	got := r.Header.Get("Authorization")
	if s.kind == GitLab {
		got = r.Header.Get("PRIVATE-TOKEN")
	}
	if got != auth {
		http.Error(w, `{"message":"401 Unauthorized"}`, http.StatusUnauthorized)
		return
	}
	base := map[Kind]string{GitHub: "/repos/acme/shop/issues", GitLab: "/api/v4/projects/acme%2Fshop/issues", Jira: "/rest/api/2/issue"}[s.kind]
	rest, ok := strings.CutPrefix(r.URL.EscapedPath(), base)
	if !ok {
		http.Error(w, `{"message":"404 Not Found"}`, http.StatusNotFound)
		return
	}
	key := strings.TrimPrefix(rest, "/")
	switch {
	case r.Method == http.MethodPost && key == "":
		var in map[string]any
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || r.Header.Get("Content-Type") != "application/json" {
			http.Error(w, `{}`, http.StatusBadRequest)
			return
		}
		key = fmt.Sprint(len(s.issues) + 1)
		if s.kind == Jira {
			in, key = in["fields"].(map[string]any), "SHOP-"+key
		}
		s.issues[key] = in
		w.WriteHeader(http.StatusCreated)
	case s.issues[key] == nil:
		http.Error(w, `{}`, http.StatusNotFound)
		return
	}
	state := "open"
	if s.kind == GitLab {
		state = "opened"
	}
	category := "new"
	if s.closed[key] {
		state, category = "closed", "done"
	}
	switch s.kind {
	case GitHub:
		fmt.Fprintf(w, `{"number":%s,"html_url":"https://site/acme/shop/issues/%s","state":%q}`, key, key, state)
	case GitLab:
		fmt.Fprintf(w, `{"id":9000,"iid":%s,"web_url":"https://site/acme/shop/-/issues/%s","state":%q}`, key, key, state)
	case Jira:
		fmt.Fprintf(w, `{"id":"9000","key":%q,"fields":{"status":{"name":"X","statusCategory":{"key":%q}}}}`, key, category)
	}
}

func item() action.State {
	due, _ := action.ParseDay("2023-10-30")
	return action.State{ID: "act-7", Item: action.Item{
		Text: "Alert on a failed archive command\nand say which", Owner: "ada", Due: due, Priority: action.P1, Kind: action.Detect,
		Source: action.Source{Incident: "inc-1", Of: "cause", Text: "the archive command hid its failure"},
	}, Check: &action.Check{Kind: action.CheckDrill, Target: "shop"}}
}

func TestEachTrackerMakesAndShowsEntries(t *testing.T) {
	for _, kind := range []Kind{GitHub, GitLab, Jira} {
		t.Run(string(kind), func(t *testing.T) {
			s := &site{t: t, kind: kind, issues: map[string]map[string]any{}, closed: map[string]bool{}}
			web := httptest.NewServer(s)
			defer web.Close()
			o := Options{Kind: kind, URL: web.URL + "/", Project: "acme/shop", Token: secret.New(token)}
			if kind == Jira {
				o.Project, o.User = "SHOP", "ops@example"
			}
			e, err := New(o).Create(context.Background(), item())
			if err != nil || e.Key == "" || !strings.HasPrefix(e.URL, "http") || e.Done {
				t.Fatalf("%+v %v", e, err)
			}
			made, _ := json.Marshal(s.issues[e.Key])
			for _, want := range []string{"Alert on a failed archive command", "Owner: ada", "2023-10-30", "the archive command hid its failure", "drill@shop", "act-7"} {
				if !strings.Contains(string(made), want) {
					t.Errorf("%q is missing in %s", want, made)
				}
			}
			if got, err := New(o).Look(context.Background(), e.Key); err != nil || got.Done || got.Key != e.Key {
				t.Fatalf("%+v %v", got, err)
			}
			s.closed[e.Key] = true
			if got, err := New(o).Look(context.Background(), e.Key); err != nil || !got.Done {
				t.Fatalf("%+v %v", got, err)
			}
			if _, err := New(o).Look(context.Background(), "999"); !errors.Is(err, ErrGone) {
				t.Error(err)
			}
			if _, err := New(o).Look(context.Background(), "../1"); !errors.Is(err, ErrGone) {
				t.Error(err)
			}
			o.Token = secret.New("wrong-token")
			if _, err := New(o).Create(context.Background(), item()); !errors.Is(err, ErrDenied) {
				t.Error(err)
			}
			o.Token = secret.New(token)
			for code, want := range map[int]error{503: ErrBusy, 429: ErrBusy, 403: ErrDenied, 302: nil} {
				s.code = code
				_, err := New(o).Look(context.Background(), e.Key)
				if err == nil || want != nil && !errors.Is(err, want) {
					t.Errorf("%d: %v", code, err)
				}
				if err != nil && strings.Contains(err.Error(), token) {
					t.Errorf("the token is in %v", err)
				}
			}
			web.Close()
			if _, err := New(o).Look(context.Background(), e.Key); !errors.Is(err, ErrBusy) {
				t.Error(err)
			}
		})
	}
}
