// Package static serves the console's style sheet and scripts. Each has a name
// that changes with its content, so that a browser may keep it for a year.
package static

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"mime"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Prefix is the path below which the files are served.
const Prefix = "/static/"

//go:embed files
var files embed.FS

type file struct {
	plain, packed []byte
	kind          string
}

type set struct {
	urls    map[string]string // name: path with the hash
	byName  map[string]file   // last part of that path: content
	scripts []string
}

// load reads what is embedded once: it cannot change.
var load = sync.OnceValue(func() set {
	s := set{urls: map[string]string{}, byName: map[string]file{}}
	entries, err := files.ReadDir("files")
	if err != nil {
		panic(fmt.Sprintf("read the embedded files: %v", err)) // the program was built wrong
	}
	for _, e := range entries {
		data, err := files.ReadFile("files/" + e.Name())
		if err != nil {
			panic(fmt.Sprintf("read the embedded files: %v", err))
		}
		sum := sha256.Sum256(data)
		ext := path.Ext(e.Name())
		hashed := strings.TrimSuffix(e.Name(), ext) + "." + hex.EncodeToString(sum[:6]) + ext
		s.urls[e.Name()] = Prefix + hashed
		s.byName[hashed] = file{plain: data, packed: pack(data), kind: mime.TypeByExtension(ext)}
		if ext == ".js" {
			s.scripts = append(s.scripts, Prefix+hashed)
		}
	}
	slices.Sort(s.scripts)
	return s
})

func pack(data []byte) []byte {
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // the level is one of its own
	_, _ = z.Write(data)                                  // a buffer takes everything
	_ = z.Close()
	return b.Bytes()
}

// URL is the path of a file by the name it has in files/, for example
// "console.css". A name that is not there is a mistake in a page and panics.
func URL(name string) string {
	u, ok := load().urls[name]
	if !ok {
		panic("no static file " + name)
	}
	return u
}

// Scripts are the paths of all scripts; each is a module of its own.
func Scripts() []string { return load().scripts }

// Names are the paths of all files.
func Names() []string {
	var out []string
	for _, u := range load().urls {
		out = append(out, u)
	}
	slices.Sort(out)
	return out
}

// Handler serves GET /static/{name}.
func Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, ok := load().byName[strings.TrimPrefix(r.URL.Path, Prefix)]
		if !ok {
			http.NotFound(w, r)
			return
		}
		h := w.Header()
		h.Set("Content-Type", f.kind)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
		h.Set("Vary", "Accept-Encoding")
		body := f.plain
		if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			h.Set("Content-Encoding", "gzip")
			body = f.packed
		}
		h.Set("Content-Length", strconv.Itoa(len(body)))
		if r.Method != http.MethodHead {
			_, _ = w.Write(body) // the reader went away
		}
	})
}
