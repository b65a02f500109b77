package web_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/refloat-db/refloat/internal/server/web/webtest"
)

func TestActionPagesCarryAnActionThrough(t *testing.T) {
	h := webtest.Serve(webtest.Broken(), webtest.Principal("admin"))
	post := func(path string, form url.Values) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	page := func(path string) string {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w.Body.String()
	}
	for _, x := range []struct {
		path string
		form url.Values
		code int
		to   string // where it leads, or what the page says
	}{
		{"/actions", url.Values{"text": {""}, "due": {"soon"}}, 422, "Write the day like"},
		{"/actions", url.Values{"text": {"mend it"}, "priority": {"p1"}, "incident": {"inc-7"}, "check": {"x"}}, 422, "is no check"},
		{"/actions", url.Values{"text": {"mend it"}, "priority": {"p1"}, "incident": {"inc-7"}, "due": {"2036-01-01"}}, 303, "/actions/act-7?done=action-added"},
		{"/actions/act-7/acts/note", url.Values{"note": {"begun"}}, 303, "/actions/act-7?done=action-note"},
		{"/actions/act-7/acts/change", url.Values{"text": {"mend it well"}, "priority": {"p1"}, "team": {"commerce"}, "due": {"2036-02-01"}}, 422, "say why it slips"},
		{"/actions/act-7/acts/change", url.Values{"text": {"mend it well"}, "priority": {"p1"}, "team": {"commerce"}, "due": {"2036-02-01"}, "why-change": {"parts"}}, 303, "/actions/act-7?done=action-changed"},
		{"/actions/act-7/acts/bind", url.Values{"check": {"drill@shop"}}, 303, "/actions/act-7?done=action-bound"},
		{"/actions/act-7/acts/close", url.Values{"result": {"it is"}}, 422, "closes when drill@shop passes"},
		{"/actions/act-7/acts/close", url.Values{"result": {"it is"}, "despite": {"the drill is off"}}, 303, "/actions/act-7?done=action-closed"},
		{"/actions/act-7/acts/close", url.Values{"result": {"it is"}}, 303, "/actions/act-7?done=action-closed"}, // the same again
		{"/actions/act-7/acts/reopen", url.Values{"why-reopen": {"it broke"}}, 303, "/actions/act-7?done=action-reopened"},
		{"/actions/act-7/acts/drop", url.Values{}, 422, "say why"},
		{"/actions/act-7/acts/none", url.Values{}, 400, "Not understood"},
		{"/actions/act-99/acts/note", url.Values{"note": {"x"}}, 404, "Not found"},
	} {
		w := post(x.path, x.form)
		if got := w.Header().Get("Location"); w.Code != x.code || x.code == 303 && got != x.to || x.code != 303 && !strings.Contains(strings.ToLower(w.Body.String()), strings.ToLower(x.to)) {
			t.Errorf("%s %v: %d to %q, want %d and %q", x.path, x.form, w.Code, got, x.code, x.to)
		}
	}
	if text := page("/actions/act-7"); !strings.Contains(text, "mend it well") || !strings.Contains(text, "it broke") || !strings.Contains(text, "inc-7") {
		t.Error("the page does not tell what happened")
	}
	if text := page("/actions"); !strings.Contains(text, "act-1<") || strings.Index(text, "act-1<") > strings.Index(text, "act-2<") {
		t.Error("what is late does not come first")
	}
	viewer := webtest.Serve(webtest.Broken(), webtest.Principal("viewer"))
	w := httptest.NewRecorder()
	viewer.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/actions/act-1", nil))
	if text := w.Body.String(); w.Code != 200 || strings.Contains(text, "/acts/") {
		t.Errorf("a viewer is shown forms: %d", w.Code)
	}
}
