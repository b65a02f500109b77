package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/refloat-db/refloat/internal/access"
	"github.com/refloat-db/refloat/internal/server"
	"github.com/refloat-db/refloat/internal/status"
	"github.com/refloat-db/refloat/internal/store/pgstore"
)

// node is one server with its store and its listener. While it leads it does
// the work; a node whose store is its own always leads.
type node struct {
	o     DaemonOptions
	log   *slog.Logger
	state Store
	http  *server.Server

	register *access.Register // who may come in
	desk     *desk            // what pages and the API stand on
	key      []byte           // of links

	facts standing // of targets, while another node leads

	mu   sync.Mutex
	lead *lead    // this node's part in who leads; nil when the store is its own
	duty *running // the work; nil while this node does not lead
	undo []func(context.Context) error
}

func (n *node) later(f func(context.Context) error) { n.undo = append(n.undo, f) }

// leading is the work of this node, nil while it does not lead.
func (n *node) leading() *running {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.duty
}

func (n *node) start(ctx context.Context) error {
	unlock, err := lockState(ctx, n.o.StateDir)
	if err != nil {
		return err
	}
	n.later(func(context.Context) error { return unlock() })
	if n.state, err = n.o.Store(ctx, false); err != nil {
		return err
	}
	n.later(func(context.Context) error { return n.state.Close() })
	n.o.Opened(n.state)
	n.later(func(context.Context) error {
		n.o.Opened(nil)
		return nil
	})
	n.later(func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
		defer cancel()
		if err := n.o.Trace.Flush(ctx); err != nil {
			n.log.Warn("traces", "error", err) // they are no reason to fail
		}
		return nil
	})
	n.desk = newDesk(n.o, n.log, n.state, n.leading)
	end, err := n.desk.start(ctx)
	if err != nil {
		return err
	}
	n.later(end)
	if n.key, err = n.o.LinkKey(); err != nil {
		return err
	}
	if shared, is := n.state.(*pgstore.Store); is {
		n.later(n.startLead(ctx, shared))
		return n.listen(ctx)
	}
	if err := n.begin(ctx, n.o, n.state); err != nil {
		return err
	}
	n.later(n.end)
	return n.listen(ctx)
}

// begin takes up the work.
func (n *node) begin(ctx context.Context, o DaemonOptions, state Store) error {
	r := &running{o: o, log: n.log, state: state}
	if err := r.start(ctx); err != nil {
		return errors.Join(err, r.stop(context.WithoutCancel(ctx)))
	}
	n.mu.Lock()
	n.duty = r
	n.mu.Unlock()
	return nil
}

// end ends the work, if this node leads.
func (n *node) end(ctx context.Context) error {
	if r := n.lay(); r != nil {
		return r.stop(ctx)
	}
	return nil
}

// lay lays the work down: it is no longer this node's, and is not ended yet.
func (n *node) lay() *running {
	n.mu.Lock()
	defer n.mu.Unlock()
	r := n.duty
	n.duty = nil
	return r
}

func (n *node) stop(ctx context.Context) error {
	if r := n.leading(); r != nil {
		r.record(ctx, "server", "server.stopped", nil)
	}
	var errs []error
	for _, f := range slices.Backward(n.undo) {
		errs = append(errs, f(ctx))
	}
	n.undo = nil
	return errors.Join(errs...)
}

func (n *node) listen(ctx context.Context) error {
	if n.o.Listen == "off" {
		return nil
	}
	o := server.Options{
		Address: n.o.Listen, Remote: n.o.ListenRemote, Version: n.o.Version, Logger: n.log, Secrets: n.o.Secrets,
		Status: n.status, Ready: n.ready, Paging: n.paging, Headroom: n.gauges, Doors: n.doors(), Node: n.place, PublicHost: publicHost(n.o.PublicURL),
	}
	if err := n.openFront(ctx, &o); err != nil {
		return err
	}
	s, err := server.Listen(ctx, o)
	if err != nil {
		return err
	}
	n.http = s
	n.later(s.Close)
	n.log.Info("metrics and status", "address", s.Address())
	return n.openAccess(ctx)
}

// What the listener asks is answered by whoever does the work, and from the store
// where another node does.

var errNotLeading = errors.New("this node does not lead")

func (n *node) status(ctx context.Context) ([]status.Report, error) {
	if r := n.leading(); r != nil {
		return r.status(ctx)
	}
	return n.standingBy(ctx)
}

func (n *node) ready() error {
	if r := n.leading(); r != nil {
		return r.ready()
	}
	switch p := n.place(); {
	case p == nil:
		return errNotLeading
	case p.Trouble != "":
		return fmt.Errorf("the store does not answer: %s", p.Trouble)
	case p.Leader == "":
		return errors.New("no node leads")
	}
	return nil
}

// place is this node's among those that share a store; nil when its store is its
// own.
func (n *node) place() *server.Place {
	n.mu.Lock()
	l, leads := n.lead, n.duty != nil
	n.mu.Unlock()
	if l == nil {
		return nil
	}
	p := &server.Place{Node: l.store.Node(), Leads: leads}
	leader, err := l.who()
	p.Leader = leader
	if err != nil {
		p.Trouble = err.Error()
	}
	return p
}

func (n *node) paging() server.Paging {
	if r := n.leading(); r != nil {
		return r.pager.count()
	}
	return server.Paging{}
}

func (n *node) gauges() []server.Gauge {
	if r := n.leading(); r != nil {
		return r.gauges()
	}
	return nil
}

// doors are the node's. While another leads, what is asked of the pager waits in
// the store until that one has taken it up.
func (n *node) doors() server.Doors {
	return server.Doors{
		Receive: func(ctx context.Context, name, token string, body []byte) error {
			if r := n.leading(); r != nil {
				return r.doors.receive(ctx, name, token, body)
			}
			return n.passOnSignals(ctx, name, token, body)
		},
		Beat: func(ctx context.Context, name, token string) error {
			if r := n.leading(); r != nil {
				return r.doors.beat(ctx, name, token)
			}
			return n.passOnBeat(ctx, name, token)
		},
		Show: func(token string) (server.Acknowledgement, error) {
			if r := n.leading(); r != nil {
				return r.doors.show(token)
			}
			return n.showLink(token)
		},
		Acknowledge: func(ctx context.Context, token string) (server.Acknowledgement, error) {
			if r := n.leading(); r != nil {
				return r.doors.acknowledge(ctx, token)
			}
			return n.passOnLink(ctx, token)
		},
		ShowUpdate: n.showUpdate,
		ReadUpdate: n.readUpdate,
		Calendar:   func(token string, now time.Time) ([]byte, error) { return n.o.calendar(n.key, token, now) },
		Peer:       n.answerPeer,
	}
}
