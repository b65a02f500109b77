package script

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/access"
	"github.com/refloat-db/refloat/internal/client"
	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/secret"
	"github.com/refloat-db/refloat/internal/server"
	"github.com/refloat-db/refloat/internal/store/sqlite"
)

// Three programs write into an incident over the API while the server is killed
// at moments of no choice, and send again, with the same key, what was not
// answered. Each thing is there, once; the command line from another machine sees
// the same.
func TestWhatTheAPIIsAskedIsDoneOnceThroughKills(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	a := newAlone(t, strings.Replace(aloneConfig, "listen: off", "listen: \""+address+"\"", 1)+"incidents: {open: {outages: never, alerts: never}}\n")
	a.must("repo", "init")
	token := tokenIn(t, filepath.Join(a.dir, "state"))
	c, err := client.New(client.Options{URL: "http://" + address, Token: secret.New(token), Timeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	kill := a.serve()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	insist := func(key string, do func(context.Context) error) {
		for ctx.Err() == nil && do(server.WithOnce(ctx, key)) != nil {
			time.Sleep(20 * time.Millisecond) // the server is away: nothing tells when it is back
		}
	}
	insist("the-incident", func(ctx context.Context) error {
		_, err := c.OpenIncident(ctx, access.Principal{}, server.NewIncident{Title: "it is slow", Target: "shop"})
		return err
	})
	const writers, each, kills = 3, 25, 6
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for i := range each {
				text := fmt.Sprintf("note %d.%d", w, i)
				insist("key-of-"+strings.ReplaceAll(text, " ", "-"), func(ctx context.Context) error {
					_, err := c.Act(ctx, access.Principal{}, "inc-1", incident.AddNote{Text: text})
					return err
				})
			}
		})
	}
	done := make(chan struct{})
	go func() {
		all.Wait()
		close(done)
	}()
	n := 0
	for ; n < kills; n++ {
		select {
		case <-done:
		case <-time.After(time.Duration(100+rand.IntN(500)) * time.Millisecond):
		}
		kill()
		kill = a.serve()
	}
	<-done
	v, err := c.Incident(ctx, access.Principal{}, "inc-1")
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]int{}
	for _, note := range v.Notes {
		there[note.Text]++
	}
	for w := range writers {
		for i := range each {
			if text := fmt.Sprintf("note %d.%d", w, i); there[text] != 1 {
				t.Errorf("%s is there %d times", text, there[text])
			}
		}
	}
	list, err := c.Incidents(ctx, access.Principal{}, server.IncidentQuery{All: true})
	if err != nil || len(list) != 1 {
		t.Errorf("%d incidents, %v", len(list), err)
	}
	file := filepath.Join(a.dir, "token")
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	far := []string{"--server", "http://" + address, "--token-file", file}
	if out := a.must(append(far, "incident", "summary", "1")...); !strings.Contains(string(out), "it is slow") {
		t.Errorf("%s", out)
	}
	if out, err := a.run(append(far, "backups")...).CombinedOutput(); err == nil || !strings.Contains(string(out), "on this machine only") {
		t.Errorf("%v %s", err, out)
	}
	kill()
	a.must("journal", "verify")
}

// tokenIn makes an account and a token of it in a state.
func tokenIn(t *testing.T, state string) string {
	t.Helper()
	s, err := sqlite.Open(t.Context(), state)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	reg, root := access.NewRegister(s, access.Rules{}, nil), access.Principal{Kind: access.Local, Name: "root", Everywhere: access.Admin}
	if _, err := reg.Add(t.Context(), root, access.Account{Name: "ada", Everywhere: access.Responder}, "", time.Now()); err != nil {
		t.Fatal(err)
	}
	_, token, err := reg.MakeToken(t.Context(), root, access.NewToken{Account: "ada", Name: "test", Limit: access.Responder}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return token
}
