package cli

import (
	"context"
	"errors"

	"github.com/refloat-db/refloat/internal/app"
)

// room runs f with the room that people work in: on the server that --server
// names, or here.
func (g *globals) room(ctx context.Context, f func(app.Room) error) error {
	if g.server == "" {
		if g.tokenFile != "" || g.caFile != "" {
			return usageError{errors.New("--token-file and --ca-file go with --server")}
		}
		return g.with(ctx, func(a *app.App) error { return f(a) })
	}
	r, err := g.remote()
	if err != nil {
		return err
	}
	return f(r)
}

// remote is the server that --server names.
func (g *globals) remote() (*app.Remote, error) {
	if g.repo != "" || g.config != "" {
		return nil, usageError{errors.New("--server asks a server, which has a configuration of its own: leave --config and --repo out")}
	}
	return app.NewRemote(app.RemoteOptions{URL: g.server, TokenFile: g.tokenFile, CAFile: g.caFile})
}

// onThisMachine refuses what no server can be asked for.
func (g *globals) onThisMachine() error {
	if g.server == "" {
		return nil
	}
	return usageError{errors.New("this works on this machine only: --server goes with status, check, incident, alerts, ack, silence, oncall, journal list and mcp")}
}
