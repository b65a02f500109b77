package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/monitor"
)

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
