package nodes

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/target/targettest"
)

// goesOnWithin is what is promised: the other node leads.
const goesOnWithin = 5 * time.Second

// rounds is how often each fault is played; REFLOAT_NODES_ROUNDS sets it.
func rounds() int {
	n, _ := strconv.Atoi(os.Getenv("REFLOAT_NODES_ROUNDS"))
	return max(n, 1)
}

// long is that more is played than each fault once, and the log is kept as well.
func long() bool { return os.Getenv("REFLOAT_NODES_ROUNDS") != "" }

// Two nodes of the built program, on one store, through all of it.
func TestTwoNodes(t *testing.T) {
	log := "log: {enabled: false}"
	if long() {
		log = "log: {partial_every: 500ms}" // and base backups with it, which take their time
	}
	b := newBed(t, log)
	b.eitherMayEndAtAnyMoment()
	b.theStoreIsAway()
	if long() {
		b.theLogIsWhole()
	}
	for _, n := range b.nodes {
		if out := n.must("journal", "verify"); !strings.Contains(out, "0 fault(s)") {
			t.Errorf("%s", out)
		}
	}
}

// The leader is killed, or frozen and later thawed, at a random moment around the
// begin of an outage, or stopped. The other leads within five seconds; the outage
// is paged, by nobody after it was acknowledged; it is one incident.
func (b *bed) eitherMayEndAtAnyMoment() {
	for range rounds() {
		b.round("kill -9", (*node).kill, func(leader, other *node, p call) time.Time {
			leader.start()
			b.standsBy(leader, other)
			return b.toldToTheStandby(other, leader, p)
		})
		b.round("freeze", func(n *node) { n.signal(syscall.SIGSTOP) }, func(leader, other *node, p call) time.Time {
			other.must("ack", p.Alert.ID, "--by", "ada")
			at := time.Now()
			leader.signal(syscall.SIGCONT)
			b.standsBy(leader, other)
			return at
		})
		b.stopped()
	}
}

// standsBy waits until one that led before stands by while another leads.
func (b *bed) standsBy(n, leader *node) {
	b.t.Helper()
	targettest.WaitFor(b.t, n.name+" to stand by", func() bool {
		p, ok := n.place()
		return ok && !p.Leads && p.Leader == leader.name
	})
}

// toldToTheStandby acknowledges through the node that stands by, with the link
// that the other sent, and posts an alert there. It returns when the page was
// acknowledged.
func (b *bed) toldToTheStandby(leader, standby *node, p call) time.Time {
	t := b.t
	t.Helper()
	if who := standby.follow(p.AckURL); !strings.Contains(who, "ada") {
		t.Errorf("the standby answers: %s", who)
	}
	at := time.Now()
	standby.post("/in/ci", "a token of the tests, long", `{"key": "disk", "summary": "the disk is full", "severity": "low"}`)
	targettest.WaitFor(t, "the posted alert", func() bool { return strings.Contains(leader.shown("alerts", "--json"), "the disk is full") })
	if out := standby.must("nodes"); !strings.Contains(out, leader.name+"\tleads") || !strings.Contains(out, standby.name+"\tstands by") {
		t.Errorf("nodes: %s", out)
	}
	return at
}

// stopped ends the leader in order: the other leads at once.
func (b *bed) stopped() {
	leader, other := b.settled()
	ended := time.Now()
	leader.signal(syscall.SIGTERM)
	targettest.WaitFor(b.t, "the other node to lead", other.leads)
	took := time.Since(ended)
	b.t.Logf("stop of %s: %s leads after %s", leader.name, other.name, took.Round(time.Millisecond))
	if took > goesOnWithin {
		b.t.Errorf("it took too long")
	}
	<-leader.done
	leader.start()
}

// While the database is away the leader pages from memory, and what it is told
// holds: nobody takes over when it is back, and nobody is paged again, by the
// next leader neither.
func (b *bed) theStoreIsAway() {
	t := b.t
	leader, other := b.settled()
	b.watched()
	b.store.Kill(t)
	began := time.Now()
	b.shop.KillPostmaster(t)
	p := b.page(began)
	t.Logf("without the store: paged %s after the outage began", p.at.Sub(began).Round(time.Millisecond))
	if who := leader.follow(p.AckURL); !strings.Contains(who, "ada") {
		t.Errorf("the leader answers: %s", who)
	}
	acknowledged := time.Now()
	targettest.WaitFor(t, "pages that do not come", func() bool { return time.Since(acknowledged) > 2*time.Second })
	b.store.Start(t)
	if now, _ := b.settled(); now != leader {
		t.Errorf("%s took over because the database was away for both", now.name)
	}
	targettest.WaitFor(t, "the acknowledgement to be kept", func() bool {
		return strings.Contains(leader.shown("alerts", p.Alert.ID, "--json"), `"acknowledged_by": "ada"`)
	})
	ended := time.Now()
	leader.kill()
	targettest.WaitFor(t, "the other node to lead", other.leads)
	t.Logf("kill -9 after it: %s leads after %s", other.name, time.Since(ended).Round(time.Millisecond))
	targettest.WaitFor(t, "pages that do not come", func() bool { return time.Since(ended) > 3*time.Second })
	b.quiet("a store that was away", acknowledged)
	leader.start()
	b.serveAgain(other, b.outages+1)
}

// theLogIsWhole is that the log of the target, which one node after the other kept,
// reaches what was written just now, without a hole since the first base backup.
func (b *bed) theLogIsWhole() {
	t := b.t
	leader, _ := b.settled()
	b.shop.Exec(t, "CREATE TABLE after AS SELECT now() AS at; SELECT pg_switch_wal()")
	if !strings.Contains(leader.shown("coverage", "shop", "--json"), `"to_time"`) {
		leader.must("backup", "shop") // the first was cut off by each fault, and waits for its next attempt
	}
	written := time.Now()
	targettest.WaitFor(t, "the log to reach what was written", func() bool {
		var spans []struct {
			Spans []struct {
				To time.Time `json:"to_time"`
			} `json:"spans"`
			Gaps []any `json:"gaps"`
		}
		if json.Unmarshal([]byte(leader.shown("coverage", "shop", "--json")), &spans) != nil || len(spans) != 1 || len(spans[0].Spans) == 0 {
			return false
		}
		if len(spans[0].Gaps) > 0 || len(spans[0].Spans) > 1 {
			t.Fatalf("the log has holes: %s", leader.shown("coverage", "shop"))
		}
		return spans[0].Spans[0].To.After(written.Add(-time.Second))
	})
	t.Logf("the log is whole, and %s behind", time.Since(written).Round(time.Millisecond))
}

// quiet is that nobody was paged about an outage from a moment on.
func (b *bed) quiet(what string, from time.Time) {
	b.t.Helper()
	if late := b.pages(from); len(late) > 0 {
		b.t.Errorf("%s: %d page(s) after it was acknowledged, the first %s after: %s", what, len(late), late[0].at.Sub(from), late[0].ID)
	}
}

// serveAgain ends the outage, and looks for one incident for each so far.
func (b *bed) serveAgain(n *node, outages int) {
	t := b.t
	t.Helper()
	b.outages = outages
	b.shop.Kill(t)
	b.shop.Start(t)
	targettest.WaitFor(t, "the incident to end", func() bool {
		all := n.incidents()
		return len(all) == outages && !all[0].Mitigated.IsZero()
	})
	for _, n := range b.nodes {
		if all := n.incidents(); len(all) != outages || len(all[0].Causes) != 1 {
			t.Errorf("%d outages are %d incidents: %+v", outages, len(all), all)
		}
	}
	n.must("incident", "resolve", "inc-"+strconv.Itoa(outages), "--as", "ada")
}

func (b *bed) round(name string, end func(*node), acknowledge func(leader, other *node, p call) time.Time) {
	t := b.t
	leader, other := b.settled()
	b.watched()
	began := time.Now()
	b.shop.KillPostmaster(t)
	moment := time.Duration(rand.Int64N(int64(600 * time.Millisecond)))
	<-time.After(moment) // the moment is the point of the test
	ended := time.Now()
	end(leader)
	targettest.WaitFor(t, "the other node to lead", other.leads)
	took := time.Since(ended)
	if took > goesOnWithin {
		t.Errorf("%s: %s leads after %s", name, other.name, took)
	}
	// From whoever leads now: what the one before sent is known to it.
	p := b.page(ended.Add(100 * time.Millisecond))
	t.Logf("%s of %s %s after the outage began: %s leads after %s, and pages %s after it", name, leader.name, moment.Round(time.Millisecond), other.name,
		took.Round(time.Millisecond), p.at.Sub(ended).Round(time.Millisecond))
	acknowledged := acknowledge(leader, other, p)
	// The next pages would be due every second.
	targettest.WaitFor(t, "pages that do not come", func() bool { return time.Since(acknowledged) > 2500*time.Millisecond })
	b.quiet(name, acknowledged)
	ids := map[string]bool{}
	for _, c := range b.pages(began) {
		ids[c.Alert.ID] = true
	}
	if len(ids) != 1 {
		t.Errorf("%s: one outage is %d alerts: %v", name, len(ids), ids)
	}
	b.serveAgain(other, b.outages+1)
}
