package app

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/access"
	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/config"
	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/server"
)

// announced is the message of an update that a contact received.
func (p *phones) announced(contact string) (alert.Message, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.IndexFunc(p.got, func(m alert.Message) bool { return m.To.ID == contact && m.Kind == alert.Announcement })
	if i < 0 {
		return alert.Message{}, false
	}
	return p.got[i], true
}

// The message of an update carries a link by which its reader says that they have
// read it, and nobody else does; what clients are sent carries none.
func TestALinkAcknowledgesAnUpdate(t *testing.T) {
	phone, ctx := &phones{}, t.Context()
	o := twoTeamsOptions(t)
	circle := func(name string) config.Circle {
		return config.Circle{Contacts: []alert.Contact{{ID: "audience." + name, Via: alert.Webhook, Address: name}}}
	}
	o.Incidents.Rules.Circles = map[incident.Audience]config.Circle{incident.Clients: circle("acme"), incident.Teams: circle("sales")}
	o.Listen, o.PublicURL, o.Paging.Sender, o.Front = "127.0.0.1:0", "https://refloat.example.org/", phone, front()
	d := daemonOver(t, o)
	root := access.Principal{Kind: access.Session, ID: "1", Name: "root", Everywhere: access.Admin}
	desk := d.node.desk
	v, err := desk.OpenIncident(ctx, root, server.NewIncident{Title: "the shop is slow", Target: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := desk.Act(ctx, access.Principal{Kind: access.Session, ID: "2", Name: "ada", Everywhere: access.Admin}, v.ID, incident.TakeRole{Role: incident.Commander}); err != nil {
		t.Fatal(err)
	}
	if _, err := desk.Act(ctx, root, v.ID, incident.AddNote{Text: "the volume of pg-07 is gone"}); err != nil {
		t.Fatal(err)
	}
	for _, a := range []incident.Audience{incident.Responders, incident.Teams, incident.Clients} {
		if _, err := desk.Publish(ctx, root, v.ID, server.Draft{Audience: a, Subject: "slow <b>", Text: "We are on it.", After: "*"}); err != nil {
			t.Fatal(err)
		}
	}
	got := map[string]alert.Message{}
	for _, contact := range []string{"ada.email", "audience.sales", "audience.acme"} {
		eventually(t, "an update to "+contact, func() (ok bool) { got[contact], ok = phone.announced(contact); return ok })
	}
	if m := got["audience.acme"]; m.AckURL != "" || m.AckCommand != "" {
		t.Errorf("clients are sent %q %q", m.AckURL, m.AckCommand)
	}
	at := "http://" + d.Address()
	visit := func(method, path string) (int, string) { return ask(t, method, at+path, "refloat.example.org", "", "") }
	acks := func(update string) (by []string) {
		v, err := desk.Incident(ctx, root, v.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range v.Update(update).Acks {
			by = append(by, a.By)
		}
		return by
	}
	for _, x := range []struct{ contact, update, reader string }{{"ada.email", "u1", "ada"}, {"audience.sales", "u2", "audience.sales"}} {
		path, ours := strings.CutPrefix(got[x.contact].AckURL, "https://refloat.example.org/update/")
		path = "/update/" + path
		if !ours {
			t.Fatalf("%s: %q", x.contact, got[x.contact].AckURL)
		}
		code, body := visit("GET", path)
		if code != 200 || !strings.Contains(body, "I have read this, as "+x.reader) || !strings.Contains(body, "slow &lt;b&gt;") || strings.Contains(body, "pg-07") {
			t.Errorf("%d %s", code, body)
		}
		if by := acks(x.update); len(by) != 0 {
			t.Errorf("opening the link acknowledged: %v", by)
		}
		for range 2 {
			if code, body = visit("POST", path); code != 200 || !strings.Contains(body, "Acknowledged as "+x.reader) {
				t.Errorf("%d %s", code, body)
			}
		}
		if by := acks(x.update); !slices.Equal(by, []string{x.reader}) {
			t.Errorf("%s: %v", x.update, by)
		}
		token := strings.TrimPrefix(path, "/update/")
		if code, body = visit("POST", "/ack/"+token); code != 404 || !strings.Contains(body, "not one of ours") {
			t.Errorf("it is taken for an alert's: %d %s", code, body)
		}
	}
	key, until := d.node.key, time.Now().Add(time.Hour)
	for name, x := range map[string]struct{ token, says string }{
		"expired":                {alert.UpdateLink{Incident: v.ID, Update: "u1", Reader: "ada", Until: time.Now()}.Sign(key), "expired"},
		"another key":            {alert.UpdateLink{Incident: v.ID, Update: "u1", Reader: "ada", Until: until}.Sign([]byte("another")), "not one of ours"},
		"an alert's":             {alert.Link{Alert: v.ID, Person: "ada", Until: until}.Sign(key), "not one of ours"},
		"it was not sent to bob": {alert.UpdateLink{Incident: v.ID, Update: "u1", Reader: "bob", Until: until}.Sign(key), "not sent to them"},
		"of clients":             {alert.UpdateLink{Incident: v.ID, Update: "u3", Reader: "audience.acme", Until: until}.Sign(key), "not sent to them"},
		"no such incident":       {alert.UpdateLink{Incident: "inc-99", Update: "u1", Reader: "ada", Until: until}.Sign(key), "not known here"},
	} {
		for _, method := range []string{"GET", "POST"} {
			if code, body := visit(method, "/update/"+x.token); code != 404 || !strings.Contains(body, x.says) {
				t.Errorf("%s: %s: %d %s", name, method, code, body)
			}
		}
	}
	if a, b, c := acks("u1"), acks("u2"), acks("u3"); len(a) != 1 || len(b) != 1 || len(c) != 0 {
		t.Errorf("%v %v %v", a, b, c)
	}
	if page := roomAs(t, d, v.ID); !strings.Contains(page, "Read by audience.sales.") {
		t.Error("the page does not show who has read it")
	}
}

// roomAs is the page of an incident as an admin sees it.
func roomAs(t *testing.T, d *Daemon, id string) string {
	t.Helper()
	ctx, local := t.Context(), access.Principal{Kind: access.Local, Name: "test", Everywhere: access.Admin}
	if _, err := d.node.register.Add(ctx, local, access.Account{Name: "looker", Everywhere: access.Viewer}, goodPassword, time.Now()); err != nil {
		t.Fatal(err)
	}
	b, err := d.node.register.SignIn(ctx, "looker", goodPassword, access.Visit{From: "test"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+d.Address()+"/incidents/"+id, nil)
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Cookie", "refloat="+b.Secret)
	res, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatal(res.Status, err)
	}
	return string(raw)
}

// A node that does not lead acknowledges as well: what it writes, all read.
func TestALinkAcknowledgesAnUpdateOnAStandby(t *testing.T) {
	if testing.Short() {
		t.Skip("starts PostgreSQL")
	}
	ams, fra, _ := sharing(t)
	ctx := context.Background()
	root := access.Principal{Kind: access.Session, ID: "1", Name: "root", Everywhere: access.Admin}
	v, err := ams.Daemon.node.desk.OpenIncident(ctx, root, server.NewIncident{Title: "slow", Target: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	to := []incident.Recipient{{Contact: "audience.sales", Via: "webhook", Address: "sales"}}
	if _, _, err := incident.Act(ctx, incidentLog{ams.Daemon.node.state}, v.ID, incident.PublishUpdate{Audience: incident.Teams, Text: "We are on it.", To: to}, "root", time.Now()); err != nil {
		t.Fatal(err)
	}
	if fra.work() != nil {
		t.Fatal("fra leads")
	}
	token := alert.UpdateLink{Incident: v.ID, Update: "u1", Reader: "audience.sales", Until: time.Now().Add(time.Hour)}.Sign(fra.Daemon.node.key)
	if r, err := fra.Daemon.node.showUpdate(ctx, token); err != nil || !r.Read.IsZero() || r.Text != "We are on it." {
		t.Fatalf("%+v %v", r, err)
	}
	if r, err := fra.Daemon.node.readUpdate(ctx, token); err != nil || r.Read.IsZero() {
		t.Fatalf("%+v %v", r, err)
	}
	v, err = ams.Daemon.node.desk.Incident(ctx, root, v.ID)
	if err != nil || len(v.Updates[0].Acks) != 1 || v.Updates[0].Acks[0].By != "audience.sales" {
		t.Errorf("%+v %v", v.Updates, err)
	}
}
