package app

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/access"
	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/recovery"
	"github.com/refloat-db/refloat/internal/server"
)

// waysBack is guided recovery as the desk needs it; *App is it.
type waysBack interface {
	RecoveryOffer(ctx context.Context, q RecoveryAsk) (RecoveryOffer, error)
	ChooseRecovery(ctx context.Context, q RecoveryAsk, way recovery.Name, by string) (Incident, string, error)
	RunRecovery(ctx context.Context, name, run, by string, tell func(RecoveryProgress)) (Incident, error)
}

var _ waysBack = (*App)(nil)

func askOf(id string, q server.RecoveryAsk) RecoveryAsk {
	return RecoveryAsk{Incident: id, Target: q.Target, Reason: q.Reason, To: strings.TrimSpace(q.To), Into: strings.TrimSpace(q.Into), Answers: q.Answers}
}

// recoverable is an incident in which somebody may recover a target, here. An
// incident may be about targets of several teams: that somebody works in it lets
// them recover their own.
func (d *desk) recoverable(who access.Principal, id string, of func(*incident.State) string) (*incident.State, error) {
	s, err := d.find(who, id, access.Respond)
	if err != nil {
		return s, err
	}
	name := of(s)
	switch err := allowed(d.roleOn(who, name), access.Respond, "target", name); {
	case name != "" && err != nil:
		return s, err
	case d.o.WaysBack == nil:
		return s, fmt.Errorf("%w: this server recovers nothing", server.ErrRefused)
	case d.lead() == nil:
		return s, fmt.Errorf("%w: %w: recover on the one that does", server.ErrRefused, errNotLeading)
	}
	return s, nil
}

// asksFor is the target that is asked about; empty where that is not said, which
// is refused later.
func asksFor(q server.RecoveryAsk) func(*incident.State) string {
	return func(s *incident.State) string {
		if q.Target == "" && len(s.Targets) == 1 {
			return s.Targets[0]
		}
		return q.Target
	}
}

// recovers is the target of a run; empty for a run that there is not.
func recovers(run string) func(*incident.State) string {
	return func(s *incident.State) string {
		if r := s.Recovery(run); r != nil {
			return r.Target
		}
		return ""
	}
}

// errOfRecovery turns what was asked wrongly into a refusal.
func errOfRecovery(err error) error {
	if errors.Is(err, ErrUsage) {
		return fmt.Errorf("%w: %s", server.ErrRefused, strings.TrimPrefix(err.Error(), ErrUsage.Error()+": "))
	}
	return errOfIncident(err)
}

// WaysBack implements server.Recoverer.
func (d *desk) WaysBack(ctx context.Context, who access.Principal, id string, q server.RecoveryAsk) (server.RecoveryOffer, error) {
	d.follow.catchUp(ctx)
	s, err := d.recoverable(who, id, asksFor(q))
	if err != nil {
		return server.RecoveryOffer{}, err
	}
	o, err := d.o.WaysBack.RecoveryOffer(ctx, askOf(s.ID, q))
	if err != nil {
		return server.RecoveryOffer{}, errOfRecovery(err)
	}
	return server.RecoveryOffer{Target: o.Target, Reason: o.Reason, Began: o.Began, At: o.At, Cards: o.Cards, Ways: o.Ways, Advice: o.Advice}, nil
}

// ChooseWay implements server.Recoverer.
func (d *desk) ChooseWay(ctx context.Context, who access.Principal, id string, q server.RecoveryAsk, way recovery.Name) (server.IncidentView, error) {
	d.follow.catchUp(ctx)
	s, err := d.recoverable(who, id, asksFor(q))
	if err != nil {
		return server.IncidentView{}, err
	}
	if _, _, err := d.o.WaysBack.ChooseRecovery(ctx, askOf(s.ID, q), way, who.Name); err != nil {
		return server.IncidentView{}, errOfRecovery(err)
	}
	return d.acted(ctx, who, s.ID, nil)
}

// ConfirmWay implements server.Recoverer.
func (d *desk) ConfirmWay(ctx context.Context, who access.Principal, id, run, typed string) (server.IncidentView, error) {
	d.follow.catchUp(ctx)
	s, err := d.recoverable(who, id, recovers(run))
	if err != nil {
		return server.IncidentView{}, err
	}
	if typed == "" && who.Kind != access.Session {
		return server.IncidentView{}, fmt.Errorf("%w: a second person confirms it in a browser, or whoever chose it types the name of the target", server.ErrRefused)
	}
	v, err := d.do(ctx, who, s.ID, incident.ConfirmRecovery{Run: run, Typed: typed})
	if err == nil {
		d.goOn(s.ID, run, who.Name)
	}
	return v, err
}

// StepDone implements server.Recoverer.
func (d *desk) StepDone(ctx context.Context, who access.Principal, id, run, step, detail string) (server.IncidentView, error) {
	d.follow.catchUp(ctx)
	s, err := d.recoverable(who, id, recovers(run))
	if err != nil {
		return server.IncidentView{}, err
	}
	v, err := d.do(ctx, who, s.ID, incident.TellStep{RecoveryStep: incident.RecoveryStep{Run: run, Step: step, ByHand: true, Detail: strings.TrimSpace(detail)}, Kind: incident.KindStepDone})
	if err == nil {
		d.goOn(s.ID, run, who.Name)
	}
	return v, err
}

// GoOn implements server.Recoverer.
func (d *desk) GoOn(ctx context.Context, who access.Principal, id, run string) (server.IncidentView, error) {
	d.follow.catchUp(ctx)
	s, err := d.recoverable(who, id, recovers(run))
	if err != nil {
		return server.IncidentView{}, err
	}
	r := s.Recovery(run)
	switch {
	case r == nil:
		return server.IncidentView{}, fmt.Errorf("%w: there is no run %s in %s", server.ErrNotFound, run, s.ID)
	case r.ConfirmedAt.IsZero():
		return server.IncidentView{}, fmt.Errorf("%w: nobody has confirmed it", server.ErrRefused)
	case !r.Over():
		d.goOn(s.ID, run, who.Name)
	}
	return d.acted(ctx, who, s.ID, nil)
}

// GiveUp implements server.Recoverer.
func (d *desk) GiveUp(ctx context.Context, who access.Principal, id, run, why string) (server.IncidentView, error) {
	d.follow.catchUp(ctx)
	s, err := d.recoverable(who, id, recovers(run))
	if err != nil {
		return server.IncidentView{}, err
	}
	return d.do(ctx, who, s.ID, incident.EndRecovery{RecoveryEnded: incident.RecoveryEnded{Run: run, Outcome: incident.RecoveryAbandoned, Why: strings.TrimSpace(why)}})
}

// goOn runs the steps of a run beside whoever asked, for as long as the server
// lives. What becomes of each is written down in the incident; one that the end of
// the server cuts off shows as interrupted, and can be gone on with.
func (d *desk) goOn(id, run, by string) {
	d.reads.Go(func() {
		began := time.Now()
		_, err := d.o.WaysBack.RunRecovery(d.life, id, run, by, nil)
		log := d.log.With("incident", id, "run", run, "took", time.Since(began).Round(time.Millisecond))
		switch {
		case err == nil:
			log.Info("recovered")
		case errors.Is(err, ErrByHand):
			log.Info("the next step of a recovery is for a person")
		default:
			log.Warn("a recovery has stopped", "error", err)
		}
	})
}
