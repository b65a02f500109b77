package app

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/backup"
	"github.com/refloat-db/refloat/internal/monitor"
	"github.com/refloat-db/refloat/internal/status"
	"github.com/refloat-db/refloat/internal/store/sqlite"
	"github.com/refloat-db/refloat/internal/target"
)

// staged are eyes that see what a test says.
type staged struct {
	mu   sync.Mutex
	look target.Look
}

func (s *staged) set(sees target.Sees) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.look.Sees = sees
}

func (s *staged) Look(context.Context, time.Duration) target.Look {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.look
	l.At, l.Fresh = time.Now(), true
	return l
}

func (s *staged) Hold(ctx context.Context, every time.Duration, _ func() time.Duration, tell func(target.Look)) {
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			l := s.Look(ctx, 0)
			l.Fresh = false
			tell(l)
		}
	}
}

// watchedDaemon watches targets with staged eyes and pages ada.
func watchedDaemon(t *testing.T, dir string, phone *phones, all map[target.ID]*staged) *Daemon {
	t.Helper()
	o := DaemonOptions{StateDir: dir, Listen: "off", Version: "test", StopTimeout: 20 * time.Second, Paging: PagerOptions{Roster: roster(), Sender: phone, Charges: map[string]Charge{}}}
	for id, eyes := range all {
		f := &fakeTarget{slot: target.Slot{Name: "refloat_" + string(id), Exists: true, Active: true}, gap: make(chan backup.Gap)}
		c := f.care()
		c.Target, c.Eyes, c.WatchEvery, c.WatchRules = id, eyes, 50*time.Millisecond, monitor.DefaultRules()
		o.Paging.Charges[string(id)] = Charge{Tier: alert.Critical}
		o.Targets = append(o.Targets, c)
	}
	d, err := NewDaemon(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stopped(t, d) })
	return d
}

// A store that hangs holds up neither a page nor the next outage, and what
// happened meanwhile is written down when it answers again.
func TestOutagesPageWhileTheStoreHangs(t *testing.T) {
	dir, phone := t.TempDir(), &phones{}
	eyes := map[target.ID]*staged{"one": {}, "two": {}}
	for _, e := range eyes {
		e.set(target.Serving)
	}
	d := watchedDaemon(t, dir, phone, eyes)
	for _, w := range d.running.targets {
		eventually(t, string(w.Target)+" to be up", func() bool { return w.seen.Standing(time.Now()).State == monitor.Up })
	}
	unlock := lockStore(t, dir)
	for _, id := range []target.ID{"one", "two"} {
		eyes[id].set(target.Refused)
		eventually(t, "a page about "+string(id), func() bool { _, ok := phone.first("outage/" + string(id)); return ok })
	}
	unlock()
	eventually(t, "both outages to be on record", func() bool {
		all, err := d.running.state.OpenRecords(t.Context(), alert.KindOutage)
		return err == nil && len(all) == 2
	})
	eventually(t, "how long they took to be measured", func() bool {
		all, err := d.running.status(t.Context())
		return err == nil && len(all) == 2 && all[0].Detection != nil && all[1].Detection != nil && len(all[0].Detection.Outages) == 1 && all[0].Detection.Outages[0].Took > 0
	})
	eventually(t, "the journal to tell of them", func() bool {
		all, err := d.running.state.Read(t.Context(), 0, 1000)
		n := 0
		for _, e := range all {
			if e.Kind == "outage.confirmed" {
				n++
			}
		}
		return err == nil && n == 2
	})
}

// A server that was killed after it had paged, and before it had written the
// outage down, ends the alert when the target serves.
func TestAnAlertWithoutItsOutageEnds(t *testing.T) {
	dir, phone := t.TempDir(), &phones{}
	s, err := sqlite.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	a := alert.Alert{ID: "a7", State: alert.Firing, Count: 1, StartedAt: time.Now().Add(-time.Minute), Signal: alert.Signal{Key: "outage/one", Code: status.AlarmOutage, Target: "one", Firing: true, Severity: alert.Critical, Summary: "one refuses connections"}}
	r, err := alert.NewRecord(alert.KindAlert, a.ID, "one", true, a.StartedAt, a)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Save(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	e := &staged{}
	e.set(target.Serving)
	d := watchedDaemon(t, dir, phone, map[target.ID]*staged{"one": e})
	eventually(t, "the alert to end", func() bool { x, err := d.running.pager.find("a7"); return err == nil && x.State == alert.Resolved })
}

// A record that cannot be read keeps the server neither from starting nor from
// paging.
func TestARecordThatCannotBeReadStopsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newPagerDesk(t)
		d.p.Signal(t.Context(), down(time.Now()))
		d.want("page:ada.pager")
		d.end()
		d.box.all["alert/x"] = alert.Record{Kind: alert.KindAlert, ID: "x", Open: true, Body: []byte("{")}
		d.box.all["delivery/y"] = alert.Record{Kind: alert.KindDelivery, ID: "y", Open: true, Body: []byte(`{"id":"y","alert_id":"gone","state":"waiting"}`)}
		d.start()
		time.Sleep(6 * time.Minute)
		d.want("page:ada.pager", "page:ben.pager")
		d.end()
	})
}

// Targets at which nobody can look are told of.
func TestATargetThatNobodySeesIsTold(t *testing.T) {
	e := &staged{}
	look := func(w *watch) {
		e.set(target.Blind)
		w.seen = monitor.NewWatcher(monitor.Options{Target: w.Target, Eyes: e, Rules: monitor.DefaultRules()})
	}
	inBubbleWith(t, &fakeTarget{}, nil, look, func(w *watch, n *notes) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		done := make(chan struct{})
		go func() { defer close(done); w.seen.Run(ctx) }()
		r := &running{targets: []*watch{w}}
		r.watchBlind(ctx)
		if n.up(status.AlarmBlind) {
			t.Error("too early")
		}
		time.Sleep(time.Minute)
		r.watchBlind(ctx)
		if !n.up(status.AlarmBlind) {
			t.Error("nobody is told")
		}
		e.set(target.Serving)
		time.Sleep(time.Minute)
		r.watchBlind(ctx)
		if n.up(status.AlarmBlind) {
			t.Error("it is told for ever")
		}
		cancel()
		<-done
	})
}
