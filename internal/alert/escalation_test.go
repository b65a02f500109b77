package alert

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// How a contact's channel behaves.
const (
	works   = "works"
	once    = "fails once"
	dead    = "always fails"
	refuses = "refuses"
)

// world is a server in virtual time that dies whenever the test likes, and the
// disk that it leaves behind.
type world struct {
	t        *rapid.T
	roster   Roster
	channel  map[string]string // by contact
	chain    []byte
	disk     map[string][]byte // deliveries
	attempts map[string][]Attempt
	always   bool     // it never dies
	taken    []string // what the other sides took over, in order
}

func (w *world) dies() bool { return !w.always && rapid.IntRange(0, 9).Draw(w.t, "dies") == 0 }

func store[T any](w *world, v T) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

func load[T any](w *world, b []byte) (v T) {
	if err := json.Unmarshal(b, &v); err != nil {
		w.t.Fatal(err)
	}
	return v
}

func (w *world) deliveries() []Delivery {
	var all []Delivery
	for _, b := range w.disk {
		all = append(all, load[Delivery](w, b))
	}
	return all
}

// turn is one pass of the server, which may die at each point of it. It
// returns when the next has to be.
func (w *world) turn(now time.Time, a Alert) (next time.Time, died bool) {
	c := load[Chain](w, w.chain)
	known := w.deliveries()
	if rapid.Bool().Draw(w.t, "only what is needed") {
		known = slices.DeleteFunc(known, func(d Delivery) bool { return d.Round < c.Round && d.State != Waiting })
	}
	d := c.Due(now, a, w.roster, known)
	chainFirst := rapid.Bool().Draw(w.t, "chain first")
	if chainFirst {
		if w.chain = store(w, d.Chain); w.dies() {
			return now, true
		}
	}
	for _, x := range d.Create {
		if _, there := w.disk[x.ID]; there {
			w.t.Fatalf("%s is created twice", x.ID)
		}
		if w.disk[x.ID] = store(w, x); w.dies() {
			return now, true
		}
	}
	if !chainFirst {
		if w.chain = store(w, d.Chain); w.dies() {
			return now, true
		}
	}
	for _, id := range d.Cancel {
		x := load[Delivery](w, w.disk[id])
		x.State = Cancelled
		w.disk[id] = store(w, x)
	}
	next, died = w.send(now, a)
	if !d.Next.IsZero() && (next.IsZero() || d.Next.Before(next)) {
		next = d.Next
	}
	return next, died
}

// send is the outbox.
func (w *world) send(now time.Time, a Alert) (next time.Time, died bool) {
	all := w.deliveries()
	slices.SortFunc(all, func(a, b Delivery) int { return strings.Compare(a.ID, b.ID) })
	for _, x := range all {
		if x.State != Waiting {
			continue
		}
		if !x.NotBefore.After(now) {
			if a.Settled() {
				w.t.Fatalf("%s is sent after it was acknowledged", x.ID)
			}
			try := Attempt{At: now}
			switch how := w.channel[x.Contact.ID]; {
			case how == refuses:
				try.Error, try.Refused = how, true
			case how == dead, how == once && len(w.attempts[x.ID]) == 0:
				try.Error = how
			}
			w.attempts[x.ID] = append(w.attempts[x.ID], try)
			x = x.After(w.attempts[x.ID])
			if x.State == Sent {
				w.taken = append(w.taken, fmt.Sprintf("%s %s", now.UTC().Format("02 15:04:05"), x.ID))
			}
			w.disk[x.ID] = store(w, x)
			if w.dies() {
				return now, true
			}
			if x.Failing() {
				next = now // the chain has to know at once
			}
		}
		if x.State == Waiting && (next.IsZero() || x.NotBefore.Before(next)) {
			next = x.NotBefore
		}
	}
	return next, false
}

// promised works out by hand what has to be taken over, until somebody
// acknowledges: at what time each delivery is, in rounds and steps.
func promised(w *world, a Alert, p Policy, from, until time.Time) []string {
	var out []string
	page := func(at time.Time, round, step int, s Step) (anyWorks bool, fails time.Duration) {
		for _, x := range w.roster.Reach(s, at) {
			id := fmt.Sprintf("%s.%d.%d.%s", a.ID, round, step, x.Contact.ID)
			switch how := w.channel[x.Contact.ID]; how {
			case dead:
				fails = time.Second
			case works, once:
				anyWorks = true
				if how == once {
					at := at.Add(time.Second)
					if at.Before(until) {
						out = append(out, at.UTC().Format("02 15:04:05")+" "+id)
					}
				} else {
					out = append(out, at.UTC().Format("02 15:04:05")+" "+id)
				}
			}
		}
		return anyWorks, fails
	}
	at := from.Add(p.Steps[0].After)
	for round := 0; ; round++ {
		reached, allFail := false, at // when the last of the round's deliveries fails
		first := 0
		if round > p.Repeat {
			first = len(p.Steps) - 1
		}
		for i := first; i < len(p.Steps); i++ {
			if !at.Before(until) {
				return out
			}
			works, fails := page(at, round, i, p.Steps[i])
			reached, allFail = reached || works, later(allFail, at.Add(fails))
			switch {
			case i == len(p.Steps)-1 && !reached:
				if at = later(at, allFail); !at.Before(until) {
					return out
				}
				page(at, round, len(p.Steps), Step{Page: []Ref{Everybody}})
			case i == len(p.Steps)-1:
			case works:
				at = at.Add(p.Steps[i+1].After)
			default:
				at = at.Add(min(fails, p.Steps[i+1].After))
			}
		}
		if round < p.Repeat {
			at = at.Add(p.Every)
		} else {
			at = at.Add(p.Slow)
		}
	}
}

func drawWorld(t *rapid.T) *world {
	w := &world{t: t, channel: map[string]string{}, disk: map[string][]byte{}, attempts: map[string][]Attempt{}}
	people := []string{"ada", "ben", "cyd", "dan"}
	w.roster = Roster{People: map[string]Person{}, Teams: map[string]Team{}}
	contact := func(id string, via Via) Contact {
		w.channel[id] = rapid.SampledFrom([]string{works, works, once, dead, refuses}).Draw(t, id)
		return Contact{ID: id, Via: via, Address: id}
	}
	for _, n := range people {
		p := Person{Name: n}
		for _, via := range rapid.SampledFrom([][]Via{nil, {Email}, {Email, Chat}, {Chat}}).Draw(t, n) {
			p.Contacts = append(p.Contacts, contact(n+"."+string(via), via))
		}
		w.roster.People[n] = p
	}
	for _, name := range []string{"db", "net"} {
		team := Team{Name: name, Members: people[:rapid.IntRange(0, 4).Draw(t, "members")]}
		for i := range rapid.IntRange(0, 2).Draw(t, "rotations") {
			r := drawRotation(t, people[i:])
			r.Name = fmt.Sprint(i)
			for j := range r.Hours {
				r.Hours[j].To = Clock(rapid.IntRange(0, 24*60-1).Draw(t, "to"))
			}
			team.Rotations = append(team.Rotations, r)
		}
		if rapid.Bool().Draw(t, "room") {
			team.Contacts = []Contact{contact(name+".room", Chat)}
		}
		w.roster.Teams[name] = team
	}
	return w
}

func drawPolicy(t *rapid.T) Policy {
	minutes := func(label string, least int) time.Duration {
		return time.Duration(rapid.IntRange(least, 90).Draw(t, label)) * time.Minute
	}
	p := Policy{Name: "drawn", Repeat: rapid.IntRange(0, 3).Draw(t, "repeat"), Every: minutes("every", 5), Slow: minutes("slow", 10)}
	refs := []Ref{"oncall:db", "oncall:net", "oncall:db/1", "oncall", "team:db", "channel:net", "person:ada", "person:dan", Everybody}
	for range rapid.IntRange(1, 4).Draw(t, "steps") {
		p.Steps = append(p.Steps, Step{
			After: minutes("after", 0), Page: rapid.SliceOfN(rapid.SampledFrom(refs), 1, 3).Draw(t, "page"),
			Via: rapid.SampledFrom([][]Via{nil, nil, {Email}, {Chat}}).Draw(t, "via"),
		})
	}
	return p
}

// For each alert exactly the promised people in the promised order, each
// delivery once, none after it was acknowledged; whatever the calendar, the
// channels and the deaths of the server.
func TestEscalation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, p := drawWorld(t), drawPolicy(t)
		from, _ := drawSpan(t)
		// Between two seconds, since what happens in one and the same instant has
		// no order.
		acknowledged := from.Add(time.Duration(rapid.IntRange(0, 5*3600).Draw(t, "acknowledged after"))*time.Second + time.Second/2)
		a := Alert{ID: "a1", State: Firing}
		w.chain = store(w, Begin(a, p, from))
		now := from
		for i := 0; ; i++ {
			if i > 100000 {
				t.Fatal("it never ends")
			}
			next, died := w.turn(now, a)
			switch {
			case died:
				continue
			case a.Settled() && next.IsZero():
			case !a.Settled() && next.IsZero():
				t.Fatalf("at %s nothing is planned, and nobody acknowledged", now)
			case !a.Settled() && !next.Before(acknowledged):
				now, a.AcknowledgedAt, a.AcknowledgedBy = acknowledged, acknowledged, "ada"
				continue
			default:
				now = next
				continue
			}
			break
		}
		for _, d := range w.deliveries() {
			if d.State == Waiting {
				t.Fatalf("%s still waits", d.ID)
			}
		}
		want := promised(w, a, p, from, acknowledged)
		slices.Sort(want)
		slices.Sort(w.taken)
		if !slices.Equal(w.taken, want) {
			t.Fatalf("acknowledged at %s\ntaken\n%s\n\npromised\n%s\n\nchannels %v\npolicy %+v", acknowledged, strings.Join(w.taken, "\n"), strings.Join(want, "\n"), w.channel, p)
		}
	})
}

// A server that is away for hours, again and again: a step begins late, with
// the people on call by then, and every one of them is paged; steps stay in
// their order, and nobody is paged after the acknowledgement.
func TestEscalationWithAbsences(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, p := drawWorld(t), drawPolicy(t)
		w.always = true
		from, _ := drawSpan(t)
		acknowledged := from.Add(time.Duration(rapid.IntRange(0, 3*24*3600).Draw(t, "acknowledged after"))*time.Second + time.Second/2)
		a := Alert{ID: "a1", State: Firing}
		w.chain = store(w, Begin(a, p, from))
		due := from // when the server has to act at the latest, were it there
		for now := from; now.Before(acknowledged); {
			before := load[Chain](w, w.chain)
			next, _ := w.turn(now, a)
			c := load[Chain](w, w.chain)
			switch {
			case now.Before(due):
				t.Fatalf("acted at %s, before %s", now, due)
			case next.IsZero():
				t.Fatalf("at %s nothing is planned", now)
			case c.Round < before.Round || c.Round == before.Round && c.Step < before.Step:
				t.Fatalf("from step %d.%d to %d.%d", before.Round, before.Step, c.Round, c.Step)
			case c.StepAt != before.StepAt && !c.StepAt.Equal(now):
				t.Fatalf("a step began at %s, and it is %s", c.StepAt, now)
			}
			due, now = next, next
			if rapid.IntRange(0, 3).Draw(t, "away") == 0 {
				now = now.Add(time.Duration(rapid.IntRange(1, 12*60).Draw(t, "for")) * time.Minute)
			}
		}
		a.AcknowledgedAt = acknowledged
		if next, _ := w.turn(acknowledged.Add(time.Hour), a); !next.IsZero() {
			t.Fatalf("acknowledged, and %s is planned", next)
		}
		steps := map[[2]int][]Delivery{}
		for _, d := range w.deliveries() {
			if d.State == Waiting || d.SentAt.After(acknowledged) {
				t.Fatalf("acknowledged, and %+v", d)
			}
			steps[[2]int{d.Round, d.Step}] = append(steps[[2]int{d.Round, d.Step}], d)
		}
		for at, all := range steps {
			s := Step{Page: []Ref{Everybody}}
			if at[1] < len(p.Steps) {
				s = p.Steps[at[1]]
			}
			if want := w.roster.Reach(s, all[0].CreatedAt); len(want) != len(all) {
				t.Fatalf("step %v paged %v, and %v were on call", at, all, want)
			}
		}
	})
}
