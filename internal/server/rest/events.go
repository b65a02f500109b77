package rest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/refloat-db/refloat/internal/access"
	"github.com/refloat-db/refloat/internal/journal"
	"github.com/refloat-db/refloat/internal/server"
)

const (
	eventPattern  = "GET " + Prefix + "/events"
	streamPing    = 15 * time.Second // so that proxies do not cut an idle stream
	streamLasts   = 30 * time.Minute // then the client comes again, and is asked who it is
	streamWrite   = 10 * time.Second // a reader that is slower is cut off, and comes again
	streamsOfEach = 10               // at once, for one principal
)

// streams counts who follows.
type streams struct {
	mu   sync.Mutex
	open map[string]int
}

func (s *streams) enter(who string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = map[string]int{}
	}
	if s.open[who] >= streamsOfEach {
		return false
	}
	s.open[who]++
	return true
}

func (s *streams) leave(who string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[who]--; s.open[who] <= 0 {
		delete(s.open, who)
	}
}

// eventOperation describes and serves the stream; huma does not know answers that
// last.
func (a *API) eventOperation() {
	op := a.describe(operation{
		id: "follow", method: http.MethodGet, path: "/events", tag: "record", need: access.View, fails: []int{http.StatusConflict}, summary: "Follow what happens, as server-sent events",
		about: "Each event is an entry of the journal: its id is the sequence number, its type the kind, its data the entry as JSON. Send the last id as Last-Event-ID to miss nothing; without it and without after the stream begins now. A comment comes every 15 s. The stream ends after 30 minutes: come again.",
	})
	least := 0.0
	text := &huma.Schema{Type: huma.TypeString}
	number := &huma.Schema{Type: huma.TypeInteger, Format: "int64", Minimum: &least}
	op.Parameters = []*huma.Param{
		{Name: "Last-Event-ID", In: "header", Description: "The last sequence number that you have.", Schema: number, Example: 4711},
		{Name: "after", In: "query", Description: "The same, where a header cannot be set.", Schema: number, Example: 4711},
		{Name: "scope", In: "query", Description: "Only of this subject; with a slash at its end all that begin with it.", Schema: text, Example: "incident/"},
		{Name: "kind", In: "query", Description: "Only kinds that begin with this.", Schema: text, Example: "incident."},
	}
	op.Responses["200"] = &huma.Response{Description: "OK", Content: map[string]*huma.MediaType{"text/event-stream": {Schema: text, Example: "id: 4711\nevent: backup.taken\ndata: {\"seq\":4711}\n\n"}}}
	a.huma.OpenAPI().AddOperation(&op)
	a.mux.HandleFunc(eventPattern, a.follow)
}

func (a *API) follow(w http.ResponseWriter, r *http.Request) {
	who := server.Who(r.Context())
	q := r.URL.Query()
	for name := range q {
		if name != "after" && name != "scope" && name != "kind" {
			newProblem(http.StatusUnprocessableEntity, "invalid-request", "unknown query parameter "+strconv.Quote(name), "mend the query").write(w)
			return
		}
	}
	after, p := a.from(r)
	if p != nil {
		p.write(w)
		return
	}
	if !a.streams.enter(string(who.Kind) + who.ID + who.Name) {
		w.Header().Set("Retry-After", "10")
		newProblem(http.StatusTooManyRequests, "too-many-requests", fmt.Sprintf("you follow %d times already", streamsOfEach), "end one of them, or wait").write(w)
		return
	}
	defer a.streams.leave(string(who.Kind) + who.ID + who.Name)
	s := &stream{w: w, c: http.NewResponseController(w), scope: q.Get("scope"), kind: q.Get("kind")}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	if err := s.write("retry: 2000\n\n"); err != nil {
		return
	}
	ctx, end := context.WithTimeout(r.Context(), streamLasts)
	defer end()
	go s.ping(ctx, end)
	if err := a.o.Desk.Stream(ctx, who, after, s.tell); err != nil && ctx.Err() == nil && !errors.Is(err, errGone) {
		a.o.Logger.ErrorContext(ctx, "follow the journal", "error", err)
	}
}

// from is the sequence number after which a stream begins.
func (a *API) from(r *http.Request) (int64, *Problem) {
	text := r.Header.Get("Last-Event-ID")
	if text == "" {
		text = r.URL.Query().Get("after")
	}
	last, err := a.o.Desk.Last(r.Context())
	if err != nil {
		return 0, a.problem(r.Context(), err)
	}
	if text == "" {
		return last, nil
	}
	after, err := strconv.ParseInt(text, 10, 64)
	switch {
	case err != nil || after < 0:
		return 0, newProblem(http.StatusUnprocessableEntity, "invalid-request", "Last-Event-ID is no sequence number", "send the id of the last event that you have")
	case after > last:
		return 0, newProblem(http.StatusConflict, "journal-shorter", fmt.Sprintf("the journal ends at %d", last), "this is another journal than before: begin anew, without Last-Event-ID")
	}
	return after, nil
}

var errGone = errors.New("the reader went away")

// stream is one follower's connection. Entries and pings are written one at a
// time.
type stream struct {
	mu          sync.Mutex
	w           http.ResponseWriter
	c           *http.ResponseController
	scope, kind string
}

func (s *stream) write(text string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	// The server's own limit is for answers that end.
	if err := s.c.SetWriteDeadline(time.Now().Add(streamWrite)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return fmt.Errorf("%w: %w", errGone, err)
	}
	if _, err := s.w.Write([]byte(text)); err != nil {
		return fmt.Errorf("%w: %w", errGone, err)
	}
	if err := s.c.Flush(); err != nil {
		return fmt.Errorf("%w: %w", errGone, err)
	}
	return nil
}

// ping keeps the connection open, and ends it when who follows may no longer.
func (s *stream) ping(ctx context.Context, end context.CancelFunc) {
	t := time.NewTicker(streamPing)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			if !server.Still(ctx) || s.write(": \n\n") != nil {
				end()
				return
			}
		}
	}
}

func (s *stream) tell(e journal.Entry) error {
	if !within(e.Subject, s.scope) || !strings.HasPrefix(e.Kind, s.kind) {
		return nil
	}
	raw, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("write entry %d: %w", e.Seq, err)
	}
	return s.write(fmt.Sprintf("id: %d\nevent: %s\ndata: %s\n\n", e.Seq, strings.NewReplacer("\n", "", "\r", "").Replace(e.Kind), raw))
}

// within reports whether a subject is of a scope; an empty scope holds all.
func within(subject, scope string) bool {
	if strings.HasSuffix(scope, "/") {
		return strings.HasPrefix(subject, scope)
	}
	return scope == "" || subject == scope
}
