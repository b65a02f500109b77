package rest

import (
	"context"
	"fmt"
	"net/http"

	"github.com/refloat-db/refloat/internal/access"
	"github.com/refloat-db/refloat/internal/recovery"
	"github.com/refloat-db/refloat/internal/server"
)

// The bodies of guided recovery.
type (
	wayChoice struct {
		Way     recovery.Name     `json:"way" enum:"wait,restart,mend,promote,restore-latest,restore-to" doc:"The way back that is chosen."`
		Target  string            `json:"target,omitempty" maxLength:"63" doc:"Needed only when the incident is about several."`
		Reason  recovery.Reason   `json:"reason,omitempty" maxLength:"63" doc:"What is wrong; what the watch saw when it is left out."`
		To      string            `json:"to,omitempty" maxLength:"200" doc:"With restore-to: the point to restore to just before."`
		Into    string            `json:"into,omitempty" maxLength:"4000" doc:"The directory to restore into, on the server's machine."`
		Answers map[string]string `json:"answers,omitempty" doc:"To the questions that a way asks: why, in words, by the question's name."`
	}
	wayConfirmation struct {
		Typed string `json:"typed,omitempty" maxLength:"63" doc:"The name of the target, typed by whoever chose it. Left out by a second person, who needs a session."`
	}
	stepDone struct {
		Step   string `json:"step" minLength:"1" maxLength:"63" doc:"The step that you did by hand."`
		Detail string `json:"detail,omitempty" maxLength:"4000" doc:"What came of it."`
	}
)

// RunPath names a run of an incident's recovery.
type RunPath struct {
	IncidentPath
	Run string `path:"run" pattern:"^r[0-9]{1,6}$" example:"r1" doc:"The run's ID."`
}

// guide is what guides recoveries.
func (a *API) guide() (server.Recoverer, error) {
	r, is := a.o.Desk.(server.Recoverer)
	if !is {
		return nil, fmt.Errorf("%w: this server recovers nothing", server.ErrRefused)
	}
	return r, nil
}

// onRun adds an operation that does one thing with a run.
func onRun[I any](a *API, o operation, do func(ctx context.Context, r server.Recoverer, who access.Principal, in *I) (id string, v server.IncidentView, err error)) {
	o.method, o.tag, o.need, o.fails, o.answers = http.MethodPost, "incidents", access.Respond, []int{http.StatusNotFound}, exampleIncident()
	register(a, o, func(ctx context.Context, who access.Principal, in *I) (out answer[server.IncidentView], err error) {
		r, err := a.guide()
		if err != nil {
			return out, err
		}
		id, v, err := do(ctx, r, who, in)
		out.Body, err = a.settled(ctx, who, id, v, err)
		return out, err
	})
}

func (a *API) recoveryOperations() {
	register(a, operation{
		id: "get-ways-back", method: http.MethodGet, path: "/incidents/{id}/recovery", tag: "incidents", need: access.Respond, fails: []int{http.StatusNotFound, http.StatusConflict},
		summary: "The ways back, and which servers they are about", about: "Looks at the servers, the repository and the last proof. Nothing is changed.", answers: exampleOffer(),
	}, func(ctx context.Context, who access.Principal, in *struct {
		IncidentPath
		Target string `query:"target" maxLength:"63" example:"shop" doc:"Needed only when the incident is about several."`
		Reason string `query:"reason" maxLength:"63" example:"crash" doc:"What is wrong; what the watch saw when it is left out."`
		To     string `query:"to" maxLength:"200" example:"2026-11-27T02:14:00Z" doc:"The point to restore to just before."`
		Into   string `query:"into" maxLength:"4000" example:"/srv/restored" doc:"The directory to restore into, on the server's machine."`
	}) (out answer[server.RecoveryOffer], err error) {
		r, err := a.guide()
		if err != nil {
			return out, err
		}
		out.Body, err = r.WaysBack(ctx, who, in.incident(), server.RecoveryAsk{Target: in.Target, Reason: recovery.Reason(in.Reason), To: in.To, Into: in.Into})
		return out, err
	})
	onRun(a, operation{
		id: "choose-way-back", path: "/incidents/{id}/recovery", summary: "Choose a way back", about: "Nothing begins before it is confirmed.", sends: wayChoice{Way: recovery.RestoreLatest, Into: "/srv/restored"},
	}, func(ctx context.Context, r server.Recoverer, who access.Principal, in *In[wayChoice]) (string, server.IncidentView, error) {
		b := in.Body
		v, err := r.ChooseWay(ctx, who, in.incident(), server.RecoveryAsk{Target: b.Target, Reason: b.Reason, To: b.To, Into: b.Into, Answers: b.Answers}, b.Way)
		return in.incident(), v, err
	})
	onRun(a, operation{
		id: "confirm-way-back", path: "/incidents/{id}/recovery/{run}/confirm", summary: "Let a run begin",
		about: "A second person does, with a session; or whoever chose it sends the name of the target. It runs beside the answer: follow the incident.", sends: wayConfirmation{"shop"},
	}, func(ctx context.Context, r server.Recoverer, who access.Principal, in *struct {
		RunPath
		Body wayConfirmation
	}) (string, server.IncidentView, error) {
		v, err := r.ConfirmWay(ctx, who, in.incident(), in.Run, in.Body.Typed)
		return in.incident(), v, err
	})
	onRun(a, operation{
		id: "continue-recovery", path: "/incidents/{id}/recovery/{run}/continue", summary: "Take up a run that was cut off, or whose step failed",
	}, func(ctx context.Context, r server.Recoverer, who access.Principal, in *RunPath) (string, server.IncidentView, error) {
		v, err := r.GoOn(ctx, who, in.incident(), in.Run)
		return in.incident(), v, err
	})
	onRun(a, operation{
		id: "recovery-step-done", path: "/incidents/{id}/recovery/{run}/done", summary: "Say that you did a step by hand", about: "The run then goes on.", sends: stepDone{"start", "it answers"},
	}, func(ctx context.Context, r server.Recoverer, who access.Principal, in *struct {
		RunPath
		Body stepDone
	}) (string, server.IncidentView, error) {
		v, err := r.StepDone(ctx, who, in.incident(), in.Run, in.Body.Step, in.Body.Detail)
		return in.incident(), v, err
	})
	onRun(a, operation{
		id: "abandon-recovery", path: "/incidents/{id}/recovery/{run}/abandon", summary: "Give a run up", sends: reason{"the disk is mended"},
	}, func(ctx context.Context, r server.Recoverer, who access.Principal, in *struct {
		RunPath
		Body reason
	}) (string, server.IncidentView, error) {
		v, err := r.GiveUp(ctx, who, in.incident(), in.Run, in.Body.Why)
		return in.incident(), v, err
	})
}

func exampleOffer() server.RecoveryOffer {
	return server.RecoveryOffer{
		Target: "shop", Reason: recovery.Crash, Began: noon(), At: noon(), Cards: []recovery.Card{}, Ways: []recovery.Way{},
		Advice: "nothing can be recommended as things stand: see what fails for each way, and mend that first",
	}
}
