package rest

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/refloat-db/refloat/internal/access"
)

// metaOperations are about the API itself.
func (a *API) metaOperations() {
	register(a, operation{
		id: "get-me", method: http.MethodGet, path: "/me", tag: "meta", need: access.SignedIn, summary: "Who asks, and what they may do",
		answers: access.Principal{Kind: access.Token, ID: "t-1", Name: "ada", Teams: map[string]access.Role{"db": access.Responder}},
	}, func(_ context.Context, who access.Principal, _ *none) (answer[access.Principal], error) {
		return answer[access.Principal]{Body: who}, nil
	})
	a.asset("openapi.json", "get-description", "This description", "application/json", func() ([]byte, error) { return a.Description() })
	a.asset("docs", "get-docs", "This description, to be read", "text/html; charset=utf-8", a.docs)
	a.asset("docs.css", "get-docs-style", "How the description looks", "text/css; charset=utf-8", func() ([]byte, error) { return docsStyle, nil })
}

// asset serves what is the same until the next version.
func (a *API) asset(name, id, summary, kind string, of func() ([]byte, error)) {
	media, _, _ := strings.Cut(kind, ";")
	op := a.describe(operation{id: id, method: http.MethodGet, path: "/" + name, tag: "meta", need: access.Nobody, summary: summary})
	op.Responses["200"] = &huma.Response{Description: "OK", Content: map[string]*huma.MediaType{media: {Schema: &huma.Schema{}, Example: map[string]any{
		"application/json": map[string]any{"openapi": "3.1.0"}, "text/html": "<!doctype html>", "text/css": "body {}",
	}[media]}}}
	a.huma.OpenAPI().AddOperation(&op)
	a.mux.HandleFunc("GET "+Prefix+"/"+name, func(w http.ResponseWriter, r *http.Request) {
		body, err := of()
		if err != nil {
			a.problem(r.Context(), err).write(w)
			return
		}
		sum := sha256.Sum256(body)
		tag := `"` + hex.EncodeToString(sum[:16]) + `"`
		h := w.Header()
		h.Set("ETag", tag)
		h.Set("Cache-Control", "no-cache")
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'")
		if matches(r.Header.Get("If-None-Match"), tag) {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		h.Set("Content-Type", kind)
		_, _ = w.Write(body) // the reader went away
	})
}

// steady reports whether the same is answered until something happens, so that an
// ETag is of use; other answers say what time it is.
func steady(pattern string) bool {
	for _, end := range []string{"/proofs/{proof}", "/findings", "/settings", "/silences", "/journal", "/timeline", "/attachments/{sha256}", "/me"} {
		if strings.HasSuffix(pattern, end) {
			return true
		}
	}
	return false
}

// unlessKnown answers a read, and only that it is the same where who asks has it.
func unlessKnown(w http.ResponseWriter, r *http.Request, pattern string, next http.HandlerFunc) {
	if !steady(pattern) {
		next(w, r)
		return
	}
	kept := &keeping{header: http.Header{}}
	next(kept, r)
	maps.Copy(w.Header(), kept.header)
	if kept.code() == http.StatusOK {
		sum := sha256.Sum256(kept.body.Bytes())
		tag := `"` + hex.EncodeToString(sum[:16]) + `"`
		w.Header().Set("ETag", tag)
		if matches(r.Header.Get("If-None-Match"), tag) {
			w.Header().Del("Content-Type")
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	w.WriteHeader(kept.code())
	_, _ = w.Write(kept.body.Bytes()) // the reader went away
}

// matches reports whether an If-None-Match names a tag.
func matches(header, tag string) bool {
	for t := range strings.SplitSeq(header, ",") {
		if t = strings.TrimPrefix(strings.TrimSpace(t), "W/"); t == tag || t == "*" {
			return true
		}
	}
	return false
}

//go:embed docs.html
var docsSource string

//go:embed docs.css
var docsStyle []byte

// documented is an operation on the page.
type documented struct {
	Method, Path, ID, Summary, Need string
	About                           []string
	Parameters                      []*huma.Param
	Sends, Answers                  string
	Fails                           []string
}

// docs draws the description.
func (a *API) docs() ([]byte, error) {
	page, err := template.New("docs").Parse(docsSource)
	if err != nil {
		return nil, err
	}
	api := a.huma.OpenAPI()
	type group struct {
		Name, About string
		Operations  []documented
	}
	var groups []group
	for _, tag := range api.Tags {
		g := group{Name: tag.Name, About: tag.Description}
		for _, path := range slices.Sorted(maps.Keys(api.Paths)) {
			item := api.Paths[path]
			for _, op := range []*huma.Operation{item.Get, item.Post, item.Delete} {
				if op != nil && op.Tags[0] == tag.Name {
					g.Operations = append(g.Operations, document(path, op))
				}
			}
		}
		groups = append(groups, g)
	}
	var out bytes.Buffer
	err = page.Execute(&out, map[string]any{"Title": api.Info.Title, "Version": api.Info.Version, "About": strings.Split(api.Info.Description, "\n\n"), "Groups": groups, "Prefix": Prefix})
	return out.Bytes(), err
}

func document(path string, op *huma.Operation) documented {
	d := documented{Method: op.Method, Path: path, ID: op.OperationID, Summary: op.Summary, About: strings.Split(strings.TrimSpace(op.Description), "\n\n"), Parameters: op.Parameters}
	d.Need, _ = op.Extensions["x-refloat-need"].(string)
	if op.RequestBody != nil {
		for _, m := range op.RequestBody.Content {
			d.Sends = shown(m.Example)
		}
	}
	for code, res := range op.Responses {
		if code[0] != '2' {
			d.Fails = append(d.Fails, code)
			continue
		}
		for _, m := range res.Content {
			d.Answers = shown(m.Example)
		}
	}
	slices.Sort(d.Fails)
	return d
}

func shown(example any) string {
	if s, is := example.(string); is {
		return s
	}
	raw, err := json.MarshalIndent(example, "", "  ")
	if err != nil {
		return ""
	}
	return string(raw)
}
