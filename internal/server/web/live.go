package web

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/refloat-db/refloat/internal/access"
	"github.com/refloat-db/refloat/internal/journal"
	"github.com/refloat-db/refloat/internal/server"
)

// How the stream of what happens is kept.
const (
	liveBeat   = 10 * time.Second // a sign of life, when nothing happens
	liveStill  = 2 * time.Second  // whether who listens may still
	liveWrites = 5 * time.Second  // who does not read for so long is cut off, and comes back
	liveReplay = 5_000            // further behind, and the page is loaded anew
	liveMost   = 2_000            // connections
	liveRetry  = 2 * time.Second  // after which a browser tries again
)

// liveEvent is an entry of the journal as a page is told of it: that something
// happened, and not what; for that the page asks again.
type liveEvent struct {
	Seq     int64     `json:"seq"`
	At      time.Time `json:"at"`
	Actor   string    `json:"actor"`
	Subject string    `json:"subject"`
	Kind    string    `json:"kind"`
	Says    string    `json:"says,omitempty"` // in words, for who cannot see the page change
}

// live streams each entry of the journal that who asks may see as a server-sent
// event, whose ID is the entry's sequence number: first what was missed since the
// last one that the browser saw, then each when it is added.
func (s *Site) live() server.Route {
	var open atomic.Int64
	return server.Route{Pattern: "GET /live", Need: access.View, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer open.Add(-1)
		if open.Add(1) > liveMost {
			w.Header().Set("Retry-After", "30")
			http.Error(w, "Too many pages listen at once.", http.StatusServiceUnavailable)
			return
		}
		s.listen(w, r)
	})}
}

// listener is one connection. Its lock is held while something is written.
type listener struct {
	mu sync.Mutex
	w  http.ResponseWriter
	rc *http.ResponseController
}

func (l *listener) write(text string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.rc.SetWriteDeadline(time.Now().Add(liveWrites)); err != nil {
		return err
	}
	if _, err := l.w.Write([]byte(text)); err != nil {
		return err
	}
	return l.rc.Flush()
}

func (l *listener) event(kind string, seq int64, data any) error {
	body, err := json.Marshal(data)
	if err != nil {
		return err
	}
	head := ""
	if kind != "" {
		head = "event: " + kind + "\n"
	}
	return l.write(head + "id: " + strconv.FormatInt(seq, 10) + "\ndata: " + string(body) + "\n\n")
}

func (s *Site) listen(w http.ResponseWriter, r *http.Request) {
	l := &listener{w: w, rc: http.NewResponseController(w)}
	last, err := s.desk.Last(r.Context())
	if err != nil {
		s.log.ErrorContext(r.Context(), "begin a stream", "error", err)
		http.Error(w, "The journal cannot be read now.", http.StatusServiceUnavailable)
		return
	}
	_ = l.rc.SetReadDeadline(time.Time{}) // it has been read; not every writer can
	h := w.Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // a proxy must pass each on
	if err := l.write(fmt.Sprintf("retry: %d\n\n", liveRetry.Milliseconds())); err != nil {
		return
	}
	after := listenFrom(r, last)
	if last-after > liveReplay || after > last {
		after = last
		if l.event("refresh", last, liveEvent{Seq: last, At: s.o.Now()}) != nil {
			return
		}
	}
	ctx, end := context.WithCancel(r.Context())
	defer end()
	var beside sync.WaitGroup
	defer beside.Wait()
	defer end()
	beside.Go(func() {
		defer end()
		l.attend(ctx)
	})
	err = s.desk.Stream(ctx, server.Who(ctx), after, func(e journal.Entry) error {
		return l.event("", e.Seq, liveEvent{Seq: e.Seq, At: e.Time, Actor: e.Actor, Subject: e.Subject, Kind: e.Kind, Says: says(e)})
	})
	if err != nil && ctx.Err() == nil {
		s.log.DebugContext(r.Context(), "a stream ended", "error", err)
	}
}

// attend gives signs of life, and returns when who listens may no longer, or the
// server ends.
func (l *listener) attend(ctx context.Context) {
	still, beat := time.NewTicker(liveStill), time.NewTicker(liveBeat)
	defer still.Stop()
	defer beat.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-server.Closing(ctx):
			return
		case <-still.C:
			if !server.Still(ctx) {
				_ = l.write("event: gone\ndata: {}\n\n") // it is cut off whether or not that arrives
				return
			}
		case <-beat.C:
			if l.write("event: beat\ndata: {}\n\n") != nil {
				return
			}
		}
	}
}

// listenFrom is the last entry that a browser has seen.
func listenFrom(r *http.Request, last int64) int64 {
	for _, text := range []string{r.Header.Get("Last-Event-ID"), r.URL.Query().Get("after")} {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil && n >= 0 {
			return n
		}
	}
	return last
}

// says is an entry in a few words; empty for what nobody needs to hear.
func says(e journal.Entry) string {
	kind, name, _ := strings.Cut(e.Subject, "/")
	who := e.Actor
	if who == "server" {
		who = "Refloat"
	}
	if kind == "incident" {
		if what := spoken(e.Kind); what != "" {
			return name + ": " + who + " " + what
		}
		return ""
	}
	switch e.Kind {
	case "outage.confirmed":
		return name + " does not serve"
	case "outage.recovered":
		return name + " serves again"
	case "alert.opened":
		return "An alert was raised"
	case "alert.acknowledged":
		return "An alert was acknowledged"
	}
	return ""
}
