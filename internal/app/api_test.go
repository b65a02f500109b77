package app

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/access"
	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/journal"
	"github.com/refloat-db/refloat/internal/server"
	"github.com/refloat-db/refloat/internal/server/rest"
)

// apiOver serves the API of a desk to whoever the header says, as a gate would.
func apiOver(t *testing.T, d *desk, people map[string]access.Principal) *httptest.Server {
	t.Helper()
	api := rest.New(rest.Options{Desk: d, Calls: d.state, Explain: explainShort, Redact: func(s string) string { return strings.ReplaceAll(s, "hunter22", "…") }})
	mux := http.NewServeMux()
	for _, r := range api.Routes() {
		mux.HandleFunc(r.Pattern, func(w http.ResponseWriter, q *http.Request) {
			who := people[q.Header.Get("Authorization")]
			if !who.Somewhere(r.Need) {
				w.WriteHeader(http.StatusForbidden)
				return
			}
			r.Handler.ServeHTTP(w, q.WithContext(server.WithWho(q.Context(), who)))
		})
	}
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

type answered struct {
	code   int
	header http.Header
	body   string
}

func (a answered) problem(t *testing.T) rest.Problem {
	t.Helper()
	var p rest.Problem
	if err := json.Unmarshal([]byte(a.body), &p); err != nil || a.header.Get("Content-Type") != "application/problem+json" || p.Code == "" || p.Next == "" || p.Status != a.code {
		t.Errorf("no problem: %d %s %s %v", a.code, a.header.Get("Content-Type"), a.body, err)
	}
	return p
}

func askAPI(t *testing.T, s *httptest.Server, who, method, path, body string, header ...string) answered {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), method, s.URL+rest.Prefix+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Authorization", who)
	for i := 0; i+1 < len(header); i += 2 {
		q.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answered{res.StatusCode, res.Header, string(raw)}
}

var apiPeople = map[string]access.Principal{
	"ada":  {Kind: access.Token, ID: "t1", Name: "ada", Teams: map[string]access.Role{"red": access.Responder}},
	"bob":  {Kind: access.Token, ID: "t2", Name: "bob", Teams: map[string]access.Role{"blue": access.Responder}},
	"cyd":  {Kind: access.Token, ID: "t3", Name: "cyd", Teams: map[string]access.Role{"red": access.Viewer}},
	"root": {Kind: access.Session, ID: "s1", Name: "root", Everywhere: access.Admin},
}

func TestAPIWorksInAnIncident(t *testing.T) {
	d := twoTeams(t)
	s := apiOver(t, d, apiPeople)
	var v server.IncidentView
	must := func(a answered, code int) {
		t.Helper()
		if a.code != code {
			t.Fatalf("%d, want %d: %s", a.code, code, a.body)
		}
		v = server.IncidentView{}
		if err := json.Unmarshal([]byte(a.body), &v); err != nil {
			t.Fatal(err)
		}
	}
	must(askAPI(t, s, "ada", "POST", "/incidents", `{"title":"orders fail","target":"shop"}`), 201)
	if v.ID != "inc-1" || v.Team != "red" || v.OpenedBy != "ada" {
		t.Errorf("%+v", v.State)
	}
	for _, x := range [][2]string{
		{"/notes", `{"text":"the volume is gone"}`}, {"/severity", `{"to":"sev2","why":"few"}`}, {"/status", `{"to":"identified"}`}, {"/roles/commander", `{"do":"take"}`},
		{"/tasks", `{"text":"look","owner":"bob"}`}, {"/tasks/t1/close", `{"result":"found"}`}, {"/links", `{"url":"https://wiki.example.org/x"}`}, {"/data-loss", `{"loss":180000000000,"source":"the last order"}`},
	} {
		must(askAPI(t, s, "ada", "POST", "/incidents/1"+x[0], x[1]), 200)
	}
	must(askAPI(t, s, "ada", "POST", "/incidents/1/updates", `{"audience":"teams","text":"we are on it"}`), 201)
	must(askAPI(t, s, "ada", "POST", "/incidents/1/updates/u1/acknowledge", ""), 200)
	must(askAPI(t, s, "ada", "POST", "/incidents/1/attachments?name=a.log", "PANIC", "Content-Type", "application/octet-stream"), 201)
	f := v.Attachments[0]
	if got := askAPI(t, s, "cyd", "GET", "/incidents/1/attachments/"+f.SHA256, ""); got.body != "PANIC" || !strings.HasPrefix(got.header.Get("Content-Disposition"), "attachment") || got.header.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("%+v", got)
	}
	must(askAPI(t, s, "ada", "POST", "/incidents/1/resolve", `{"summary":"done"}`), 200)
	must(askAPI(t, s, "ada", "POST", "/incidents/1/reopen", `{"why":"again"}`), 200)
	if v.Roles[incident.Commander].Person != "ada" || v.Severity != incident.Sev2 || len(v.Notes) != 1 || v.Tasks[0].Result != "found" || v.DataLoss.Loss != 3*time.Minute || v.Reopened != 1 || len(v.Updates[0].Acks) != 1 {
		t.Errorf("%+v", v.State)
	}
	must(askAPI(t, s, "ada", "POST", "/incidents", `{"title":"the same","target":"shop","another":true}`), 201)
	must(askAPI(t, s, "ada", "POST", "/incidents/2/merge", `{"into":"1"}`), 200)
	if v.ID != "inc-1" || len(v.Absorbed) != 1 {
		t.Errorf("merged: %+v", v.State)
	}
	// Pages of a list.
	for range 3 {
		must(askAPI(t, s, "ada", "POST", "/incidents", `{"title":"more","target":"shop","another":true}`), 201)
	}
	seen, path := []string{}, "/incidents?all=true&limit=2"
	for path != "" {
		got := askAPI(t, s, "cyd", "GET", path, "")
		var page []server.IncidentView
		if err := json.Unmarshal([]byte(got.body), &page); err != nil {
			t.Fatal(err, got.body)
		}
		for _, x := range page {
			seen = append(seen, x.ID)
		}
		path = ""
		if link := got.header.Get("Link"); link != "" {
			path = strings.TrimPrefix(link[1:strings.Index(link, ">")], rest.Prefix)
		}
	}
	if fmt.Sprint(seen) != "[inc-5 inc-4 inc-3 inc-2 inc-1]" {
		t.Errorf("pages: %v", seen)
	}
	// Everything that is read has an answer.
	for _, path := range []string{"/board", "/targets", "/targets/shop", "/proofs/shop-1-x", "/findings", "/alerts", "/silences", "/oncall", "/oncall/simulation?target=shop", "/journal?limit=3", "/incidents/1/timeline?after=2", "/incidents/1/draft?audience=clients", "/me", "/openapi.json", "/docs", "/docs.css"} {
		if got := askAPI(t, s, "ada", "GET", path, ""); got.code != 200 {
			t.Errorf("%s: %d %s", path, got.code, got.body)
		}
	}
	// What has not changed is not sent again.
	for _, path := range []string{"/proofs/shop-1-x", "/findings", "/silences", "/journal?scope=incident/inc-1", "/incidents/1/timeline", "/incidents/1/attachments/" + f.SHA256} {
		tag := askAPI(t, s, "ada", "GET", path, "").header.Get("ETag")
		if got := askAPI(t, s, "ada", "GET", path, "", "If-None-Match", tag); tag == "" || got.code != 304 || got.body != "" {
			t.Errorf("%s with %s: %+v", path, tag, got)
		}
	}
	tag := askAPI(t, s, "ada", "GET", "/incidents/1/timeline", "").header.Get("ETag")
	must(askAPI(t, s, "ada", "POST", "/incidents/1/notes", `{"text":"another"}`), 200)
	if got := askAPI(t, s, "ada", "GET", "/incidents/1/timeline", "", "If-None-Match", tag); got.code != 200 {
		t.Errorf("what has changed: %d", got.code)
	}
	if got := askAPI(t, s, "root", "GET", "/settings", ""); got.code != 200 {
		t.Errorf("settings: %d %s", got.code, got.body)
	}
}

func TestAPIRefuses(t *testing.T) {
	d := twoTeams(t)
	s := apiOver(t, d, apiPeople)
	if got := askAPI(t, s, "ada", "POST", "/incidents", `{"title":"orders fail","target":"shop"}`); got.code != 201 {
		t.Fatal(got)
	}
	for _, x := range []struct {
		who, method, path, body string
		code                    int
		problem                 string
	}{
		{"ada", "POST", "/incidents/1/notes", `{"text":"x","txet":"y"}`, 422, "invalid-request"},
		{"ada", "POST", "/incidents/1/notes", `{"text":""}`, 422, "invalid-request"},
		{"ada", "POST", "/incidents/1/notes", `{"text":`, 400, "invalid-request"},
		{"ada", "POST", "/incidents/1/notes", `{"text":"x"} {}`, 400, "invalid-request"},
		{"ada", "POST", "/incidents/1/notes", ``, 400, "invalid-request"},
		{"ada", "POST", "/incidents/1/notes", `{"text":"` + strings.Repeat("x", 300<<10) + `"}`, 413, "too-large"},
		{"ada", "POST", "/incidents/1/severity", `{"to":"sev9"}`, 422, "invalid-request"},
		{"ada", "POST", "/incidents/1/severity", `{"to":"sev1"}`, 409, "nothing-to-do"},
		{"ada", "POST", "/incidents/1/reopen", `{"why":"x"}`, 409, "nothing-to-do"},
		{"ada", "POST", "/incidents/1/roles/commander", `{"do":"hand","to":"zoe"}`, 409, "refused"},
		{"ada", "POST", "/incidents", `{"title":"again","target":"shop"}`, 409, "refused"},
		{"ada", "GET", "/incidents/9", "", 404, "not-found"}, {"bob", "GET", "/incidents/1", "", 404, "not-found"},
		{"bob", "POST", "/incidents/1/notes", `{"text":"x"}`, 404, "not-found"},
		{"ada", "GET", "/incidents/x", "", 422, "invalid-request"}, {"ada", "GET", "/incidents?al=true", "", 422, "invalid-request"},
		{"ada", "GET", "/incidents?limit=1000000", "", 422, "invalid-request"}, {"ada", "GET", "/events?x=1", "", 422, "invalid-request"},
		{"ada", "GET", "/targets/books", "", 404, "not-found"}, {"ada", "POST", "/targets/shop/work/drop", "", 422, "invalid-request"},
		{"ada", "GET", "/proofs/nothing", "", 404, "not-found"}, {"ada", "GET", "/alerts/zz", "", 404, "not-found"},
		{"ada", "DELETE", "/silences/zz", "", 404, "not-found"}, {"ada", "POST", "/silences", `{"target":"shop","reason":"r","until":"2001-01-01T00:00:00Z"}`, 409, "refused"},
		{"ada", "GET", "/incidents/1/draft", "", 422, "invalid-request"},
	} {
		got := askAPI(t, s, x.who, x.method, x.path, x.body)
		if p := got.problem(t); got.code != x.code || p.Code != x.problem {
			t.Errorf("%s %s %s %.40s: %d %s, want %d %s: %s", x.who, x.method, x.path, x.body, got.code, p.Code, x.code, x.problem, p.Detail)
		}
	}
	if got := askAPI(t, s, "ada", "POST", "/incidents/1/notes", `{"text":"x"}`, "Content-Type", "text/plain"); got.code != 415 || got.problem(t).Code != "media-type" {
		t.Errorf("%+v", got)
	}
	if got := askAPI(t, s, "cyd", "POST", "/incidents/1/notes", `{"text":"x"}`); got.code != 403 {
		t.Errorf("a viewer writes: %+v", got)
	}
}

// A failure of ours is not told in its own words, and no secret is.
func TestAPIKeepsFailuresToItself(t *testing.T) {
	d := twoTeams(t)
	s := apiOver(t, d, apiPeople)
	if got := askAPI(t, s, "ada", "POST", "/incidents", `{"title":"orders fail","target":"shop"}`); got.code != 201 {
		t.Fatal(got)
	}
	d.state = brokenStore{d.state}
	got := askAPI(t, s, "ada", "POST", "/incidents/1/notes", `{"text":"x"}`)
	if p := got.problem(t); got.code != 500 || strings.Contains(got.body, "fire") || strings.Contains(got.body, "hunter22") || p.Code != "failed" {
		t.Errorf("%+v", got)
	}
}

type brokenStore struct{ Store }

func (brokenStore) AppendAfter(context.Context, string, int64, ...journal.Event) ([]journal.Entry, error) {
	return nil, errors.New("disk on fire with hunter22")
}

func TestAPIDoesOnceWhatIsSentTwice(t *testing.T) {
	d := twoTeams(t)
	s := apiOver(t, d, apiPeople)
	open := func(key string) answered {
		return askAPI(t, s, "ada", "POST", "/incidents", `{"title":"orders fail","target":"shop","another":true}`, "Idempotency-Key", key)
	}
	first := open("key-00001")
	second := open("key-00001")
	if first.code != 201 || second.code != 201 || first.body != second.body || second.header.Get("Idempotency-Replayed") != "true" || first.header.Get("Idempotency-Replayed") != "" {
		t.Errorf("%+v\n%+v", first, second)
	}
	// Many at once.
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if got := askAPI(t, s, "ada", "POST", "/incidents/1/notes", `{"text":"the same words"}`, "Idempotency-Key", "key-00002"); got.code != 200 {
				t.Errorf("%+v", got)
			}
		})
	}
	wg.Wait()
	// The same key of somebody else is another; for something else it is refused.
	other := askAPI(t, s, "root", "POST", "/incidents/1/notes", `{"text":"the same words"}`, "Idempotency-Key", "key-00002")
	if other.code != 200 || other.header.Get("Idempotency-Replayed") != "" {
		t.Errorf("%+v", other)
	}
	for _, x := range [][2]string{{"/incidents/1/notes", `{"text":"other words"}`}, {"/incidents/1/tasks", `{"text":"the same words"}`}} {
		if got := askAPI(t, s, "ada", "POST", x[0], x[1], "Idempotency-Key", "key-00002"); got.code != 422 || got.problem(t).Code != "key-reused" {
			t.Errorf("%+v", got)
		}
	}
	for _, key := range []string{"short", strings.Repeat("x", 201), "has a space"} {
		if got := open(key); got.code != 422 {
			t.Errorf("key %q: %+v", key, got)
		}
	}
	// A refusal is answered the same again.
	for range 2 {
		if got := askAPI(t, s, "ada", "POST", "/incidents/1/reopen", `{"why":"x"}`, "Idempotency-Key", "key-00003"); got.code != 409 {
			t.Errorf("%+v", got)
		}
	}
	v, err := d.Incident(t.Context(), all(access.Admin), "inc-1")
	if err != nil || len(v.Notes) != 2 {
		t.Errorf("%d notes %v", len(v.Notes), err)
	}
}

// The server is killed after each act and before its answer is kept: what is sent
// again is found to be done, for every act in an incident.
func TestAPIFindsWhatWasDoneBeforeAKill(t *testing.T) {
	d := twoTeams(t)
	ctx := t.Context()
	calls := &cutOff{Calls: d.state}
	api := rest.New(rest.Options{Desk: d, Calls: calls})
	mux := http.NewServeMux()
	for _, r := range api.Routes() {
		mux.HandleFunc(r.Pattern, func(w http.ResponseWriter, q *http.Request) {
			r.Handler.ServeHTTP(w, q.WithContext(server.WithWho(q.Context(), apiPeople["ada"])))
		})
	}
	s := httptest.NewServer(mux)
	defer s.Close()
	twice := func(path, body string, header ...string) string {
		t.Helper()
		h := append([]string{"Idempotency-Key", "kill-" + strings.ReplaceAll(path, " ", "")}, header...)
		a := askAPI(t, s, "ada", "POST", path, body, h...)
		b := askAPI(t, s, "ada", "POST", path, body, h...)
		if a.code/100 != 2 || b.code != a.code {
			t.Fatalf("%s: %d %s, then %d %s", path, a.code, a.body, b.code, b.body)
		}
		return b.body
	}
	twice("/incidents", `{"title":"one","target":"shop"}`)
	for _, x := range [][2]string{
		{"/notes", `{"text":"a"}`}, {"/severity", `{"to":"sev2"}`}, {"/status", `{"to":"identified"}`}, {"/roles/commander", `{"do":"take"}`}, {"/tasks", `{"text":"b"}`}, {"/tasks/t1/close", `{}`},
		{"/links", `{"url":"https://x.example.org"}`}, {"/data-loss", `{"loss":1,"source":"s"}`}, {"/updates", `{"audience":"teams","text":"hello"}`}, {"/updates/u1/acknowledge", ""}, {"/resolve", `{}`}, {"/reopen", `{"why":"x"}`},
	} {
		twice("/incidents/1"+x[0], x[1])
	}
	twice("/incidents/1/attachments?name=a", "text", "Content-Type", "application/octet-stream")
	if got := askAPI(t, s, "ada", "POST", "/incidents", `{"title":"two","target":"shop","another":true}`); got.code != 201 {
		t.Fatal(got)
	}
	twice("/incidents/2/merge", `{"into":"inc-1"}`)
	twice("/silences", fmt.Sprintf(`{"target":"shop","reason":"r","until":%q}`, time.Now().Add(time.Hour).UTC().Format(time.RFC3339)))
	v, err := d.Incident(ctx, all(access.Admin), "inc-1")
	if err != nil {
		t.Fatal(err)
	}
	if len(v.Notes) != 1 || len(v.Tasks) != 1 || len(v.Links) != 1 || len(v.Updates) != 1 || len(v.Attachments) != 1 || v.Reopened != 1 || len(v.Absorbed) != 1 {
		t.Errorf("doubled: %+v", v.State)
	}
	list, err := d.Incidents(ctx, all(access.Admin), server.IncidentQuery{All: true})
	if err != nil || len(list) != 2 {
		t.Errorf("%d incidents %v", len(list), err)
	}
	silences, err := d.Silences(ctx, all(access.Admin))
	if err != nil || len(silences) != 1 {
		t.Errorf("%d silences %v", len(silences), err)
	}
	if calls.lost < 15 {
		t.Errorf("only %d answers were lost", calls.lost)
	}
}

// cutOff keeps that a request was begun, and loses each answer.
type cutOff struct {
	rest.Calls
	mu   sync.Mutex
	lost int
}

func (f *cutOff) Save(ctx context.Context, records ...alert.Record) error {
	for _, r := range records {
		if bytes.Contains(r.Body, []byte(`"status":`)) {
			f.mu.Lock()
			f.lost++
			f.mu.Unlock()
			return errors.New("killed")
		}
	}
	return f.Calls.Save(ctx, records...)
}

// A follower sees each entry that it may once and in order, also when it comes
// again.
func TestAPIEvents(t *testing.T) {
	d := twoTeams(t)
	s := apiOver(t, d, apiPeople)
	if got := askAPI(t, s, "ada", "POST", "/incidents", `{"title":"orders fail","target":"shop"}`); got.code != 201 {
		t.Fatal(got)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	follow := func(who, path, last string) (chan string, func()) {
		ctx, end := context.WithCancel(ctx)
		q, err := http.NewRequestWithContext(ctx, "GET", s.URL+rest.Prefix+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		q.Header.Set("Authorization", who)
		if last != "" {
			q.Header.Set("Last-Event-ID", last)
		}
		res, err := http.DefaultClient.Do(q)
		if err != nil || res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/event-stream" {
			t.Fatal(err, res)
		}
		out := make(chan string, 1000)
		go func() {
			defer res.Body.Close()
			lines := bufio.NewScanner(res.Body)
			lines.Buffer(nil, 1<<20)
			for lines.Scan() {
				if id, is := strings.CutPrefix(lines.Text(), "id: "); is {
					out <- id
				}
			}
			close(out)
		}()
		return out, end
	}
	next := func(c chan string) string {
		t.Helper()
		select {
		case id := <-c:
			return id
		case <-ctx.Done():
			t.Fatal("nothing came")
			return ""
		}
	}
	ada, endAda := follow("ada", "/events?scope=incident/", "")
	bob, endBob := follow("bob", "/events?scope=incident/", "")
	defer endBob()
	note := func(text string) {
		t.Helper()
		if got := askAPI(t, s, "ada", "POST", "/incidents/1/notes", `{"text":"`+text+`"}`); got.code != 200 {
			t.Fatal(got)
		}
	}
	note("one")
	id := next(ada)
	endAda()
	note("two")
	note("three")
	again, endAgain := follow("ada", "/events?scope=incident/&kind=incident.note", id)
	defer endAgain()
	a, b := next(again), next(again)
	v, err := d.Incident(ctx, all(access.Admin), "inc-1")
	if err != nil {
		t.Fatal(err)
	}
	n := len(v.Timeline)
	if want := fmt.Sprint(v.Timeline[n-2].Seq, " ", v.Timeline[n-1].Seq); a+" "+b != want {
		t.Errorf("%s %s, want %s", a, b, want)
	}
	if got := askAPI(t, s, "bob", "POST", "/incidents", `{"title":"books","target":"books"}`); got.code != 201 {
		t.Fatal(got)
	}
	var last int64
	if last, err = d.Last(ctx); err != nil {
		t.Fatal(err)
	}
	first := next(bob)
	var seq int64
	if _, err := fmt.Sscan(first, &seq); err != nil || seq > last || seq <= v.Timeline[n-1].Seq {
		t.Errorf("bob first sees %s: what is not for him", first)
	}
	for _, x := range []string{"99999999", "x", "-1"} {
		if got := askAPI(t, s, "ada", "GET", "/events", "", "Last-Event-ID", x); got.code/100 != 4 || got.problem(t).Code == "" {
			t.Errorf("Last-Event-ID %s: %+v", x, got)
		}
	}
}
