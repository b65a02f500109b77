package detect

import (
	"strings"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/monitor"
	"github.com/refloat-db/refloat/internal/target"
	"github.com/refloat-db/refloat/internal/target/targettest"
)

// fault is something that happens to a server, and how it is undone.
type fault struct {
	name string
	sees []target.Sees // what may be confirmed
	do   func(t testing.TB, s *site)
	undo func(t testing.TB, s *site)
}

// site is a server with all that can be done to it.
type site struct {
	c    *targettest.Cluster
	net  *targettest.Network
	undo func()
}

func faults() []fault {
	return []fault{
		{
			name: "crash", sees: []target.Sees{target.Refused, target.Broken},
			do: func(t testing.TB, s *site) { s.c.KillPostmaster(t) },
			undo: func(t testing.TB, s *site) {
				s.c.Kill(t)
				s.c.Start(t)
			},
		},
		{
			name: "hang", sees: []target.Sees{target.Silent},
			do:   func(t testing.TB, s *site) { s.c.Freeze(t) },
			undo: func(t testing.TB, s *site) { s.c.Thaw(t) },
		},
		{
			name: "network", sees: []target.Sees{target.Silent, target.Unreachable},
			do:   func(_ testing.TB, s *site) { s.net.Swallow(true) },
			undo: func(_ testing.TB, s *site) { s.net.Swallow(false) },
		},
		{
			name: "read-only", sees: []target.Sees{target.ReadOnly},
			do: func(t testing.TB, s *site) {
				s.c.Exec(t, "ALTER SYSTEM SET default_transaction_read_only = on")
				s.c.Exec(t, "SELECT pg_reload_conf()")
			},
			undo: func(t testing.TB, s *site) {
				s.c.Exec(t, "ALTER SYSTEM RESET default_transaction_read_only")
				s.c.Exec(t, "SELECT pg_reload_conf()")
			},
		},
		{
			name: "connections", sees: []target.Sees{target.Full},
			do: func(t testing.TB, s *site) { s.undo = s.c.Exhaust(t, "app") },
			undo: func(_ testing.TB, s *site) {
				s.undo()
			},
		},
	}
}

func newSite(t testing.TB) *site {
	c := targettest.Start(t, targettest.Options{Settings: map[string]string{"max_connections": "20", "autovacuum": "off"}})
	c.Exec(t, "CREATE ROLE watcher LOGIN")
	c.Exec(t, "CREATE ROLE app LOGIN")
	return &site{c: c, net: targettest.NewNetwork(t, c.Port)}
}

// Each fault is noticed for what it is, ends when it ends, and a second one is
// an outage of its own. An ordinary role, which was granted nothing, is enough.
func TestEachFaultIsNoticed(t *testing.T) {
	s := newSite(t)
	b := watch(t, s.net.Port, "watcher", quickly())
	for _, f := range faults() {
		t.Run(f.name, func(t *testing.T) { round(t, b, s, f) })
	}
}

// A role that may use reserved places gets in when clients do not; it is noticed
// all the same.
func TestAFullServerIsNoticedBySuperusers(t *testing.T) {
	s := newSite(t)
	b := watch(t, s.c.Port, "postgres", quickly())
	all := faults()
	round(t, b, s, all[len(all)-1])
}

// round plays one fault and returns how long its noticing took.
func round(t testing.TB, b *bed, s *site, f fault) time.Duration {
	t.Helper()
	n := b.count()
	began := time.Now()
	f.do(t, s)
	did := time.Now()
	e, heard := b.wait(n, monitor.Confirmed, 20*time.Second)
	ok := false
	for _, sees := range f.sees {
		ok = ok || e.Outage.Sees == sees
	}
	if !ok {
		t.Errorf("%s was taken for %s: %s", f.name, e.Outage.Sees, e.Outage.Reason)
	}
	if e.Outage.FirstBad.Before(began.Add(-time.Second)) || e.Outage.Confirmed.Before(e.Outage.FirstBad) {
		t.Errorf("%s: the outage's times are %+v, the fault began at %s", f.name, e.Outage, began)
	}
	f.undo(t, s)
	e, _ = b.wait(n, monitor.Recovered, 20*time.Second)
	if e.Outage.Recovered.Before(e.Outage.Confirmed) {
		t.Errorf("%s: recovered at %s, confirmed at %s", f.name, e.Outage.Recovered, e.Outage.Confirmed)
	}
	b.settle()
	t.Logf("%s: noticed after %s (%s to make it): %s", f.name, heard.Sub(did).Round(time.Millisecond), did.Sub(began).Round(time.Millisecond), e.Outage.Reason)
	return heard.Sub(did)
}

// A disk that is full is seen although nothing was granted and no table grows.
func TestAFullDiskIsNoticed(t *testing.T) {
	s := smallSite(t)
	b := watch(t, s.c.Port, "watcher", quickly())
	round(t, b, s, diskFull())
}

func smallSite(t testing.TB) *site {
	dir := targettest.SmallDisk(t, 200)
	c := targettest.Start(t, targettest.Options{Base: dir, Settings: map[string]string{"max_connections": "20", "autovacuum": "off"}})
	c.Exec(t, "CREATE ROLE watcher LOGIN")
	return &site{c: c}
}

func diskFull() fault {
	return fault{
		name: "disk full", sees: []target.Sees{target.DiskFull},
		do:   func(t testing.TB, s *site) { s.undo = targettest.FillDisk(t, s.c.Dir+"/..") },
		undo: func(_ testing.TB, s *site) { s.undo() },
	}
}

// A standby that is meant to be one serves; one that is meant to be a primary
// takes no writes, and that is an outage.
func TestAStandbyIsToldFromAPrimary(t *testing.T) {
	primary := targettest.Start(t, targettest.Options{})
	standby := targettest.StartStandby(t, primary, nil)
	rules := quickly()
	rules.Standby = true
	watch(t, standby.Port, "postgres", rules)
	b := start(t, standby.Port, "postgres", quickly())
	e, _ := b.wait(0, monitor.Confirmed, 10*time.Second)
	if e.Outage.Sees != target.ReadOnly || !strings.Contains(e.Outage.Reason, "standby") {
		t.Errorf("%+v", e.Outage)
	}
}
