package app

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/monitor"
	"github.com/refloat-db/refloat/internal/secret"
	"github.com/refloat-db/refloat/internal/server"
	"github.com/refloat-db/refloat/internal/target"
)

// Peer is another node that watches the same targets.
type Peer struct {
	Name  string
	URL   string
	Token secret.Value // both show it to each other
	TLS   *tls.Config  // nil for the system's certificates
}

const (
	peerEvery   = 5 * time.Second
	peerWithin  = 3 * time.Second  // one question to a peer
	peerSilent  = time.Minute      // one that did not answer for so long is an alert
	peerLooks   = 4                // at once for one target
	sameOutage  = 10 * time.Minute // alerts of one key that began within are the same
	peerMessage = 1 << 20
)

// lookQuestion asks a peer to look at a target. The server is named by what it
// says of itself, since a name may mean another elsewhere.
type lookQuestion struct {
	Target  target.ID `json:"target"`
	System  string    `json:"system"`
	Started time.Time `json:"started"`
}

type lookAnswer struct {
	Sees target.Sees `json:"sees"`
}

// stateAnswer is what peers tell each other all the time.
type stateAnswer struct {
	Acknowledged []sharedAck `json:"acknowledged"`
	Leads        bool        `json:"leads,omitempty"` // those that share its store
}

// sharedAck is an alert that somebody has taken on.
type sharedAck struct {
	Key     string    `json:"key"`
	Started time.Time `json:"started"`
	By      string    `json:"by"`
	At      time.Time `json:"at"`
}

// peers asks other nodes, and answers them.
type peers struct {
	r   *running
	all []*peer

	mu    sync.Mutex
	looks map[target.ID]int // that are made for others now
}

type peer struct {
	Peer
	client *http.Client

	mu    sync.Mutex
	heard time.Time // last answer; the start before the first
	err   error     // of the last question; nil when it was answered
}

func newPeers(r *running) *peers {
	p := &peers{r: r, looks: map[target.ID]int{}}
	for _, x := range r.o.Peers {
		transport := &http.Transport{TLSClientConfig: x.TLS, MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true}
		p.all = append(p.all, &peer{Peer: x, heard: time.Now(), client: &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}})
	}
	return p
}

// ask puts a question to a peer and reads its answer.
func (p *peer) ask(ctx context.Context, what string, question, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, peerWithin)
	defer cancel()
	body, err := json.Marshal(question)
	if err != nil {
		return err
	}
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(p.URL, "/")+"/peer/"+what, bytes.NewReader(body))
	if err != nil {
		return err
	}
	q.Header.Set("Authorization", "Bearer "+p.Token.Reveal())
	q.Header.Set("User-Agent", "refloat/"+Version)
	resp, err := p.client.Do(q)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err
		}
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(resp.Body, peerMessage))
	switch {
	case err != nil:
		return err
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("it answers %s: %s", resp.Status, strings.TrimSpace(string(text[:min(len(text), 200)])))
	}
	return json.Unmarshal(text, answer)
}

func (p *peer) note(err error) (silent time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = err
	if err == nil {
		p.heard = time.Now()
	}
	return time.Since(p.heard)
}

// answers reports that the last question was answered.
func (p *peer) answers() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err == nil
}

// watch keeps in touch with each peer until ctx ends.
func (p *peers) watch(ctx context.Context) {
	var all sync.WaitGroup
	for _, x := range p.all {
		all.Go(func() { every(ctx, peerEvery, func(ctx context.Context) { p.touch(ctx, x) }) })
	}
	all.Wait()
	for _, x := range p.all {
		x.client.CloseIdleConnections()
	}
}

// touch hears what a peer has to tell: acknowledgements, and that it lives.
func (p *peers) touch(ctx context.Context, x *peer) {
	var a stateAnswer
	err := x.ask(ctx, "state", struct{}{}, &a)
	if ctx.Err() != nil {
		return
	}
	silent := x.note(err)
	s := alert.Signal{Key: "peer/" + x.Name, Code: "peer", Source: "refloat", At: time.Now(), Firing: silent > peerSilent, Severity: alert.High,
		Summary: "the other Refloat, " + x.Name + ", does not answer: it may watch and page no longer", Next: "look at refloat server there, and at the network between the two"}
	if err != nil {
		s.Detail = err.Error()
	}
	p.r.pager.Signal(ctx, s)
	for _, ack := range a.Acknowledged {
		p.r.pager.acknowledgedElsewhere(ctx, x.Name, ack)
	}
}

// acknowledgedElsewhere stops the chain of an alert that another node has too,
// and that somebody has acknowledged there.
func (p *pager) acknowledgedElsewhere(ctx context.Context, node string, x sharedAck) {
	a, open := p.openAlert(x.Key)
	if !open || a.Settled() || a.Signal.Target == "" || x.At.Before(a.StartedAt.Add(-sameOutage)) || a.StartedAt.Sub(x.Started).Abs() > sameOutage {
		return
	}
	if _, err := p.Acknowledge(ctx, a.ID, x.By+" (told by "+node+")", x.At); err != nil && !errors.Is(err, errNoAlert) {
		p.o.Logger.ErrorContext(ctx, "take over an acknowledgement", "alert", a.ID, "node", node, "error", err)
	}
}

// acknowledged are the open alerts of targets that somebody here has taken on.
func (p *pager) acknowledged() []sharedAck {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := []sharedAck{}
	for _, a := range p.alerts {
		if a.State == alert.Firing && !a.AcknowledgedAt.IsZero() && a.Signal.Target != "" {
			out = append(out, sharedAck{Key: a.Signal.Key, Started: a.StartedAt, By: a.AcknowledgedBy, At: a.AcknowledgedAt})
		}
	}
	return out
}

// answer answers another node. Which targets there are is not told to who has no
// token.
func (p *peers) answer(ctx context.Context, token, what string, body []byte) (any, error) {
	known := false
	for _, x := range p.all {
		known = known || same(token, x.Token)
	}
	if !known {
		return nil, server.ErrDenied
	}
	switch what {
	case "state":
		return stateAnswer{Acknowledged: p.r.pager.acknowledged()}, nil
	case "look":
		var q lookQuestion
		if err := json.Unmarshal(body, &q); err != nil {
			return nil, fmt.Errorf("%w: %w", server.ErrMessage, err)
		}
		return lookAnswer{Sees: p.look(ctx, q)}, nil
	}
	return nil, server.ErrUnknown
}

// look looks at a target for another node, if it is the same server.
func (p *peers) look(ctx context.Context, q lookQuestion) target.Sees {
	for _, w := range p.r.targets {
		if w.Target != q.Target || w.seen == nil {
			continue
		}
		if system, started := w.identity(); system == "" || system != q.System || !started.Equal(q.Started) {
			return target.Blind
		}
		p.mu.Lock()
		busy := p.looks[w.Target] >= peerLooks
		if !busy {
			p.looks[w.Target]++
		}
		p.mu.Unlock()
		if busy {
			return target.Blind
		}
		defer func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.looks[w.Target]--
		}()
		return w.seen.Ask(ctx).Sees
	}
	return target.Blind
}

// ballot is a vote that is being taken.
type ballot struct {
	began time.Time

	mu    sync.Mutex
	votes []monitor.Vote
	left  int
	done  chan struct{} // closed when all that are waited for have voted
}

// vote asks every peer how it sees a target. It does not wait.
func (p *peers) vote(ctx context.Context, w *watch) *ballot {
	b := &ballot{began: time.Now(), done: make(chan struct{})}
	q := lookQuestion{Target: w.Target}
	q.System, q.Started = w.identity()
	var awaited []bool
	for _, x := range p.all { // who did not answer lately is asked, and not waited for
		is := q.System != "" && x.answers()
		awaited = append(awaited, is)
		if is {
			b.left++
		}
	}
	if b.left == 0 {
		close(b.done)
	}
	for i, x := range p.all {
		go func() {
			v := monitor.Vote{Node: x.Name, Sees: target.Blind}
			var a lookAnswer
			if q.System != "" && x.ask(ctx, "look", q, &a) == nil && a.Sees != "" {
				v.Sees = a.Sees
			}
			b.mu.Lock()
			defer b.mu.Unlock()
			b.votes = append(b.votes, v)
			if awaited[i] {
				if b.left--; b.left == 0 {
					close(b.done)
				}
			}
		}()
	}
	return b
}

// wait waits for the votes, and returns those that were given in time.
func (b *ballot) wait(ctx context.Context, d time.Duration) []monitor.Vote {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-b.done:
	case <-t.C:
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]monitor.Vote(nil), b.votes...)
}
