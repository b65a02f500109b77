package server

import (
	"bytes"
	_ "embed"
	"errors"
	"html/template"
	"net/http"
	"time"
)

// Reading is an update of an incident as the link in its message shows it: what
// the message says, and nothing else of the incident.
type Reading struct {
	Incident, Update, Subject, Text string
	By                              string // who published it
	At                              time.Time
	Next                            time.Time // when the next one is promised; empty for none
	Reader                          string    // to whom it was sent
	Read                            time.Time // when they acknowledged it; empty for not yet
}

//go:embed update.html
var updateSource string

var updatePage = template.Must(template.New("update").Funcs(template.FuncMap{
	"clock": func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") },
}).Parse(updateSource))

// updateDoors are where the links in updates lead.
func (s *Server) updateDoors(mux *patterns) {
	d := s.o.Doors
	if d.ShowUpdate == nil || d.ReadUpdate == nil {
		return
	}
	// A GET shows and changes nothing: mail scanners open links.
	mux.HandleFunc("GET /update/{token}", func(w http.ResponseWriter, r *http.Request) {
		u, err := d.ShowUpdate(r.Context(), r.PathValue("token"))
		s.reading(w, r, u, err)
	})
	mux.HandleFunc("POST /update/{token}", func(w http.ResponseWriter, r *http.Request) {
		u, err := d.ReadUpdate(r.Context(), r.PathValue("token"))
		s.reading(w, r, u, err)
	})
}

func (s *Server) reading(w http.ResponseWriter, r *http.Request, u Reading, err error) {
	page := struct {
		Reading
		Failed string
		Path   string
	}{u, "", r.URL.EscapedPath()}
	code := http.StatusOK
	switch {
	case errors.Is(err, ErrLink):
		code, page.Failed = http.StatusNotFound, s.redact(err.Error())
	case errors.Is(err, ErrRefused):
		code, page.Failed = http.StatusConflict, s.redact(err.Error())
	case err != nil:
		s.o.Logger.ErrorContext(r.Context(), "acknowledge an update by its link", "error", err)
		code, page.Failed = http.StatusInternalServerError, "it could not be kept; try again"
	}
	var out bytes.Buffer
	if err := updatePage.Execute(&out, page); err != nil {
		s.o.Logger.ErrorContext(r.Context(), "draw a page", "error", err)
		text(w, http.StatusInternalServerError, "the page could not be drawn\n")
		return
	}
	byLink(w, code, out.Bytes())
}

// byLink answers with a page whose address is a capability.
func byLink(w http.ResponseWriter, code int, page []byte) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	w.WriteHeader(code)
	_, _ = w.Write(page) // the reader went away
}
