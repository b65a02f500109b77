package app

import (
	"context"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/backup"
	"github.com/refloat-db/refloat/internal/monitor"
	"github.com/refloat-db/refloat/internal/secret"
	"github.com/refloat-db/refloat/internal/status"
	"github.com/refloat-db/refloat/internal/target"
)

// voter is one of several that watch one target.
type voter struct {
	*Daemon
	name, address string
	eyes          *staged
	phone         *phones
	server        time.Time // when the server that it knows started
	o             DaemonOptions
}

// nodes makes as many as there are names, each the peer of all others.
func nodes(t *testing.T, names ...string) []*voter {
	t.Helper()
	var out []*voter
	for _, name := range names {
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		n := &voter{name: name, address: l.Addr().String(), eyes: &staged{}, phone: &phones{}, server: time.Unix(1e9, 0)}
		n.eyes.set(target.Serving)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		out = append(out, n)
	}
	for _, n := range out {
		n.o = DaemonOptions{StateDir: t.TempDir(), Listen: n.address, Version: "test", StopTimeout: 20 * time.Second, Paging: PagerOptions{Roster: roster(), Sender: n.phone, Charges: map[string]Charge{"shop": {Tier: alert.Critical}}}}
		for _, x := range out {
			if x != n {
				n.o.Peers = append(n.o.Peers, Peer{Name: x.name, URL: "http://" + x.address, Token: secret.New(token)})
			}
		}
		f := &fakeTarget{slot: target.Slot{Name: "refloat_shop", Exists: true, Active: true}, gap: make(chan backup.Gap)}
		c := f.care()
		c.Eyes, c.WatchEvery, c.WatchRules = n.eyes, 50*time.Millisecond, monitor.DefaultRules()
		c.Headroom = func(context.Context) (target.Headroom, error) {
			return target.Headroom{At: time.Now(), SystemID: "7", Started: n.server}, nil
		}
		n.o.Targets = []Care{c}
	}
	return out
}

func (n *voter) begin(t *testing.T) {
	t.Helper()
	d, err := NewDaemon(n.o)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stopped(t, d) })
	n.Daemon = d
	eventually(t, n.name+" to know the server", func() bool {
		w := d.running.targets[0]
		system, _ := w.identity()
		return system != "" && w.seen.Standing(time.Now()).State == monitor.Up
	})
}

func (n *voter) alarm(code string) bool {
	all, err := n.running.state.Alarms(context.Background(), "shop")
	for _, a := range all {
		if err == nil && a.Code == code {
			return true
		}
	}
	return false
}

func (n *voter) outages(t *testing.T) int {
	t.Helper()
	all, err := n.running.state.RecentRecords(t.Context(), alert.KindOutage, 10)
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// A target that only one node cannot reach is a finding about the network, and
// nobody is paged of an outage; as soon as another does not reach it either, both
// page; and who acknowledges on one stops the chain on the other.
func TestWhatOnlyOneNodeSeesIsTheNetwork(t *testing.T) {
	all := nodes(t, "ams", "fra")
	ams, fra := all[0], all[1]
	ams.begin(t)
	fra.begin(t)
	ams.eyes.set(target.Unreachable)
	eventually(t, "ams to tell of the network", func() bool { return ams.alarm(status.AlarmNetwork) })
	if _, paged := ams.phone.first("outage/shop"); paged || ams.outages(t) != 0 || ams.alarm(status.AlarmOutage) {
		t.Fatal("what only one node sees is an outage")
	}
	if w := ams.running.targets[0].live(time.Now()).Watch; w.State != "unknown" || !strings.Contains(w.Reason, "serves fra") {
		t.Errorf("%+v", w)
	}
	ams.eyes.set(target.Serving)
	eventually(t, "ams to be done with the network", func() bool { return !ams.alarm(status.AlarmNetwork) })

	ams.eyes.set(target.Unreachable)
	eventually(t, "ams to tell of the network again", func() bool { return ams.alarm(status.AlarmNetwork) })
	fra.eyes.set(target.Unreachable)
	for _, n := range all {
		eventually(t, n.name+" to page", func() bool { _, paged := n.phone.first("outage/shop"); return paged })
		eventually(t, n.name+" to write it down", func() bool { return n.outages(t) == 1 && !n.alarm(status.AlarmNetwork) })
	}
	a, open := fra.running.pager.openAlert("outage/shop")
	if !open {
		t.Fatal("fra has no alert")
	}
	if _, err := fra.running.pager.Acknowledge(t.Context(), a.ID, "ada", time.Now()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "ams to hear of it", func() bool {
		x, open := ams.running.pager.openAlert("outage/shop")
		return open && x.AcknowledgedBy == "ada (told by fra)"
	})
}

// What the server itself says is an outage, whoever else is served; and so is
// everything when nobody else can tell: the other is gone, watches another server
// of that name, or answers to another token.
func TestAnOutageIsNotHeldBack(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*voter)
		sees   target.Sees
		alone  bool
	}{
		"the server says so":         {func(*voter) {}, target.ReadOnly, false},
		"the other is gone":          {nil, target.Unreachable, true},
		"another server":             {func(n *voter) { n.server = time.Unix(2e9, 0) }, target.Unreachable, false},
		"another token":              {func(n *voter) { n.o.Peers[0].Token = secret.New("another-token-of-some-length") }, target.Unreachable, false},
		"the other sees it, as well": {func(n *voter) { n.eyes.set(target.Refused) }, target.Refused, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := nodes(t, "ams", "fra")
			ams, fra := all[0], all[1]
			ams.begin(t)
			if !c.alone {
				if name != "the other sees it, as well" {
					c.change(fra)
				}
				fra.begin(t)
				if name == "the other sees it, as well" {
					c.change(fra)
				}
			}
			ams.eyes.set(c.sees)
			eventually(t, "ams to page", func() bool { _, paged := ams.phone.first("outage/shop"); return paged })
			if ams.alarm(status.AlarmNetwork) {
				t.Error("the network is blamed")
			}
		})
	}
}

// Who has no token learns nothing, not even which targets there are.
func TestPeersAskForAToken(t *testing.T) {
	n := nodes(t, "ams", "fra")[0]
	n.begin(t)
	for what, want := range map[string]int{"state": 401, "look": 401, "nothing": 401} {
		if code, body := ask(t, http.MethodPost, "http://"+n.address+"/peer/"+what, "", "wrong", `{"target":"shop"}`); code != want || strings.Contains(body, "shop") {
			t.Errorf("%s: %d %s", what, code, body)
		}
	}
	for what, want := range map[string]int{"state": 200, "look": 200, "nothing": 404} {
		if code, body := ask(t, http.MethodPost, "http://"+n.address+"/peer/"+what, "", token, `{"target":"shop"}`); code != want {
			t.Errorf("%s: %d %s", what, code, body)
		}
	}
	if code, _ := ask(t, http.MethodPost, "http://"+n.address+"/peer/look", "", token, `{`); code != 400 {
		t.Errorf("no JSON: %d", code)
	}
	if code, body := ask(t, http.MethodPost, "http://"+n.address+"/peer/look", "", token, `{"target":"shop","system":"7","started":"2001-09-09T01:46:40Z"}`); code != 200 || !strings.Contains(body, "serving") {
		t.Errorf("%d %s", code, body)
	}
}

// A node that does not answer for a minute is told of, and until it does again.
func TestAPeerThatFallsSilentIsTold(t *testing.T) {
	all := nodes(t, "ams", "fra")
	ams, fra := all[0], all[1]
	ams.begin(t)
	p := ams.running.peers
	open := func() bool { _, open := ams.running.pager.openAlert("peer/fra"); return open }
	p.touch(t.Context(), p.all[0])
	if open() {
		t.Fatal("at once")
	}
	p.all[0].mu.Lock()
	p.all[0].heard = time.Now().Add(-peerSilent - time.Second)
	p.all[0].mu.Unlock()
	p.touch(t.Context(), p.all[0])
	if !open() {
		t.Fatal("nobody is told")
	}
	fra.begin(t)
	eventually(t, "the alert to end", func() bool { return !open() })
}

// What others saw a while ago does not hold an outage back.
func TestOldVotesDoNotCount(t *testing.T) {
	all := nodes(t, "ams", "fra")
	ams, fra := all[0], all[1]
	ams.begin(t)
	fra.begin(t)
	fra.eyes.set(target.Refused)
	done := make(chan struct{})
	close(done)
	served := func(ago time.Duration) *ballot {
		return &ballot{began: time.Now().Add(-ago), done: done, votes: []monitor.Vote{{Node: "fra", Sees: target.Serving}}}
	}
	confirmed := monitor.Event{Kind: monitor.Confirmed, State: monitor.Down, Outage: monitor.Outage{Target: "shop", Sees: target.Refused, Reason: "refuses connections", FirstBad: time.Now(), Confirmed: time.Now()}}
	b := &bench{r: ams.running, w: ams.running.targets[0], line: newLine(), votes: served(0)}
	if b.take(t.Context(), confirmed); b.told || b.held == nil {
		t.Error("a vote of now does not count")
	}
	b = &bench{r: ams.running, w: ams.running.targets[0], line: newLine(), votes: served(time.Minute)}
	if b.take(t.Context(), confirmed); !b.told || b.held != nil {
		t.Error("a vote of a minute ago holds an outage back")
	}
	b = &bench{r: ams.running, w: ams.running.targets[0], line: newLine(), votes: served(0)}
	b.take(t.Context(), monitor.Event{Kind: monitor.Cleared})
	if b.take(t.Context(), confirmed); !b.told || b.held != nil {
		t.Error("a vote on another suspicion holds an outage back")
	}
}
