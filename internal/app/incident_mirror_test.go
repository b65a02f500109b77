package app

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/alert/chat"
	"github.com/refloat-db/refloat/internal/alert/webhook"
	"github.com/refloat-db/refloat/internal/config"
	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/secret"
	"github.com/refloat-db/refloat/internal/store/sqlite"
)

// room is a real receiver, as a chat service is one. It refuses as often as told.
type chatRoom struct {
	*httptest.Server
	mu    sync.Mutex
	down  int
	heard []string
	ids   []string
}

func newChatRoom(t *testing.T) *chatRoom {
	c := &chatRoom{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.down > 0 {
			c.down--
			http.Error(w, "down", http.StatusBadGateway)
			return
		}
		var m alert.Message
		if json.Unmarshal(raw, &m) == nil && m.Subject != "" {
			c.heard, c.ids = append(c.heard, m.Subject+"\n"+m.Body), append(c.ids, r.Header.Get("Webhook-Id"))
			return
		}
		c.heard = append(c.heard, string(raw))
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *chatRoom) all() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.heard)
}

// mirrorStage is the room of incidents over a store that outlives it.
type mirrorStage struct {
	*incidentRoom
	t     *testing.T
	state *sqlite.Store
	now   time.Time
}

func (s *mirrorStage) look(after time.Duration) {
	s.t.Helper()
	s.now = s.now.Add(after)
	if err := s.incidentRoom.look(s.t.Context(), s.now); err != nil {
		s.t.Fatal(err)
	}
	s.box.sends.Wait()
}

// begin is a start of the server after a kill: nothing in memory is left.
func (s *mirrorStage) begin(rooms []config.Mirror, to alert.Sender) {
	log := slog.New(slog.DiscardHandler)
	p := newPager(PagerOptions{Sender: to, Logger: log}, s.state, func(context.Context, string, string, any) {})
	o := IncidentOptions{Rules: config.IncidentRules{WarnAt: incident.DefaultWarnAt()}, Mirrors: rooms}
	s.incidentRoom = newIncidentRoom(o, s.state, p, log)
	s.redact = redactor([]secret.Value{secret.New("hunter22")})
}

func TestRoomsAreToldOnceAndInOrder(t *testing.T) {
	ctx := t.Context()
	ops, db, grave := newChatRoom(t), newChatRoom(t), newChatRoom(t)
	to := senders{byContact: map[string]alert.Sender{}}
	room := func(name, least string, at *chatRoom, teams ...string) config.Mirror {
		c := alert.Contact{ID: "mirror." + name + ".webhook", Via: alert.Webhook, Address: name}
		w, err := webhook.New(webhook.Options{URL: secret.New(at.URL)})
		if err != nil {
			t.Fatal(err)
		}
		to.byContact[c.ID] = w
		return config.Mirror{Name: name, Least: least, Teams: teams, Rooms: []alert.Contact{c}}
	}
	rooms := []config.Mirror{room("ops", "sev4", ops), room("db", "sev4", db, "other-team"), room("grave", "sev1", grave)}
	state, err := sqlite.Open(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer state.Close()
	s := &mirrorStage{t: t, state: state, now: time.Now().UTC()}
	s.begin(rooms, to)
	s.look(0)
	act := func(c incident.Command) {
		t.Helper()
		if _, _, err := incident.Act(ctx, incidentLog{state}, "inc-1", c, "ada", s.now); err != nil {
			t.Fatalf("%T: %v", c, err)
		}
	}
	opened, err := incident.Decide(incident.State{}, incident.Open{ID: "inc-1", Opened: incident.Opened{
		Title: "shop <!channel> @here is down, password hunter22", Severity: incident.Sev2, Team: "db", Objectives: incident.DefaultObjectives(),
		Cause: incident.Cause{Key: "k", Kind: incident.FromPerson, Reason: "r", Started: s.now, Detected: s.now},
	}}, "ada", s.now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (incidentLog{state}).Append(ctx, "inc-1", 0, opened); err != nil {
		t.Fatal(err)
	}
	ops.mu.Lock()
	ops.down = 2 // what comes later waits for what came first
	ops.mu.Unlock()
	s.look(time.Second)
	act(incident.SetStatus{To: incident.Identified, Why: "the disk is full"})
	act(incident.AddNote{Text: "a note is for the incident, not for the room"})
	act(incident.TakeRole{Role: incident.Commander})
	s.look(time.Millisecond)
	if got := ops.all(); len(got) != 0 {
		t.Fatalf("out of order: %q", got)
	}
	s.begin(rooms, to) // killed
	for range 12 {
		s.look(3 * time.Second)
	}
	act(incident.SetSeverity{To: incident.Sev1, Why: "all orders"})
	act(incident.PublishUpdate{Audience: incident.Responders, Text: "we restore to 11:58"})
	act(incident.PublishUpdate{Audience: incident.Clients, Text: "words for clients only"})
	act(incident.Resolve{Summary: "restored"})
	for range 6 {
		s.look(3 * time.Second)
		s.begin(rooms, to) // killed again and again
	}
	for range 12 {
		s.look(3 * time.Second)
	}
	want := []string{"OPENED, sev2", "status identified", "ada is commander", "severity sev1", "update u1, by ada:\nwe restore to 11:58", "update u2 to clients was published by ada", "RESOLVED by ada: restored"}
	got := ops.all()
	if len(got) != len(want) {
		t.Fatalf("%d messages: %q", len(got), got)
	}
	for i, w := range want {
		if !strings.Contains(got[i], w) {
			t.Errorf("message %d is %q, want %q", i, got[i], w)
		}
	}
	whole := strings.Join(append(got, grave.all()...), "\n")
	for _, never := range []string{"words for clients", "a note is for", "hunter22", "<!channel>", "@here"} {
		if strings.Contains(whole, never) {
			t.Errorf("a room was told %q", never)
		}
	}
	if n := len(db.all()); n != 0 {
		t.Errorf("another team's room was told %d times", n)
	}
	if g := grave.all(); len(g) != 4 || !strings.Contains(g[0], "severity sev1") { // from when it was so grave
		t.Errorf("the room of grave incidents: %q", g)
	}
	ids := slices.Clone(ops.ids)
	slices.Sort(ids)
	if len(slices.Compact(ids)) != len(want) {
		t.Errorf("told twice: %v", ops.ids)
	}
	// What is long over is not told.
	s.now = s.now.Add(3 * time.Hour)
	s.begin(append(rooms, room("late", "sev4", db)), to)
	s.look(time.Second)
	if n := len(db.all()); n != 0 {
		t.Errorf("a new room was told of the past: %q", db.all())
	}
}

// A chat service that shoutrrr knows takes a mirrored text over.
func TestRoomOfAChatService(t *testing.T) {
	at := newChatRoom(t)
	c, err := chat.New(secret.New("generic+" + at.URL + "?template=json"))
	if err != nil {
		t.Fatal(err)
	}
	d := &UpdateDelivery{AlertDelivery: alert.Delivery{ID: "x", Kind: alert.Notice}, Incident: "inc-1", Subject: "[inc-1] shop", Text: "OPENED", Notice: true}
	if _, err := c.Send(t.Context(), d.message(time.Now())); err != nil {
		t.Fatal(err)
	}
	if got := at.all(); len(got) != 1 || !strings.Contains(got[0], "OPENED") || !strings.Contains(got[0], "[inc-1] shop") || strings.Contains(got[0], "Acknowledge") {
		t.Errorf("%q", got)
	}
}

func FuzzMirrorText(f *testing.F) {
	f.Add(incident.KindOpened, `{"title":"x","severity":"sev1","cause":{"started":"2026-11-23T12:00:00Z"}}`)
	f.Add(incident.KindPublished, `{"id":"u1","audience":"clients","text":"secret words"}`)
	f.Add(incident.KindStatus, `{"to":["<!here>"],"from":{"a":"@everyone"}}`)
	f.Fuzz(func(t *testing.T, kind, body string) {
		text := calm(mirrorText(&incident.State{ID: "inc-1"}, incident.Event{Kind: kind, Actor: "ada", Body: json.RawMessage(body)}))
		var b struct{ Audience, Text string }
		if json.Unmarshal([]byte(body), &b) == nil && kind == incident.KindPublished && b.Audience == "clients" && len(b.Text) > 40 && strings.Contains(text, calm(b.Text)) {
			t.Fatalf("a room reads what clients are told: %q", text)
		}
		for _, never := range []string{"<!", "<@", "@everyone", "@here", "@channel", "\x1b"} {
			if strings.Contains(text, never) {
				t.Fatalf("%q", text)
			}
		}
	})
}
