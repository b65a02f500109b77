package app

import (
	"context"
	"errors"
	"time"

	"github.com/refloat-db/refloat/internal/monitor"
	"github.com/refloat-db/refloat/internal/status"
	"github.com/refloat-db/refloat/internal/target"
	"github.com/refloat-db/refloat/internal/target/postgres"
)

// HeadroomReport is what could run out on a target, with what a running server
// has learnt of its growth.
type HeadroomReport struct {
	Target string `json:"target"`
	target.Headroom
	// Runs is when each gauge reaches its limit if it goes on as it does, by code
	// and object; absent where it does not grow or is not known for long enough.
	Runs      map[string]time.Time `json:"runs"`
	Shortages []monitor.Shortage   `json:"shortages"`
	// Samples is how many looks of a running server the dates come from.
	Samples int `json:"samples"`
}

// HeadroomOf looks at a server named by its address.
func HeadroomOf(ctx context.Context, r InitRequest, env func(string) (string, bool)) (HeadroomReport, error) {
	password, err := r.password(env)
	if err != nil {
		return HeadroomReport{}, err
	}
	c, err := postgres.New(postgres.Options{DSN: r.DSN, Password: password, Application: "refloat headroom"})
	if err != nil {
		return HeadroomReport{}, err
	}
	h, err := c.Headroom(ctx)
	if err != nil {
		return HeadroomReport{}, err
	}
	return reportHeadroom(address(r.DSN), headroom{}.add(h)), nil
}

// Headroom looks at a target, or at each of the configuration.
func (a *App) Headroom(ctx context.Context, name string) ([]HeadroomReport, error) {
	names := a.Targets()
	if name != "" {
		names = []string{name}
	}
	out := []HeadroomReport{}
	for _, n := range names {
		id, _, err := a.target(n)
		if err != nil {
			return nil, err
		}
		c, err := a.cluster(n, "refloat headroom")
		if err != nil {
			return nil, err
		}
		h, err := c.Headroom(ctx)
		if err != nil {
			return nil, err
		}
		kept, err := a.keptHeadroom(ctx, id)
		if err != nil {
			return nil, err
		}
		out = append(out, reportHeadroom(n, kept.add(h)))
	}
	return out, nil
}

// keptHeadroom is what a server on this machine has learnt.
func (a *App) keptHeadroom(ctx context.Context, id target.ID) (k headroom, err error) {
	s, err := a.openStore(ctx, true)
	if noState(err) {
		return headroom{}, nil
	}
	if err != nil {
		return headroom{}, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if _, err := s.Kept(ctx, id, headroomFact, &k); err != nil && !errors.Is(err, status.ErrNothing) {
		return headroom{}, err
	}
	return k, nil
}

func reportHeadroom(name string, k headroom) HeadroomReport {
	out := HeadroomReport{Target: name, Headroom: k.Last, Runs: k.forecast(), Shortages: orEmpty(k.shortages(k.Last.At))}
	for _, g := range k.Last.Gauges {
		key := g.Code + "/" + g.Object
		out.Samples = max(out.Samples, len(k.Series[key]))
	}
	return out
}
