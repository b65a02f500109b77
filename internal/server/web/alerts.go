package web

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/access"
	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/server"
	"github.com/refloat-db/refloat/internal/server/web/component"
)

// alertRoutes are the pages of alerts, silences, and who is on call.
func (s *Site) alertRoutes() []server.Route {
	return []server.Route{
		s.show("GET /alerts", access.View, s.alerts),
		s.show("GET /alerts/{id}", access.View, s.alert),
		s.act("POST /alerts/{id}/acknowledge", access.Respond, s.acknowledge),
		s.show("GET /silences/new", access.Respond, s.newSilence),
		s.act("POST /silences", access.Respond, s.silence),
		s.act("POST /silences/{id}/end", access.Respond, s.endSilence),
		s.show("GET /oncall", access.View, s.onCall),
		s.act("POST /oncall/test", access.View, s.testPage), // everybody may see whether they can be reached
	}
}

const alertsShown = 200

func (s *Site) alerts(q asked) (view, error) {
	all := q.URL.Query().Get("all") != ""
	list, err := s.desk.Alerts(q.Context(), q.who, server.AlertQuery{All: all, Target: q.URL.Query().Get("target"), Limit: alertsShown})
	if err != nil {
		return view{}, err
	}
	slices.SortStableFunc(list, func(a, b server.AlertView) int { return urgency(a) - urgency(b) })
	silences, err := s.desk.Silences(q.Context(), q.who)
	if err != nil {
		return view{}, err
	}
	return view{title: "Alerts", here: "/alerts", about: "alert/ silence/ incident/", body: alertsPage(list, silences, all, q.who, q.now)}, nil
}

// urgency is 0 for what waits for somebody.
func urgency(a server.AlertView) int {
	switch {
	case a.State == alert.Firing && a.AcknowledgedAt.IsZero():
		return 0
	case a.State == alert.Firing:
		return 1
	}
	return 2
}

func (s *Site) alert(q asked) (view, error) {
	found, err := s.desk.Alerts(q.Context(), q.who, server.AlertQuery{ID: q.PathValue("id")})
	if err != nil {
		return view{}, err
	}
	if len(found) == 0 {
		return view{}, server.ErrNotFound
	}
	return view{title: found[0].Signal.Summary, here: "/alerts", about: "alert/" + found[0].ID, body: alertPage(found[0])}, nil
}

func (s *Site) acknowledge(q asked) (string, error) {
	id := q.PathValue("id")
	if _, err := s.desk.Acknowledge(q.Context(), q.who, id); err != nil {
		return "", err
	}
	to := "/alerts/" + id
	if b := q.PostFormValue("back"); b != "" {
		to = back(b)
	}
	return to + "?done=acknowledged", nil
}

// quieting is the form that silences alerts.
type quieting struct {
	target, code, lasts, reason string
	targets                     []string
	once                        string
	wrong                       string
}

func (s *Site) newSilence(q asked) (view, error) {
	form := q.URL.Query()
	return s.quietingForm(q, quieting{target: form.Get("target"), code: form.Get("code"), lasts: "1h", once: onceKey()})
}

func (s *Site) quietingForm(q asked, f quieting) (view, error) {
	b, err := s.desk.Board(q.Context(), q.who)
	if err != nil {
		return view{}, err
	}
	for _, t := range b.Targets {
		if q.who.Has(access.Respond, t.Team) {
			f.targets = append(f.targets, string(t.Target))
		}
	}
	return view{title: "Silence alerts", here: "/alerts", about: "none", body: silencePage(f)}, nil
}

func (s *Site) silence(q asked) (string, error) {
	q = q.once()
	v := func(name string) string { return strings.TrimSpace(q.PostFormValue(name)) }
	f := quieting{target: v("target"), code: v("code"), lasts: v("lasts"), reason: v("reason"), once: v("once")}
	lasts, err := time.ParseDuration(f.lasts)
	if err != nil {
		f.wrong = "Say for how long, like 1h or 30m."
	} else {
		_, err = s.desk.Silence(q.Context(), q.who, alert.Silence{Target: f.target, Code: f.code, Reason: f.reason, From: q.now.UTC(), Until: q.now.UTC().Add(lasts)})
		switch {
		case err == nil:
			return "/alerts?done=silenced#silences", nil
		case !errors.Is(err, server.ErrRefused):
			return "", err
		}
		f.wrong = sentence(errors.New(strings.TrimPrefix(err.Error(), "refused: ")))
	}
	page, err := s.quietingForm(q, f)
	if err != nil {
		return "", err
	}
	return "", again{page}
}

func (s *Site) endSilence(q asked) (string, error) {
	err := s.desk.EndSilence(q.Context(), q.who, q.PathValue("id"))
	if err != nil && !errors.Is(err, server.ErrNotFound) { // it has ended before
		return "", err
	}
	return "/alerts?done=silence-ended#silences", nil
}

func (s *Site) testPage(q asked) (string, error) {
	if err := s.desk.TestPage(q.Context(), q.who, q.PostFormValue("person")); err != nil {
		if errors.Is(err, server.ErrRefused) {
			return "", wrong{http.StatusBadGateway, "Not every contact took it", sentence(errors.New(strings.TrimPrefix(err.Error(), "refused: "))), "Mend that contact in the configuration: pages go the same way."}
		}
		return "", err
	}
	return "/oncall?done=tested", nil
}

// alertState is an alert in a few words.
func alertState(a server.AlertView) (component.Tone, string) {
	switch {
	case a.State == alert.Resolved:
		return component.Good, "Over"
	case !a.AcknowledgedAt.IsZero():
		return component.Busy, "Acknowledged by " + a.AcknowledgedBy
	case a.HeldBy != "":
		return component.Quiet, "Held back: " + a.HeldBy
	case a.PagedFrom.IsZero():
		return component.Warn, "Not paged for yet"
	}
	return component.Bad, "Not acknowledged"
}

func deliveryState(d alert.Delivery) (component.Tone, string) {
	switch d.State {
	case alert.Sent:
		return component.Good, "Taken over"
	case alert.Failed:
		return component.Bad, "Given up"
	case alert.Cancelled:
		return component.Quiet, "Not needed"
	}
	if d.Error != "" {
		return component.Warn, "Trying again"
	}
	return component.Busy, "Waiting"
}

func deliveryKind(d alert.Delivery) string {
	switch d.Kind {
	case alert.Page:
		return "Page, round " + component.Count(int64(d.Round+1)) + ", step " + component.Count(int64(d.Step+1))
	case alert.Notice:
		return "Word that there is nothing more to do"
	case alert.TestPage:
		return "Test"
	}
	return "Message"
}

func attemptWords(a alert.Attempt) string {
	switch {
	case a.Error != "" && a.Refused:
		return "refused: " + a.Error
	case a.Error != "":
		return "failed: " + a.Error
	case a.Said != "":
		return "taken over: " + a.Said
	}
	return "taken over"
}
