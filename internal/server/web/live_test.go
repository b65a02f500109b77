package web

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/refloat-db/refloat/internal/server/web/static"
)

func TestLiveModuleIsSmall(t *testing.T) {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, static.URL("live.js"), nil)
	static.Handler().ServeHTTP(w, r)
	if n := w.Body.Len(); n == 0 || n > 5<<10 || strings.Contains(w.Body.String(), "innerHTML") {
		t.Errorf("%d bytes", n)
	}
}
