package nodes

import (
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
func rounds(few int) int {
	if n, err := strconv.Atoi(os.Getenv("REFLOAT_NODES_ROUNDS")); err == nil && n > 0 {
		return n
	}
	return few
}

// The leader is killed, or frozen and later thawed, or stopped, at a random
// moment around the begin of an outage. The other leads within five seconds; the
// outage is paged, by nobody after it was acknowledged; it is one incident.
func TestEitherNodeMayEndAtAnyMoment(t *testing.T) {
	b := newBed(t, "log: {enabled: false}")
	faults := []struct {
		name      string
		end, back func(*node)
	}{
		{"kill -9", func(n *node) { n.kill() }, func(n *node) { n.start() }},
		{"freeze", func(n *node) { n.signal(syscall.SIGSTOP) }, func(n *node) { n.signal(syscall.SIGCONT) }},
		{"stop", func(n *node) { n.signal(syscall.SIGTERM) }, func(n *node) { <-n.done; n.start() }},
	}
	outages := 0
	for range rounds(1) {
		for _, f := range faults {
			outages++
			b.round(f.name, f.end, f.back, outages)
		}
	}
	for _, n := range b.nodes {
		if out := n.must("journal", "verify"); !strings.Contains(out, "0 fault(s)") {
			t.Errorf("%s", out)
		}
	}
}

func (b *bed) round(name string, end, back func(*node), outages int) {
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
	before := len(b.pages(began))
	// From whoever leads now: what the one before sent is known to it.
	p := b.page(ended)
	t.Logf("%s of %s %s after the outage began: %s leads after %s, and pages %s after it; %d page(s) before", name, leader.name, moment.Round(time.Millisecond), other.name,
		took.Round(time.Millisecond), p.at.Sub(ended).Round(time.Millisecond), before)
	other.must("ack", p.Alert.ID, "--by", "ada")
	acknowledged := time.Now()
	back(leader)
	// Whoever led before is back, and the next pages would be due every second.
	targettest.WaitFor(t, name+": the node that is back to stand by", func() bool {
		p, ok := leader.place()
		return ok && !p.Leads && p.Leader == other.name && time.Since(acknowledged) > 3*time.Second
	})
	if late := b.pages(acknowledged); len(late) > 0 {
		t.Errorf("%s: %d page(s) after it was acknowledged, the first %s after: %s", name, len(late), late[0].at.Sub(acknowledged), late[0].ID)
	}
	ids := map[string]bool{}
	for _, c := range b.pages(began) {
		ids[c.Alert.ID] = true
	}
	if len(ids) != 1 {
		t.Errorf("%s: one outage is %d alerts: %v", name, len(ids), ids)
	}
	b.shop.Kill(t)
	b.shop.Start(t)
	targettest.WaitFor(t, "the incident to end", func() bool {
		all := other.incidents()
		return len(all) == outages && !all[0].Mitigated.IsZero()
	})
	if all := leader.incidents(); len(all) != outages || len(all[0].Causes) != 1 {
		t.Errorf("%s: %d outages are %d incidents: %+v", name, outages, len(all), all)
	}
	other.must("incident", "resolve", "inc-"+strconv.Itoa(outages), "--as", "ada")
}
