package app

import (
	"context"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/access"
	"github.com/refloat-db/refloat/internal/action"
	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/client"
	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/journal"
	"github.com/refloat-db/refloat/internal/secret"
	"github.com/refloat-db/refloat/internal/server"
	"github.com/refloat-db/refloat/internal/server/rest"
)

// elsewhere is the API of a desk behind the real gate, over TLS, with the token
// of an account.
type elsewhere struct {
	*httptest.Server
	desk  *desk
	token string
	ca    string // file
	cut   atomic.Int32
	mu    sync.Mutex
	asked map[string]bool // patterns
	all   []string
}

func farAway(t *testing.T, limit access.Role) *elsewhere {
	t.Helper()
	d := twoTeams(t)
	e := &elsewhere{desk: d, asked: map[string]bool{}}
	reg := access.NewRegister(d.state, access.Rules{Teams: []string{"red", "blue"}}, nil)
	root := access.Principal{Kind: access.Local, Name: "root", Everywhere: access.Admin}
	if _, err := reg.Add(t.Context(), root, access.Account{Name: "ada", Everywhere: access.Admin}, "", time.Now()); err != nil {
		t.Fatal(err)
	}
	_, token, err := reg.MakeToken(t.Context(), root, access.NewToken{Account: "ada", Name: "laptop", Limit: limit}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	e.token = token
	gate := server.NewGate(server.GateOptions{Register: reg, TLS: true})
	mux := http.NewServeMux()
	for _, r := range rest.New(rest.Options{Desk: d, Calls: d.state, Explain: explainShort}).Routes() {
		e.all = append(e.all, r.Pattern)
		inner := r.Handler
		r.Handler = http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			e.mu.Lock()
			e.asked[r.Pattern] = true
			e.mu.Unlock()
			if q.Method != http.MethodGet && e.cut.Add(-1) >= 0 { // done, and the answer is lost
				inner.ServeHTTP(httptest.NewRecorder(), q)
				panic(http.ErrAbortHandler)
			}
			inner.ServeHTTP(w, q)
		})
		mux.Handle(r.Pattern, gate.Guard(r))
	}
	e.Server = httptest.NewTLSServer(mux)
	t.Cleanup(e.Close)
	e.ca = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(e.ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: e.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return e
}

func (e *elsewhere) remote(t *testing.T) *Remote {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(e.token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := NewRemote(RemoteOptions{URL: e.URL, TokenFile: file, CAFile: e.ca})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// The client asks for every operation that the description has but those that are
// about the API itself, and understands every answer.
func TestTheClientKnowsTheWholeAPI(t *testing.T) {
	e := farAway(t, access.Admin)
	r, ctx := e.remote(t), t.Context()
	c := r.desk
	ok := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	me, err := c.Me(ctx)
	if ok("me", err); me.Name != "ada" || me.Limit != access.Admin {
		t.Errorf("%+v", me)
	}
	e.cut.Store(1) // the first answer is lost: asked again, it is one incident
	v, err := c.OpenIncident(ctx, nobody, server.NewIncident{Title: "orders fail", Target: "shop", Since: time.Now().Add(-time.Minute)})
	if ok("open", err); v.ID != "inc-1" {
		t.Errorf("%+v", v.State)
	}
	for _, do := range []incident.Command{
		incident.AddNote{Text: "the volume is gone"}, incident.SetSeverity{To: incident.Sev2, Why: "few"}, incident.SetStatus{To: incident.Identified}, incident.TakeRole{Role: incident.Commander},
		incident.HandOver{Role: incident.Commander, To: "bob"}, incident.TakeRole{Role: incident.Scribe}, incident.ReleaseRole{Role: incident.Scribe}, incident.AddTask{Text: "look", Owner: "bob"}, incident.CloseTask{ID: "t1", Result: "found"},
		incident.AddLink{URL: "https://wiki.example.org", Title: "x"}, incident.MeasureDataLoss{Measured: incident.Measured{Loss: time.Minute, Source: "s"}},
	} {
		e.cut.Store(1)
		_, err := c.Act(ctx, nobody, "inc-1", do)
		ok("act", err)
	}
	d, err := c.Draft(ctx, nobody, "inc-1", incident.Teams)
	ok("draft", err)
	_, err = c.Publish(ctx, nobody, "inc-1", d)
	ok("publish", err)
	if _, err := c.Publish(ctx, nobody, "inc-1", d); !errors.Is(err, server.ErrRefused) { // somebody was faster
		t.Errorf("an update after another: %v", err)
	}
	_, err = c.Act(ctx, nobody, "inc-1", incident.AcknowledgeUpdate{Update: "u1"})
	ok("acknowledge an update", err)
	v, err = c.Attach(ctx, nobody, "inc-1", "a ü.log", []byte("PANIC"))
	ok("attach", err)
	f, data, err := c.Attachment(ctx, nobody, "inc-1", v.Attachments[0].SHA256)
	if ok("attachment", err); f.Name != "a ü.log" || string(data) != "PANIC" || f.Type != "text/plain" {
		t.Errorf("%+v %s", f, data)
	}
	_, err = c.Act(ctx, nobody, "inc-1", incident.Resolve{Summary: "done"})
	ok("resolve", err)
	_, err = c.Act(ctx, nobody, "inc-1", incident.Reopen{Why: "again"})
	ok("reopen", err)
	_, err = c.OpenIncident(ctx, nobody, server.NewIncident{Title: "more", Target: "shop", Another: true})
	ok("open another", err)
	v, err = c.Merge(ctx, nobody, "inc-2", "inc-1", "same")
	ok("merge", err)
	if len(v.Notes) != 1 || len(v.Tasks) != 1 || v.Tasks[0].Result != "found" || v.Roles[incident.Commander].Person != "bob" || v.DataLoss.Loss != time.Minute || len(v.Updates) != 1 || v.Reopened != 1 || len(v.Absorbed) != 1 {
		t.Errorf("%+v", v.State)
	}
	v, err = c.Incident(ctx, nobody, "inc-1")
	ok("incident", err)
	events, err := c.Timeline(ctx, "inc-1", v.Timeline[0].Seq)
	if ok("timeline", err); len(events) != len(v.Timeline)-1 {
		t.Errorf("%d events, %d in the incident", len(events), len(v.Timeline))
	}
	list, err := c.Incidents(ctx, nobody, server.IncidentQuery{All: true, Target: "shop", Limit: 300})
	if ok("list", err); len(list) != 2 {
		t.Errorf("%d", len(list))
	}
	e.desk.lead().pager.Signal(ctx, alert.Signal{Key: "k", Code: "outage", Target: "shop", Firing: true, At: time.Now(), Severity: alert.Medium, Summary: "s", Source: "t"})
	alerts, err := c.Alerts(ctx, nobody, server.AlertQuery{Target: "shop"})
	if ok("alerts", err); len(alerts) != 1 {
		t.Fatalf("%+v", alerts)
	}
	a, err := c.Acknowledge(ctx, nobody, alerts[0].ID)
	if ok("acknowledge", err); a.AcknowledgedBy != "ada" {
		t.Errorf("%+v", a)
	}
	alerts, err = c.Alerts(ctx, nobody, server.AlertQuery{ID: a.ID})
	if ok("alert", err); len(alerts) != 1 || alerts[0].ID != a.ID {
		t.Errorf("%+v", alerts)
	}
	s, err := c.Silence(ctx, nobody, alert.Silence{Target: "shop", Reason: "r", Until: time.Now().Add(time.Hour)})
	ok("silence", err)
	silences, err := c.Silences(ctx, nobody)
	if ok("silences", err); len(silences) != 1 || silences[0].ID != s.ID {
		t.Errorf("%+v", silences)
	}
	ok("end", c.EndSilence(ctx, nobody, s.ID))
	_, err = c.Board(ctx, nobody)
	ok("board", err)
	_, err = c.Targets(ctx)
	ok("targets", err)
	_, err = c.Target(ctx, nobody, "shop")
	ok("target", err)
	_, err = c.Proof(ctx, nobody, "shop-1-x")
	ok("proof", err)
	_, err = c.Findings(ctx, nobody)
	ok("findings", err)
	_, err = c.OnCall(ctx, nobody, time.Now(), time.Now().Add(time.Hour))
	ok("on call", err)
	_, err = c.Simulate(ctx, nobody, server.PageQuery{Target: "shop", At: time.Now()})
	ok("simulate", err)
	_, err = c.Settings(ctx, nobody)
	ok("settings", err)
	_, err = c.Ask(ctx, nobody, "shop", "backup")
	ok("ask", err)
	ok("test page", c.TestPage(ctx, nobody, "ada"))
	page, err := c.Journal(ctx, nobody, server.JournalQuery{Limit: 3, Scope: "incident/inc-1"})
	if ok("journal", err); len(page.Entries) != 3 || page.Older == 0 {
		t.Errorf("%+v", page)
	}
	follow, end := context.WithTimeout(ctx, 20*time.Second)
	defer end()
	var seen []int64
	stop := errors.New("enough")
	err = c.Stream(follow, nobody, v.Timeline[0].Seq-1, func(e journal.Entry) error {
		if seen = append(seen, e.Seq); len(seen) == 5 {
			return stop
		}
		return nil
	})
	if !errors.Is(err, stop) || seen[0] != v.Timeline[0].Seq || !slices.IsSorted(seen) {
		t.Errorf("%v %v", seen, err)
	}
	item, err := c.AddAction(ctx, nobody, action.Item{Text: "mend it", Priority: action.P2, Source: action.Source{Incident: v.ID}}, nil)
	ok("add an action", err)
	_, err = c.ActOnAction(ctx, nobody, item.ID, action.AddNote{Text: "begun"})
	ok("act on an action", err)
	_, err = c.Action(ctx, nobody, item.ID)
	ok("an action", err)
	_, err = c.Actions(ctx, nobody, server.ActionQuery{})
	ok("actions", err)
	for _, p := range e.all {
		if strings.Contains(p, "/recovery") {
			continue // docs/api.md: the command line guides a recovery on the server's machine only
		}
		if !e.asked[p] && !strings.HasSuffix(p, "/openapi.json") && !strings.Contains(p, "/docs") {
			t.Errorf("the client never asks for %s", p)
		}
	}
}

// What the command line does is the same here and there.
func TestRemoteRoom(t *testing.T) {
	e := farAway(t, access.Responder)
	r, ctx := e.remote(t), t.Context()
	if _, err := r.OpenIncident(ctx, IncidentRequest{Title: "orders fail", Target: "shop", By: "bob"}); !errors.Is(err, ErrUsage) {
		t.Errorf("as somebody else: %v", err)
	}
	if _, err := r.OpenIncident(ctx, IncidentRequest{Title: "orders fail", Target: "shop"}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.ActOnIncident(ctx, "1", IncidentNote{Text: "the volume is gone"}, ""); err != nil {
		t.Fatal(err)
	}
	if lines, err := r.IncidentSummary(ctx, "1", ""); err != nil || len(lines) == 0 {
		t.Error(lines, err)
	}
	if d, err := r.SendUpdate(ctx, UpdateRequest{Incident: "1", Audience: "teams", Text: "we are on it", Next: time.Hour}); err != nil || d.Text != "we are on it" {
		t.Error(d, err)
	}
	if _, err := r.AttachToIncident(ctx, "1", "a.log", []byte("PANIC"), ""); err != nil {
		t.Fatal(err)
	}
	if data, err := r.IncidentAttachment(ctx, "1", "a.log"); err != nil || string(data) != "PANIC" {
		t.Error(string(data), err)
	}
	all, err := r.Status(ctx, "")
	if err != nil || len(all) != 2 {
		t.Error(all, err)
	}
	if _, err := r.Status(ctx, "nothing"); !errors.Is(err, ErrNoTarget) {
		t.Error(err)
	}
	if on, err := r.OnCall("red", time.Now(), 7); err != nil || on.Teams[0].Team != "red" || on.People["ada"].Name == "" {
		t.Error(on, err)
	}
	if list, err := r.JournalList(ctx, JournalFilter{Kind: "incident.note", Last: 5}); err != nil || len(list) != 1 || list[0].Actor != "ada" {
		t.Error(list, err)
	}
	for what, x := range map[string]struct {
		err  error
		code string
	}{
		"again":    {second(r.OpenIncident(ctx, IncidentRequest{Title: "x", Target: "shop"})), "refused"},
		"none":     {second(r.Incident(ctx, "9")), "not-found"},
		"settings": {second(r.desk.Settings(ctx, nobody)), "forbidden"},
		"nothing":  {second(r.ActOnIncident(ctx, "1", ReopenIncident{Why: "x"}, "")), "nothing-to-do"},
	} {
		if got := Explain(x.err); x.err == nil || got.Code != x.code || got.Next == "" {
			t.Errorf("%s: %+v", what, got)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestRemoteTrustsNobodyBlindly(t *testing.T) {
	e := farAway(t, access.Viewer)
	dir := t.TempDir()
	file := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := file("good", e.token, 0o600)
	for what, o := range map[string]RemoteOptions{
		"no token":       {URL: e.URL, CAFile: e.ca},
		"no file":        {URL: e.URL, TokenFile: filepath.Join(dir, "none"), CAFile: e.ca},
		"others read it": {URL: e.URL, TokenFile: file("open", e.token, 0o644), CAFile: e.ca},
		"empty":          {URL: e.URL, TokenFile: file("empty", "\n", 0o600), CAFile: e.ca},
		"two tokens":     {URL: e.URL, TokenFile: file("two", "a\nb\n", 0o600), CAFile: e.ca},
		"in the open":    {URL: "http://refloat.example.org", TokenFile: good},
		"a password":     {URL: "https://u:p@refloat.example.org", TokenFile: good},
		"no address":     {URL: "refloat.example.org", TokenFile: good},
	} {
		if _, err := NewRemote(o); !errors.Is(err, ErrUsage) || strings.Contains(err.Error(), e.token) {
			t.Errorf("%s: %v", what, err)
		}
	}
	// A certificate of nobody that is known.
	r, err := NewRemote(RemoteOptions{URL: e.URL, TokenFile: good})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Status(t.Context(), ""); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an unknown certificate: %v", err)
	}
	// A token is not carried elsewhere, and one that is not good is refused.
	var carried atomic.Bool
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) { carried.Store(q.Header.Get("Authorization") != "") }))
	defer other.Close()
	away := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	defer away.Close()
	c, err := client.New(client.Options{URL: away.URL, Token: secret.New(e.token)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Board(t.Context(), nobody); err == nil || carried.Load() {
		t.Errorf("a redirect: %v", err)
	}
	e.token = "rft_" + strings.Repeat("x", 43)
	if _, err := e.remote(t).Status(t.Context(), ""); Explain(err).Code != "not-signed-in" {
		t.Errorf("a wrong token: %v", err)
	}
}
