package main

import (
	"cmp"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	"github.com/refloat-db/refloat/internal/server/web/static"
	"github.com/refloat-db/refloat/internal/server/web/webtest"
)

// write makes a file of each story, with the style sheet and the scripts beside
// them. What a page links to on the server is not there.
func write(dir string) error {
	var book webtest.Book
	get := func(path, world, who string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.AddCookie(&http.Cookie{Name: webtest.WorldCookie, Value: world})
		r.AddCookie(&http.Cookie{Name: webtest.WhoCookie, Value: who})
		w := httptest.NewRecorder()
		book.ServeHTTP(w, r)
		return w
	}
	if err := os.MkdirAll(filepath.Join(dir, static.Prefix), 0o755); err != nil {
		return err
	}
	for _, name := range static.Names() {
		w := get(name, "healthy", "")
		if err := os.WriteFile(filepath.Join(dir, filepath.FromSlash(name)), w.Body.Bytes(), 0o644); err != nil {
			return err
		}
	}
	for _, s := range webtest.Stories() {
		w := get(s.Path, s.World, s.Who)
		if want := cmp.Or(s.Code, http.StatusOK); w.Code != want {
			return fmt.Errorf("%s: %s answers %d, not %d", s.Name, s.Path, w.Code, want)
		}
		page := strings.ReplaceAll(w.Body.String(), `="`+static.Prefix, `=".`+static.Prefix)
		if err := os.WriteFile(filepath.Join(dir, s.Name+".html"), []byte(page), 0o644); err != nil {
			return err
		}
	}
	fmt.Printf("%d pages in %s\n", len(webtest.Stories()), dir)
	return nil
}
