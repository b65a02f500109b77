package app

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/secret"
)

func (d *pagerDesk) firing() []string {
	d.p.mu.Lock()
	defer d.p.mu.Unlock()
	var out []string
	for _, a := range d.p.alerts {
		if a.State == alert.Firing {
			out = append(out, a.Signal.Key)
		}
	}
	slices.Sort(out)
	return out
}

func (d *pagerDesk) isFiring(keys ...string) {
	d.t.Helper()
	if got := d.firing(); !slices.Equal(got, keys) {
		d.t.Fatalf("firing %v, want %v", got, keys)
	}
}

func TestTheWayToPeopleIsTested(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newPagerDesk(t, func(o *PagerOptions) {
			o.Tests = alert.TestRules{Every: 7 * 24 * time.Hour, Answer: 24 * time.Hour}
			o.Roster.Teams = map[string]alert.Team{"db": {Name: "db", Members: []string{"ada"}}}
		}) // a Saturday at midnight
		look := func(after time.Duration) {
			time.Sleep(after)
			d.p.testChannels(t.Context(), time.Now())
			synctest.Wait()
		}
		look(0)
		d.want()
		look(58 * time.Hour) // Monday, 10:00
		d.want("test:ada.pager")
		look(time.Hour)
		d.want("test:ada.pager")
		id := d.only()
		d.restart()
		look(24 * time.Hour)
		d.isFiring("channel-silent/ada.pager", "page-test/ada.pager")
		if _, err := d.p.Acknowledge(t.Context(), id, "ada", time.Now()); err != nil {
			t.Fatal(err)
		}
		look(time.Minute)
		d.isFiring()
		d.want("test:ada.pager")
		look(7 * 24 * time.Hour)
		d.want("test:ada.pager", "test:ada.pager")
		d.end()
	})
}

func TestAChannelThatFailsIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newPagerDesk(t)
		d.phone.fails["ada.pager"] = errors.New("no such topic")
		d.p.Signal(t.Context(), down(time.Now()))
		time.Sleep(time.Minute)
		d.p.testChannels(t.Context(), time.Now())
		d.isFiring("channel-failing/ada.pager", "outage/shop")
		d.phone.mu.Lock()
		delete(d.phone.fails, "ada.pager")
		d.phone.mu.Unlock()
		time.Sleep(5 * time.Minute)
		d.p.testChannels(t.Context(), time.Now())
		d.isFiring("outage/shop")
		d.end()
	})
}

// The watchdog hears of us while the pager works, and no longer when it stands
// still: then somebody else pages.
func TestTheWatchdogBarksWhenThePagerStands(t *testing.T) {
	var heard atomic.Int64
	var token atomic.Value
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		heard.Add(1)
		token.Store(r.Header.Get("Authorization"))
	}))
	defer srv.Close()
	d := newPagerDesk(t)
	defer d.end()
	r := &running{o: DaemonOptions{}, log: slog.New(slog.DiscardHandler), pager: d.p}
	w := Watchdog{Name: "other", URL: secret.New(srv.URL), Token: secret.New("sesame"), Every: 10 * time.Millisecond}
	ctx := t.Context()
	eventually(t, "the pager to look", func() bool { return d.p.looked(time.Now()) < pagerStale })
	go r.tellWatchdog(ctx, w)
	eventually(t, "the watchdog to hear", func() bool { return heard.Load() > 2 })
	if token.Load() != "Bearer sesame" {
		t.Errorf("token %v", token.Load())
	}
	d.p.mu.Lock()
	d.p.lookedAt = time.Now().Add(-time.Hour)
	eventually(t, "the watchdog to hear no more", func() bool {
		n := heard.Load()
		time.Sleep(50 * time.Millisecond)
		return heard.Load() == n
	})
	d.p.mu.Unlock()
}

func TestAWatchdogsErrorsShowNoURL(t *testing.T) {
	for _, u := range []string{"http://127.0.0.1:1/sesame", "http://\x7f/sesame"} {
		err := Watchdog{URL: secret.New(u)}.tell(t.Context())
		if err == nil || strings.Contains(err.Error(), "sesame") {
			t.Errorf("%q: %v", u, err)
		}
	}
}
