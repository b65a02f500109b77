package alert

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// fourPeople is a small roster: ada and ben take weekly turns, cyd has a shared
// mailbox with dan.
func fourPeople(t *testing.T) Roster {
	person := func(name string, contacts ...Contact) Person { return Person{Name: name, Contacts: contacts} }
	mail := func(name, to string) Contact { return Contact{ID: name + ".email", Via: Email, Address: to} }
	chat := func(name string) Contact { return Contact{ID: name + ".chat", Via: Chat, Address: "chat"} }
	return Roster{
		People: map[string]Person{
			"ada": person("ada", mail("ada", "ada@example.org"), chat("ada")), "ben": person("ben", chat("ben")),
			"cyd": person("cyd", mail("cyd", "ops@example.org")), "dan": person("dan", mail("dan", "OPS@example.org"), chat("dan")),
		},
		Teams: map[string]Team{
			"db": {Name: "db", Members: []string{"ben", "ada"}, Contacts: []Contact{chat("db")}, Rotations: []Rotation{
				{Name: "primary", People: []string{"ada", "ben"}, Days: 7, Start: day(t, "2026-01-05"), Handover: clock(t, "09:00")},
				{Name: "secondary", People: []string{"cyd"}, Days: 7, Start: day(t, "2026-01-05")},
			}},
			"net": {Name: "net", Members: []string{"cyd"}},
		},
	}
}

func contacts(all []Reached) string {
	var ids []string
	for _, x := range all {
		ids = append(ids, x.Contact.ID)
	}
	return strings.Join(ids, " ")
}

func TestReach(t *testing.T) {
	r, at := fourPeople(t), moment(t, "2026-01-13T00:00:00Z") // ben's week
	for _, x := range []struct {
		page []Ref
		via  []Via
		want string
	}{
		{[]Ref{"oncall:db"}, nil, "ben.chat cyd.email"},
		{[]Ref{"oncall:db/primary"}, nil, "ben.chat"},
		{[]Ref{"oncall:net"}, nil, ""},
		{[]Ref{"oncall"}, nil, "ben.chat cyd.email"},
		{[]Ref{"team:db"}, nil, "ben.chat ada.email ada.chat db.chat"},
		{[]Ref{"channel:db"}, nil, "db.chat"},
		{[]Ref{"person:ada", "team:db", "person:ada"}, nil, "ada.email ada.chat ben.chat db.chat"},
		{[]Ref{"team:db"}, []Via{Email}, "ada.email"},
		{[]Ref{"person:ben"}, []Via{Email, Webhook}, ""},
		{[]Ref{Everybody}, nil, "ada.email ada.chat ben.chat cyd.email dan.chat"}, // the shared mailbox once
		{[]Ref{"person:eve", "team:eve", "oncall:eve"}, nil, ""},
	} {
		if got := contacts(r.Reach(Step{Page: x.page, Via: x.via}, at)); got != x.want {
			t.Errorf("%v via %v: %q, want %q", x.page, x.via, got, x.want)
		}
	}
}

func TestPolicyOf(t *testing.T) {
	r := fourPeople(t)
	first := func(p Policy) string { return fmt.Sprint(p.Name, " ", len(p.Steps), " ", p.Steps[0].Page[0]) }
	for team, want := range map[string]string{"db": "default 3 oncall:db", "net": "default 2 team:net", "": "default 2 oncall", "eve": "default 2 oncall"} {
		if got := first(r.PolicyOf(team)); got != want {
			t.Errorf("team %q: %s, want %s", team, got, want)
		}
	}
	db := r.Teams["db"]
	db.Policy = "own"
	r.Teams["db"] = db
	r.Policies = map[string]Policy{"own": {Name: "own", Steps: []Step{{Page: []Ref{"person:dan"}}}}, "default": {Name: "default", Steps: []Step{{Page: []Ref{"person:cyd"}}}}}
	for team, want := range map[string]string{"db": "own 1 person:dan", "net": "default 1 person:cyd", "": "default 1 person:cyd"} {
		if got := first(r.PolicyOf(team)); got != want {
			t.Errorf("team %q: %s, want %s", team, got, want)
		}
	}
	delete(r.Teams, "net")
	if got := first(r.PolicyOf("")); got != "own 1 person:dan" {
		t.Errorf("the only team's: %s", got)
	}
}

func TestSimulate(t *testing.T) {
	r, at := fourPeople(t), moment(t, "2026-01-12T08:57:00Z") // three minutes before ada hands over to ben
	p := Policy{Name: "p", Repeat: 1, Every: 10 * time.Minute, Slow: time.Hour, Steps: []Step{
		{Page: []Ref{"oncall:db/primary"}}, {After: 5 * time.Minute, Page: []Ref{"oncall:net"}}, {After: 5 * time.Minute, Page: []Ref{"oncall:db/primary"}, Via: []Via{Chat}},
	}}
	s := Simulate(Alert{ID: "a", State: Resolved, AcknowledgedAt: at, HeldBy: "x"}, p, r, at)
	var got []string
	for _, x := range s.Pages {
		got = append(got, fmt.Sprintf("%s %d.%d %s", x.At.Format("15:04"), x.Round, x.Step, x.Contact.ID))
	}
	want := []string{
		"08:57 1.1 ada.email", "08:57 1.1 ada.chat", "09:02 1.3 ben.chat", // step 2 reached nobody
		"09:12 2.1 ben.chat", "09:17 2.3 ben.chat", "10:17 3.3 ben.chat",
	}
	if !slices.Equal(got, want) || !s.SlowFrom.Equal(at.Add(80*time.Minute)) || s.Nobody || s.Quiet {
		t.Errorf("got %q\nwant %q; %+v", got, want, s)
	}
	if s := Simulate(Alert{ID: "a"}, p, Roster{}, at); len(s.Pages) > 0 || !s.Nobody {
		t.Errorf("an empty roster: %+v", s)
	}
	alone := Roster{People: map[string]Person{"ada": r.People["ada"]}}
	if s := Simulate(Alert{ID: "a"}, p, alone, at); len(s.Pages) == 0 || !s.Pages[0].LastResort || !s.Pages[0].At.Equal(at) {
		t.Errorf("the last resort: %+v", s)
	}
	if s := Simulate(Alert{ID: "a", Signal: Signal{Severity: Medium}}, p, r, at); len(s.Pages) > 0 || !s.Quiet {
		t.Errorf("not grave: %+v", s)
	}
	if s := Simulate(Alert{ID: "a"}, r.PolicyOf("db"), r, at); len(s.Pages) < 10 || s.Pages[0].Contact.ID != "ada.email" {
		t.Errorf("the default: %+v", s)
	}
}

// down is a firing alert.
func down() Alert { return Alert{ID: "a", State: Firing, Signal: Signal{Severity: Critical}} }

func TestNoPageWhileHeldOrNotGrave(t *testing.T) {
	r, at := fourPeople(t), moment(t, "2026-01-12T00:00:00Z")
	a := down()
	c := Begin(a, r.PolicyOf("db"), at)
	a.HeldBy = "silence 1"
	if d := c.Due(at, a, r, nil); len(d.Create) > 0 || !d.Next.IsZero() {
		t.Errorf("held: %+v", d)
	}
	a.HeldBy, a.Signal.Severity = "", Low
	if d := c.Due(at, a, r, nil); len(d.Create) > 0 || !d.Next.IsZero() {
		t.Errorf("low: %+v", d)
	}
	a.Signal.Severity = "unheard of"
	d := c.Due(at.Add(time.Hour), a, r, nil)
	if len(d.Create) != 3 || !d.Next.Equal(at.Add(time.Hour+5*time.Minute)) {
		t.Errorf("let go: %+v", d)
	}
	a.HeldBy = "silence 2"
	if d := d.Chain.Due(at.Add(2*time.Hour), a, r, d.Create); len(d.Create) > 0 || !d.Next.IsZero() {
		t.Errorf("held on the way: %+v", d)
	}
}

// A server that was away for hours goes on with one step, and with whoever is
// on call by then.
func TestAfterALongStop(t *testing.T) {
	r, at := fourPeople(t), moment(t, "2026-01-12T03:00:00Z")
	p := Policy{Steps: []Step{{Page: []Ref{"oncall:db/primary"}}, {After: time.Minute, Page: []Ref{"oncall:db/primary"}}, {After: time.Minute, Page: []Ref{Everybody}}}}
	d := Begin(down(), p, at).Due(at, down(), r, nil)
	if got := fmt.Sprint(idsOf(d.Create)); got != "[a.0.0.ada.email a.0.0.ada.chat]" {
		t.Fatal(got)
	}
	known := sent(d.Create)
	late := at.Add(9 * time.Hour)
	d = d.Chain.Due(late, down(), r, known)
	if got := fmt.Sprint(idsOf(d.Create)); got != "[a.0.1.ben.chat]" || !d.Next.Equal(late.Add(time.Minute)) {
		t.Errorf("%s, next %s", got, d.Next)
	}
}

func idsOf(all []Delivery) []string {
	var out []string
	for _, d := range all {
		out = append(out, d.ID)
	}
	return out
}

func sent(all []Delivery) []Delivery {
	out := slices.Clone(all)
	for i := range out {
		out[i].State = Sent
	}
	return out
}

func TestGraverAfterAcknowledgement(t *testing.T) {
	r, at := fourPeople(t), moment(t, "2026-01-12T03:00:00Z")
	a := down()
	d := Begin(a, r.PolicyOf("db"), at).Due(at, a, r, nil)
	known := d.Create
	known[0].State = Sent
	a.AcknowledgedAt, a.AcknowledgedBy = at.Add(time.Second), "ada"
	d = d.Chain.Due(at.Add(time.Minute), a, r, known)
	if len(d.Create) > 0 || !slices.Equal(d.Cancel, idsOf(known[1:])) || !d.Chain.Stopped() || d.Chain.StoppedBy != "ada" || !d.Next.IsZero() {
		t.Fatalf("acknowledged: %+v", d)
	}
	a.AcknowledgedAt, a.AcknowledgedBy = time.Time{}, ""
	again := at.Add(time.Hour)
	d = d.Chain.Due(again, a, r, known)
	if d.Chain.Stopped() || len(d.Create) != 3 || d.Create[0].ID != "a.1.0.ada.email" || !d.Next.Equal(again.Add(5*time.Minute)) {
		t.Fatalf("graver: %+v", d)
	}
	if d = d.Chain.Due(again, a, r, append(known, d.Create...)); len(d.Create) > 0 {
		t.Errorf("twice: %+v", d)
	}
}

// A channel that comes back after a night brings one page, not twenty.
func TestOvertaken(t *testing.T) {
	at := moment(t, "2026-01-12T03:00:00Z")
	r := Roster{People: map[string]Person{"ada": {Name: "ada", Contacts: []Contact{{ID: "ada.email", Via: Email, Address: "a@b"}}}}}
	p := Policy{Steps: []Step{{Page: []Ref{"person:ada"}}}, Slow: time.Hour}
	c, known := Begin(down(), p, at), []Delivery(nil)
	for now := at; now.Before(at.Add(10 * time.Hour)); {
		d := c.Due(now, down(), r, known)
		c, known = d.Chain, append(known, d.Create...)
		waiting := 0
		for i := range known {
			known[i].Attempts = failingAttempts
			if slices.Contains(d.Cancel, known[i].ID) {
				known[i].State = Cancelled
			}
			if known[i].State == Waiting {
				waiting++
			}
		}
		if waiting > 1+len(d.Create) {
			t.Fatalf("at %s %d wait", now, waiting)
		}
		if len(d.Create) == 0 {
			now = d.Next
		}
	}
	if len(known) < 10 {
		t.Errorf("only %d pages", len(known))
	}
}

// errDied is what the disk says when the server dies at a write.
var errDied = errors.New("died")

// The server dies once, at each of its writes in turn, and the outcome is the
// same as if it had not.
func TestDeathAtEachWrite(t *testing.T) {
	r, at := fourPeople(t), moment(t, "2026-03-29T00:30:00Z")
	p := Policy{Repeat: 1, Every: 10 * time.Minute, Steps: []Step{{Page: []Ref{"oncall:net"}}, {Page: []Ref{"oncall:db"}}, {Page: []Ref{"team:db"}}, {After: 5 * time.Minute, Page: []Ref{Everybody}}}}
	live := func(dieAt int, chainFirst bool) (taken []string, writes int) {
		a, disk, stored := down(), map[string]Delivery{}, Begin(down(), p, at)
		write := func(f func()) error {
			f()
			if writes++; writes-1 == dieAt {
				return errDied
			}
			return nil
		}
		turn := func(now time.Time) (time.Time, error) {
			var known []Delivery
			for _, d := range disk {
				known = append(known, d)
			}
			d := stored.Due(now, a, r, known)
			chain := func() error { return write(func() { stored = d.Chain }) }
			if chainFirst {
				if err := chain(); err != nil {
					return now, err
				}
			}
			for _, x := range d.Create {
				if err := write(func() { disk[x.ID] = x }); err != nil {
					return now, err
				}
			}
			if !chainFirst {
				if err := chain(); err != nil {
					return now, err
				}
			}
			return d.Next, nil
		}
		for now := at; now.Before(at.Add(40 * time.Minute)); {
			next, err := turn(now)
			if err != nil {
				continue
			}
			for id, d := range disk {
				if d.State == Waiting {
					d.State = Sent
					disk[id] = d
					taken = append(taken, now.Format("15:04 ")+id)
				}
			}
			now = next
		}
		slices.Sort(taken)
		return taken, writes
	}
	want, writes := live(-1, false)
	if writes < 20 {
		t.Fatalf("only %d writes", writes)
	}
	for i := range writes {
		for _, chainFirst := range []bool{false, true} {
			if got, _ := live(i, chainFirst); !slices.Equal(got, want) {
				t.Fatalf("dying at write %d, chain first %v:\n%q\nwant\n%q", i, chainFirst, got, want)
			}
		}
	}
}

func TestRetry(t *testing.T) {
	at := moment(t, "2026-01-12T03:00:00Z")
	if next, up := Retry(nil, at); !next.Equal(at) || up {
		t.Errorf("the first: %s, %v", next, up)
	}
	d := Delivery{State: Waiting, NotBefore: at}
	var all []Attempt
	var pauses []string
	for d.State == Waiting && len(all) < 10000 {
		before := d.NotBefore
		all = append(all, Attempt{At: d.NotBefore, Error: "no route"})
		d = d.After(all)
		if len(pauses) < 10 {
			pauses = append(pauses, d.NotBefore.Sub(before).String())
		}
	}
	if got := strings.Join(pauses, " "); got != "1s 2s 4s 8s 16s 32s 1m4s 2m0s 2m0s 2m0s" {
		t.Errorf("pauses %s", got)
	}
	if day := all[len(all)-1].At.Sub(at); d.State != Failed || day < 24*time.Hour-3*time.Minute || day > 24*time.Hour || d.Attempts != len(all) || d.Error != "no route" {
		t.Errorf("given up as %s after %s", d.State, day)
	}
	refused := Delivery{State: Waiting}.After([]Attempt{{At: at, Error: "no such user", Refused: true}})
	if refused.State != Failed || !refused.Failing() {
		t.Errorf("%+v", refused)
	}
	over := Delivery{State: Waiting}.After([]Attempt{{At: at, Error: "no route"}, {At: at.Add(time.Second), Said: "250 queued"}})
	if over.State != Sent || over.Said != "250 queued" || over.Error != "" || over.Failing() {
		t.Errorf("%+v", over)
	}
	if again := over.After([]Attempt{{At: at, Error: "x"}}); again.State != Sent {
		t.Errorf("what was sent is sent: %+v", again)
	}
}

func TestCover(t *testing.T) {
	r, at := fourPeople(t), moment(t, "2026-01-12T03:00:00Z")
	firing := func() string {
		var keys []string
		for _, s := range r.Cover(at) {
			if s.Firing {
				keys = append(keys, s.Key+": "+s.Summary)
			}
		}
		return strings.Join(keys, "; ")
	}
	if got := firing(); got != "" {
		t.Error(got)
	}
	db := r.Teams["db"]
	db.Rotations = []Rotation{{Name: "primary", Calendar: []Turn{{Person: "ada", From: at.Add(-time.Hour), To: at.Add(50 * time.Hour)}}}}
	r.Teams["db"] = db
	if got := firing(); got != "oncall-gap/db: nobody of team db will be on call from 2026-01-14 05:00 UTC to 2026-01-19 03:00 UTC" {
		t.Error(got)
	}
	at = at.Add(60 * time.Hour)
	if got := firing(); !strings.HasPrefix(got, "oncall-gap/db: nobody of team db is on call until") {
		t.Error(got)
	}
	if r = (Roster{}); firing() != "oncall-nobody: there is nobody whom Refloat could page" {
		t.Error(firing())
	}
}
