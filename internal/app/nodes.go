package app

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// NodeStanding is one of the nodes that share a store.
type NodeStanding struct {
	Name    string    `json:"name"`
	Leads   bool      `json:"leads"`
	Version string    `json:"version"`
	Seen    time.Time `json:"seen"`
	Silent  bool      `json:"silent"` // for longer than one that runs ever is
}

// nodeSilent is how long a node that runs is at most not seen.
const nodeSilent = 10 * time.Second

// Shares reports that the configuration's store is one that nodes share.
func (a *App) Shares() bool { return a.cfg.Store.URL != "" }

// Nodes lists the nodes that share the store of the configuration and that were
// not stopped in order.
func (a *App) Nodes(ctx context.Context) (out []NodeStanding, err error) {
	if a.cfg.Store.URL == "" {
		return nil, fmt.Errorf("%w: %s has no store.url: its server shares its state with no other node", ErrUsage, a.cfg.Path)
	}
	s, err := a.state(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	p, is := sharedStore(s)
	if !is {
		return nil, fmt.Errorf("%w: the store is this server's own", ErrUsage)
	}
	nodes, err := p.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	out = []NodeStanding{}
	for _, n := range nodes {
		out = append(out, NodeStanding{Name: n.Name, Leads: n.Leads, Version: n.Version, Seen: n.Seen, Silent: n.Silent > nodeSilent})
	}
	return out, nil
}
