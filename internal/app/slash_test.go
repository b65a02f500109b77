package app

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/access"
	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/secret"
	"github.com/refloat-db/refloat/internal/server"
	"github.com/refloat-db/refloat/internal/server/slash"
)

const signing = "a-signing-secret-of-some-length"

// slashRequest is a command as a chat service sends it.
type slashRequest struct{ door, body, stamp, signature string }

func slashOf(door, user, text, trigger string, at time.Time) slashRequest {
	body := url.Values{"command": {"/refloat"}, "user_id": {user}, "text": {text}, "trigger_id": {trigger}}.Encode()
	stamp := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(signing))
	fmt.Fprintf(mac, "v0:%s:%s", stamp, body)
	return slashRequest{door, body, stamp, "v0=" + hex.EncodeToString(mac.Sum(nil))}
}

func (q slashRequest) send(t *testing.T, s *httptest.Server) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "POST", s.URL+"/in/slash/"+q.door, strings.NewReader(q.body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("X-Slack-Request-Timestamp", q.stamp)
	r.Header.Set("X-Slack-Signature", q.signature)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	var m struct {
		Type string `json:"response_type"`
		Text string `json:"text"`
	}
	if res.StatusCode == 200 && (json.Unmarshal(raw, &m) != nil || m.Type != "ephemeral" || m.Text == "") {
		t.Errorf("%s: not an answer to one alone: %s", q.body, raw)
	}
	return res.StatusCode, m.Text
}

func TestSlashCommands(t *testing.T) {
	d := twoTeams(t)
	n := &node{o: d.o, state: d.state}
	serve := func() *httptest.Server {
		h := slash.New(slash.Options{
			Doors: []slash.Door{
				{Name: "ops", Secret: secret.New(signing), People: map[string]string{"U1": "ada", "U2": "bob", "U3": "gone"}},
				{Name: "open", Secret: secret.New(signing), OthersRead: true},
			},
			Desk: d, Seen: d.state, Principal: n.person, Redact: redactor([]secret.Value{secret.New("hunter22")}),
		})
		mux := http.NewServeMux()
		for _, r := range h.Routes() {
			if r.Need != access.Nobody {
				t.Error("it proves by its signature who asks")
			}
			mux.Handle(r.Pattern, r.Handler)
		}
		s := httptest.NewServer(mux)
		t.Cleanup(s.Close)
		return s
	}
	s := serve()
	if _, err := d.state.PutAccount(t.Context(), access.Account{Name: "gone", Everywhere: access.Admin, Disabled: true, Made: time.Now(), Changed: time.Now()}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.OpenIncident(t.Context(), all(access.Admin), server.NewIncident{Title: "shop <!channel> @here hunter22", Target: "shop"}); err != nil {
		t.Fatal(err)
	}
	d.lead().pager.Signal(t.Context(), alert.Signal{Key: "k", Code: "outage", Target: "shop", Firing: true, At: time.Now(), Severity: alert.Medium, Summary: "it <b>fails</b>", Source: "t"})
	open, err := d.Alerts(t.Context(), all(access.Admin), server.AlertQuery{})
	if err != nil || len(open) != 1 {
		t.Fatal(open, err)
	}
	trigger := 0
	do := func(door, user, text string) string {
		t.Helper()
		trigger++
		code, said := slashOf(door, user, text, fmt.Sprint(trigger), time.Now()).send(t, s)
		if code != 200 {
			t.Fatalf("%s: %d", text, code)
		}
		for _, never := range []string{"<", ">", "@here", "@channel", "hunter22"} {
			if strings.Contains(said, never) {
				t.Errorf("%s answers with %q: %s", text, never, said)
			}
		}
		return said
	}
	for _, x := range [][4]string{
		{"ops", "U1", "", "take an alert on"}, {"ops", "U1", "status", "shop"}, {"ops", "U1", "status shop", "shop"}, {"ops", "U1", "status books", "there is no target"},
		{"ops", "U1", "incident", "inc-1"}, {"ops", "U1", "incident 1", "inc-1"}, {"ops", "U1", "oncall", "red"},
		{"ops", "U1", "note 1 the volume is gone", "the note is kept"}, {"ops", "U1", "role 1 commander", "ada is commander"}, {"ops", "U1", "role 1 commander", "Nothing to do"},
		{"ops", "U1", "ack " + open[0].ID, "acknowledged by ada"}, {"ops", "U1", "update 1 clients", "sent to nobody yet"}, {"ops", "U1", "drop shop", "not understood"},
		{"ops", "U2", "incident 1", "there is no incident"}, {"ops", "U2", "note 1 x", "there is no incident"}, {"ops", "U2", "ack " + open[0].ID, "there is no alert"},
		{"ops", "U3", "status", "not among the people"}, {"ops", "U9", "status", "not among the people"}, {"ops", "", "incident", "not among the people"},
		{"open", "U9", "incident", "inc-1"}, {"open", "U9", "note 1 x", "Not done"}, {"open", "U9", "ack " + open[0].ID, "Not done"},
	} {
		if said := do(x[0], x[1], x[2]); !strings.Contains(said, x[3]) {
			t.Errorf("%s %q answers %q, want %q", x[1], x[2], said, x[3])
		}
	}
	v, err := d.Incident(t.Context(), all(access.Admin), "inc-1")
	if err != nil || len(v.Notes) != 1 || v.Notes[0].By != "ada" || len(v.Updates) != 0 {
		t.Errorf("%+v %v", v.State, err)
	}
	// Played again, also after a restart and many at once, it does nothing.
	once := slashOf("ops", "U1", "note 1 once", "same", time.Now())
	var wg sync.WaitGroup
	var mu sync.Mutex
	let := 0
	for i := range 8 {
		at := s
		if i%2 == 1 {
			at = serve()
		}
		wg.Go(func() {
			if code, _ := once.send(t, at); code == 200 {
				mu.Lock()
				let++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if code, _ := once.send(t, serve()); code != 401 {
		t.Errorf("a replay: %d", code)
	}
	if v, err = d.Incident(t.Context(), all(access.Admin), "inc-1"); err != nil || len(v.Notes) != 2 || let < 1 {
		t.Errorf("%d notes, %d let in, %v", len(v.Notes), let, err)
	}
	for name, q := range map[string]slashRequest{
		"old":          slashOf("ops", "U1", "status", "x", time.Now().Add(-6*time.Minute)),
		"another door": {"open", once.body, once.stamp, "v0=00"},
		"no door":      slashOf("nowhere", "U1", "status", "y", time.Now()),
		"unsigned":     {"ops", "user_id=U1&text=status", strconv.FormatInt(time.Now().Unix(), 10), ""},
	} {
		if code, _ := q.send(t, s); code != 401 {
			t.Errorf("%s: %d", name, code)
		}
	}
}

// The listener lets a signed command in without a sign-in, also through a proxy,
// and asks for one before the API.
func TestSlashAtTheListener(t *testing.T) {
	d, err := NewDaemon(DaemonOptions{
		StateDir: t.TempDir(), Listen: "127.0.0.1:0", Version: "test", StopTimeout: 20 * time.Second, PublicURL: "https://refloat.example.org",
		Front:  Front{BehindProxy: true, Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}},
		Paging: PagerOptions{Roster: deskRoster(), Sender: quiet{}}, Slash: []slash.Door{{Name: "ops", Secret: secret.New(signing), People: map[string]string{"U1": "ada"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stopped(t, d) })
	for i, host := range []string{"", "refloat.example.org"} {
		q := slashOf("ops", "U1", "oncall", fmt.Sprint(i), time.Now())
		r, err := http.NewRequestWithContext(t.Context(), "POST", "http://"+d.Address()+"/in/slash/ops", strings.NewReader(q.body))
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		if host != "" {
			r.Header.Set("X-Forwarded-For", "192.0.2.1")
			r.Header.Set("X-Forwarded-Proto", "https")
		}
		r.Header.Set("X-Slack-Request-Timestamp", q.stamp)
		r.Header.Set("X-Slack-Signature", q.signature)
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || res.StatusCode != 200 || !strings.Contains(string(raw), "red") {
			t.Errorf("as %q: %d %s", host, res.StatusCode, raw)
		}
	}
	if code, body := ask(t, "GET", "http://"+d.Address()+"/api/v1/board", "", "", ""); code != 401 {
		t.Errorf("the API without a token: %d %s", code, body)
	}
}
