package web_test

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/server/web/webtest"
)

func get(h http.Handler, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Header.Set("Accept-Encoding", "gzip")
	h.ServeHTTP(w, r)
	return w
}

func TestEveryStoryAnswersSafely(t *testing.T) {
	var book webtest.Book
	for _, s := range webtest.Stories() {
		h := webtest.Serve(book.Desk(s.World), webtest.Principal(s.Who))
		w := get(h, s.Path)
		want := s.Code
		if want == 0 {
			want = http.StatusOK
		}
		if w.Code != want {
			t.Errorf("%s: %d, not %d", s.Name, w.Code, want)
		}
		if c := w.Header().Get("Content-Security-Policy"); !strings.Contains(c, "default-src 'none'") || strings.Contains(c, "unsafe") {
			t.Errorf("%s: policy %q", s.Name, c)
		}
		if w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s may be kept: %q", s.Name, w.Header().Get("Cache-Control"))
		}
		var body io.Reader = w.Body
		if w.Header().Get("Content-Encoding") == "gzip" {
			z, err := gzip.NewReader(w.Body)
			if err != nil {
				t.Fatal(err)
			}
			body = z
		} else if w.Body.Len() > 4<<10 {
			t.Errorf("%s: %d bytes that are not packed", s.Name, w.Body.Len())
		}
		b, err := io.ReadAll(body)
		if err != nil {
			t.Fatal(err)
		}
		page := string(b)
		for _, bad := range []string{"<script>alert", "<img src=x", "onerror=alert(1)>", "javascript:alert", " style=\"", "disk I/O error"} {
			if strings.Contains(page, bad) {
				t.Errorf("%s holds %q", s.Name, bad)
			}
		}
	}
}

// TestGreenOnlyWhenProven holds the board against the rule: a row of the tone good
// is one whose proof stands.
func TestGreenOnlyWhenProven(t *testing.T) {
	d := webtest.Broken()
	w := httptest.NewRecorder()
	webtest.Serve(d, webtest.Principal("admin")).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	good := strings.Count(w.Body.String(), `<tr class="is-good`)
	want := 0
	for _, r := range d.Rows {
		if r.Class == "good" && r.Answer == "proven" && !r.Stale {
			want++
		}
	}
	if want == 0 || good != want {
		t.Errorf("%d targets are green, %d are proven", good, want)
	}
}

// TestPagesAreQuick: under 50 ms with 500 targets and 100,000 entries, the middle of
// several; a machine that does much else beside gets room.
func TestPagesAreQuick(t *testing.T) {
	h := webtest.Serve(webtest.Long(webtest.Many(500), 100_000), webtest.Principal("admin"))
	for _, path := range []string{"/", "/targets/shard-013", "/findings", "/journal?before=50000"} {
		best := time.Hour
		for range 5 {
			began := time.Now()
			if w := get(h, path); w.Code != http.StatusOK {
				t.Fatalf("%s: %d", path, w.Code)
			}
			best = min(best, time.Since(began))
		}
		t.Logf("%s: %s", path, best)
		if best > 200*time.Millisecond {
			t.Errorf("%s takes %s", path, best)
		}
	}
}

func BenchmarkPages(b *testing.B) {
	h := webtest.Serve(webtest.Long(webtest.Many(500), 100_000), webtest.Principal("admin"))
	for _, path := range []string{"/", "/targets/shard-013", "/findings", "/journal?before=50000"} {
		b.Run(strings.Trim(strings.Split(path, "?")[0], "/")+"/", func(b *testing.B) {
			for b.Loop() {
				get(h, path)
			}
		})
	}
}
