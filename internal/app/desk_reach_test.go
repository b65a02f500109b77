package app

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/access"
	"github.com/refloat-db/refloat/internal/alert"
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

// A key that somebody chose names what they asked for before, and nothing that
// another did: else it would be written over.
func TestNobodysKeyNamesTheSilenceOfAnother(t *testing.T) {
	d, ctx := twoTeams(t), context.Background()
	once := server.WithOnce(ctx, "form/abc")
	root := all(access.Admin)
	ask := alert.Silence{Code: "x", Reason: "r", Until: time.Now().Add(time.Hour)}
	whole, err := d.Silence(once, root, ask)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := d.Silence(once, root, ask); err != nil || again.ID != whole.ID {
		t.Errorf("asked for twice: %s and %s, %v", whole.ID, again.ID, err)
	}
	for _, key := range []string{"form/abc", whole.ID} {
		if _, err := d.Silence(server.WithOnce(ctx, key), in("blue", access.Responder), alert.Silence{Target: "books", Reason: "mine", Until: time.Now().Add(time.Minute)}); err != nil {
			t.Fatal(err)
		}
	}
	left, err := d.Silences(ctx, root)
	if i := slices.IndexFunc(left, func(s alert.Silence) bool { return s.ID == whole.ID }); err != nil || i < 0 || left[i].Owner != "root" || left[i].Target != "" {
		t.Errorf("the silence of everybody was written over: %+v %v", left, err)
	}
}

// What was about a target that is in care no more, or is a part of an incident,
// is not for every team.
func TestWhatATargetLeavesBehindIsNotForEveryTeam(t *testing.T) {
	d, ctx := twoTeams(t), context.Background()
	r, blue, whole := d.lead(), in("blue", access.Viewer), all(access.Viewer)
	id := ""
	_, err := incident.ActOnAll(ctx, incidentLog{d.state}, func(all []incident.State) ([]incident.Event, error) {
		id = incident.NextID(all)
		return incident.Decide(incident.State{}, incident.Open{ID: id, Opened: incident.Opened{
			Title: "gone is down", Severity: incident.Sev2, Team: "red", Targets: []string{"gone"}, Objectives: incident.DefaultObjectives(),
			Cause: incident.Cause{Key: "k", Kind: incident.FromPerson, Target: "gone", Started: time.Now(), Detected: time.Now()},
		}}, "root", time.Now())
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Incident(ctx, blue, id); !errors.Is(err, server.ErrNotFound) {
		t.Errorf("another team sees it: %v", err)
	}
	for _, p := range []access.Principal{whole, in("red", access.Viewer)} {
		if _, err := d.Incident(ctx, p, id); err != nil {
			t.Errorf("its own team does not see it: %v", err)
		}
	}
	subjects := []string{"target/gone", "job/gone", "postmortem/" + id, "action/a1"}
	for _, s := range subjects {
		r.record(ctx, s, "x.y", map[string]string{"target": "gone"})
	}
	s, err := d.Silence(ctx, all(access.Admin), alert.Silence{Target: "shop", Reason: "r", Until: time.Now().Add(time.Hour)})
	if err == nil {
		err = d.EndSilence(ctx, all(access.Admin), s.ID)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range append(subjects, "silence/"+s.ID) {
		if p, err := d.Journal(ctx, blue, server.JournalQuery{Scope: s}); err != nil || len(p.Entries) > 0 {
			t.Errorf("another team reads %s: %v %v", s, p.Entries, err)
		}
		if p, err := d.Journal(ctx, whole, server.JournalQuery{Scope: s}); err != nil || len(p.Entries) == 0 {
			t.Errorf("who sees all does not read %s: %v", s, err)
		}
	}
}
