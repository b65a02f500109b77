package web

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/access"
	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/server"
)

// roomRoutes are the pages on which people work in incidents.
func (s *Site) roomRoutes() []server.Route {
	return []server.Route{
		s.show("GET /incidents", access.View, s.incidents),
		s.show("GET /incidents/new", access.Respond, s.newIncident),
		s.act("POST /incidents", access.Respond, s.openIncident),
		s.show("GET /incidents/{id}", access.View, s.room),
		s.act("POST /incidents/{id}/acts/{act}", access.Respond, s.actInRoom),
		s.show("GET /incidents/{id}/resolve", access.Respond, s.askResolve),
		s.show("GET /incidents/{id}/reopen", access.Respond, s.askReopen),
		s.show("GET /incidents/{id}/merge", access.Respond, s.askMerge),
		s.act("POST /incidents/{id}/merge", access.Respond, s.merge),
		s.show("GET /incidents/{id}/updates/new", access.Respond, s.draft),
		s.act("POST /incidents/{id}/updates", access.Respond, s.publish),
		s.attach(),
		s.attachment(),
	}
}

const incidentsShown = 50

func (s *Site) incidents(q asked) (view, error) {
	form := q.URL.Query()
	ask := server.IncidentQuery{All: form.Get("all") != "", Target: form.Get("target"), Before: form.Get("before"), Limit: incidentsShown}
	list, err := s.desk.Incidents(q.Context(), q.who, ask)
	if err != nil {
		return view{}, err
	}
	older := ""
	if len(list) == incidentsShown {
		older = "/incidents?" + url.Values{"all": {form.Get("all")}, "target": {ask.Target}, "before": {list[len(list)-1].ID}}.Encode()
	}
	return view{title: "Incidents", here: "/incidents", about: "incident/", body: incidentsPage(list, ask, q.who.Somewhere(access.Respond), older)}, nil
}

// opening is the form that opens an incident.
type opening struct {
	server.NewIncident
	targets []string
	teams   []string
	since   string
	once    string
	wrong   map[string]string
	another string // why one more is asked about
}

func (s *Site) newIncident(q asked) (view, error) {
	o := opening{once: onceKey()}
	o.Target = q.URL.Query().Get("target")
	return s.openingForm(q, o)
}

func (s *Site) openingForm(q asked, o opening) (view, error) {
	b, err := s.desk.Board(q.Context(), q.who)
	if err != nil {
		return view{}, err
	}
	seen := map[string]bool{}
	for _, t := range b.Targets {
		if !q.who.Has(access.Respond, t.Team) {
			continue
		}
		o.targets = append(o.targets, string(t.Target))
		if t.Team != "" && !seen[t.Team] {
			seen[t.Team] = true
			o.teams = append(o.teams, t.Team)
		}
	}
	return view{title: "Open an incident", here: "/incidents", body: openingPage(o)}, nil
}

func (s *Site) openIncident(q asked) (string, error) {
	q = q.once()
	f := func(name string) string { return strings.TrimSpace(q.PostFormValue(name)) }
	n := server.NewIncident{Title: f("title"), Severity: incident.Severity(f("severity")), Target: f("target"), Team: f("team"), Another: f("another") != ""}
	o := opening{NewIncident: n, since: f("since"), once: q.PostFormValue("once"), wrong: map[string]string{}}
	if n.Title == "" {
		o.wrong["title"] = "Say in a few words what is wrong."
	}
	if o.since != "" {
		t, err := readMoment(o.since, q.now)
		if err != nil {
			o.wrong["since"] = sentence(err)
		}
		n.Since = t
	}
	if len(o.wrong) == 0 {
		v, err := s.desk.OpenIncident(q.Context(), q.who, n)
		switch {
		case err == nil || errors.Is(err, incident.ErrNothing):
			return roomPath(v.ID) + "?done=opened", nil
		case errors.Is(err, incident.ErrRefused), errors.Is(err, server.ErrRefused):
			o.another = sentence(errors.New(strings.TrimPrefix(err.Error(), "refused: ")))
		default:
			return "", err
		}
	}
	v, err := s.openingForm(q, o)
	if err != nil {
		return "", err
	}
	return "", again{v}
}

// errMoment is what is wrong with a moment that somebody typed.
var errMoment = errors.New("write it like 02:14, or 2026-11-27 02:14, in UTC")

// readMoment reads 02:14, today or, where that is still to come, yesterday; or
// 2026-11-27 02:14. Both are in UTC.
func readMoment(text string, now time.Time) (time.Time, error) {
	now = now.UTC()
	if t, err := time.Parse("2006-01-02 15:04", text); err == nil {
		return t, nil
	}
	t, err := time.Parse("15:04", text)
	if err != nil {
		return time.Time{}, errMoment
	}
	out := time.Date(now.Year(), now.Month(), now.Day(), t.Hour(), t.Minute(), 0, 0, time.UTC)
	if out.After(now) {
		out = out.AddDate(0, 0, -1)
	}
	return out, nil
}

func (s *Site) askResolve(q asked) (view, error) {
	v, err := s.desk.Incident(q.Context(), q.who, q.PathValue("id"))
	if err != nil {
		return view{}, err
	}
	return view{title: "Resolve " + v.ID, here: "/incidents", body: resolvePage(s.roomOf(q, v))}, nil
}

func (s *Site) askReopen(q asked) (view, error) {
	v, err := s.desk.Incident(q.Context(), q.who, q.PathValue("id"))
	if err != nil {
		return view{}, err
	}
	return view{title: "Open " + v.ID + " again", here: "/incidents", body: reopenPage(v)}, nil
}

func (s *Site) askMerge(q asked) (view, error) {
	v, err := s.desk.Incident(q.Context(), q.who, q.PathValue("id"))
	if err != nil {
		return view{}, err
	}
	open, err := s.desk.Incidents(q.Context(), q.who, server.IncidentQuery{})
	if err != nil {
		return view{}, err
	}
	return view{title: "Merge " + v.ID, here: "/incidents", body: mergePage(v, open)}, nil
}

func (s *Site) merge(q asked) (string, error) {
	q = q.once()
	into := q.PostFormValue("into")
	_, err := s.desk.Merge(q.Context(), q.who, q.PathValue("id"), into, strings.TrimSpace(q.PostFormValue("why")))
	return did(into, "merged", "", err)
}

// update is the form that an update is written in.
type update struct {
	server.Draft
	id, title string
	next      string // in UTC, as it is written
	once      string
	wrong     map[string]string
	refused   string
	last      *incident.Update // to the audience; nil for none
}

func (s *Site) draft(q asked) (view, error) {
	id, to := q.PathValue("id"), incident.Audience(q.URL.Query().Get("to"))
	d, err := s.desk.Draft(q.Context(), q.who, id, to)
	if err != nil {
		return view{}, err
	}
	u := update{Draft: d, once: onceKey()}
	if !d.Next.IsZero() {
		u.next = d.Next.UTC().Format("2006-01-02 15:04")
	}
	return s.draftForm(q, u)
}

func (s *Site) draftForm(q asked, u update) (view, error) {
	v, err := s.desk.Incident(q.Context(), q.who, q.PathValue("id"))
	if err != nil {
		return view{}, err
	}
	u.id, u.title, u.last = v.ID, v.Title, v.LastUpdate(u.Audience)
	return view{title: "Update to " + audienceWords(u.Audience), here: "/incidents", about: "none", body: draftPage(u)}, nil
}

func (s *Site) publish(q asked) (string, error) {
	q = q.once()
	f := q.PostFormValue
	d := server.Draft{Audience: incident.Audience(f("audience")), Subject: strings.TrimSpace(f("subject")), Text: f("text"), After: f("after")}
	u := update{Draft: d, next: strings.TrimSpace(f("next")), once: f("once"), wrong: map[string]string{}}
	if strings.TrimSpace(d.Text) == "" {
		u.wrong["text"] = "Say what is known, what is being done, and when more comes."
	}
	if u.next != "" {
		t, err := readMoment(u.next, q.now)
		if err == nil && len(u.next) == len("15:04") && !t.After(q.now) {
			t = t.AddDate(0, 0, 1) // a promise is for what is to come
		}
		switch {
		case err != nil:
			u.wrong["next"] = sentence(err)
		case !t.After(q.now):
			u.wrong["next"] = "This has passed already."
		}
		d.Next = t
	}
	if len(u.wrong) == 0 {
		id := q.PathValue("id")
		_, err := s.desk.Publish(q.Context(), q.who, id, d)
		if err == nil || errors.Is(err, incident.ErrNothing) {
			return roomPath(id) + "?done=sent#updates", nil
		}
		if !errors.Is(err, incident.ErrRefused) {
			return "", err
		}
		u.refused = sentence(errors.New(strings.TrimPrefix(err.Error(), incident.ErrRefused.Error()+": ")))
	}
	whole, err := s.desk.Draft(q.Context(), q.who, q.PathValue("id"), d.Audience)
	if err != nil {
		return "", err
	}
	u.To, u.After = whole.To, whole.After // they have read the one before by now
	v, err := s.draftForm(q, u)
	if err != nil {
		return "", err
	}
	return "", again{v}
}

// upload is how long a file may take, from a phone at night.
const upload = time.Minute

// attach takes a file.
func (s *Site) attach() server.Route {
	inner := s.act("POST /incidents/{id}/files", access.Respond, func(q asked) (string, error) {
		id := q.PathValue("id")
		file, head, err := q.FormFile("file")
		if err != nil {
			return "", wrong{http.StatusBadRequest, "No file came", "Choose a file: text, PNG, JPEG, GIF or WebP, at most 4 MiB.", "Go back and try again."}
		}
		defer file.Close()
		data, err := io.ReadAll(io.LimitReader(file, incident.MaxImage+1))
		if err != nil {
			return "", err
		}
		_, err = s.desk.Attach(q.once().Context(), q.who, id, head.Filename, data)
		return did(id, "file", "#files", err)
	})
	h := inner.Handler
	inner.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(upload)) // not every writer can
		h.ServeHTTP(w, r)
	})
	return inner
}

// attachment serves a file such that a browser runs nothing of it.
func (s *Site) attachment() server.Route {
	return server.Route{Pattern: "GET /incidents/{id}/files/{sha}", Need: access.View, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := s.ask(w, r)
		a, data, err := s.desk.Attachment(q.Context(), q.who, q.PathValue("id"), q.PathValue("sha"))
		if err != nil {
			s.write(q, s.failure(q, err))
			return
		}
		h := w.Header()
		kind, show := a.Type, "inline"
		if kind == "text/plain" {
			kind += "; charset=utf-8"
		} else if !strings.HasPrefix(kind, "image/") {
			kind, show = "application/octet-stream", "attachment"
		}
		h.Set("Content-Type", kind)
		h.Set("Content-Disposition", show+"; filename*=UTF-8''"+url.PathEscape(a.Name))
		h.Set("Content-Security-Policy", "default-src 'none'; sandbox; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "private, max-age=86400, immutable") // its name is its hash
		_, _ = w.Write(data)                                        // the reader went away
	})}
}
