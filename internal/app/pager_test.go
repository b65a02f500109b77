package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/status"
)

// box is a store in memory that can fail and hang.
type box struct {
	mu    sync.Mutex
	all   map[string]alert.Record
	fails error
	hang  chan struct{}
}

func newBox() *box { return &box{all: map[string]alert.Record{}} }

func (b *box) set(fails error, hang chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fails, b.hang = fails, hang
}

func (b *box) Save(_ context.Context, all ...alert.Record) error {
	b.mu.Lock()
	hang := b.hang
	b.mu.Unlock()
	if hang != nil {
		<-hang
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fails != nil {
		return b.fails
	}
	for _, r := range all {
		b.all[r.Kind+"/"+r.ID] = r
	}
	return nil
}

func (b *box) OpenRecords(_ context.Context, kind string) ([]alert.Record, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []alert.Record
	for _, r := range b.all {
		if r.Kind == kind && r.Open {
			out = append(out, r)
		}
	}
	return out, nil
}

func (b *box) OneRecord(_ context.Context, kind, id string) (alert.Record, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r, ok := b.all[kind+"/"+id]
	if !ok {
		return r, status.ErrNothing
	}
	return r, nil
}

// phones take messages over, or fail, by contact.
type phones struct {
	mu    sync.Mutex
	got   []alert.Message
	fails map[string]error
	slow  map[string]time.Duration
}

func (p *phones) Send(ctx context.Context, m alert.Message) (alert.Receipt, error) {
	p.mu.Lock()
	err, slow := p.fails[m.To.ID], p.slow[m.To.ID]
	p.mu.Unlock()
	if slow > 0 {
		select {
		case <-time.After(slow):
		case <-ctx.Done():
			return alert.Receipt{}, ctx.Err()
		}
	}
	if err != nil {
		return alert.Receipt{}, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.got = append(p.got, m)
	return alert.Receipt{Said: "ok"}, nil
}

// told lists what arrived, in order, as kind:contact.
func (p *phones) told() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []string
	for _, m := range p.got {
		out = append(out, string(m.Kind)+":"+m.To.ID)
	}
	return out
}

func roster() alert.Roster {
	person := func(name string) alert.Person {
		return alert.Person{Name: name, Zone: time.UTC, Contacts: []alert.Contact{{ID: name + ".pager", Via: alert.Webhook, Address: "pager"}}}
	}
	return alert.Roster{
		People: map[string]alert.Person{"ada": person("ada"), "ben": person("ben"), "cyd": person("cyd")},
		Policies: map[string]alert.Policy{"default": {Name: "default", Least: alert.High, Repeat: 1, Every: 10 * time.Minute, Slow: 30 * time.Minute, Steps: []alert.Step{
			{Page: []alert.Ref{"person:ada"}}, {After: 5 * time.Minute, Page: []alert.Ref{"person:ben"}}, {After: 5 * time.Minute, Page: []alert.Ref{"person:cyd"}},
		}}},
	}
}

// pagerDesk is a pager that can be restarted over the same store.
type pagerDesk struct {
	t     *testing.T
	box   *box
	phone *phones
	p     *pager
	end   func()
	set   func(*PagerOptions)
}

func newPagerDesk(t *testing.T, set ...func(*PagerOptions)) *pagerDesk {
	d := &pagerDesk{t: t, box: newBox(), phone: &phones{fails: map[string]error{}, slow: map[string]time.Duration{}}}
	for _, f := range set {
		d.set = f
	}
	d.start()
	return d
}

func (d *pagerDesk) start() {
	d.t.Helper()
	o := PagerOptions{Roster: roster(), Sender: d.phone, Charges: map[string]Charge{"shop": {Tier: alert.Critical}}, Logger: slog.New(slog.DiscardHandler)}
	if d.set != nil {
		d.set(&o)
	}
	d.p = newPager(o, d.box, func(context.Context, string, string, any) {})
	if err := d.p.load(d.t.Context()); err != nil {
		d.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(d.t.Context())
	done := make(chan struct{})
	go func() { defer close(done); d.p.run(ctx) }()
	d.end = func() { cancel(); <-done }
}

func (d *pagerDesk) restart() { d.end(); d.start() }

func down(at time.Time) alert.Signal {
	return alert.Signal{Key: "outage/shop", Code: "outage", Target: "shop", At: at, Firing: true, Severity: alert.Critical, Summary: "shop refuses connections"}
}

func (d *pagerDesk) want(told ...string) {
	d.t.Helper()
	synctest.Wait()
	if got := d.phone.told(); !slices.Equal(got, told) {
		d.t.Fatalf("told %v, want %v", got, told)
	}
}

func (d *pagerDesk) only() string {
	d.t.Helper()
	d.p.mu.Lock()
	defer d.p.mu.Unlock()
	for id, a := range d.p.alerts {
		if a.State == alert.Firing {
			return id
		}
	}
	d.t.Fatal("no alert is open")
	return ""
}

// The promised people in the promised order, through restarts at each moment,
// until somebody acknowledges; then everybody who was paged hears of it.
func TestTheChainRunsThroughRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newPagerDesk(t)
		d.p.Signal(t.Context(), down(time.Now()))
		d.want("page:ada.pager")
		d.restart()
		time.Sleep(4 * time.Minute)
		d.want("page:ada.pager")
		d.restart()
		time.Sleep(61 * time.Second)
		d.want("page:ada.pager", "page:ben.pager")
		d.restart()
		if _, err := d.p.Acknowledge(t.Context(), d.only(), "ben", time.Now()); err != nil {
			t.Fatal(err)
		}
		d.want("page:ada.pager", "page:ben.pager", "notice:ada.pager")
		d.restart()
		time.Sleep(3 * time.Hour)
		d.want("page:ada.pager", "page:ben.pager", "notice:ada.pager")
		over := down(time.Now())
		over.Firing = false
		d.p.Signal(t.Context(), over)
		synctest.Wait()
		if got := d.phone.told(); len(got) != 5 {
			t.Fatal(got)
		}
		d.restart()
		time.Sleep(time.Hour)
		d.p.Signal(t.Context(), down(time.Now())) // again: a new alert, a new page
		synctest.Wait()
		if got := d.phone.told(); len(got) != 6 || got[5] != "page:ada.pager" {
			t.Fatal(got)
		}
		d.end()
	})
}

func TestAFailingChannelMovesTheChainOnAndIsTriedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newPagerDesk(t)
		d.phone.fails["ada.pager"] = errors.New("no route")
		d.p.Signal(t.Context(), down(time.Now()))
		time.Sleep(3 * time.Second)
		d.want("page:ben.pager")
		d.phone.mu.Lock()
		delete(d.phone.fails, "ada.pager")
		d.phone.mu.Unlock()
		time.Sleep(time.Minute)
		d.want("page:ben.pager", "page:ada.pager")
		d.end()
	})
}

func TestOneSlowServiceHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newPagerDesk(t)
		d.phone.slow["ada.pager"] = time.Hour
		d.p.Signal(t.Context(), down(time.Now()))
		time.Sleep(2 * time.Minute)
		d.want("page:ben.pager")
		d.end()
	})
}

func TestPagingGoesOnWithoutItsStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newPagerDesk(t)
		d.box.set(errors.New("disk full"), nil)
		d.p.Signal(t.Context(), down(time.Now()))
		time.Sleep(6 * time.Minute)
		d.want("page:ada.pager", "page:ben.pager")
		d.box.set(nil, nil)
		time.Sleep(2 * time.Second) // and what was not stored is stored afterwards
		d.restart()
		time.Sleep(time.Minute)
		d.want("page:ada.pager", "page:ben.pager")
		hang := make(chan struct{})
		d.box.set(nil, hang)
		time.Sleep(5 * time.Minute)
		d.want("page:ada.pager", "page:ben.pager", "page:cyd.pager")
		close(hang)
		d.end()
	})
}

// Planned work keeps people from being paged, and what still holds at its end
// pages then.
func TestPlannedWorkHoldsAndEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := alert.Window{Target: "shop", Owner: "ada", Reason: "kernel", From: time.Now().Add(time.Minute), Until: time.Now().Add(time.Hour)}
		d := newPagerDesk(t, func(o *PagerOptions) { o.Charges["shop"] = alertCharge(w) })
		time.Sleep(2 * time.Minute)
		d.p.Signal(t.Context(), down(time.Now()))
		time.Sleep(30 * time.Minute)
		d.want()
		d.restart()
		time.Sleep(27 * time.Minute)
		d.want()
		time.Sleep(time.Minute + 2*time.Second)
		d.want("page:ada.pager")
		d.end()
	})
}

func alertCharge(w ...alert.Window) Charge { return Charge{Tier: alert.Critical, Planned: w} }

func TestASilenceHoldsAndEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newPagerDesk(t)
		now := time.Now()
		d.p.Silence(t.Context(), alert.Silence{ID: "s", Target: "shop", Owner: "ada", Reason: "moving", From: now, Until: now.Add(time.Hour)})
		d.p.Signal(t.Context(), down(now))
		time.Sleep(59 * time.Minute)
		d.want()
		d.restart()
		time.Sleep(2 * time.Minute)
		d.want("page:ada.pager")
		d.end()
	})
}

// Whatever happens in whatever order - signals, ends, acknowledgements,
// failures, restarts - no alert that is open and unacknowledged goes without a
// page, nobody is paged twice by one step, and nobody after an acknowledgement.
func TestNoPageIsLostDoubledOrLate(t *testing.T) {
	for seed := range uint64(40) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 7))
			d := newPagerDesk(t)
			acked := map[string]time.Time{}
			firing := false
			for range 120 {
				switch rng.IntN(8) {
				case 0, 1:
					if !firing {
						d.p.Signal(t.Context(), down(time.Now()))
						firing = true
						synctest.Wait()
					}
				case 2:
					if firing {
						over := down(time.Now())
						over.Firing = false
						d.p.Signal(t.Context(), over)
						firing = false
					}
				case 3:
					if firing {
						id := d.only()
						if _, err := d.p.Acknowledge(t.Context(), id, "cyd", time.Now()); err != nil {
							t.Fatal(err)
						}
						if _, was := acked[id]; !was {
							acked[id] = time.Now()
						}
					}
				case 4:
					d.restart()
				case 5:
					d.phone.mu.Lock()
					for _, who := range []string{"ada", "ben"} {
						delete(d.phone.fails, who+".pager")
						if rng.IntN(3) == 0 {
							d.phone.fails[who+".pager"] = errors.New("down")
						}
					}
					d.phone.mu.Unlock()
				default:
					time.Sleep(time.Duration(rng.IntN(400)) * time.Second)
				}
			}
			time.Sleep(time.Hour)
			synctest.Wait()
			d.check(seed, acked)
			d.end()
		})
	}
}

func (d *pagerDesk) check(seed uint64, acked map[string]time.Time) {
	d.t.Helper()
	pages, doubled := map[string]int{}, map[string]bool{}
	for _, m := range d.phone.got {
		if m.Kind != alert.Page {
			continue
		}
		pages[m.Alert.ID]++
		if doubled[m.ID] {
			d.t.Errorf("seed %d: %s was sent twice", seed, m.ID)
		}
		doubled[m.ID] = true
		if at, was := acked[m.Alert.ID]; was && m.At.After(at) {
			d.t.Errorf("seed %d: %s was sent at %s, after the acknowledgement at %s", seed, m.ID, m.At, at)
		}
	}
	for _, r := range d.box.all {
		var a alert.Alert
		if r.Kind != alert.KindAlert || r.Read(&a) != nil {
			continue
		}
		settled := a.AcknowledgedAt
		if settled.IsZero() {
			settled = a.ResolvedAt
		}
		if (settled.IsZero() || settled.Sub(a.StartedAt) > 30*time.Second) && pages[a.ID] == 0 {
			d.t.Errorf("seed %d: nobody was paged for %s", seed, fmt.Sprintf("%+v", a))
		}
	}
}
