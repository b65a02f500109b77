package web

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/access"
	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/server"
	"github.com/refloat-db/refloat/internal/server/web/component"
)

// room is an incident as its page shows it.
type room struct {
	server.IncidentView
	now    time.Time
	me     string
	can    bool   // may act in it
	show   string // the part of the timeline that is shown
	people []string
	todo   []todo
	joined bool // has acted in it, and knows what happened
}

// todo is one thing that needs doing now, the first the most urgent.
type todo struct {
	tone         component.Tone
	text, detail string
	// What does it: a form that posts fields to action, or a link.
	action string
	fields [][2]string
	href   string
	button string
}

func roomPath(id string) string { return "/incidents/" + id }

func actPath(id, act string) string { return roomPath(id) + "/acts/" + act }

// onceKey makes a form's act happen once, however often it is sent.
func onceKey() string {
	var b [12]byte
	_, _ = rand.Read(b[:]) // never fails, crypto/rand
	return hex.EncodeToString(b[:])
}

// once takes the key of the form that was sent.
func (q asked) once() asked {
	if key := q.PostFormValue("once"); key != "" && len(key) <= 64 {
		q.Request = q.WithContext(server.WithOnce(q.Context(), "form/"+key))
	}
	return q
}

func (s *Site) room(q asked) (view, error) {
	v, err := s.desk.Incident(q.Context(), q.who, q.PathValue("id"))
	if err != nil {
		return view{}, err
	}
	r := s.roomOf(q, v)
	return view{title: v.ID + ": " + v.Title, here: "/incidents", about: "incident/" + v.ID + " alert/", body: roomPage(r)}, nil
}

func (s *Site) roomOf(q asked, v server.IncidentView) room {
	r := room{IncidentView: v, now: q.now, me: q.who.Name, can: v.Can == access.Responder || v.Can == access.Admin, show: q.URL.Query().Get("show")}
	r.joined = slices.ContainsFunc(v.Timeline, func(e incident.Event) bool { return e.Actor == q.who.Name })
	if o, err := s.desk.OnCall(q.Context(), q.who, q.now, q.now.Add(time.Minute)); err == nil {
		for name := range o.Names {
			r.people = append(r.people, name)
		}
		slices.Sort(r.people)
	}
	r.todo = needs(v, q.who.Name, q.now)
	return r
}

// needs is what needs doing in an incident now, the most urgent first.
func needs(v server.IncidentView, me string, now time.Time) []todo {
	if !v.Open() {
		return nil
	}
	var out []todo
	take := todo{action: actPath(v.ID, "take"), fields: [][2]string{{"role", string(incident.Commander)}}, button: "Take command"}
	_, commanded := v.Roles[incident.Commander]
	switch {
	case v.Acknowledged.IsZero():
		take.tone, take.text, take.detail = component.Bad, "Nobody has taken this on", "Taking command says that you have it: nobody else is paged for it."
		out = append(out, take)
	case !commanded:
		take.tone, take.text, take.detail = component.Warn, "Nobody commands", "The commander decides, and keeps the whole in view."
		out = append(out, take)
	}
	out = append(out, alertsToAnswer(v)...)
	out = append(out, updatesDue(v, now)...)
	out = append(out, statusDue(v)...)
	out = append(out, wayDue(v, me, now)...)
	for _, c := range v.Clocks {
		switch {
		case c.Runs() && c.State == incident.Missed:
			out = append(out, todo{tone: component.Bad, text: "The objective for " + clockWords(c.Name) + " is missed", detail: component.Span(c.Used) + " against " + component.Span(c.Objective) + "."})
		case c.State == incident.Warned:
			out = append(out, todo{tone: component.Warn, text: component.Span(c.Left) + " left for " + clockWords(c.Name), detail: component.Count(int64(c.Percent())) + " % of " + component.Span(c.Objective) + " are used."})
		}
	}
	for _, t := range v.OpenTasks() {
		if t.Owner == me && me != "" {
			out = append(out, todo{tone: component.Busy, text: "Yours to do: " + t.Text, action: actPath(v.ID, "done"), fields: [][2]string{{"task", t.ID}}, button: "Done"})
		}
	}
	for _, w := range v.Waiting {
		if w.D.Failing() {
			out = append(out, todo{tone: component.Warn, text: "Update " + w.Update + " does not reach " + cmp.Or(w.D.Person, w.D.Contact.Address), detail: w.D.Error})
		}
	}
	return out
}

// alertsToAnswer are those that page while nobody has acknowledged them.
func alertsToAnswer(v server.IncidentView) []todo {
	var out []todo
	for _, a := range v.Alerts {
		if a.Acknowledged.IsZero() && a.Ended.IsZero() {
			out = append(out, todo{tone: component.Bad, text: "An alert pages: " + a.Summary, action: "/alerts/" + a.ID + "/acknowledge", fields: [][2]string{{"back", roomPath(v.ID)}}, button: "Acknowledge"})
		}
	}
	return out
}

// updatesDue are the updates that audiences wait for.
func updatesDue(v server.IncidentView, now time.Time) []todo {
	var out []todo
	for _, p := range v.Promises {
		t := todo{href: roomPath(v.ID) + "/updates/new?to=" + string(p.Audience), button: "Write it"}
		switch {
		case !now.Before(p.Due):
			t.tone, t.text = component.Bad, "The update to "+audienceWords(p.Audience)+" is late by "+component.Span(now.Sub(p.Due))
		case !now.Before(p.Remind):
			t.tone, t.text = component.Warn, "The update to "+audienceWords(p.Audience)+" is due in "+component.Span(p.Due.Sub(now))
		default:
			continue
		}
		out = append(out, t)
	}
	return out
}

// statusDue is what follows from service being back.
func statusDue(v server.IncidentView) []todo {
	switch {
	case !v.Serves() || v.Mitigated.IsZero():
		return nil
	case v.Status == incident.Monitoring:
		return []todo{{tone: component.Good, text: "Service is back: resolve this when it stays so", href: roomPath(v.ID) + "/resolve", button: "Resolve"}}
	}
	return []todo{{
		tone: component.Good, text: "Service is back", detail: "Say so: then everybody sees that it is being watched.", action: actPath(v.ID, "status"),
		fields: [][2]string{{"to", string(incident.Monitoring)}, {"from", string(v.Status)}}, button: "Now monitoring",
	}}
}

// wayDue is what is to be done about the way back.
func wayDue(v server.IncidentView, me string, now time.Time) []todo {
	for _, r := range v.Recoveries {
		to := todo{href: roomPath(v.ID) + "#run-" + r.Run, button: "Look"}
		switch r.Standing(now) {
		case incident.RecoveryUnconfirmed:
			to.tone, to.text = component.Warn, r.ChosenBy+" chose a way back, which waits to be confirmed: "+r.Title
			if r.ChosenBy == me {
				to.text = "The way back that you chose waits to be confirmed: " + r.Title
			}
		case incident.RecoveryByHand:
			to.tone, to.text = component.Warn, "The next step of the way back is for a person: "+r.Title
		case incident.RecoveryFailed, incident.RecoveryInterrupted:
			to.tone, to.text = component.Bad, "The way back has stopped: "+r.Title
		case incident.RecoveryRunning, incident.RecoveryReady:
			to.tone, to.text = component.Busy, "The way back is under way: "+r.Title
		default:
			continue
		}
		return []todo{to}
	}
	if v.Serves() || len(v.Targets) == 0 {
		return nil
	}
	return []todo{{tone: component.Bad, text: list(v.Targets) + " does not serve", detail: "See which ways back there are, how long each takes, and what it costs.", href: roomPath(v.ID) + "/recovery", button: "Ways back"}}
}

// did leads back to the incident after an act. What was done before is done.
func did(id, code, part string, err error) (string, error) {
	if err != nil && !errors.Is(err, incident.ErrNothing) {
		return "", refusal(err, roomPath(id))
	}
	return roomPath(id) + "?done=" + code + part, nil
}

// refusal is an error of an act as a page says it.
func refusal(err error, back string) error {
	if errors.Is(err, incident.ErrRefused) || errors.Is(err, server.ErrRefused) {
		text := strings.TrimPrefix(err.Error(), incident.ErrRefused.Error()+": ")
		return wrong{http.StatusConflict, "Not done", sentence(errors.New(text)), "Nothing was changed. Go back to see how it stands now: " + back}
	}
	return err
}

// acts are the acts in an incident by their names in its forms.
func (q asked) command() (c incident.Command, code, part string) {
	f := func(name string) string { return strings.TrimSpace(q.PostFormValue(name)) }
	role := incident.Role(f("role"))
	switch q.PathValue("act") {
	case "take":
		return incident.TakeRole{Role: role, Why: f("why")}, "role", "#roles"
	case "hand":
		return incident.HandOver{Role: role, To: f("to")}, "role", "#roles"
	case "release":
		return incident.ReleaseRole{Role: role}, "role", "#roles"
	case "status":
		return incident.SetStatus{To: incident.Status(f("to")), From: incident.Status(f("from")), Why: f("why")}, "status", ""
	case "severity":
		return incident.SetSeverity{To: incident.Severity(f("to")), From: incident.Severity(f("from")), Why: f("why")}, "severity", ""
	case "note":
		return incident.AddNote{Text: q.PostFormValue("text")}, "note", "#story"
	case "task":
		return incident.AddTask{Text: f("text"), Owner: f("owner")}, "task", "#tasks"
	case "done":
		return incident.CloseTask{ID: f("task"), Result: f("result")}, "task-done", "#tasks"
	case "link":
		return incident.AddLink{URL: f("url"), Title: f("title")}, "link", "#files"
	case "read":
		return incident.AcknowledgeUpdate{Update: f("update")}, "read", "#updates"
	case "resolve":
		return incident.Resolve{Summary: f("summary"), Despite: f("despite")}, "resolved", ""
	case "reopen":
		return incident.Reopen{Why: f("why")}, "reopened", ""
	case "loss":
		if d, err := time.ParseDuration(strings.ReplaceAll(f("loss"), " ", "")); err == nil {
			return incident.MeasureDataLoss{Measured: incident.Measured{Loss: d, Source: f("source")}}, "loss", "#clocks"
		}
	}
	return nil, "", ""
}

// act does one thing in an incident.
func (s *Site) actInRoom(q asked) (string, error) {
	q = q.once()
	c, code, part := q.command()
	id := q.PathValue("id")
	if c == nil {
		return "", wrong{http.StatusBadRequest, "Not understood", "This page sent something that the server does not know.", "Go back, load the page again, and try once more."}
	}
	_, err := s.desk.Act(q.Context(), q.who, id, c)
	return did(id, code, part, err)
}

func clockWords(c incident.ClockName) string {
	return map[incident.ClockName]string{incident.Detection: "detection", incident.Acknowledgement: "acknowledgement", incident.Resolution: "resolution", incident.Loss: "data loss"}[c]
}

func audienceWords(a incident.Audience) string {
	return map[incident.Audience]string{incident.Responders: "responders", incident.Teams: "other teams", incident.Clients: "clients"}[a]
}

func roleWords(r incident.Role) string {
	return map[incident.Role]string{incident.Commander: "Commander", incident.Communications: "Communications", incident.Operations: "Operations", incident.Scribe: "Scribe"}[r]
}

func roleDoes(r incident.Role) string {
	return map[incident.Role]string{
		incident.Commander: "decides, and keeps the whole in view", incident.Communications: "tells those who must be told",
		incident.Operations: "works on the servers", incident.Scribe: "writes down what happens",
	}[r]
}

func severityTone(s incident.Severity) component.Tone {
	switch s {
	case incident.Sev1:
		return component.Bad
	case incident.Sev2:
		return component.Warn
	}
	return component.Quiet
}

func statusTone(s incident.State) component.Tone {
	switch {
	case s.MergedInto != "":
		return component.Quiet
	case s.Status == incident.Resolved:
		return component.Good
	case s.Status == incident.Monitoring, s.Status == incident.Recovering:
		return component.Busy
	}
	return component.Bad
}

func statusWords(s incident.State) string {
	if s.MergedInto != "" {
		return "Merged"
	}
	return strings.ToUpper(string(s.Status[:1])) + string(s.Status[1:])
}
