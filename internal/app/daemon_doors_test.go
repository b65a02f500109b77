package app

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/alert/inbound"
	"github.com/refloat-db/refloat/internal/secret"
)

const token = "a-token-of-some-length"

// withDoors is a running daemon that pages ada.
func withDoors(t *testing.T, dir string, phone *phones, public string) *Daemon {
	t.Helper()
	d, err := NewDaemon(DaemonOptions{
		StateDir: dir, Listen: "127.0.0.1:0", Version: "test", StopTimeout: 20 * time.Second, PublicURL: public,
		Paging:   PagerOptions{Roster: roster(), Sender: phone},
		Sources:  []Source{{Name: "cron", Token: secret.New(token), Read: inbound.Generic}},
		Expected: []ExpectedBeat{{Token: secret.New(token), Expected: alert.Expected{Name: "nightly", Every: 50 * time.Millisecond, Grace: time.Millisecond, Severity: alert.High}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stopped(t, d) })
	return d
}

func ask(t *testing.T, method, url, host, bearer, body string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Host = host
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// first is the first page about a key.
func (p *phones) first(key string) (alert.Message, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.got {
		if m.Kind == alert.Page && m.Alert.Signal.Key == key {
			return m, true
		}
	}
	return alert.Message{}, false
}

// lockStore keeps the server from writing its state until the function is called,
// as a disk that hangs would.
func lockStore(t *testing.T, dir string) func() {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(dir, "refloat.db")+"?_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	if _, err := db.Exec("BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	unlock := sync.OnceFunc(func() {
		_, err := db.Exec("ROLLBACK")
		if err = errors.Join(err, db.Close()); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(unlock)
	return unlock
}

// What cannot be kept is not accepted, and is when it can.
func TestWhatIsNotKeptIsNotAccepted(t *testing.T) {
	dir := t.TempDir()
	d := withDoors(t, dir, &phones{}, "")
	at := "http://" + d.Address() + "/in/cron"
	unlock := lockStore(t, dir)
	if code, body := ask(t, "POST", at, "", token, `{"key":"a","summary":"x"}`); code != http.StatusServiceUnavailable {
		t.Errorf("%d %s", code, body)
	}
	unlock()
	eventually(t, "it to be accepted", func() bool {
		code, _ := ask(t, "POST", at, "", token, `{"key":"a","summary":"x"}`)
		return code == http.StatusAccepted
	})
}

// When a sign of life last came is known after a restart.
func TestASignOfLifeIsRemembered(t *testing.T) {
	dir := t.TempDir()
	d := withDoors(t, dir, &phones{}, "")
	if code, _ := ask(t, "POST", "http://"+d.Address()+"/heartbeat/nightly", "", token, ""); code != 202 {
		t.Fatal(code)
	}
	before := d.running.doors.heard["nightly"]
	stopped(t, d)
	d = withDoors(t, dir, &phones{}, "")
	if after := d.running.doors.heard["nightly"]; before.Last.IsZero() || !after.Last.Equal(before.Last) || !after.Since.Equal(before.Since) {
		t.Errorf("before %+v, after %+v", before, after)
	}
}

func TestWhatOthersTellPagesAndALinkAcknowledges(t *testing.T) {
	dir, phone := t.TempDir(), &phones{}
	d := withDoors(t, dir, phone, "https://refloat.example.org")
	at := "http://" + d.Address()
	for name, c := range map[string]struct {
		path, bearer, body string
		code               int
	}{
		"no token":     {"/in/cron", "", `{"key":"a","summary":"x"}`, 401},
		"wrong token":  {"/in/cron", "another-token-of-length", `{"key":"a","summary":"x"}`, 401},
		"unknown name": {"/in/nobody", token, `{"key":"a","summary":"x"}`, 401},
		"no message":   {"/in/cron", token, `{"key":"a"}`, 400},
		"too large":    {"/in/cron", token, `{"key":"a","summary":"` + strings.Repeat("x", 2<<20) + `"}`, 413},
		"right":        {"/in/cron", token, `{"key":"export","summary":"the nightly export failed <script>","severity":"critical"}`, 202},
	} {
		if code, body := ask(t, "POST", at+c.path, "", c.bearer, c.body); code != c.code {
			t.Errorf("%s: %d %s", name, code, body)
		}
	}
	var page alert.Message
	eventually(t, "a page about the export", func() (ok bool) { page, ok = phone.first("in/cron/export"); return ok })
	path, ok := strings.CutPrefix(page.AckURL, "https://refloat.example.org")
	if !ok {
		t.Fatalf("link %q", page.AckURL)
	}
	// The link is opened under its public name; another name is refused.
	if code, _ := ask(t, "GET", at+path, "evil.example.org", "", ""); code != http.StatusMisdirectedRequest {
		t.Errorf("under another name: %d", code)
	}
	code, body := ask(t, "GET", at+path, "refloat.example.org", "", "")
	if code != 200 || !strings.Contains(body, "I take this on, as ada") || strings.Contains(body, "<script>") || !strings.Contains(body, "&lt;script&gt;") {
		t.Errorf("%d %s", code, body)
	}
	if a, err := d.running.pager.find(page.Alert.ID); err != nil || !a.AcknowledgedAt.IsZero() {
		t.Errorf("opening the link acknowledged: %+v %v", a, err)
	}
	if code, body = ask(t, "POST", at+path, "refloat.example.org", "", ""); code != 200 || !strings.Contains(body, "Acknowledged by ada") {
		t.Errorf("%d %s", code, body)
	}
	expired := alert.Link{Alert: page.Alert.ID, Person: "ada", Until: time.Now()}.Sign(d.running.doors.key)
	if code, body = ask(t, "POST", at+"/ack/"+expired, "refloat.example.org", "", ""); code != 404 || !strings.Contains(body, "expired") {
		t.Errorf("an expired link: %d %s", code, body)
	}
	if code, body = ask(t, "POST", at+path+"x", "refloat.example.org", "", ""); code != 404 || !strings.Contains(body, "Nothing was acknowledged") {
		t.Errorf("a changed link: %d %s", code, body)
	}
	// It holds after a restart, and the link still shows it.
	stopped(t, d)
	d = withDoors(t, dir, phone, "https://refloat.example.org")
	if code, body = ask(t, "GET", "http://"+d.Address()+path, "refloat.example.org", "", ""); code != 200 || !strings.Contains(body, "Acknowledged by ada") {
		t.Errorf("after a restart: %d %s", code, body)
	}
}

func TestASignOfLifeThatStopsPages(t *testing.T) {
	phone := &phones{}
	d := withDoors(t, t.TempDir(), phone, "")
	at := "http://" + d.Address() + "/heartbeat/nightly"
	if code, _ := ask(t, "POST", at, "", "guess-of-some-length", ""); code != 401 {
		t.Errorf("a wrong token: %d", code)
	}
	if code, _ := ask(t, "GET", at, "", token, ""); code != 202 {
		t.Errorf("a sign of life: %d", code)
	}
	eventually(t, "a page about the sign of life that stopped", func() bool { m, ok := phone.first("heartbeat-in/nightly"); return ok && m.AckURL == "" })
	if code, _ := ask(t, "POST", at, "", token, ""); code != 202 {
		t.Errorf("a sign of life: %d", code)
	}
	eventually(t, "its end to be told", func() bool {
		for _, told := range phone.told() {
			if strings.HasPrefix(told, "notice:") {
				return true
			}
		}
		return false
	})
}

// A calendar's address is made by the command line and served by the server, with
// the same key; who has only another address reads nothing.
func TestACalendarIsServedToWhoHasItsAddress(t *testing.T) {
	dir := t.TempDir()
	key, err := linkKey(filepath.Join(dir, "link.key"))
	if err != nil {
		t.Fatal(err)
	}
	d := withDoors(t, dir, &phones{}, "")
	base := "http://" + d.Address() + "/calendar/"
	if code, body := ask(t, http.MethodGet, base+alert.CalendarLink{Person: "ada"}.Sign(key)+".ics", "", "", ""); code != 200 || !strings.Contains(body, "BEGIN:VCALENDAR") {
		t.Errorf("%d %s", code, body)
	}
	for _, token := range []string{
		alert.CalendarLink{Person: "ada"}.Sign([]byte("0123456789abcdef0123456789abcdef")), alert.CalendarLink{Person: "nobody"}.Sign(key), alert.CalendarLink{Team: "gone"}.Sign(key), "x",
	} {
		if code, body := ask(t, http.MethodGet, base+token+".ics", "", "", ""); code != 404 {
			t.Errorf("%s: %d %s", token, code, body)
		}
	}
}

// Of many that make the key at once all get the same one.
func TestTheKeyOfLinksIsMadeOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "link.key")
	keys := make([]string, 16)
	var all sync.WaitGroup
	for i := range keys {
		all.Go(func() {
			key, err := linkKey(path)
			if err != nil {
				t.Error(err)
			}
			keys[i] = string(key)
		})
	}
	all.Wait()
	for _, k := range keys {
		if k != keys[0] || len(k) != 32 {
			t.Fatalf("%x and %x", keys[0], k)
		}
	}
}
