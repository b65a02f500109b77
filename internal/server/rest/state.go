package rest

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/access"
	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/audit"
	"github.com/refloat-db/refloat/internal/journal"
	"github.com/refloat-db/refloat/internal/proof"
	"github.com/refloat-db/refloat/internal/server"
)

func typeOf[T any]() reflect.Type { return reflect.TypeFor[T]() }

// full makes nothing an empty list, which is what a reader of JSON expects.
func full[T any](all []T) []T {
	if all == nil {
		return []T{}
	}
	return all
}

// next is a Link header to the page after this one.
func next(path string, q url.Values) string {
	return fmt.Sprintf("<%s%s?%s>; rel=\"next\"", Prefix, path, q.Encode())
}

type none struct{}

// TargetPath names a target.
type TargetPath struct {
	Target string `path:"target" maxLength:"63" example:"shop" doc:"The target's name in the configuration."`
}

func (a *API) stateOperations() {
	get := http.MethodGet
	register(a, operation{
		id: "get-board", method: get, path: "/board", tag: "state", need: access.View, summary: "How everything stands, in one look",
		about: "Every target, the worst first, with the incidents and alerts that are open and who is on call now.", answers: exampleBoard(),
	}, func(ctx context.Context, who access.Principal, _ *none) (out answer[server.Board], err error) {
		out.Body, err = a.o.Desk.Board(ctx, who)
		return out, err
	})
	register(a, operation{
		id: "list-targets", method: get, path: "/targets", tag: "state", need: access.View, summary: "How each target stands, the worst first",
		about: "The answer to \"can this be restored?\" is answer, the verdict of the last proof.", answers: exampleBoard().Targets,
	}, func(ctx context.Context, who access.Principal, _ *none) (out answer[[]server.TargetRow], err error) {
		b, err := a.o.Desk.Board(ctx, who)
		out.Body = full(b.Targets)
		return out, err
	})
	register(a, operation{
		id: "get-target", method: get, path: "/targets/{target}", tag: "state", need: access.View, fails: []int{404}, summary: "All about one target",
		about: "Coverage, backups, proofs, findings, outages, planned work, the lag of the log, and its runbook. What could not be read is named in missing.", answers: exampleTarget(),
	}, func(ctx context.Context, who access.Principal, in *TargetPath) (out answer[server.TargetView], err error) {
		out.Body, err = a.o.Desk.Target(ctx, who, in.Target)
		return out, err
	})
	register(a, operation{
		id: "ask-for-work", method: http.MethodPost, path: "/targets/{target}/work/{work}", tag: "state", need: access.Respond, status: http.StatusAccepted, fails: []int{404},
		summary: "Ask for a backup, a drill or a check", about: "It is done soon, one after the other. fresh says whether it was not asked for already.", answers: asked{Fresh: true},
	}, func(ctx context.Context, who access.Principal, in *struct {
		TargetPath
		Work string `path:"work" enum:"backup,drill,check" example:"drill" doc:"What is to be done."`
	}) (out answer[asked], err error) {
		out.Body.Fresh, err = a.o.Desk.Ask(ctx, who, in.Target, in.Work)
		return out, err
	})
	register(a, operation{
		id: "get-proof", method: get, path: "/proofs/{proof}", tag: "state", need: access.View, fails: []int{404}, summary: "A proof: what a drill restored, checked and measured",
		about: "The signature is over the proof as it is kept in the repository; refloat proof verify checks it.", answers: exampleProof(),
	}, func(ctx context.Context, who access.Principal, in *struct {
		ID string `path:"proof" maxLength:"200" example:"p-20261123T120000Z" doc:"The proof's ID."`
	}) (out answer[proof.Proof], err error) {
		out.Body, err = a.o.Desk.Proof(ctx, who, in.ID)
		return out, err
	})
	register(a, operation{
		id: "list-findings", method: get, path: "/findings", tag: "state", need: access.View, summary: "What the last audit of each target found", answers: exampleFindings(),
	}, func(ctx context.Context, who access.Principal, in *struct {
		Target   string `query:"target" maxLength:"63" example:"shop" doc:"Only of this target."`
		Severity string `query:"severity" enum:"critical,high,medium,low,info" example:"high" doc:"Only findings of this severity."`
	}) (out answer[[]server.TargetFindings], err error) {
		all, err := a.o.Desk.Findings(ctx, who)
		out.Body = []server.TargetFindings{}
		for _, f := range all {
			if in.Target != "" && f.Target != in.Target {
				continue
			}
			if in.Severity != "" {
				kept := []audit.Finding{}
				for _, x := range f.Report.Findings {
					if x.Severity.String() == in.Severity {
						kept = append(kept, x)
					}
				}
				f.Report.Findings = kept
			}
			out.Body = append(out.Body, f)
		}
		return out, err
	})
	register(a, operation{
		id: "get-settings", method: get, path: "/settings", tag: "state", need: access.Administer, summary: "The configuration as it was read, without secrets", answers: exampleSettings(),
	}, func(ctx context.Context, who access.Principal, _ *none) (out answer[server.Settings], err error) {
		out.Body, err = a.o.Desk.Settings(ctx, who)
		return out, err
	})
	a.journalOperation()
}

type asked struct {
	Fresh bool `json:"fresh" doc:"Whether it was not asked for already."`
}

func (a *API) journalOperation() {
	register(a, operation{
		id: "list-journal", method: http.MethodGet, path: "/journal", tag: "record", need: access.View, summary: "What happened",
		about: "Newest first, or with forward=true oldest first from after on. The Link header says where the next page is.", answers: exampleJournal(),
	}, func(ctx context.Context, who access.Principal, in *struct {
		Before  int64  `query:"before" minimum:"0" example:"4711" doc:"Only entries with a smaller sequence number."`
		After   int64  `query:"after" minimum:"0" example:"4700" doc:"With forward: only entries with a greater one."`
		Forward bool   `query:"forward" example:"false" doc:"Oldest first."`
		Scope   string `query:"scope" maxLength:"200" example:"incident/inc-3" doc:"A subject; with a slash at its end all that begin with it."`
		Kind    string `query:"kind" maxLength:"100" example:"backup." doc:"What kinds begin with."`
		Limit   int    `query:"limit" minimum:"1" maximum:"1000" default:"100" example:"100" doc:"At most so many."`
	}) (out answer[[]journal.Entry], err error) {
		page, err := a.o.Desk.Journal(ctx, who, server.JournalQuery{Before: in.Before, After: in.After, Forward: in.Forward, Scope: in.Scope, Kind: in.Kind, Limit: in.Limit})
		if err != nil {
			return out, err
		}
		out.Body = full(page.Entries)
		q := url.Values{"limit": {fmt.Sprint(in.Limit)}}
		for name, v := range map[string]string{"scope": in.Scope, "kind": in.Kind} {
			if v != "" {
				q.Set(name, v)
			}
		}
		switch n := len(page.Entries); {
		case in.Forward && n == in.Limit:
			q.Set("forward", "true")
			q.Set("after", fmt.Sprint(page.Entries[n-1].Seq))
			out.Link = next("/journal", q)
		case !in.Forward && page.Older > 0:
			q.Set("before", fmt.Sprint(page.Older))
			out.Link = next("/journal", q)
		}
		return out, nil
	})
}

func (a *API) alertOperations() {
	get, post := http.MethodGet, http.MethodPost
	register(a, operation{
		id: "list-alerts", method: get, path: "/alerts", tag: "alerts", need: access.View, summary: "Alerts that are open, newest first, with every delivery", answers: exampleAlerts(),
	}, func(ctx context.Context, who access.Principal, in *struct {
		All    bool   `query:"all" example:"false" doc:"Also those that ended."`
		Target string `query:"target" maxLength:"63" example:"shop" doc:"Only of this target."`
		Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100" example:"100" doc:"At most so many."`
	}) (out answer[[]server.AlertView], err error) {
		all, err := a.o.Desk.Alerts(ctx, who, server.AlertQuery{All: in.All, Target: in.Target, Limit: in.Limit})
		out.Body = full(all)
		return out, err
	})
	register(a, operation{
		id: "get-alert", method: get, path: "/alerts/{alert}", tag: "alerts", need: access.View, fails: []int{404}, summary: "One alert with every delivery", answers: exampleAlerts()[0],
	}, func(ctx context.Context, who access.Principal, in *alertPath) (out answer[server.AlertView], err error) {
		out.Body, err = a.alert(ctx, who, in.Alert)
		return out, err
	})
	register(a, operation{
		id: "acknowledge-alert", method: post, path: "/alerts/{alert}/acknowledge", tag: "alerts", need: access.Respond, fails: []int{404},
		summary: "Take an alert on: nobody else is paged for it", about: "What was acknowledged before stays so: who was first is in the answer.", answers: exampleAlerts()[0],
	}, func(ctx context.Context, who access.Principal, in *alertPath) (out answer[server.AlertView], err error) {
		out.Body, err = a.o.Desk.Acknowledge(ctx, who, in.Alert)
		if again(ctx) && nothing(err) {
			out.Body, err = a.alert(ctx, who, in.Alert)
		}
		return out, err
	})
	register(a, operation{
		id: "list-silences", method: get, path: "/silences", tag: "alerts", need: access.View, summary: "What is silenced or planned, now and coming", answers: []alert.Silence{exampleSilence()},
	}, func(ctx context.Context, who access.Principal, _ *none) (out answer[[]alert.Silence], err error) {
		all, err := a.o.Desk.Silences(ctx, who)
		out.Body = full(all)
		return out, err
	})
	register(a, operation{
		id: "silence", method: post, path: "/silences", tag: "alerts", need: access.Respond, status: http.StatusCreated, fails: []int{404},
		summary: "Keep alerts of a target or of a code from paging for a while", about: "They are still shown, and what still holds when it ends pages then.", sends: exampleSilenceBody(), answers: exampleSilence(),
	}, func(ctx context.Context, who access.Principal, in *struct{ Body silence }) (out answer[alert.Silence], err error) {
		s := alert.Silence{Target: in.Body.Target, Code: in.Body.Code, Reason: in.Body.Reason, From: in.Body.From, Until: in.Body.Until, Planned: in.Body.Planned, Owner: who.Name}
		out.Body, err = a.o.Desk.Silence(ctx, who, s)
		return out, err
	})
	register(a, operation{
		id: "end-silence", method: http.MethodDelete, path: "/silences/{silence}", tag: "alerts", need: access.Respond, fails: []int{404}, summary: "End a silence now", answers: ended{Ended: "s-1"},
	}, func(ctx context.Context, who access.Principal, in *struct {
		ID string `path:"silence" maxLength:"200" example:"s-1" doc:"The silence's ID."`
	}) (out answer[ended], err error) {
		out.Body.Ended = in.ID
		return out, a.o.Desk.EndSilence(ctx, who, in.ID)
	})
	a.onCallOperations()
}

type ended struct {
	Ended string `json:"ended"`
}

type alertPath struct {
	Alert string `path:"alert" maxLength:"200" example:"a1b2c3" doc:"The alert's ID."`
}

type silence struct {
	Target  string    `json:"target,omitempty" maxLength:"63" doc:"Alerts of this target."`
	Code    string    `json:"code,omitempty" maxLength:"100" doc:"Alerts of this code, like proof-stale."`
	Reason  string    `json:"reason" minLength:"1" maxLength:"1000" doc:"Why: others will ask."`
	From    time.Time `json:"from,omitempty" doc:"From when; now when it is left out."`
	Until   time.Time `json:"until" doc:"Until when; at most 30 days from now."`
	Planned bool      `json:"planned,omitempty" doc:"It is announced maintenance."`
}

// alert is one alert by its ID.
func (a *API) alert(ctx context.Context, who access.Principal, id string) (server.AlertView, error) {
	all, err := a.o.Desk.Alerts(ctx, who, server.AlertQuery{All: true, ID: id, Limit: 1})
	if err == nil && len(all) == 0 {
		err = fmt.Errorf("%w: there is no alert %s", server.ErrNotFound, id)
	}
	if err != nil {
		return server.AlertView{}, err
	}
	return all[0], nil
}

func (a *API) onCallOperations() {
	register(a, operation{
		id: "get-oncall", method: http.MethodGet, path: "/oncall", tag: "alerts", need: access.View, summary: "Who is on call, and where cover has gaps", answers: exampleOnCall(),
	}, func(ctx context.Context, who access.Principal, in *struct {
		From  time.Time `query:"from" example:"2026-11-23T12:00:00Z" doc:"From when; now when it is left out."`
		Until time.Time `query:"until" example:"2026-12-07T12:00:00Z" doc:"Until when; 14 days after from when it is left out, 400 days at most."`
	}) (out answer[server.OnCall], err error) {
		if in.From.IsZero() {
			in.From = time.Now()
		}
		if in.Until.IsZero() {
			in.Until = in.From.AddDate(0, 0, 14)
		}
		if in.Until.Before(in.From) || in.Until.Sub(in.From) > 400*24*time.Hour {
			return out, newProblem(http.StatusUnprocessableEntity, "invalid-request", "until wants to be after from, by at most 400 days", "mend the query")
		}
		out.Body, err = a.o.Desk.OnCall(ctx, who, in.From.UTC(), in.Until.UTC())
		return out, err
	})
	register(a, operation{
		id: "simulate-page", method: http.MethodGet, path: "/oncall/simulation", tag: "alerts", need: access.View, fails: []int{404}, summary: "Who would be paged for an alert, as nobody acknowledges it", answers: exampleSimulation(),
	}, func(ctx context.Context, who access.Principal, in *struct {
		Target   string    `query:"target" maxLength:"63" example:"shop" doc:"An alert about this target."`
		Team     string    `query:"team" maxLength:"63" example:"db" doc:"That this team answers for; the target's when it is left out."`
		Severity string    `query:"severity" enum:"critical,high,medium,low" example:"critical" doc:"Of this severity; that of an outage of the target when it is left out."`
		At       time.Time `query:"at" example:"2026-11-23T12:00:00Z" doc:"That begins then; now when it is left out."`
	}) (out answer[server.PageSimulation], err error) {
		out.Body, err = a.o.Desk.Simulate(ctx, who, server.PageQuery{Target: in.Target, Team: in.Team, Severity: alert.Severity(in.Severity), At: in.At})
		return out, err
	})
	register(a, operation{
		id: "send-test-page", method: http.MethodPost, path: "/people/{person}/test-page", tag: "alerts", need: access.Respond, status: http.StatusAccepted, fails: []int{404},
		summary: "Send a test page to a person", about: "Through every contact. A repeat that is cut off may send it twice.", answers: sent{To: "ada"},
	}, func(ctx context.Context, who access.Principal, in *struct {
		Person string `path:"person" maxLength:"63" example:"ada" doc:"The person's name in the configuration."`
	}) (out answer[sent], err error) {
		out.Body.To = strings.TrimSpace(in.Person)
		return out, a.o.Desk.TestPage(ctx, who, in.Person)
	})
}

type sent struct {
	To string `json:"to"`
}
