package rest

import (
	"context"
	"net/http"
	"time"

	"github.com/refloat-db/refloat/internal/access"
	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/server"
)

// act adds an operation that does one thing in an incident. Its input says what
// with in.command.
func act[I any](a *API, o operation, command func(*I) (id string, c incident.Command)) {
	o.method, o.tag, o.need, o.fails = http.MethodPost, "incidents", access.Respond, []int{http.StatusNotFound}
	o.answers = exampleIncident()
	register(a, o, func(ctx context.Context, who access.Principal, in *I) (out answer[server.IncidentView], err error) {
		id, c := command(in)
		v, err := a.o.Desk.Act(ctx, who, id, c)
		out.Body, err = a.settled(ctx, who, id, v, err)
		return out, err
	})
}

// The bodies of acts.
type (
	note struct {
		Text string `json:"text" minLength:"1" maxLength:"65536" doc:"For responders."`
	}
	severity struct {
		To  incident.Severity `json:"to" enum:"sev1,sev2,sev3,sev4" doc:"The severity; sev1 is the gravest."`
		Why string            `json:"why,omitempty" maxLength:"1000"`
	}
	progress struct {
		To  incident.Status `json:"to" enum:"investigating,identified,recovering,monitoring" doc:"How far the response is."`
		Why string          `json:"why,omitempty" maxLength:"1000"`
	}
	role struct {
		Do  string `json:"do" enum:"take,hand,release" doc:"Take the role, hand it over to somebody, or lay it down."`
		To  string `json:"to,omitempty" maxLength:"63" doc:"With hand: the person's name in the configuration."`
		Why string `json:"why,omitempty" maxLength:"1000" doc:"With take: why it is taken from who holds it."`
	}
	task struct {
		Text  string `json:"text" minLength:"1" maxLength:"4000"`
		Owner string `json:"owner,omitempty" maxLength:"63" doc:"Who does it."`
	}
	taskEnd struct {
		Result string `json:"result,omitempty" maxLength:"4000" doc:"What came of it."`
	}
	link struct {
		URL   string `json:"url" minLength:"1" maxLength:"2000" doc:"With https:// or http://, without a password."`
		Title string `json:"title,omitempty" maxLength:"200"`
	}
	loss struct {
		Loss   time.Duration `json:"loss" minimum:"0" doc:"Work that is gone, as a span of time in nanoseconds."`
		Source string        `json:"source" minLength:"1" maxLength:"1000" doc:"How it was measured."`
	}
	resolution struct {
		Summary string `json:"summary,omitempty" maxLength:"65536" doc:"How it ended."`
		Despite string `json:"despite,omitempty" maxLength:"1000" doc:"Why it is closed although the watch sees the target not serving."`
	}
	reason struct {
		Why string `json:"why" minLength:"1" maxLength:"1000"`
	}
	merge struct {
		Into string `json:"into" pattern:"^(inc-)?[0-9]{1,9}$" doc:"The incident that goes on."`
		Why  string `json:"why,omitempty" maxLength:"1000"`
	}
)

// In is an act with a body.
type In[B any] struct {
	IncidentPath
	Body B
}

func (a *API) actOperations() {
	act(a, operation{id: "add-note", path: "/incidents/{id}/notes", summary: "Write something down for responders", about: "Also in an incident that is resolved.", sends: note{"the volume is gone"}},
		func(x *In[note]) (string, incident.Command) {
			return x.incident(), incident.AddNote{Text: x.Body.Text}
		})
	act(a, operation{id: "set-severity", path: "/incidents/{id}/severity", summary: "Say how grave it is", about: "Who is told how often follows from it.", sends: severity{incident.Sev1, "every order fails"}},
		func(x *In[severity]) (string, incident.Command) {
			return x.incident(), incident.SetSeverity{To: x.Body.To, Why: x.Body.Why}
		})
	act(a, operation{id: "set-status", path: "/incidents/{id}/status", summary: "Say how far the response is", sends: progress{incident.Identified, "the disk is full"}},
		func(x *In[progress]) (string, incident.Command) {
			return x.incident(), incident.SetStatus{To: x.Body.To, Why: x.Body.Why}
		})
	act(a, operation{id: "change-role", path: "/incidents/{id}/roles/{role}", summary: "Take a role, hand it over, or lay it down", sends: role{Do: "take"}},
		func(x *struct {
			In[role]
			Role incident.Role `path:"role" enum:"commander,communications,operations,scribe" example:"commander" doc:"The role."`
		}) (string, incident.Command) {
			switch x.Body.Do {
			case "hand":
				return x.incident(), incident.HandOver{Role: x.Role, To: x.Body.To}
			case "release":
				return x.incident(), incident.ReleaseRole{Role: x.Role}
			}
			return x.incident(), incident.TakeRole{Role: x.Role, Why: x.Body.Why}
		})
	act(a, operation{id: "add-task", path: "/incidents/{id}/tasks", summary: "Add a task", sends: task{"find the last backup", "ben"}},
		func(x *In[task]) (string, incident.Command) {
			return x.incident(), incident.AddTask{Text: x.Body.Text, Owner: x.Body.Owner}
		})
	act(a, operation{id: "close-task", path: "/incidents/{id}/tasks/{task}/close", summary: "Say that a task is done", sends: taskEnd{"it is in the repository"}},
		func(x *struct {
			In[taskEnd]
			Task string `path:"task" maxLength:"20" example:"t1" doc:"The task's ID."`
		}) (string, incident.Command) {
			return x.incident(), incident.CloseTask{ID: x.Task, Result: x.Body.Result}
		})
	act(a, operation{id: "add-link", path: "/incidents/{id}/links", summary: "Add a link", sends: link{"https://wiki.example.org/shop", "how shop is built"}},
		func(x *In[link]) (string, incident.Command) {
			return x.incident(), incident.AddLink{URL: x.Body.URL, Title: x.Body.Title}
		})
	act(a, operation{id: "measure-loss", path: "/incidents/{id}/data-loss", summary: "Say how much work is gone", about: "The largest that is told counts.", sends: loss{3 * time.Minute, "the last order"}},
		func(x *In[loss]) (string, incident.Command) {
			return x.incident(), incident.MeasureDataLoss{Measured: incident.Measured{Loss: x.Body.Loss, Source: x.Body.Source}}
		})
	act(a, operation{id: "acknowledge-update", path: "/incidents/{id}/updates/{update}/acknowledge", summary: "Say that you have read an update"},
		func(x *struct {
			IncidentPath
			Update string `path:"update" maxLength:"20" example:"u2" doc:"The update's ID."`
		}) (string, incident.Command) {
			return x.incident(), incident.AcknowledgeUpdate{Update: x.Update}
		})
	act(a, operation{id: "resolve", path: "/incidents/{id}/resolve", summary: "Close an incident", sends: resolution{Summary: "restored to 11:58, and verified"}},
		func(x *In[resolution]) (string, incident.Command) {
			return x.incident(), incident.Resolve{Summary: x.Body.Summary, Despite: x.Body.Despite}
		})
	act(a, operation{id: "reopen", path: "/incidents/{id}/reopen", summary: "Take a resolved incident up again: its clocks run on", sends: reason{"orders fail again"}},
		func(x *In[reason]) (string, incident.Command) {
			return x.incident(), incident.Reopen{Why: x.Body.Why}
		})
	register(a, operation{
		id: "merge", method: http.MethodPost, path: "/incidents/{id}/merge", tag: "incidents", need: access.Respond, fails: []int{404}, summary: "End an incident as a part of another",
		about: "The answer is the one that goes on.", sends: merge{"inc-2", "the same disk"}, answers: exampleIncident(),
	}, func(ctx context.Context, who access.Principal, x *In[merge]) (out answer[server.IncidentView], err error) {
		into := IncidentPath{x.Body.Into}.incident()
		v, err := a.o.Desk.Merge(ctx, who, x.incident(), into, x.Body.Why)
		out.Body, err = a.settled(ctx, who, into, v, err)
		return out, err
	})
}
