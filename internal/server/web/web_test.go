package web

import (
	"net/http/httptest"
	"testing"
)

func TestBackStaysHere(t *testing.T) {
	for to, want := range map[string]string{
		"/journal?before=9": "/journal?before=9", "": "/", "//evil.example": "/", "https://evil.example/": "/", "/\\evil.example": "/", "\\\\evil.example": "/", "javascript:alert(1)": "/", "journal": "/",
	} {
		if got := back(to); got != want {
			t.Errorf("back(%q) = %q, want %q", to, got, want)
		}
	}
}

func TestZonesAreThere(t *testing.T) {
	for _, z := range zones() {
		if location(z) == nil {
			t.Errorf("%s cannot be loaded", z)
		}
	}
	for _, z := range []string{"", "Local", "../../etc/passwd", "Europe/Atlantis"} {
		if location(z) != nil {
			t.Errorf("%q is taken", z)
		}
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Cookie", zoneCookie+"=Europe%2FBerlin")
	if z := zoneOf(r); z == nil || z.String() != "Europe/Berlin" {
		t.Errorf("the browser's cookie is read as %v", z)
	}
}
