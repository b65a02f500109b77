package app

import (
	"context"
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
