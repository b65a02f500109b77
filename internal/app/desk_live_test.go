package app

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/access"
	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/journal"
	"github.com/refloat-db/refloat/internal/server"
	"github.com/refloat-db/refloat/internal/server/web"
)

// console serves the console's pages over a desk, to who is given.
func console(t testing.TB, d *desk, who func(*http.Request) (access.Principal, func(context.Context) bool)) string {
	t.Helper()
	mux := http.NewServeMux()
	for _, r := range web.New(d, web.Options{}).Routes() {
		mux.Handle(r.Pattern, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			p, still := who(q)
			r.Handler.ServeHTTP(w, q.WithContext(server.WithStill(server.WithWho(q.Context(), p), still)))
		}))
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: mux, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second} // as the listener has them
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
	return "http://" + l.Addr().String()
}

func always(context.Context) bool { return true }

// heardEvent is one event of a stream.
type heardEvent struct {
	kind string
	id   int64
	data string
	at   time.Time
}

// hear reads a stream until ctx ends, the stream does, or take says false.
func hear(ctx context.Context, url string, last int64, take func(heardEvent) bool) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	if last >= 0 {
		req.Header.Set("Last-Event-ID", strconv.FormatInt(last, 10))
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("answered %s", res.Status)
	}
	var e heardEvent
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch name {
		case "event":
			e.kind = value
		case "id":
			e.id, _ = strconv.ParseInt(value, 10, 64)
		case "data":
			e.data, e.at = value, time.Now()
		case "":
			if e.data != "" && !take(e) {
				return nil
			}
			e = heardEvent{}
		}
	}
	return lines.Err()
}

// A page that comes back is told all that it missed, in order and once, and only
// what who asks may see.
func TestLiveMissesNothing(t *testing.T) {
	d, ctx := twoTeams(t), context.Background()
	root := all(access.Admin)
	v, err := d.OpenIncident(ctx, root, server.NewIncident{Title: "slow", Target: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	url := console(t, d, func(r *http.Request) (access.Principal, func(context.Context) bool) {
		if r.URL.Query().Get("team") != "" {
			return in(r.URL.Query().Get("team"), access.Viewer), always
		}
		return root, always
	}) + "/live"
	const notes = 60
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	go func() {
		for i := range notes {
			if _, err := d.Act(ctx, root, v.ID, incident.AddNote{Text: fmt.Sprint(i)}); err != nil {
				t.Error(err)
			}
		}
	}()
	last, got, cuts := int64(0), []int64{}, 0
	for n := 0; n < notes; cuts++ {
		few := 0
		if err := hear(ctx, url, last, func(e heardEvent) bool {
			last, few = e.id, few+1
			got = append(got, e.id)
			if strings.Contains(e.data, incident.KindNote) {
				n++
			}
			return few < 7 && n < notes // then the connection breaks
		}); err != nil {
			t.Fatal(err)
		}
	}
	for i, id := range got {
		if id != int64(i+1) {
			t.Fatalf("event %d has the number %d: %v", i, id, got)
		}
	}
	if cuts < 5 {
		t.Errorf("only %d connections", cuts)
	}
	// Blue sees nothing of red's: the first that it hears is what belongs to all.
	d.lead().record(ctx, "server", "test.mark", nil)
	if err := hear(ctx, url+"?team=blue", 0, func(e heardEvent) bool {
		var x struct{ Subject, Kind string }
		if err := json.Unmarshal([]byte(e.data), &x); err != nil || strings.HasPrefix(x.Subject, "incident/") || strings.HasPrefix(x.Subject, "target/shop") {
			t.Errorf("blue hears %s", e.data)
		}
		return x.Kind != "test.mark"
	}); err != nil {
		t.Error(err)
	}
	// One that is far ahead, as of another journal, begins anew.
	if err := hear(ctx, url, 1_000_000, func(e heardEvent) bool {
		if e.kind != "refresh" || e.id > 1000 {
			t.Errorf("%+v", e)
		}
		return false
	}); err != nil {
		t.Error(err)
	}
}

func TestLiveEndsWithTheSession(t *testing.T) {
	d, ctx := twoTeams(t), context.Background()
	var revoked atomic.Bool
	url := console(t, d, func(*http.Request) (access.Principal, func(context.Context) bool) {
		return all(access.Viewer), func(context.Context) bool { return !revoked.Load() }
	})
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	began := time.Now()
	gone := false
	err := hear(ctx, url+"/live", 0, func(e heardEvent) bool {
		if e.kind == "" && !revoked.Load() {
			revoked.Store(true)
			began = time.Now()
		}
		gone = gone || e.kind == "gone"
		return true
	})
	if took := time.Since(began); err != nil || !gone || took > 5*time.Second {
		t.Errorf("%v after %s, told %v", err, took, gone)
	}
}

// TestLiveReachesAllInTime puts many connections on one desk. REFLOAT_LIVE=1, as
// make bench-live sets it, makes it as large as what is promised: 200 people, 50
// events a second, for half a minute.
func TestLiveReachesAllInTime(t *testing.T) {
	people, rate, lasts := 50, 50, 3*time.Second
	if os.Getenv("REFLOAT_LIVE") != "" {
		people, lasts = 200, 30*time.Second
	} else if testing.Short() {
		people, lasts = 20, time.Second
	}
	d := twoTeams(t)
	url := console(t, d, func(*http.Request) (access.Principal, func(context.Context) bool) { return all(access.Viewer), always })
	ctx, cancel := context.WithTimeout(context.Background(), lasts+30*time.Second)
	defer cancel()
	total := int(lasts/time.Second) * rate
	var work, ready sync.WaitGroup
	late := make([][]time.Duration, people)
	ready.Add(people)
	from, err := d.Last(ctx)
	if err != nil {
		t.Fatal(err)
	}
	// The first does not read: it must hold up nobody.
	stuck, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer stuck.Close()
	if _, err := fmt.Fprintf(stuck, "GET /live?after=0 HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	for i := range people {
		work.Go(func() {
			n, once := 0, sync.OnceFunc(ready.Done)
			err := hear(ctx, url+"/live", from-1, func(e heardEvent) bool {
				once()
				var x struct {
					At   time.Time
					Kind string
				}
				if json.Unmarshal([]byte(e.data), &x) != nil || x.Kind != "test.load" {
					return true
				}
				late[i] = append(late[i], e.at.Sub(x.At))
				n++
				return n < total
			})
			if err != nil || n != total {
				t.Errorf("connection %d heard %d of %d: %v", i, n, total, err)
			}
		})
	}
	ready.Wait()
	const batch = 5
	tick := time.NewTicker(time.Second * batch / time.Duration(rate))
	defer tick.Stop()
	for range total / batch {
		var events []journal.Event
		for range batch {
			events = append(events, journal.Event{Time: time.Now(), Actor: "server", Subject: "target/shop", Kind: "test.load", Body: map[string]int{"n": 1}})
		}
		if _, err := d.state.AppendAfter(ctx, "load", 0, events...); err != nil {
			t.Fatal(err)
		}
		<-tick.C
	}
	work.Wait()
	var all []time.Duration
	for _, l := range late {
		all = append(all, l...)
	}
	if len(all) == 0 {
		t.Fatal("nothing was heard")
	}
	slices.Sort(all)
	p := func(q float64) time.Duration { return all[min(len(all)-1, int(q*float64(len(all))))] }
	mib := residentMiB(t)
	t.Logf("%d connections, %d events a second for %s: %d arrivals; p50 %s, p99 %s, last %s; %d MiB resident, clients included",
		people, rate, lasts, len(all), p(.5).Round(time.Millisecond), p(.99).Round(time.Millisecond), all[len(all)-1].Round(time.Millisecond), mib)
	if p(.99) > time.Second || mib > 300 && !raced {
		t.Errorf("promised are 1 s at p99 and 300 MiB")
	}
}

// residentMiB is how much memory this process has now.
func residentMiB(t *testing.T) int {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(text))[1])
	if err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize() >> 20
}
