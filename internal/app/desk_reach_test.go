package app

import (
	"context"
	"errors"
	"testing"

	"github.com/refloat-db/refloat/internal/access"
	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/recovery"
	"github.com/refloat-db/refloat/internal/server"
)

// reached tells what came as far as recovering something.
type reached struct{ calls []string }

func (r *reached) RecoveryOffer(_ context.Context, q RecoveryAsk) (RecoveryOffer, error) {
	r.calls = append(r.calls, "offer "+q.Target)
	return RecoveryOffer{Target: q.Target}, nil
}

func (r *reached) ChooseRecovery(_ context.Context, q RecoveryAsk, _ recovery.Name, _ string) (Incident, string, error) {
	r.calls = append(r.calls, "choose "+q.Target)
	return Incident{}, "", nil
}

func (r *reached) RunRecovery(_ context.Context, _, run, _ string, _ func(RecoveryProgress)) (Incident, error) {
	return Incident{}, errors.New("no run is wanted here: " + run)
}

// Who works in an incident about targets of two teams recovers those of their own
// team alone.
func TestARecoveryTakesTheRoleForItsTarget(t *testing.T) {
	ways := &reached{}
	o := twoTeamsOptions(t)
	o.WaysBack = ways
	d, ctx, root := deskOver(t, o), context.Background(), all(access.Admin)
	id := ""
	for _, name := range []string{"books", "shop"} {
		v, err := d.OpenIncident(ctx, root, server.NewIncident{Title: name + " is down", Target: name})
		if err != nil {
			t.Fatal(err)
		}
		if id == "" {
			id = v.ID
			continue
		}
		if v, err = d.Merge(ctx, root, v.ID, id, "the same disk"); err != nil || len(v.Targets) != 2 {
			t.Fatal(v.Targets, err)
		}
	}
	run := map[string]string{"shop": "r1", "books": "r2"}
	for _, name := range []string{"shop", "books"} {
		c := incident.ChooseRecovery{Chosen: incident.RecoveryChosen{Target: name, Way: "w", Title: "w", Steps: []incident.PlannedStep{{ID: "a", Title: "a", ByHand: true}}}}
		if _, err := d.do(ctx, root, id, c); err != nil {
			t.Fatal(err)
		}
	}
	blue := in("blue", access.Responder)
	acts := func(p access.Principal, name string) map[string]error {
		of := func(_ any, err error) error { return err }
		q := server.RecoveryAsk{Target: name}
		return map[string]error{
			"offer":   of(d.WaysBack(ctx, p, id, q)),
			"choose":  of(d.ChooseWay(ctx, p, id, q, "w")),
			"confirm": of(d.ConfirmWay(ctx, p, id, run[name], name)),
			"done":    of(d.StepDone(ctx, p, id, run[name], "a", "")),
			"go on":   of(d.GoOn(ctx, p, id, run[name])),
			"give up": of(d.GiveUp(ctx, p, id, run[name], "w")),
		}
	}
	for what, err := range acts(blue, "shop") {
		if !errors.Is(err, server.ErrNotFound) {
			t.Errorf("%s for a target of another team: %v", what, err)
		}
	}
	if len(ways.calls) != 0 {
		t.Errorf("a target of another team was reached: %v", ways.calls)
	}
	if v, err := d.Incident(ctx, root, id); err != nil || !v.Recovery("r1").ConfirmedAt.IsZero() || v.Recovery("r1").Over() {
		t.Errorf("the run of another team was touched: %+v %v", v.Recovery("r1"), err)
	}
	for what, err := range acts(blue, "books") {
		if errors.Is(err, server.ErrNotFound) || errors.Is(err, server.ErrForbidden) {
			t.Errorf("%s for their own target: %v", what, err)
		}
	}
	if _, err := d.WaysBack(ctx, in("blue", access.Viewer), id, server.RecoveryAsk{Target: "books"}); !errors.Is(err, server.ErrForbidden) {
		t.Errorf("a viewer recovers: %v", err)
	}
}
