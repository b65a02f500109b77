package app

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/access"
	"github.com/refloat-db/refloat/internal/action"
	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/server"
)

// askers are who asks, in the order of the table's columns: a stranger; an admin
// of the team blue, which everything asked for here is none of; a viewer, a
// responder and an admin of the team red, whose it is; an admin everywhere; and
// a token of that one that is limited to seeing.
var askers = [...]string{"stranger", "other", "viewer", "responder", "admin", "root", "token"}

// tableOf is the daemon of the table with a secret for each who asks.
type tableOf struct {
	t       *testing.T
	d       *Daemon
	base    string
	secrets map[string]string
	n       int
}

func newTable(t *testing.T) *tableOf {
	o := twoTeamsOptions(t)
	o.Listen, o.Front = "127.0.0.1:0", front()
	d := daemonOver(t, o)
	x := &tableOf{t: t, d: d, base: "http://" + d.Address(), secrets: map[string]string{}}
	g, ctx, now := d.node.register, t.Context(), time.Now()
	local := access.Principal{Kind: access.Local, Name: "table", Everywhere: access.Admin}
	for _, a := range []access.Account{
		{Name: "subject"}, {Name: "root", Everywhere: access.Admin}, {Name: "other", Teams: map[string]access.Role{"blue": access.Admin}}, {Name: "viewer", Teams: map[string]access.Role{"red": access.Viewer}},
		{Name: "responder", Teams: map[string]access.Role{"red": access.Responder}}, {Name: "admin", Teams: map[string]access.Role{"red": access.Admin}},
	} {
		if _, err := g.Add(ctx, local, a, goodPassword, now); err != nil {
			t.Fatal(err)
		}
	}
	_, secret, err := g.MakeToken(ctx, local, access.NewToken{Account: "root", Name: "table", Limit: access.Viewer}, now)
	if err != nil {
		t.Fatal(err)
	}
	x.secrets["token"] = secret
	return x
}

// fill puts a fresh thing of the team red in place of each name in braces, so that
// no answer depends on who asked before.
func (x *tableOf) fill(text string) string {
	x.t.Helper()
	root, ctx, desk := access.Principal{Kind: access.Session, ID: "1", Name: "root", Everywhere: access.Admin}, context.Background(), x.d.node.desk
	x.n++
	text = strings.ReplaceAll(text, "{n}", fmt.Sprint(x.n))
	if strings.Contains(text, "{incident}") {
		v, err := desk.OpenIncident(ctx, root, server.NewIncident{Title: fmt.Sprint("the shop is slow ", x.n), Target: "shop", Another: true})
		if err != nil {
			x.t.Fatal(err)
		}
		text = strings.ReplaceAll(text, "{incident}", v.ID)
		if strings.Contains(text, "{file}") {
			if _, err := desk.Attach(ctx, root, v.ID, "a.txt", []byte("text")); err != nil {
				x.t.Fatal(err)
			}
			text = strings.ReplaceAll(text, "{file}", desk.follow.incident(v.ID).Attachments[0].SHA256)
		}
	}
	if strings.Contains(text, "{action}") {
		v, err := desk.AddAction(ctx, root, action.Item{Text: fmt.Sprint("mend it ", x.n), Team: "red", Priority: action.P2}, nil)
		if err != nil {
			x.t.Fatal(err)
		}
		text = strings.ReplaceAll(text, "{action}", v.ID)
	}
	if strings.Contains(text, "{alert}") {
		r, key := x.d.node.leading(), fmt.Sprint("table-", x.n)
		r.pager.Signal(ctx, alert.Signal{Key: key, Code: "table", Target: "shop", Firing: true, At: time.Now(), Severity: alert.Medium, Summary: "s", Source: "t"})
		for _, a := range first(r.pager.whole()) {
			if a.Signal.Key == key {
				text = strings.ReplaceAll(text, "{alert}", a.ID)
			}
		}
	}
	if strings.Contains(text, "{silence}") {
		s, err := desk.Silence(ctx, root, alert.Silence{Target: "shop", Code: fmt.Sprint("x", x.n), Reason: "r", Until: time.Now().Add(time.Hour)})
		if err != nil {
			x.t.Fatal(err)
		}
		text = strings.ReplaceAll(text, "{silence}", s.ID)
	}
	return text
}

// ask is the answer to who asks, as the table writes it: the code, or "sign-in"
// for a person who is led there.
func (x *tableOf) ask(who, pattern, path, body string) string {
	x.t.Helper()
	method, _, _ := strings.Cut(pattern, " ")
	path, body = x.fill(path), x.fill(body)
	ctx, cancel := context.WithTimeout(x.t.Context(), 20*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, x.base+path, strings.NewReader(body))
	if err != nil {
		x.t.Fatal(err)
	}
	api := strings.HasPrefix(path, "/api/")
	switch {
	case strings.HasPrefix(body, "{"):
		r.Header.Set("Content-Type", "application/json")
	case method == http.MethodPost && !api:
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if !api && who != "token" {
		r.Header.Set("Accept", "text/html")
	}
	switch who {
	case "stranger":
	case "token":
		r.Header.Set("Authorization", "Bearer "+x.secrets["token"])
	default:
		b, err := x.d.node.register.SignIn(ctx, who, goodPassword, access.Visit{From: fmt.Sprint(who, x.n)}, time.Now())
		if err != nil {
			x.t.Fatal(err)
		}
		r.Header.Set("Cookie", "refloat="+b.Secret)
	}
	c := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := c.Do(r)
	if err != nil {
		x.t.Fatal(err)
	}
	_ = res.Body.Close() // of a stream, too
	if res.StatusCode == http.StatusSeeOther && strings.HasPrefix(res.Header.Get("Location"), server.SignInPath) && pattern != "POST /sign-out" {
		return "sign-in"
	}
	return fmt.Sprint(res.StatusCode)
}

// Every route answers everybody as testdata/access.txt says; a route without a
// row there fails, and so does a row without a route. To add one, write
//
//	PATTERN | PATH | BODY | a code for each of askers
func TestEveryRouteAnswersEverybodyAsTheTableSays(t *testing.T) {
	text, err := os.ReadFile("testdata/access.txt")
	if err != nil {
		t.Fatal(err)
	}
	x := newTable(t)
	var rows []string
	for i, line := range strings.Split(string(text), "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		cells := strings.Split(line, "|")
		if len(cells) != 4 {
			t.Fatalf("testdata/access.txt:%d: not four columns: %s", i+1, line)
		}
		for j := range cells {
			cells[j] = strings.TrimSpace(cells[j])
		}
		want := strings.Fields(cells[3])
		if len(want) != len(askers) {
			t.Fatalf("testdata/access.txt:%d: %d answers for %d who ask", i+1, len(want), len(askers))
		}
		rows = append(rows, cells[0])
		got := make([]string, len(askers))
		for j, who := range askers {
			got[j] = x.ask(who, cells[0], cells[1], cells[2])
		}
		if !slices.Equal(got, want) {
			t.Errorf("testdata/access.txt:%d: %s | %s\n  of   %v\n  want %v\n  got  %v", i+1, cells[0], cells[1], askers, want, got)
		}
	}
	for _, p := range x.d.node.http.Patterns() {
		if !slices.Contains(rows, p) {
			t.Errorf("%s has no row in testdata/access.txt: say what each may", p)
		}
	}
	for _, r := range rows {
		if !slices.Contains(x.d.node.http.Patterns(), r) {
			t.Errorf("testdata/access.txt has a row for %s, which is no route", r)
		}
	}
}
