package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/store/pgstore"
)

const (
	presentEvery  = 2 * time.Second // a node notes that it is there
	leadAgain     = 5 * time.Second // after work that could not be begun, others come first
	verdictLasts  = 200 * time.Millisecond
	verdictWithin = time.Second
	missedAfter   = time.Minute // a node that is silent for so long is told of
	missedEvery   = 15 * time.Second
)

// errLostLead is why a leader does not act: another node has taken over.
var errLostLead = errors.New("another node leads")

// lead is one node's part in who leads. It looks at the lease while another does,
// takes it when it may, and renews it while the work is done here.
type lead struct {
	n     *node
	store *pgstore.Store
	log   *slog.Logger

	pending []alert.Record // of people, for the node that leads now; used by run alone

	mu      sync.Mutex
	tenure  tenure        // fence 0 while this node does not lead
	seen    pgstore.Lease // as last looked at
	fails   error         // of the last look or renewal; nil when it was answered
	lose    func()        // ends this tenure; nil while there is none
	verdict error         // what asking the store said last, at
	at      time.Time
}

// startLead begins to take part, and returns what ends that: the work in order,
// then the lease.
func (n *node) startLead(ctx context.Context, store *pgstore.Store) func(context.Context) error {
	l := &lead{n: n, store: store, log: n.log.With("node", store.Node())}
	n.mu.Lock()
	n.lead = l
	n.mu.Unlock()
	run, end := context.WithCancel(context.WithoutCancel(ctx))
	stop := make(chan context.Context, 1)
	done := make(chan error, 1)
	go func() { done <- l.run(run, stop) }()
	return func(ctx context.Context) error {
		stop <- ctx
		end()
		return <-done
	}
}

// run takes part until ctx ends; stop then says how long an orderly end may take.
func (l *lead) run(ctx context.Context, stop <-chan context.Context) error {
	seat := l.store.Seat()
	defer seat.Close()
	for {
		fence, why := l.standBy(ctx, seat)
		if fence == 0 {
			leave, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			return l.leave(leave, seat, 0)
		}
		l.log.Warn("this node leads", "why", why, "fence", fence)
		term, lost := context.WithCancelCause(context.WithoutCancel(ctx))
		l.take(fence, func() { lost(errLostLead) })
		renewed := make(chan struct{})
		go func() {
			defer close(renewed)
			l.renew(term, seat, fence)
		}()
		err := l.work(ctx, term, fence, why)
		var end error
		switch {
		case term.Err() != nil: // another node leads
			l.store.Renewed()
			if r := l.n.lay(); r != nil {
				l.handOver(ctx, r)
				limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.n.o.StopTimeout)
				if err := r.stop(limited); err != nil {
					l.log.Error("end the work that another node does", "error", err)
				}
				cancel()
			}
		case ctx.Err() != nil:
			limited := <-stop
			end = l.n.end(limited)
			lost(nil)
			<-renewed
			leave, cancel := context.WithTimeout(context.WithoutCancel(limited), 2*time.Second)
			defer cancel()
			return errors.Join(end, l.leave(leave, seat, fence))
		}
		lost(nil)
		<-renewed
		if err != nil {
			l.log.Error("this node leads and cannot begin the work; another may", "error", err, "again_in", leadAgain)
			if err := seat.Release(context.WithoutCancel(ctx), fence); err != nil {
				l.log.Error("give the lead up", "error", err)
			}
			pause(ctx, leadAgain)
		}
		l.take(0, nil)
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// leave ends this node's part: it is neither waited for nor missed.
func (l *lead) leave(ctx context.Context, seat *pgstore.Seat, fence int64) error {
	var err error
	if fence != 0 {
		err = seat.Release(ctx, fence)
	}
	if err = errors.Join(err, seat.Gone(ctx)); err != nil {
		l.log.Warn("this node could not say that it stops; another takes over a little later", "error", err)
	}
	l.take(0, nil)
	return nil
}

func (l *lead) take(fence int64, lose func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tenure, l.lose, l.verdict, l.at = tenure{fence: fence, good: time.Now()}, lose, nil, time.Time{}
}

// standBy looks at the lease until this node has it; 0 when ctx ended first.
func (l *lead) standBy(ctx context.Context, seat *pgstore.Seat) (fence int64, why string) {
	h := heir{instance: l.store.Instance()}
	tick := time.NewTicker(leadEvery)
	defer tick.Stop()
	present := time.Time{}
	for {
		lease, err := seat.Look(ctx)
		if ctx.Err() != nil {
			return 0, ""
		}
		l.note(lease, err)
		if err == nil {
			l.passOn(ctx)
			if why := h.sees(lease, seat.Session(), time.Now()); why != "" {
				fence, err := seat.Claim(ctx, lease)
				if err == nil {
					return fence, why
				}
				if !errors.Is(err, pgstore.ErrTaken) && ctx.Err() == nil {
					l.log.Error("take the lead", "why", why, "error", err)
				}
			}
			if time.Since(present) >= presentEvery {
				if err := seat.Present(ctx, l.n.o.Version); err == nil {
					present = time.Now()
				}
			}
		}
		select {
		case <-ctx.Done():
			return 0, ""
		case <-tick.C:
		}
	}
}

// note keeps what a look said, and logs when the store goes and comes back.
func (l *lead) note(lease pgstore.Lease, err error) {
	l.mu.Lock()
	before := l.fails
	l.fails = err
	if err == nil {
		l.seen = lease
	}
	l.mu.Unlock()
	switch {
	case err != nil && before == nil:
		l.log.Error("the store does not answer: who leads cannot be seen", "error", err)
	case err == nil && before != nil:
		l.log.Warn("the store answers again")
	}
}

// renew keeps the lease until term ends; it ends term when another node has it.
func (l *lead) renew(term context.Context, seat *pgstore.Seat, fence int64) {
	tick := time.NewTicker(leadEvery)
	defer tick.Stop()
	present := time.Time{}
	for {
		sent := time.Now()
		err := seat.Renew(term, fence)
		switch {
		case term.Err() != nil:
			return
		case errors.Is(err, pgstore.ErrFenced):
			l.lost(fence)
			return
		}
		l.note(pgstore.Lease{Fence: fence, Node: l.store.Node(), Instance: l.store.Instance(), Held: true}, err)
		if err == nil {
			l.mu.Lock()
			l.tenure.good = sent
			l.mu.Unlock()
			if time.Since(present) >= presentEvery && seat.Present(term, l.n.o.Version) == nil {
				present = time.Now()
			}
		} else if l.replaced(term) {
			l.lost(fence)
			return
		}
		select {
		case <-term.Done():
			return
		case <-tick.C:
		}
	}
}

// lost ends the tenure of a fence.
func (l *lead) lost(fence int64) {
	l.mu.Lock()
	lose := l.lose
	current := l.tenure.fence == fence && lose != nil
	if current {
		l.tenure, l.lose = tenure{}, nil
	}
	l.mu.Unlock()
	if current {
		l.log.Error("another node has taken the lead: this one stops acting")
		lose()
	}
}

// work begins the work, and waits until the node stops or another leads.
func (l *lead) work(ctx, term context.Context, fence int64, why string) error {
	began := time.Now()
	state := l.store.Fenced(fence, term.Done())
	o := l.n.o
	may := func(ctx context.Context) error { return l.may(ctx, fence) }
	if o.Paging.Sender != nil {
		o.Paging.Sender = leadSender{o.Paging.Sender, term, may}
	}
	if p := o.StatusPage; p != nil {
		o.StatusPage = p.guarded(term, may)
	}
	if err := l.n.begin(ctx, o, state); err != nil {
		if term.Err() != nil || ctx.Err() != nil {
			return nil
		}
		return err
	}
	if r := l.n.leading(); r != nil {
		r.record(ctx, "server", "server.leads", map[string]any{"node": l.store.Node(), "fence": fence, "why": why})
	}
	l.log.Info("the work goes on here", "after", time.Since(began).Round(time.Millisecond))
	parts, end := context.WithCancel(term)
	defer end()
	go every(parts, missedEvery, l.missed)
	select {
	case <-ctx.Done():
	case <-term.Done():
	}
	return nil
}

// handOver keeps what people told this node and the store has not taken, to pass
// it on as soon as the store answers: who has taken an alert on is not paged by
// the next node.
func (l *lead) handOver(ctx context.Context, r *running) {
	r.pager.settle(ctx) // what is being written is refused first
	for _, q := range r.pager.untold() {
		q.ID = newID() + newID()
		if rec, err := alert.NewRecord(alert.KindRequest, q.ID, "", true, time.Now().UTC(), q); err == nil {
			l.pending = append(l.pending, rec)
		}
	}
	l.passOn(ctx)
}

func (l *lead) passOn(ctx context.Context) {
	if len(l.pending) == 0 {
		return
	}
	if err := l.n.state.Save(context.WithoutCancel(ctx), l.pending...); err != nil {
		l.log.Warn("what people told this node is not passed on yet", "requests", len(l.pending), "error", err)
		return
	}
	l.log.Info("what people told this node is passed on", "requests", len(l.pending))
	l.pending = nil
}

// untold is what people did here that the store has not taken: as requests to
// whoever pages now.
func (p *pager) untold() []alert.Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []alert.Request
	for _, rec := range p.dirty {
		switch rec.Kind {
		case alert.KindAlert:
			var a alert.Alert
			if rec.Read(&a) == nil && a.State == alert.Firing && !a.AcknowledgedAt.IsZero() {
				out = append(out, alert.Request{What: alert.RequestAcknowledge, Alert: a.ID, Key: a.Signal.Key, By: a.AcknowledgedBy, At: a.AcknowledgedAt})
			}
		case alert.KindSilence:
			var s alert.Silence
			if rec.Read(&s) == nil {
				out = append(out, alert.Request{What: alert.RequestSilence, Silence: &s, By: s.Owner, At: s.From})
			}
		}
	}
	return out
}

// missed tells of nodes that are silent: nobody would go on with the work.
func (l *lead) missed(ctx context.Context) {
	r := l.n.leading()
	nodes, err := l.store.Nodes(ctx)
	if err != nil || r == nil {
		return // the store's own trouble is told elsewhere
	}
	known := map[string]bool{}
	for _, x := range nodes {
		if x.Name == l.store.Node() {
			continue
		}
		known["node/"+x.Name] = true
		r.pager.Signal(ctx, alert.Signal{Key: "node/" + x.Name, Code: "node", Source: "refloat", At: time.Now(), Firing: x.Silent > missedAfter, Severity: alert.High,
			Summary: fmt.Sprintf("the node %s is silent: it would not take over from this one", x.Name), Next: "look at refloat server there, and whether it reaches store.url"})
	}
	r.pager.endUnknown(ctx, "node", known)
}

// endUnknown ends alerts of a code whose keys nothing stands for any more.
func (p *pager) endUnknown(ctx context.Context, code string, known map[string]bool) {
	alerts, _ := p.whole()
	for _, a := range alerts {
		if s := a.Signal; a.State == alert.Firing && s.Source == "refloat" && s.Code == code && !known[s.Key] {
			s.Firing, s.At = false, time.Now()
			p.Signal(ctx, s)
		}
	}
}

// who is which node leads, as this one last saw it; empty when that is not known.
func (l *lead) who() (node string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.seen.Node, l.fails
}
