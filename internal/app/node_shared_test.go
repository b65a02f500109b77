package app

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/store/pgstore"
	"github.com/refloat-db/refloat/internal/target"
	"github.com/refloat-db/refloat/internal/target/targettest"
)

// sharing makes two nodes, each the other's peer, whose store is one database,
// which each reaches through a network of its own.
func sharing(t *testing.T) (ams, fra *voter, network *targettest.Network) {
	t.Helper()
	c := targettest.Start(t, targettest.Options{})
	all := nodes(t, "ams", "fra")
	for i, n := range all {
		way := targettest.NewNetwork(t, c.Port)
		if i == 0 {
			network = way
		}
		n.o.Store = func(ctx context.Context, readOnly bool) (Store, error) {
			s, err := pgstore.Open(ctx, pgstore.Options{
				URL: fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable", way.Port), Node: n.name, Instance: newID(), ReadOnly: readOnly,
				Key: func() ([]byte, error) { return []byte("a key of the tests"), nil },
			})
			if err != nil {
				return nil, err
			}
			return s, nil
		}
		d, err := NewDaemon(n.o)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { stopped(t, d) })
		n.Daemon = d
		eventually(t, "ams to lead", func() bool { return all[0].work() != nil })
	}
	return all[0], all[1], network
}

func (n *voter) work() *running { return n.Daemon.node.leading() }

// A leader that alone cannot reach the database is replaced, hears of that from
// the other node, and stops; what it was told meanwhile holds there as well.
func TestALeaderThatIsCutOffIsReplaced(t *testing.T) {
	ams, fra, network := sharing(t)
	if fra.work() != nil {
		t.Fatal("both lead")
	}
	network.Swallow(true)
	began := time.Now()
	led := make(chan time.Duration, 1)
	go func() {
		for fra.work() == nil {
			time.Sleep(10 * time.Millisecond)
		}
		led <- time.Since(began)
	}()
	ams.eyes.set(target.Refused)
	fra.eyes.set(target.Refused)
	old := ams.work()
	eventually(t, "ams to know the outage", func() bool { _, open := old.pager.openAlert("outage/shop"); return open })
	a, _ := old.pager.openAlert("outage/shop")
	if _, err := old.pager.Acknowledge(t.Context(), a.ID, "ada", time.Now()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "fra to lead", func() bool { return fra.work() != nil })
	if took := <-led; took > 5*time.Second {
		t.Errorf("fra leads %s after ams was cut off", took)
	} else {
		t.Logf("fra leads %s after ams was cut off", took.Round(time.Millisecond))
	}
	eventually(t, "fra to know the outage", func() bool { _, open := fra.work().pager.openAlert("outage/shop"); return open })
	eventually(t, "ams to stop", func() bool { return ams.work() == nil })
	t.Logf("ams stops %s after it", time.Since(began).Round(time.Millisecond))
	sender := leadSender{to: ams.phone, term: context.Background(), may: func(ctx context.Context) error { return ams.Daemon.node.lead.may(ctx, 1) }}
	before := len(ams.phone.told())
	if _, err := sender.Send(t.Context(), alert.Message{}); err == nil || len(ams.phone.told()) != before {
		t.Errorf("it may still send: %v", err)
	}
	network.Swallow(false)
	eventually(t, "what ams was told to hold at fra", func() bool {
		x, open := fra.work().pager.openAlert("outage/shop")
		return open && strings.HasPrefix(x.AcknowledgedBy, "ada") // told by ams itself, or passed on through the store
	})
	eventually(t, "ams to stand by", func() bool {
		p := ams.Daemon.node.place()
		return p.Leader == "fra" && p.Trouble == "" && !p.Leads && ams.Daemon.node.ready() == nil
	})
	if r, err := ams.Daemon.node.state.Verify(t.Context()); err != nil || len(r.Findings) != 0 {
		t.Errorf("%+v %v", r, err)
	}
}
