package web

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/access"
	"github.com/refloat-db/refloat/internal/action"
	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/server"
	"github.com/refloat-db/refloat/internal/server/web/component"
)

// actionRoutes are the pages of action items.
func (s *Site) actionRoutes() []server.Route {
	return []server.Route{
		s.show("GET /actions", access.View, s.actions),
		s.show("GET /actions/new", access.Respond, s.newAction),
		s.act("POST /actions", access.Respond, s.addAction),
		s.show("GET /actions/{id}", access.View, s.action),
		s.act("POST /actions/{id}/acts/{act}", access.Respond, s.actOnAction),
	}
}

func actionPath(id string) string { return "/actions/" + id }

// actionTabs are the choices of which action items are shown, by their name in the
// address.
func actionTabs() [][2]string {
	return [][2]string{{"", "Open"}, {"late", "Late"}, {"mine", "Mine"}, {"all", "All"}}
}

func (s *Site) actions(q asked) (view, error) {
	show, from := q.URL.Query().Get("show"), q.URL.Query().Get("incident")
	ask := server.ActionQuery{All: show == "all", Late: show == "late", Incident: from}
	if show == "mine" {
		ask.Owner = q.who.Name
	}
	list, err := s.desk.Actions(q.Context(), q.who, ask)
	if err != nil {
		return view{}, err
	}
	slices.SortStableFunc(list, func(a, b server.ActionView) int { return actionRank(a) - actionRank(b) })
	return view{title: "Actions", here: "/actions", about: "action/", body: actionsPage(list, show, from, q.who.Somewhere(access.Respond), q.now)}, nil
}

// actionRank is less for what comes first: what is late, then what is open.
func actionRank(a server.ActionView) int {
	switch {
	case a.IsLate:
		return 0
	case a.Status == action.Open:
		return 1
	}
	return 2
}

func actionsAddress(show, from string) string {
	v := url.Values{}
	if show != "" {
		v.Set("show", show)
	}
	if from != "" {
		v.Set("incident", from)
	}
	if len(v) == 0 {
		return "/actions"
	}
	return "/actions?" + v.Encode()
}

// actionOpen is an action item as its page shows it.
type actionOpen struct {
	server.ActionView
	now    time.Time
	can    bool
	people []string
	form   actionForm // of what it says, to change it
	// What was refused, and the words that were sent, by field.
	refused string
	sent    url.Values
}

func (a actionOpen) was(field string) string { return a.sent.Get(field) }

func (s *Site) action(q asked) (view, error) { return s.actionView(q, "", nil) }

func (s *Site) actionView(q asked, refused string, sent url.Values) (view, error) {
	v, err := s.desk.Action(q.Context(), q.who, q.PathValue("id"))
	if err != nil {
		return view{}, err
	}
	a := actionOpen{ActionView: v, now: q.now, can: v.Can == access.Responder || v.Can == access.Admin, people: s.peopleOf(q), refused: refused, sent: sent}
	a.form = formOfAction(v.Item)
	if q.PathValue("act") == "change" {
		a.form = a.form.read(q)
	}
	return view{title: v.ID + ": " + firstWords(v.Text), here: "/actions", about: "action/" + v.ID, body: actionPage(a)}, nil
}

// peopleOf are those who may be named, as the configuration writes them.
func (s *Site) peopleOf(q asked) []string {
	o, err := s.desk.OnCall(q.Context(), q.who, q.now, q.now.Add(time.Minute))
	if err != nil {
		return nil // they are only offered
	}
	var out []string
	for name := range o.Names {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// actionForm is the form that says what an action item says.
type actionForm struct {
	text, owner, team, due, kind, priority, incident, of, mends, check string

	once   string
	people []string
	wrong  map[string]string
	failed string
}

func formOfAction(i action.Item) actionForm {
	return actionForm{text: i.Text, owner: i.Owner, team: i.Team, due: i.Due.String(), kind: string(i.Kind), priority: string(i.Priority), incident: i.Source.Incident, of: i.Source.Of, mends: i.Source.Text}
}

// read is the form as it was sent.
func (f actionForm) read(q asked) actionForm {
	v := func(name string) string { return strings.TrimSpace(q.PostFormValue(name)) }
	f.text, f.owner, f.team, f.due, f.kind, f.priority = v("text"), v("owner"), v("team"), v("due"), v("kind"), v("priority")
	return f
}

// item is what the form says; wrong is told of what cannot be read.
func (f actionForm) item(wrong map[string]string) action.Item {
	i := action.Item{Text: f.text, Owner: f.owner, Team: f.team, Kind: action.Kind(f.kind), Priority: action.Priority(f.priority), Source: action.Source{Incident: f.incident, Of: f.of, Text: f.mends}}
	if f.text == "" {
		wrong["text"] = "Say what is to be done."
	}
	day, err := action.ParseDay(f.due)
	if err != nil {
		wrong["due"] = "Write the day like 2026-12-31."
	}
	i.Due = day
	return i
}

func (s *Site) newAction(q asked) (view, error) {
	f := actionForm{incident: q.URL.Query().Get("incident"), priority: string(action.P2), kind: string(action.Prevent), once: onceKey()}
	if f.incident != "" {
		v, err := s.desk.Incident(q.Context(), q.who, f.incident)
		if err != nil {
			return view{}, err
		}
		if v.Can != access.Responder && v.Can != access.Admin {
			return view{}, server.ErrForbidden
		}
		f.incident, f.team = v.ID, v.Team
	}
	return s.actionFormView(q, f), nil
}

func (s *Site) actionFormView(q asked, f actionForm) view {
	f.people = s.peopleOf(q)
	return view{title: "Add an action item", here: "/actions", about: "none", body: newActionPage(f)}
}

func (s *Site) addAction(q asked) (string, error) {
	q = q.once()
	v := func(name string) string { return strings.TrimSpace(q.PostFormValue(name)) }
	f := actionForm{incident: v("incident"), of: v("of"), mends: v("mends"), check: v("check"), once: v("once"), wrong: map[string]string{}}.read(q)
	item := f.item(f.wrong)
	var check *action.Check
	if f.check != "" {
		c, err := action.ParseCheck(f.check)
		if err != nil {
			f.wrong["check"] = refusedWords(err)
		}
		check = &c
	}
	if len(f.wrong) == 0 {
		a, err := s.desk.AddAction(q.Context(), q.who, item, check)
		switch {
		case err == nil || errors.Is(err, incident.ErrNothing):
			return actionPath(a.ID) + "?done=action-added", nil
		case !errors.Is(err, server.ErrRefused):
			return "", err
		}
		f.failed = refusedWords(err)
	}
	return "", again{s.actionFormView(q, f)}
}

// refusedWords is why something was refused, as a page says it.
func refusedWords(err error) string {
	text := err.Error()
	for strings.HasPrefix(text, "refused: ") {
		text = strings.TrimPrefix(text, "refused: ")
	}
	return sentenceOf(strings.NewReplacer(", with --why", "", ", with --result", "", "say with --despite why", "say why").Replace(text))
}

// actionCommand is what a form on an action item's page does, and the code that
// its page then says something for; nil for none that there is.
func (q asked) actionCommand(v server.ActionView) (c action.Command, code, wrong string) {
	f := func(name string) string { return strings.TrimSpace(q.PostFormValue(name)) }
	switch q.PathValue("act") {
	case "note":
		return action.AddNote{Text: f("note")}, "action-note", ""
	case "close":
		return action.Close{Result: f("result"), Despite: f("despite")}, "action-closed", ""
	case "drop":
		return action.Drop{Why: f("why-drop")}, "action-dropped", ""
	case "reopen":
		return action.Reopen{Why: f("why-reopen")}, "action-reopened", ""
	case "unbind":
		return action.Unbind{Why: f("why-unbind")}, "action-unbound", ""
	case "link":
		return action.AddLink{Link: action.Link{URL: f("url")}}, "action-linked", ""
	case "bind":
		c, err := action.ParseCheck(f("check"))
		if err != nil {
			wrong = refusedWords(err)
		}
		return action.Bind{Check: c}, "action-bound", wrong
	case "change":
		amiss := map[string]string{}
		i := formOfAction(v.Item).read(q).item(amiss)
		return action.Change{Item: i, Why: f("why-change")}, "action-changed", strings.TrimSpace(amiss["text"] + " " + amiss["due"])
	}
	return nil, "", ""
}

func (s *Site) actOnAction(q asked) (string, error) {
	q = q.once()
	v, err := s.desk.Action(q.Context(), q.who, q.PathValue("id"))
	if err != nil {
		return "", err
	}
	c, code, amiss := q.actionCommand(v)
	if c == nil {
		return "", wrong{http.StatusBadRequest, "Not understood", "This page sent something that the server does not know.", "Go back, load the page again, and try once more."}
	}
	if amiss == "" {
		_, err := s.desk.ActOnAction(q.Context(), q.who, v.ID, c)
		switch {
		case err == nil || errors.Is(err, incident.ErrNothing):
			return actionPath(v.ID) + "?done=" + code, nil
		case !errors.Is(err, server.ErrRefused):
			return "", err
		}
		amiss = refusedWords(err)
	}
	page, err := s.actionView(q, amiss, q.PostForm)
	if err != nil {
		return "", err
	}
	return "", again{page}
}

// actionState is how far an action item is, in a few words.
func actionState(a server.ActionView, now time.Time) (component.Tone, string) {
	switch {
	case a.Status == action.Done && a.Despite != "":
		return component.Warn, "Done, despite its check"
	case a.Status == action.Done:
		return component.Good, "Done"
	case a.Status == action.Dropped:
		return component.Quiet, "Dropped"
	case a.IsLate:
		return component.Bad, "Late by " + component.Plural(int(now.Sub(a.Due.End()).Hours()/24)+1, "day", "days")
	case a.Owner == "":
		return component.Warn, "Nobody owns it"
	case a.Due.IsZero():
		return component.Warn, "No day is set"
	}
	return component.Busy, "Open"
}

// checkState is what the check of an action item last found.
func checkState(a server.ActionView) (component.Tone, string) {
	switch {
	case a.Result == nil:
		return component.Quiet, "Has not looked yet"
	case a.Result.Outcome == action.Passed:
		return component.Good, "Passes"
	case a.Result.Outcome == action.Failed:
		return component.Bad, "Fails"
	}
	return component.Warn, "Cannot tell"
}

// checkWords is what a check waits for.
func checkWords(c action.Check) string {
	switch c.Kind {
	case action.CheckRule:
		return "An audit of " + c.Target + " finds nothing by the rule " + c.Rule
	case action.CheckDrill:
		return "A drill proves " + c.Target
	case action.CheckProbe:
		return "The watch sees " + c.Target + " serve"
	case action.CheckPage:
		return "A test page to " + c.Person + " is acknowledged"
	}
	return c.String()
}

func priorityTone(p action.Priority) component.Tone {
	switch p {
	case action.P1:
		return component.Bad
	case action.P2:
		return component.Warn
	}
	return component.Quiet
}

func kindWords(k action.Kind) string {
	return map[action.Kind]string{action.Prevent: "Prevents it", action.Detect: "Notices it sooner", action.Mitigate: "Makes it do less harm", action.Process: "Helps people work together"}[k]
}

// happened is what an event did, in a few words.
func happened(e action.Event) string {
	what := map[string]string{
		action.KindAdded: "added it", action.KindChanged: "changed what it says", action.KindBound: "bound a check to it", action.KindUnbound: "took its check away",
		action.KindChecked: "looked at its check", action.KindNoted: "wrote a note", action.KindLinked: "linked it", action.KindClosed: "closed it", action.KindDropped: "dropped it",
		action.KindReopened: "opened it again", action.KindReminded: "reminded its owner", action.KindLate: "told that it is late",
	}[e.Kind]
	if what == "" {
		what = e.Kind
	}
	who := e.Actor
	if who == action.Server {
		who = "Refloat"
	}
	return who + " " + what
}

// firstWords is a text as it fits in a title.
func firstWords(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	if r := []rune(line); len(r) > 60 {
		return string(r[:59]) + "…"
	}
	return line
}
