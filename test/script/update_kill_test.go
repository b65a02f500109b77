package script

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// receiver is somebody who is sent updates: a web server that can be slow to
// answer.
type receiver struct {
	*httptest.Server
	mu   sync.Mutex
	slow chan struct{}  // no answer before it is closed; nil for at once
	got  map[string]int // by message ID
	text string
}

func newReceiver(t *testing.T, slow chan struct{}) *receiver {
	r := &receiver{slow: slow, got: map[string]int{}}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, err := io.ReadAll(q.Body)
		if err != nil {
			return
		}
		if r.slow != nil {
			select {
			case <-r.slow:
			case <-q.Context().Done():
				return
			}
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.got[q.Header.Get("Webhook-Id")]++
		r.text += string(body)
	}))
	t.Cleanup(r.Close)
	return r
}

// received is how often each message came.
func (r *receiver) received() (messages, times int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range r.got {
		messages, times = messages+1, times+n
	}
	return messages, times
}

type shownIncident struct {
	Updates []struct {
		Deliveries []struct {
			Contact  string
			OK       bool
			Attempts int
		}
	}
}

// An update that a person sent reaches who can be reached at once, though
// another does not answer; and that one, too, when the server was killed in
// between. Whoever has received it is not sent it again.
func TestAnUpdateSurvivesKills(t *testing.T) {
	t.Parallel()
	silence := make(chan struct{})
	quick, slow := newReceiver(t, nil), newReceiver(t, silence)
	a := newAlone(t, aloneConfig+`incidents:
  audiences:
    clients:
      contacts:
        - {via: webhook, name: quick, url_file: quick}
        - {via: webhook, name: slow, url_file: slow}
`)
	for name, r := range map[string]*receiver{"quick": quick, "slow": slow} {
		if err := os.WriteFile(filepath.Join(a.dir, name), []byte(r.URL), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	shown := func() (x shownIncident) {
		out, err := a.run("incident", "show", "1", "--json").Output()
		if err == nil {
			err = json.Unmarshal(out, &x)
		}
		if err != nil {
			t.Log(err)
		}
		return x
	}
	reached := func() map[string]bool {
		out := map[string]bool{}
		for _, u := range shown().Updates {
			for _, d := range u.Deliveries {
				out[d.Contact] = d.OK
			}
		}
		return out
	}
	a.must("repo", "init")
	kill := a.serve()
	a.until("the outage opens an incident", func() bool { return a.run("incident", "note", "1", "SECRET: the volume was wiped").Run() == nil })
	a.must("incident", "update", "1", "--audience", "clients", "--send")
	a.until("the quick one has it, and it is written down", func() bool { return reached()["audience.clients.quick"] })
	kill()
	if _, has := reached()["audience.clients.slow"]; has {
		t.Fatal("who did not answer is said to have it")
	}
	close(silence)
	kill = a.serve()
	a.until("the slow one has it", func() bool { return reached()["audience.clients.slow"] })
	kill()
	a.serve()
	a.until("the next server looks", func() bool { return len(reached()) == 2 })
	for name, r := range map[string]*receiver{"quick": quick, "slow": slow} {
		if messages, _ := r.received(); messages != 1 || strings.Contains(r.text, "SECRET") || strings.Contains(r.text, "127.0.0.1") || !strings.Contains(r.text, "shop: disrupted since") {
			t.Errorf("%s received %d messages: %s", name, messages, r.text)
		}
	}
	if _, times := quick.received(); times != 1 {
		t.Errorf("the quick one was sent it %d times", times)
	}
	a.must("journal", "verify")
}
