package rest

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/refloat-db/refloat/internal/access"
	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/server"
	"github.com/refloat-db/refloat/internal/status"
)

// Calls keeps what repeated requests are answered. A store is one.
type Calls interface {
	Save(ctx context.Context, all ...alert.Record) error
	// OneRecord is status.ErrNothing when there is none.
	OneRecord(ctx context.Context, kind, id string) (alert.Record, error)
	Forget(ctx context.Context, kind string, before time.Time) (int, error)
}

const (
	keyHeader      = "Idempotency-Key"
	replayedHeader = "Idempotency-Replayed"
	kindCall       = "api-call"
	callKept       = 24 * time.Hour
	forgetEvery    = time.Hour
)

// call is one request with a key. It is kept before anything is done, and again
// with the answer.
type call struct {
	Operation string            `json:"operation"` // method, path and query
	Body      string            `json:"body"`      // SHA-256
	Begun     time.Time         `json:"begun"`
	Status    int               `json:"status,omitempty"` // 0 while there is no answer
	Header    map[string]string `json:"header,omitempty"`
	Answer    []byte            `json:"answer,omitempty"` // compressed
}

// callID is the same for the same key of the same principal, and nobody else's.
// A session is known by its account, since a browser may sign in again.
func callID(who access.Principal, key string) string {
	id := who.ID
	if who.Kind == access.Session {
		id = ""
	}
	h := sha256.New()
	for _, s := range []string{string(who.Kind), who.Name, id, key} {
		_, _ = fmt.Fprintf(h, "%d:%s", len(s), s) // a hash never fails
	}
	return hex.EncodeToString(h.Sum(nil))
}

// once does a request with a key once: a repeat is given the answer that is kept.
// One that was cut off before its answer was kept is done again with the key in
// its context, by which the desk knows what it did.
func (a *API) once(w http.ResponseWriter, r *http.Request, pattern string, next http.HandlerFunc) {
	key := r.Header.Get(keyHeader)
	if key == "" || a.o.Calls == nil {
		next(w, r)
		return
	}
	if len(key) < 8 || len(key) > 200 || strings.ContainsFunc(key, func(c rune) bool { return c < '!' || c > '~' }) {
		newProblem(http.StatusUnprocessableEntity, "invalid-request", keyHeader+" wants 8 to 200 visible ASCII characters", "use a fresh UUID").write(w)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			newProblem(http.StatusRequestEntityTooLarge, "too-large", fmt.Sprintf("the request has more than %d bytes", large.Limit), "send less").write(w)
			return
		}
		newProblem(http.StatusBadRequest, "invalid-request", "the request did not arrive whole", "send it again with the same "+keyHeader).write(w)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	sum := sha256.Sum256(body)
	c := call{Operation: r.Method + " " + r.URL.RequestURI(), Body: hex.EncodeToString(sum[:]), Begun: time.Now().UTC()}
	id := callID(server.Who(r.Context()), key)
	unlock, err := a.locks.lock(r.Context(), id)
	if err != nil {
		newProblem(http.StatusConflict, "in-progress", "the same request is being done", "try again with the same "+keyHeader).write(w)
		return
	}
	defer unlock()
	again, err := a.begin(r.Context(), id, &c)
	if err != nil {
		a.problem(r.Context(), err).write(w)
		return
	}
	if c.Status != 0 {
		a.replay(w, r, c)
		return
	}
	ctx := server.WithOnce(r.Context(), id)
	if again {
		ctx = context.WithValue(ctx, againKey{}, true)
	}
	kept := &keeping{header: http.Header{}}
	next(kept, r.WithContext(ctx))
	a.end(context.WithoutCancel(r.Context()), id, c, kept)
	maps.Copy(w.Header(), kept.header)
	w.WriteHeader(kept.code())
	_, _ = w.Write(kept.body.Bytes()) // the reader went away
}

type againKey struct{}

// again reports that a request was begun before and not answered: what it asks
// for may be done already.
func again(ctx context.Context) bool {
	b, _ := ctx.Value(againKey{}).(bool)
	return b
}

// begin finds what is kept of a call, and keeps it when there is nothing. The
// same key for something else is a Problem.
func (a *API) begin(ctx context.Context, id string, c *call) (again bool, err error) {
	if a.forgot.due(c.Begun, forgetEvery) {
		if _, err := a.o.Calls.Forget(ctx, kindCall, c.Begun.Add(-callKept)); err != nil {
			a.o.Logger.WarnContext(ctx, "forget old requests", "error", err)
		}
	}
	rec, err := a.o.Calls.OneRecord(ctx, kindCall, id)
	var old call
	switch {
	case err == nil:
		if err := rec.Read(&old); err != nil {
			return false, err
		}
		if old.Operation != c.Operation || old.Body != c.Body {
			return false, newProblem(http.StatusUnprocessableEntity, "key-reused", "this "+keyHeader+" was used for another request: "+old.Operation, "use a new key for each thing that you want done")
		}
		*c = old
		return true, nil
	case !errors.Is(err, status.ErrNothing):
		return false, err
	}
	return false, a.keep(ctx, id, *c)
}

func (a *API) keep(ctx context.Context, id string, c call) error {
	rec, err := alert.NewRecord(kindCall, id, "", false, c.Begun, c)
	if err != nil {
		return err
	}
	return a.o.Calls.Save(ctx, rec)
}

// end keeps the answer. What failed on our side, or was not let in, is done anew
// when it is sent again.
func (a *API) end(ctx context.Context, id string, c call, kept *keeping) {
	switch s := kept.code(); {
	case s >= 500, s == http.StatusUnauthorized, s == http.StatusForbidden, s == http.StatusTooManyRequests, s == http.StatusRequestTimeout:
		return
	}
	c.Status, c.Header = kept.code(), map[string]string{}
	for name := range kept.header {
		c.Header[name] = kept.header.Get(name)
	}
	var small bytes.Buffer
	z := gzip.NewWriter(&small)
	_, err := z.Write(kept.body.Bytes())
	if err = errors.Join(err, z.Close()); err == nil {
		c.Answer = small.Bytes()
		err = a.keep(ctx, id, c)
	}
	if err != nil { // a repeat is then done again, which the desk knows by its key
		a.o.Logger.ErrorContext(ctx, "keep the answer to a request", "operation", c.Operation, "error", err)
	}
}

// replay gives the answer that is kept.
func (a *API) replay(w http.ResponseWriter, r *http.Request, c call) {
	z, err := gzip.NewReader(bytes.NewReader(c.Answer))
	var body []byte
	if err == nil {
		body, err = io.ReadAll(z)
	}
	if err != nil {
		a.problem(r.Context(), fmt.Errorf("read the answer that is kept: %w", err)).write(w)
		return
	}
	for name, v := range c.Header {
		w.Header().Set(name, v)
	}
	w.Header().Set(replayedHeader, "true")
	w.WriteHeader(c.Status)
	_, _ = w.Write(body) // the reader went away
}

// keeping is an answer before it is given.
type keeping struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (k *keeping) Header() http.Header { return k.header }

func (k *keeping) WriteHeader(code int) {
	if k.status == 0 {
		k.status = code
	}
}

func (k *keeping) Write(b []byte) (int, error) {
	k.WriteHeader(http.StatusOK)
	return k.body.Write(b)
}

// SetReadDeadline lets huma bound reading; the body is read already.
func (k *keeping) SetReadDeadline(time.Time) error { return nil }

func (k *keeping) code() int { return max(k.status, http.StatusOK) }

// locks let one request of an ID go on at a time.
type locks struct {
	mu   sync.Mutex
	held map[string]chan struct{}
}

func (l *locks) lock(ctx context.Context, id string) (unlock func(), err error) {
	for {
		l.mu.Lock()
		busy := l.held[id]
		if busy == nil {
			if l.held == nil {
				l.held = map[string]chan struct{}{}
			}
			mine := make(chan struct{})
			l.held[id] = mine
			l.mu.Unlock()
			return func() {
				l.mu.Lock()
				delete(l.held, id)
				l.mu.Unlock()
				close(mine)
			}, nil
		}
		l.mu.Unlock()
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// lastTime is when something was last done.
type lastTime struct {
	mu sync.Mutex
	at time.Time
}

// due reports that it is to be done now, and takes it as done.
func (l *lastTime) due(now time.Time, every time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.at) < every {
		return false
	}
	l.at = now
	return true
}
