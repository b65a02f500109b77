package app

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/refloat-db/refloat/internal/access"
	"github.com/refloat-db/refloat/internal/server"
	"github.com/refloat-db/refloat/internal/status"
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

	mu   sync.Mutex
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
	if err := n.begin(ctx, n.state); err != nil {
		return err
	}
	return n.listen(ctx)
}

// begin takes up the work.
func (n *node) begin(ctx context.Context, state Store) error {
	r := &running{o: n.o, log: n.log, state: state}
	if err := r.start(ctx); err != nil {
		return errors.Join(err, r.stop(context.WithoutCancel(ctx)))
	}
	n.mu.Lock()
	n.duty = r
	n.mu.Unlock()
	n.later(func(ctx context.Context) error { return n.end(ctx) })
	return nil
}

// end ends the work, if this node leads.
func (n *node) end(ctx context.Context) error {
	n.mu.Lock()
	r := n.duty
	n.duty = nil
	n.mu.Unlock()
	if r == nil {
		return nil
	}
	return r.stop(ctx)
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
		Status: n.status, Ready: n.ready, Paging: n.paging, Headroom: n.gauges, Doors: n.doors(), PublicHost: publicHost(n.o.PublicURL),
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

// What the listener asks is answered by whoever does the work.

var errNotLeading = errors.New("this node does not lead")

func (n *node) status(ctx context.Context) ([]status.Report, error) {
	if r := n.leading(); r != nil {
		return r.status(ctx)
	}
	return nil, errNotLeading
}

func (n *node) ready() error {
	if r := n.leading(); r != nil {
		return r.ready()
	}
	return errNotLeading
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

func (n *node) doors() server.Doors {
	return server.Doors{
		Receive: func(ctx context.Context, name, token string, body []byte) error {
			if r := n.leading(); r != nil {
				return r.doors.receive(ctx, name, token, body)
			}
			return errNotLeading
		},
		Beat: func(ctx context.Context, name, token string) error {
			if r := n.leading(); r != nil {
				return r.doors.beat(ctx, name, token)
			}
			return errNotLeading
		},
		Show: func(token string) (server.Acknowledgement, error) {
			if r := n.leading(); r != nil {
				return r.doors.show(token)
			}
			return server.Acknowledgement{}, errNotLeading
		},
		Acknowledge: func(ctx context.Context, token string) (server.Acknowledgement, error) {
			if r := n.leading(); r != nil {
				return r.doors.acknowledge(ctx, token)
			}
			return server.Acknowledgement{}, errNotLeading
		},
		Calendar: func(token string, now time.Time) ([]byte, error) {
			if r := n.leading(); r != nil {
				return r.doors.calendar(token, now)
			}
			return nil, errNotLeading
		},
		Peer: func(ctx context.Context, token, what string, body []byte) (any, error) {
			if r := n.leading(); r != nil {
				return r.peers.answer(ctx, token, what, body)
			}
			return nil, errNotLeading
		},
	}
}
