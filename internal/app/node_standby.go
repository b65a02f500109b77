package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/server"
	"github.com/refloat-db/refloat/internal/status"
	"github.com/refloat-db/refloat/internal/target"
)

// A node that does not lead serves what the store knows, and passes on what it is
// told: as requests, which the one that leads takes up within a quarter second.

// passOnSignals keeps what a source posts for the node that pages.
func (n *node) passOnSignals(ctx context.Context, name, token string, body []byte) error {
	all, err := n.o.posted(name, token, body)
	if err != nil || len(all) == 0 {
		return err
	}
	return n.leave(ctx, alert.Request{What: alert.RequestSignals, Signals: all, By: name})
}

func (n *node) passOnBeat(ctx context.Context, name, token string) error {
	if !n.o.expects(name, token) {
		return server.ErrDenied
	}
	return n.leave(ctx, alert.Request{What: alert.RequestBeat, Beat: name, By: name})
}

// leave keeps a request and does not wait for its answer.
func (n *node) leave(ctx context.Context, q alert.Request) error {
	q.ID, q.At = newID()+newID(), time.Now().UTC()
	r, err := alert.NewRecord(alert.KindRequest, q.ID, "", true, q.At, q)
	if err != nil {
		return err
	}
	return n.state.Save(ctx, r)
}

// showLink is what a link is about.
func (n *node) showLink(token string) (server.Acknowledgement, error) {
	l, err := readLink(n.key, token)
	if err != nil {
		return server.Acknowledgement{}, err
	}
	return n.seeLink(l)
}

func (n *node) seeLink(l alert.Link) (server.Acknowledgement, error) {
	ctx, cancel := context.WithTimeout(context.Background(), saveWithin)
	defer cancel()
	r, err := n.state.OneRecord(ctx, alert.KindAlert, l.Alert)
	if errors.Is(err, status.ErrNothing) {
		return server.Acknowledgement{}, fmt.Errorf("%w: its alert is no longer known", server.ErrLink)
	}
	var a alert.Alert
	if err == nil {
		err = r.Read(&a)
	}
	if err != nil {
		return server.Acknowledgement{}, err
	}
	return shownByLink(a, l), nil
}

// passOnLink acknowledges through the node that pages.
func (n *node) passOnLink(ctx context.Context, token string) (server.Acknowledgement, error) {
	l, err := readLink(n.key, token)
	if err != nil {
		return server.Acknowledgement{}, err
	}
	by := l.Person
	if by == "" {
		by = "whoever opened the link"
	}
	if err := n.desk.acknowledge(ctx, l.Alert, by); err != nil {
		a, seen := n.seeLink(l)
		if seen == nil && (a.Over || a.By != "") {
			return a, nil // it has ended, or somebody was faster
		}
		return server.Acknowledgement{}, err
	}
	return n.seeLink(l)
}

// answerPeer answers another node.
func (n *node) answerPeer(ctx context.Context, token, what string, body []byte) (any, error) {
	r := n.leading()
	if r == nil {
		switch known := slices.ContainsFunc(n.o.Peers, func(x Peer) bool { return same(token, x.Token) }); {
		case !known:
			return nil, server.ErrDenied
		case what == "state":
			return stateAnswer{Acknowledged: []sharedAck{}}, nil
		case what == "look": // one that does not watch has no vote
			return lookAnswer{Sees: target.Blind}, nil
		}
		return nil, server.ErrUnknown
	}
	out, err := r.peers.answer(ctx, token, what, body)
	if s, is := out.(stateAnswer); is {
		s.Leads = n.leadsSurely()
		return s, err
	}
	return out, err
}

// leadsSurely reports that this node leads those that share its store, and that
// the store has said so just now.
func (n *node) leadsSurely() bool {
	n.mu.Lock()
	l := n.lead
	n.mu.Unlock()
	if l == nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tenure.fence != 0 && l.tenure.sure(time.Now())
}

// whoLeads asks the other nodes which of them leads; empty when none says so.
func (p *peers) whoLeads(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, verdictWithin)
	defer cancel()
	said := make(chan string, len(p.all))
	for _, x := range p.all {
		go func() {
			var a stateAnswer
			if x.ask(ctx, "state", struct{}{}, &a) == nil && a.Leads {
				said <- x.Name
				return
			}
			said <- ""
		}()
	}
	for range p.all {
		if name := <-said; name != "" {
			return name
		}
	}
	return ""
}

// standing is how targets stand in the eyes of a node that does not watch them.
type standing struct {
	mu   sync.Mutex
	read map[target.ID]status.Facts // of the repository
	at   time.Time
}

// standingBy is how each target stands by what the repository and the store say.
func (n *node) standingBy(ctx context.Context) ([]status.Report, error) {
	x := &n.facts
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.read == nil || time.Since(x.at) > refreshEvery {
		x.read = map[target.ID]status.Facts{}
		for _, c := range n.o.Targets {
			x.read[c.Target] = c.Facts.Gather(ctx, c.Target, c.Objectives)
		}
		x.at = time.Now()
	}
	place := n.place()
	var out []status.Report
	for _, c := range n.o.Targets {
		f := x.read[c.Target]
		f.Unread = slices.Clone(f.Unread)
		if err := remembered(ctx, &f, n.state); err != nil {
			return nil, err
		}
		f.Server.Running = place != nil && place.Leader != ""
		out = append(out, status.Evaluate(f, time.Now().UTC()))
	}
	return out, nil
}
