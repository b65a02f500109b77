package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/config"
	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/monitor"
	"github.com/refloat-db/refloat/internal/store/sqlite"
)

// theatre is an incident room over a real store, with outages that a test says.
type theatre struct {
	t     *testing.T
	dir   string
	state *sqlite.Store
	phone *phones
	open  []monitor.Outage
	*incidentRoom
	now time.Time
}

func newTheatre(t *testing.T) *theatre {
	th := &theatre{t: t, dir: t.TempDir(), phone: &phones{fails: map[string]error{}, slow: map[string]time.Duration{}}, now: time.Now().UTC().Truncate(time.Second)}
	th.begin()
	return th
}

// begin starts a server's part over the same state, as after a kill: nothing of
// the one before is told that it ends.
func (th *theatre) begin() {
	th.t.Helper()
	var err error
	if th.state != nil {
		if err := th.state.Close(); err != nil {
			th.t.Fatal(err)
		}
	}
	if th.state, err = sqlite.Open(th.t.Context(), th.dir); err != nil {
		th.t.Fatal(err)
	}
	s := th.state
	th.t.Cleanup(func() { _ = s.Close() })
	people := roster()
	people.Teams = map[string]alert.Team{"db": {Name: "db", Members: []string{"ada", "ben"}, Rotations: []alert.Rotation{{Name: "primary", People: []string{"ada"}, Days: 7}}}}
	log := slog.New(slog.DiscardHandler)
	p := newPager(PagerOptions{Roster: people, Sender: th.phone, Charges: map[string]Charge{"shop": {Tier: alert.Critical, Team: "db"}, "till": {Tier: alert.Low}}, Logger: log}, s, func(context.Context, string, string, any) {})
	if err := p.load(th.t.Context()); err != nil {
		th.t.Fatal(err)
	}
	cadence := incident.DefaultCadence()
	cadence[incident.Sev1][incident.Responders] = 30 * time.Minute
	circle := func(name string) config.Circle {
		return config.Circle{Contacts: []alert.Contact{{ID: "audience." + name, Via: alert.Webhook, Address: name}}}
	}
	o := IncidentOptions{Roster: people, Rules: config.IncidentRules{
		Outages: alert.Low, Alerts: alert.Critical, WarnAt: incident.DefaultWarnAt(), Cadence: cadence, Names: map[string]string{"shop": "The web shop"},
		Circles: map[incident.Audience]config.Circle{incident.Clients: circle("acme"), incident.Teams: circle("sales")},
	}}
	th.incidentRoom = newIncidentRoom(o, s, p, log)
	th.objectives["shop"] = incident.DefaultObjectives()
}

// look lets some time pass and looks.
func (th *theatre) look(after time.Duration) {
	th.t.Helper()
	th.now = th.now.Add(after)
	for _, o := range th.open {
		th.keepOutage(o)
	}
	th.pager.step(th.t.Context(), th.now)
	if err := th.incidentRoom.look(th.t.Context(), th.now); err != nil {
		th.t.Fatal(err)
	}
	th.pager.step(th.t.Context(), th.now)
	th.pager.sends.Wait()
	th.box.sends.Wait()
}

func (th *theatre) do(who string, c incident.Command) {
	th.t.Helper()
	if _, _, err := incident.Act(th.t.Context(), incidentLog{th.state}, "inc-1", c, who, th.now); err != nil {
		th.t.Fatalf("%T: %v", c, err)
	}
}

func (th *theatre) outage() monitor.Outage {
	return monitor.Outage{Target: "shop", Sees: "refused", Reason: "refuses connections", FirstBad: th.now.Add(-time.Second), Confirmed: th.now}
}

// keepOutage writes an outage down, as a server does.
func (th *theatre) keepOutage(o monitor.Outage) {
	th.t.Helper()
	r := &running{state: th.state, log: slog.New(slog.DiscardHandler)}
	r.keepOutage(th.t.Context(), o, !o.Recovered.IsZero())
}

// folded are the incidents as the journal has them.
func (th *theatre) folded() []incident.State {
	th.t.Helper()
	events, err := incidentLog{th.state}.Events(th.t.Context(), "")
	if err != nil {
		th.t.Fatal(err)
	}
	all := incident.FoldAll(events)
	for _, s := range all {
		if len(s.Unread) > 0 {
			th.t.Fatalf("not understood: %v", s.Unread)
		}
	}
	return all
}

func (th *theatre) kinds(id string) string {
	var out []string
	for _, s := range th.folded() {
		for _, e := range s.Timeline {
			if s.ID == id {
				out = append(out, strings.TrimPrefix(e.Kind, "incident."))
			}
		}
	}
	return strings.Join(out, " ")
}

func (th *theatre) firing(prefix string) []string {
	alerts, _ := th.pager.snapshot()
	out := []string{}
	for _, a := range alerts {
		if a.State == alert.Firing && strings.HasPrefix(a.Signal.Key, prefix) {
			out = append(out, a.Signal.Key+" "+string(a.Signal.Severity))
		}
	}
	return out
}

// An outage opens one incident, with its pages and its acknowledgement; a second
// one joins it; its end is the mitigation.
func TestAnOutageOpensOneIncident(t *testing.T) {
	th := newTheatre(t)
	th.look(0)
	o := th.outage()
	th.pager.Signal(t.Context(), alert.Signal{Key: "outage/shop", Code: "outage", Target: "shop", At: o.FirstBad, Firing: true, Severity: alert.Critical, Summary: "shop refuses connections"})
	th.pager.Signal(t.Context(), alert.Signal{Key: "heartbeat/shop", Code: "heartbeat", Target: "shop", At: th.now, Firing: true, Severity: alert.High, Summary: "no heartbeat"})
	th.open = []monitor.Outage{o}
	th.look(0)
	th.look(time.Second)
	all := th.folded()
	if len(all) != 1 || all[0].Severity != incident.Sev1 || all[0].Team != "db" || len(all[0].Alerts) != 2 || all[0].Offers[incident.Commander][0] != "ada" || len(all[0].Pages) != 1 || all[0].Pages[0].Person != "ada" {
		t.Fatalf("%d incidents: %+v", len(all), all)
	}
	id := ""
	for _, a := range all[0].Alerts {
		if a.Code == "outage" {
			id = a.ID
		}
	}
	th.do("ada", incident.TakeRole{Role: incident.Commander})
	th.look(0)
	th.look(10 * time.Minute) // nobody else is paged for what she has in hand
	if a, err := th.pager.find(id); err != nil || a.AcknowledgedBy != "ada" || slices.Contains(th.phone.told(), "page:ben.pager") {
		t.Errorf("%+v %v %v", a, err, th.phone.told())
	}
	o.Reason = "its disk is full"
	th.open = []monitor.Outage{o}
	th.look(time.Second)
	o.Recovered = th.now
	th.keepOutage(o)
	second := th.outage()
	second.FirstBad, second.Confirmed = th.now.Add(time.Second), th.now.Add(2*time.Second)
	th.open = []monitor.Outage{second}
	th.look(3 * time.Second)
	th.begin() // and nothing of it twice after a restart
	th.look(time.Second)
	s := th.folded()[0]
	if len(th.folded()) != 1 || len(s.Causes) != 2 || s.Causes[0].Reason != "shop its disk is full" || !s.Causes[0].Ended.Equal(o.Recovered) || s.AcknowledgedBy != "ada" || !s.Mitigated.IsZero() {
		t.Errorf("%+v", s)
	}
	second.Recovered = th.now
	th.open = nil
	th.keepOutage(second)
	th.look(time.Second)
	if s := th.folded()[0]; !s.Mitigated.Equal(second.Recovered) {
		t.Errorf("mitigated %s", s.Mitigated)
	}
	th.look(5 * time.Hour)
	if got := fmt.Sprint(th.firing("incident-unresolved")); got != "[incident-unresolved/inc-1 medium]" {
		t.Error(got)
	}
	third := th.outage() // long after: another incident
	th.open = []monitor.Outage{third}
	th.look(time.Second)
	if all := th.folded(); len(all) != 2 || all[1].Causes[0].Started != third.FirstBad {
		t.Errorf("%d incidents", len(all))
	}
	if got := th.kinds("inc-1"); strings.Count(got, "opened") != 1 || strings.Count(got, "cause.joined") != 1 || strings.Count(got, "alert.gathered") != 2 || strings.Count(got, "alert.acknowledged") != 2 {
		t.Error(got)
	}
}

// A server that is killed between an outage and its incident, at any point, has
// opened one when the next has looked, also when the outage is over by then.
func TestNoOutageIsForgottenByAKill(t *testing.T) {
	for _, over := range []bool{false, true} {
		th := newTheatre(t)
		th.look(0)
		o := th.outage()
		th.keepOutage(o) // and here it is killed
		if over {
			o.Recovered = th.now.Add(time.Minute)
			th.keepOutage(o)
		} else {
			th.open = []monitor.Outage{o} // as the next server takes it up
		}
		for range 3 {
			th.begin()
			th.look(5 * time.Minute)
		}
		all := th.folded()
		if len(all) != 1 || !all[0].Started.Equal(o.FirstBad) || over && !all[0].Mitigated.Equal(o.Recovered) {
			t.Errorf("over %v: %d incidents: %+v", over, len(all), all)
		}
	}
}

func TestWhatOpensNoIncident(t *testing.T) {
	th := newTheatre(t)
	old := th.outage()
	old.Recovered = th.now.Add(10 * time.Second)
	th.now = th.now.Add(time.Minute)
	th.keepOutage(old)
	th.look(0) // the first look of the first server: what was over before opens none
	th.pager.Silence(t.Context(), alert.Silence{ID: "s1", Target: "shop", Owner: "ada", Reason: "move", From: th.now, Until: th.now.Add(time.Hour), Planned: true})
	quiet := th.outage()
	th.open = []monitor.Outage{quiet}
	th.look(time.Minute)
	quiet.Recovered = th.now
	th.keepOutage(quiet)
	th.open = nil
	th.look(time.Minute)
	th.Rules.Alerts = alert.Critical
	th.pager.Signal(t.Context(), alert.Signal{Key: "x", Code: "x", At: th.now, Firing: true, Severity: alert.High, Summary: "not critical"})
	th.begin()
	th.look(30 * time.Minute)
	if all := th.folded(); len(all) != 0 {
		t.Fatalf("%+v", all)
	}
	// What goes on when the silence ends opens one.
	late := th.outage()
	th.open = []monitor.Outage{late}
	th.look(time.Hour)
	if all := th.folded(); len(all) != 1 {
		t.Errorf("%d after the silence", len(all))
	}
}

func TestACriticalAlertOpensOneIncident(t *testing.T) {
	th := newTheatre(t)
	th.look(0)
	told := alert.Signal{Key: "in/prom/cert", Code: "cert", At: th.now, Firing: true, Severity: alert.Critical, Summary: "the certificate of the till\nexpires"}
	th.pager.Signal(t.Context(), told)
	for range 3 {
		th.look(time.Second)
	}
	told.Firing, told.At = false, th.now
	th.pager.Signal(t.Context(), told)
	th.look(time.Second)
	told.Firing, told.At = true, th.now
	th.pager.Signal(t.Context(), told) // it comes back while people work on it
	th.look(time.Second)
	th.begin()
	th.look(time.Second)
	all := th.folded()
	if len(all) != 1 || all[0].Title != "the certificate of the till expires" || all[0].Severity != incident.Sev1 || len(all[0].Alerts) != 2 || all[0].Alerts[0].Ended.IsZero() || all[0].Serves() != true {
		t.Errorf("%d incidents: %+v", len(all), all[0].Alerts)
	}
}

// Clocks warn before an objective is missed, once each through restarts; the
// commander is told, the last warning pages, and all of it ends with the end.
func TestClocksWarnThroughRestarts(t *testing.T) {
	th := newTheatre(t)
	th.look(0)
	o := th.outage()
	th.restorable = func(string) time.Time { return o.FirstBad.Add(-2 * time.Minute) }
	th.open = []monitor.Outage{o}
	th.look(time.Second)
	if got := fmt.Sprint(th.firing("incident-clock/")); got != "[incident-clock/inc-1/data-loss medium]" {
		t.Error(got)
	}
	th.do("ada", incident.MeasureDataLoss{Measured: incident.Measured{Loss: time.Second, Source: "the last order"}})
	th.do("ada", incident.TakeRole{Role: incident.Commander})
	at := th.now
	steps := map[time.Duration]string{
		time.Hour: "[]", 2 * time.Hour: "[incident-clock/inc-1/50 medium]", 3*time.Hour + 20*time.Minute: "[incident-clock/inc-1/80 critical]", 5 * time.Hour: "[incident-clock/inc-1/missed critical]",
	}
	for _, after := range []time.Duration{time.Hour, 2 * time.Hour, 3*time.Hour + 20*time.Minute, 5 * time.Hour} {
		for range 2 {
			th.begin()
			th.look(at.Add(after).Sub(th.now))
			th.look(0)
		}
		if got := fmt.Sprint(th.firing("incident-clock/")); got != steps[after] {
			t.Errorf("after %s: %s", after, got)
		}
	}
	o.Recovered = th.now
	th.keepOutage(o)
	th.open = nil
	th.look(time.Second)
	if got := th.firing("incident-clock/"); len(got) != 0 {
		t.Errorf("after the end: %v", got)
	}
	got := th.kinds("inc-1")
	if strings.Count(got, "clock.warned") != 3 || strings.Count(got, "clock.missed") != 1 {
		t.Error(got)
	}
	words := 0
	for _, told := range th.phone.told() {
		if told == "notice:ada.pager" {
			words++
		}
	}
	if words < 3 { // and the notices that alerts ended
		t.Errorf("the commander was told %d times: %v", words, th.phone.told())
	}
}

// words are what a contact was told beside pages and updates.
func (th *theatre) words(contact string) []string {
	th.phone.mu.Lock()
	defer th.phone.mu.Unlock()
	var out []string
	for _, m := range th.phone.got {
		if m.To.ID == contact && m.Kind == alert.Notice {
			out = append(out, m.Subject)
		}
	}
	return out
}

// sent are the updates that a contact received.
func (th *theatre) sent(contact string) []alert.Message {
	th.phone.mu.Lock()
	defer th.phone.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(th.phone.got), func(m alert.Message) bool { return m.To.ID != contact || m.Kind != alert.Announcement })
}

func (th *theatre) publish(a incident.Audience, text string) {
	th.t.Helper()
	if err := th.incidentRoom.read(th.t.Context()); err != nil {
		th.t.Fatal(err)
	}
	th.do("ben", incident.PublishUpdate{Audience: a, Text: text, Next: th.now.Add(30 * time.Minute), To: th.of(*th.all["inc-1"], a, th.now), Names: th.Rules.Names})
}

// An update reaches its audience and no other, once, through restarts, past a
// channel that fails; and holds nothing but what was published.
func TestUpdatesReachTheirAudience(t *testing.T) {
	th := newTheatre(t)
	th.look(0)
	th.open = []monitor.Outage{th.outage()}
	th.look(time.Second)
	th.do("ada", incident.TakeRole{Role: incident.Commander})
	th.do("ada", incident.AddNote{Text: "SECRET the volume of pg-07 was wiped by hand"})
	th.phone.fails["audience.sales"] = errors.New("no route")
	th.publish(incident.Clients, "We are working on it.")
	th.publish(incident.Teams, "The shop is down.")
	th.publish(incident.Responders, "pg-07 is restored from SECRET.")
	th.look(0)
	th.begin() // what was on its way, and what had arrived
	th.look(time.Second)
	th.look(time.Second)
	if n := len(th.sent("audience.acme")); n != 1 {
		t.Fatalf("clients received %d", n)
	}
	if th.sent("ada.pager")[0].AckCommand != "refloat incident update inc-1 --ack u3" {
		t.Errorf("%+v", th.sent("ada.pager"))
	}
	m := th.sent("audience.acme")[0]
	raw, err := json.Marshal(m)
	if err != nil || strings.Contains(string(raw), "SECRET") || strings.Contains(string(raw), "refuses") || strings.Contains(string(raw), "ada") || m.Subject != "[INVESTIGATING] Disruption: The web shop" || m.AckCommand != "" || m.Body != "We are working on it.\n" {
		t.Errorf("%s %v", raw, err)
	}
	if got := th.firing("incident-unheard/"); len(got) != 0 && len(got) != 1 {
		t.Errorf("%v", got)
	}
	for range 8 {
		th.look(time.Minute)
	}
	if got := fmt.Sprint(th.firing("incident-unheard/")); got != "[incident-unheard/inc-1/u2 critical]" {
		t.Errorf("%v", got)
	}
	waiting, err := updateDeliveries(t.Context(), th.state, "inc-1")
	waiting = slices.DeleteFunc(waiting, func(d UpdateDelivery) bool { return d.State != alert.Waiting })
	if err != nil || len(waiting) != 1 || len(waiting[0].All) < 2 || waiting[0].All[0].Error != "no route" {
		t.Errorf("%+v %v", waiting, err)
	}
	delete(th.phone.fails, "audience.sales")
	th.begin()
	th.look(5 * time.Minute)
	th.look(time.Second)
	s := th.folded()[0]
	if u := s.Update("u2"); len(u.Deliveries) != 1 || !u.Deliveries[0].OK || u.Deliveries[0].Attempts < 3 || len(th.sent("audience.sales")) != 1 {
		t.Errorf("%+v", u)
	}
	if got := th.firing("incident-unheard/"); len(got) != 0 {
		t.Errorf("%v", got)
	}
}

// A channel that is refused for good is told, and an update that no server sent
// for a day is not sent any more.
func TestUpdatesThatDoNotArriveAreTold(t *testing.T) {
	th := newTheatre(t)
	th.look(0)
	th.open = []monitor.Outage{th.outage()}
	th.look(time.Second)
	th.phone.fails["audience.acme"] = fmt.Errorf("%w: unknown address", alert.ErrRefused)
	th.publish(incident.Clients, "We are working on it.")
	th.look(time.Second)
	th.look(time.Second)
	if u := th.folded()[0].Update("u1"); len(u.Deliveries) != 1 || u.Deliveries[0].OK || !strings.Contains(u.Deliveries[0].Error, "unknown address") {
		t.Errorf("%+v", u)
	}
	if got := fmt.Sprint(th.firing("incident-unheard/")); got != "[incident-unheard/inc-1/u1 critical]" {
		t.Error(got)
	}
	delete(th.phone.fails, "audience.acme")
	th.publish(incident.Clients, "Still on it.")
	th.begin()
	th.look(25 * time.Hour)
	th.look(time.Second)
	if u := th.folded()[0].Update("u2"); len(th.sent("audience.acme")) != 0 || len(u.Deliveries) != 1 || u.Deliveries[0].OK {
		t.Errorf("%d sent, %+v", len(th.sent("audience.acme")), u)
	}
}

// Nobody can forget an update: who sends them is reminded, and when it is late
// those on call are paged; without such a person they are at once.
func TestAnUpdateCannotBeForgotten(t *testing.T) {
	th := newTheatre(t)
	th.look(0)
	th.open = []monitor.Outage{th.outage()}
	th.look(time.Second)
	for range 2 {
		th.begin()
		th.look(25*time.Minute + time.Second)
		th.now = th.now.Add(-25 * time.Minute)
	}
	th.now = th.now.Add(25 * time.Minute)
	if got := th.firing("incident-update/"); len(got) != 3 || !strings.HasSuffix(got[0], "critical") {
		t.Errorf("nobody has a role: %v", got)
	}
	th.do("ada", incident.TakeRole{Role: incident.Commander})
	th.do("ada", incident.HandOver{Role: incident.Communications, To: "ben"})
	for range 2 { // he is told that she handed it to him, and what is due; each once
		th.begin()
		th.look(time.Second)
	}
	if words := th.words("ben.pager"); len(words) != 4 || !slices.Contains(words, "[inc-1] ada has handed communications to you.") {
		t.Errorf("handed over: %q", words)
	}
	for _, a := range incident.Audiences() {
		th.publish(a, "We are working on it.")
	}
	th.look(time.Second)
	if got := th.firing("incident-update/"); len(got) != 0 {
		t.Errorf("after the updates: %v", got)
	}
	reminders := func() int { return len(th.words("ben.pager")) }
	before := reminders()
	for range 3 {
		th.begin()
		th.look(9 * time.Minute)
	}
	th.look(time.Second)
	if got := th.firing("incident-update/"); len(got) != 3 || !strings.HasSuffix(got[0], "medium") || reminders() != before+3 {
		t.Errorf("due: %v, %d reminders", got, reminders()-before)
	}
	th.look(4 * time.Minute)
	th.begin()
	th.look(time.Second)
	if got := th.firing("incident-update/"); len(got) != 3 || !strings.HasSuffix(got[0], "critical") || reminders() != before+3 {
		t.Errorf("late: %v, %d reminders", got, reminders()-before)
	}
	got := th.kinds("inc-1")
	if strings.Count(got, "update.reminded") != 6 || strings.Count(got, "update.late") != 3 {
		t.Error(got)
	}
}
