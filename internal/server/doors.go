package server

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"html/template"
	"io"
	"net/http"
	"strings"
	"time"
)

// Doors are what others may do from outside: tell of trouble, give a sign of
// life, acknowledge an alert by its link. Errors are ErrDenied, ErrUnknown or
// ErrMessage, or anything else for a failure of ours.
type Doors struct {
	Receive func(ctx context.Context, name, token string, body []byte) error
	Beat    func(ctx context.Context, name, token string) error
	// Show is what a link is about; Acknowledge does what it is for.
	Show        func(token string) (Acknowledgement, error)
	Acknowledge func(ctx context.Context, token string) (Acknowledgement, error)
	// ShowUpdate is the update that a link is about; ReadUpdate acknowledges it.
	ShowUpdate func(ctx context.Context, token string) (Reading, error)
	ReadUpdate func(ctx context.Context, token string) (Reading, error)
	// Calendar is an iCalendar feed by its token.
	Calendar func(token string, now time.Time) ([]byte, error)
	// Peer answers a question of another node, as JSON.
	Peer func(ctx context.Context, token, what string, body []byte) (any, error)
}

// Errors of doors.
var (
	ErrDenied  = errors.New("the token is missing or wrong")
	ErrUnknown = errors.New("there is nothing of this name")
	ErrMessage = errors.New("the message is not understood")
	ErrLink    = errors.New("the link is not valid")
)

// Acknowledgement is an alert as its link shows it.
type Acknowledgement struct {
	ID, Severity, Summary, Detail, Next, Target string
	Since                                       time.Time
	Person                                      string // to whom the link was sent
	By                                          string // who acknowledged it; empty while nobody has
	At                                          time.Time
	Over                                        bool // it has ended
}

// maxMessage is how large a posted message may be, bytes.
const maxMessage = 1 << 20

func (s *Server) doors(mux *patterns) {
	d := s.o.Doors
	if d.Receive != nil {
		mux.HandleFunc("POST /in/{name}", func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxMessage))
			if err != nil {
				text(w, http.StatusRequestEntityTooLarge, "the message is too large, or did not arrive whole\n")
				return
			}
			s.answer(w, r, d.Receive(r.Context(), r.PathValue("name"), bearer(r), body))
		})
	}
	if d.Beat != nil {
		beat := func(w http.ResponseWriter, r *http.Request) {
			s.answer(w, r, d.Beat(r.Context(), r.PathValue("name"), bearer(r)))
		}
		mux.HandleFunc("POST /heartbeat/{name}", beat)
		mux.HandleFunc("GET /heartbeat/{name}", beat)
	}
	if d.Peer != nil {
		mux.HandleFunc("POST /peer/{what}", s.peer)
	}
	if d.Calendar != nil {
		mux.HandleFunc("GET /calendar/{token}", s.calendar)
	}
	s.updateDoors(mux)
	if d.Show != nil && d.Acknowledge != nil {
		mux.HandleFunc("GET /ack.css", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/css; charset=utf-8")
			_, _ = w.Write(ackStyle) // the reader went away
		})
		// A GET shows and changes nothing: mail scanners open links.
		mux.HandleFunc("GET /ack/{token}", func(w http.ResponseWriter, r *http.Request) {
			a, err := d.Show(r.PathValue("token"))
			s.acknowledgement(w, r, a, err)
		})
		mux.HandleFunc("POST /ack/{token}", func(w http.ResponseWriter, r *http.Request) {
			a, err := d.Acknowledge(r.Context(), r.PathValue("token"))
			s.acknowledgement(w, r, a, err)
		})
	}
}

// peer answers another node.
func (s *Server) peer(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxMessage))
	if err != nil {
		text(w, http.StatusRequestEntityTooLarge, "the message is too large, or did not arrive whole\n")
		return
	}
	answer, err := s.o.Doors.Peer(r.Context(), bearer(r), r.PathValue("what"), body)
	if err != nil {
		s.answer(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		s.o.Logger.WarnContext(r.Context(), "answer another node", "error", err)
	}
}

// calendar serves a feed that calendar programs subscribe to.
func (s *Server) calendar(w http.ResponseWriter, r *http.Request) {
	feed, err := s.o.Doors.Calendar(strings.TrimSuffix(r.PathValue("token"), ".ics"), time.Now())
	switch {
	case errors.Is(err, ErrLink):
		text(w, http.StatusNotFound, "there is no such calendar\n")
	case err != nil:
		s.o.Logger.ErrorContext(r.Context(), "write a calendar", "error", err)
		text(w, http.StatusInternalServerError, "the calendar could not be written\n")
	default:
		w.Header().Set("Content-Type", "text/calendar; charset=utf-8")
		_, _ = w.Write(feed) // the reader went away
	}
}

func bearer(r *http.Request) string {
	kind, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(kind, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

func (s *Server) answer(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case err == nil:
		text(w, http.StatusAccepted, "accepted\n")
	case errors.Is(err, ErrDenied):
		w.Header().Set("WWW-Authenticate", `Bearer realm="refloat"`)
		text(w, http.StatusUnauthorized, ErrDenied.Error()+"\n")
	case errors.Is(err, ErrUnknown):
		text(w, http.StatusNotFound, ErrUnknown.Error()+"\n")
	case errors.Is(err, ErrMessage):
		text(w, http.StatusBadRequest, s.redact(err.Error())+"\n")
	default:
		s.o.Logger.ErrorContext(r.Context(), "take what was posted", "error", err)
		text(w, http.StatusServiceUnavailable, "it could not be kept: try again\n")
	}
}

//go:embed ack.css
var ackStyle []byte

//go:embed ack.html
var ackSource string

var ackPage = template.Must(template.New("ack").Funcs(template.FuncMap{
	"clock": func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") },
}).Parse(ackSource))

func (s *Server) acknowledgement(w http.ResponseWriter, r *http.Request, a Acknowledgement, err error) {
	code := http.StatusOK
	if err != nil {
		code = http.StatusInternalServerError
		if errors.Is(err, ErrLink) {
			code = http.StatusNotFound
		} else {
			s.o.Logger.ErrorContext(r.Context(), "acknowledge by link", "error", err)
		}
	}
	var out bytes.Buffer
	page := struct {
		Acknowledgement
		Failed string
		Path   string
	}{a, "", r.URL.EscapedPath()}
	if err != nil {
		page.Failed = s.redact(err.Error())
	}
	if err := ackPage.Execute(&out, page); err != nil {
		s.o.Logger.ErrorContext(r.Context(), "draw a page", "error", err)
		text(w, http.StatusInternalServerError, "the page could not be drawn\n")
		return
	}
	byLink(w, code, out.Bytes())
}
