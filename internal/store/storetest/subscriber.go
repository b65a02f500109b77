package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/statuspage"
)

// Subscribers is what a store that keeps subscribers of the status page must do.
type Subscribers interface {
	AskSubscriber(ctx context.Context, x statuspage.Subscriber, now time.Time) error
	ConfirmSubscriber(ctx context.Context, id string, now time.Time) (bool, error)
	RemoveSubscriber(ctx context.Context, id string) (bool, error)
	Subscribers(ctx context.Context) ([]statuspage.Subscriber, error)
	FanOut(ctx context.Context, n statuspage.Notice, now time.Time) (int, error)
	DueDeliveries(ctx context.Context, now time.Time, limit int) ([]statuspage.Delivery, error)
	SaveDelivery(ctx context.Context, d statuspage.Delivery) error
	Backlog(ctx context.Context, via string, before time.Time) (int, error)
	TidySubscribers(ctx context.Context, now, before time.Time) error
	Close() error
}

// RunSubscribers runs the suite; open makes an empty store, and reopen is called
// after it was closed.
func RunSubscribers(t *testing.T, open func(t *testing.T) (first Subscribers, reopen func() Subscribers)) {
	for name, f := range map[string]func(*testing.T, Subscribers, func() Subscribers){
		"asking": testAsking, "nobody can fill it": testFilling, "handing out": testFanOut, "handing out at once": testFanOutAtOnce,
	} {
		t.Run(name, func(t *testing.T) {
			s, reopen := open(t)
			f(t, s, func() Subscribers {
				must(t, s.Close())
				return reopen()
			})
		})
	}
}

func mailbox(n int) statuspage.Subscriber {
	return statuspage.Subscriber{ID: fmt.Sprintf("s%d", n), Via: statuspage.ByEmail, Address: fmt.Sprintf("p%d@example.org", n)}
}

func due(t *testing.T, s Subscribers, now time.Time) (keys []string, all []statuspage.Delivery) {
	t.Helper()
	all, err := s.DueDeliveries(context.Background(), now, 10000)
	must(t, err)
	for _, d := range all {
		keys = append(keys, d.Subscriber.ID+" "+d.Key)
	}
	return keys, all
}

func testAsking(t *testing.T, s Subscribers, reopen func() Subscribers) {
	ctx := context.Background()
	ann := statuspage.Subscriber{ID: "s1", Via: statuspage.ByEmail, Address: "ann@example.org"}
	must(t, s.AskSubscriber(ctx, ann, noon))
	s = reopen()
	keys, all := due(t, s, noon)
	if fmt.Sprint(keys) != "[s1 confirm]" || all[0].Subscriber.Address != ann.Address || !all[0].Subscriber.Confirmed.IsZero() || !all[0].At.Equal(noon) {
		t.Fatalf("%+v", all)
	}
	d := all[0]
	d.State = statuspage.Sent
	must(t, s.SaveDelivery(ctx, d))
	again := ann
	again.ID = "s2"
	for i, want := range []int{0, 0, 1, 0, 1, 0, 0} { // within the hour; an hour later; the third time; no more
		now := noon.Add(time.Duration(i) * 31 * time.Minute)
		must(t, s.AskSubscriber(ctx, again, now))
		keys, all := due(t, s, now)
		if len(keys) != want || want > 0 && keys[0] != "s1 confirm" {
			t.Errorf("step %d: %v due, want %d", i, keys, want)
		}
		for _, d := range all {
			d.State = statuspage.Sent
			must(t, s.SaveDelivery(ctx, d))
		}
	}
	if ok, err := s.ConfirmSubscriber(ctx, "s1", noon.Add(time.Minute)); err != nil || !ok {
		t.Error(ok, err)
	}
	if ok, err := s.ConfirmSubscriber(ctx, "s1", noon.Add(time.Hour)); err != nil || !ok {
		t.Error(ok, err)
	}
	if ok, err := s.ConfirmSubscriber(ctx, "s2", noon); err != nil || ok {
		t.Error("one who is not there was confirmed", err)
	}
	got, err := s.Subscribers(ctx)
	if err != nil || len(got) != 1 || !got[0].Confirmed.Equal(noon.Add(time.Minute)) || got[0].Asks != statuspage.AskMost || !got[0].Asked.Equal(noon) {
		t.Errorf("%+v %v", got, err)
	}
	must(t, s.AskSubscriber(ctx, again, noon.Add(30*time.Hour))) // is told to be subscribed, no oftener than daily
	if keys, _ := due(t, s, noon.Add(30*time.Hour)); len(keys) != 1 {
		t.Errorf("due %v", keys)
	}
	if ok, err := s.RemoveSubscriber(ctx, "s1"); err != nil || !ok {
		t.Error(ok, err)
	}
	if ok, err := s.RemoveSubscriber(ctx, "s1"); err != nil || ok {
		t.Error(ok, err)
	}
	if keys, _ := due(t, s, noon.Add(1000*time.Hour)); len(keys) != 0 {
		t.Errorf("due to nobody: %v", keys)
	}
	must(t, s.SaveDelivery(ctx, d)) // came to an end after they left
}

func testFilling(t *testing.T, s Subscribers, _ func() Subscribers) {
	ctx := context.Background()
	for i := range statuspage.MostPendingWebhook + 1 {
		err := s.AskSubscriber(ctx, statuspage.Subscriber{ID: fmt.Sprint("w", i), Via: statuspage.ByWebhook, Address: "https://example.org/hook", Secret: "whsec_x"}, noon)
		if want := i >= statuspage.MostPendingWebhook; errors.Is(err, statuspage.ErrBusy) != want || !want && err != nil {
			t.Errorf("webhook %d: %v", i, err)
		}
	}
	_, all := due(t, s, noon)
	if len(all) != statuspage.MostPendingWebhook || all[0].Subscriber.Secret != "whsec_x" {
		t.Errorf("%+v", all)
	}
	for i := range statuspage.MostPending {
		err := s.AskSubscriber(ctx, mailbox(i), noon)
		if want := i >= statuspage.MostPending-statuspage.MostPendingWebhook; errors.Is(err, statuspage.ErrBusy) != want || !want && err != nil {
			t.Fatalf("mailbox %d: %v", i, err)
		}
	}
	late := noon.Add(statuspage.ConfirmWithin + time.Minute)
	if keys, _ := due(t, s, late); len(keys) != 0 {
		t.Errorf("asked after the time: %d", len(keys))
	}
	must(t, s.AskSubscriber(ctx, mailbox(5000), late)) // the others are forgotten
	if got, err := s.Subscribers(ctx); err != nil || len(got) != 1 {
		t.Errorf("%d subscribers, %v", len(got), err)
	}
}

func testFanOut(t *testing.T, s Subscribers, reopen func() Subscribers) {
	ctx := context.Background()
	for i := range 3 {
		must(t, s.AskSubscriber(ctx, mailbox(i), noon))
	}
	for _, id := range []string{"s0", "s1"} {
		if ok, err := s.ConfirmSubscriber(ctx, id, noon); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	_, all := due(t, s, noon)
	for _, d := range all {
		d.State = statuspage.Sent
		must(t, s.SaveDelivery(ctx, d))
	}
	n := statuspage.Notice{Key: "20261123-120000-u1", Incident: "20261123-120000", Title: "Disruption: A", Services: []string{"A"}, Update: statuspage.Update{ID: "20261123-120000-u1", Status: "identified", Text: "ü <&>", At: noon, Next: noon.Add(time.Hour)}}
	if made, err := s.FanOut(ctx, n, noon.Add(time.Second)); err != nil || made != 2 {
		t.Fatal(made, err)
	}
	s = reopen()
	if ok, err := s.ConfirmSubscriber(ctx, "s2", noon.Add(2*time.Second)); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if made, err := s.FanOut(ctx, n, noon.Add(3*time.Second)); err != nil || made != 0 {
		t.Errorf("handed out again: %d %v", made, err)
	}
	if keys, _ := due(t, s, noon); len(keys) != 0 {
		t.Errorf("due before it was made: %v", keys)
	}
	keys, all := due(t, s, noon.Add(time.Minute))
	if fmt.Sprint(keys) != "[s0 20261123-120000-u1 s1 20261123-120000-u1]" || fmt.Sprintf("%+v", all[0].Notice) != fmt.Sprintf("%+v", n) {
		t.Fatalf("%v %+v", keys, all)
	}
	all[0].NotBefore, all[0].Attempts = noon.Add(time.Hour), []statuspage.Attempt{{At: noon, Error: "é"}}
	must(t, s.SaveDelivery(ctx, all[0]))
	all[1].State = statuspage.Failed
	must(t, s.SaveDelivery(ctx, all[1]))
	if keys, _ := due(t, s, noon.Add(time.Minute)); len(keys) != 0 {
		t.Errorf("due %v", keys)
	}
	if n, err := s.Backlog(ctx, statuspage.ByEmail, noon.Add(time.Minute)); err != nil || n != 1 {
		t.Errorf("backlog %d %v", n, err)
	}
	if n, err := s.Backlog(ctx, statuspage.ByWebhook, noon.Add(time.Minute)); err != nil || n != 0 {
		t.Errorf("backlog %d %v", n, err)
	}
	must(t, s.TidySubscribers(ctx, noon.Add(time.Hour), noon.Add(time.Hour)))
	keys, all = due(t, s, noon.Add(2*time.Hour))
	if len(keys) != 1 || fmt.Sprint(all[0].Attempts) != fmt.Sprint([]statuspage.Attempt{{At: noon, Error: "é"}}) || all[0].Notice.Key != n.Key {
		t.Errorf("what waits was tidied away: %v", keys)
	}
}

// testFanOutAtOnce lets many hand out the same: each subscriber gets it once.
func testFanOutAtOnce(t *testing.T, s Subscribers, _ func() Subscribers) {
	ctx := context.Background()
	for i := range 20 {
		must(t, s.AskSubscriber(ctx, mailbox(i), noon))
		if ok, err := s.ConfirmSubscriber(ctx, fmt.Sprintf("s%d", i), noon); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	var wg sync.WaitGroup
	made := make([]int, 8)
	for i := range made {
		wg.Go(func() {
			n, err := s.FanOut(ctx, statuspage.Notice{Key: "k"}, noon)
			if err != nil {
				t.Error(err)
			}
			made[i] = n
		})
	}
	wg.Wait()
	sum := 0
	for _, n := range made {
		sum += n
	}
	if sum != 20 {
		t.Errorf("made %v", made)
	}
}
