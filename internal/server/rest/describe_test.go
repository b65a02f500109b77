package rest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/jsonschema-go/jsonschema"

	"github.com/refloat-db/refloat/internal/access"
)

// The description is valid OpenAPI 3.1, by the schema of the specification
// (https://spec.openapis.org/oas/3.1/schema/2022-10-07), and every reference in it
// leads somewhere.
func TestDescriptionIsValid(t *testing.T) {
	raw, err := New(Options{Version: "1.2.3"}).Description()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("testdata/openapi-3.1.json")
	if err != nil {
		t.Fatal(err)
	}
	var schema jsonschema.Schema
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	valid, err := schema.Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	if err := valid.Validate(doc); err != nil {
		t.Error(err)
	}
	schemas := doc["components"].(map[string]any)["schemas"].(map[string]any)
	refs := regexp.MustCompile(`"\$ref": "([^"]+)"`).FindAllSubmatch(raw, -1)
	for _, ref := range refs {
		name, ours := strings.CutPrefix(string(ref[1]), "#/components/schemas/")
		if _, there := schemas[name]; !ours || !there {
			t.Errorf("%s leads nowhere", ref[1])
		}
	}
	if len(refs) < 100 || len(schemas) < 50 {
		t.Errorf("%d references, %d schemas", len(refs), len(schemas))
	}
	// The test sees a fault.
	delete(doc["info"].(map[string]any), "title")
	if valid.Validate(doc) == nil {
		t.Error("a description without a title passes")
	}
}

// Every operation says what it does, what it needs, how it fails, and shows what
// is sent and answered; each example is as its schema has it.
func TestEveryOperationIsDescribed(t *testing.T) {
	a := New(Options{})
	api, seen := a.huma.OpenAPI(), map[string]bool{}
	n := 0
	for path, item := range api.Paths {
		for _, op := range []*huma.Operation{item.Get, item.Post, item.Delete, item.Put, item.Patch} {
			if op == nil {
				continue
			}
			n++
			name := op.Method + " " + path
			need := access.Need(fmt.Sprint(op.Extensions["x-refloat-need"]))
			switch {
			case op.Summary == "" || op.OperationID == "" || seen[op.OperationID] || len(op.Tags) != 1:
				t.Errorf("%s: summary %q, name %q, tags %v", name, op.Summary, op.OperationID, op.Tags)
			case !slices.Contains([]access.Need{access.Nobody, access.SignedIn, access.View, access.Respond, access.Administer}, need):
				t.Errorf("%s: need %q", name, need)
			case (need == access.Nobody) != (len(op.Security) == 0):
				t.Errorf("%s: security %v for %s", name, op.Security, need)
			case op.Method != http.MethodGet && need != access.Respond && need != access.Administer:
				t.Errorf("%s changes something and needs only %s", name, need)
			case op.Method != http.MethodGet && !slices.ContainsFunc(op.Parameters, func(p *huma.Param) bool { return p.Name == keyHeader }):
				t.Errorf("%s: no %s", name, keyHeader)
			}
			seen[op.OperationID] = true
			for _, p := range op.Parameters {
				if p.Description == "" || p.Example == nil {
					t.Errorf("%s: parameter %s lacks a description or an example", name, p.Name)
				}
			}
			if op.RequestBody != nil {
				examples(t, a, name+" request", op.RequestBody.Content, huma.ModeWriteToServer)
			}
			failures := 0
			for code, res := range op.Responses {
				if code == "304" {
					continue // it has no body
				}
				examples(t, a, name+" "+code, res.Content, huma.ModeReadFromServer)
				if code[0] == '4' || code[0] == '5' {
					failures++
					if res.Content["application/problem+json"] == nil {
						t.Errorf("%s %s is no problem+json", name, code)
					}
				}
			}
			if failures < 3 || op.Responses["default"] != nil {
				t.Errorf("%s: describes %d failures", name, failures)
			}
		}
	}
	if routes := a.Routes(); len(routes) != n || n < 40 {
		t.Errorf("%d routes, %d operations", len(routes), n)
	}
}

func examples(t *testing.T, a *API, name string, content map[string]*huma.MediaType, mode huma.ValidateMode) {
	t.Helper()
	if len(content) == 0 {
		t.Errorf("%s: no content", name)
	}
	for kind, m := range content {
		if m.Example == nil {
			t.Errorf("%s: no example of %s", name, kind)
			continue
		}
		if !strings.HasSuffix(kind, "json") || m.Schema == nil {
			continue
		}
		raw, err := json.Marshal(m.Example)
		if err != nil {
			t.Fatal(err)
		}
		var v any
		d := json.NewDecoder(bytes.NewReader(raw))
		if err := d.Decode(&v); err != nil {
			t.Fatal(err)
		}
		res := &huma.ValidateResult{}
		huma.Validate(a.huma.OpenAPI().Components.Schemas, m.Schema, huma.NewPathBuffer(nil, 0), mode, v, res)
		for _, e := range res.Errors {
			t.Errorf("%s: the example: %v", name, e)
		}
	}
}

// The page shows every operation, and asks for nothing from elsewhere.
func TestDocsPage(t *testing.T) {
	a := New(Options{Version: "1.2.3"})
	page, err := a.docs()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range a.Routes() {
		_, path, _ := strings.Cut(r.Pattern, " ")
		if !strings.Contains(string(page), path) {
			t.Errorf("the page lacks %s", r.Pattern)
		}
	}
	for _, out := range []string{"<script", "src=", "@import", "url("} {
		if bytes.Contains(page, []byte(out)) || bytes.Contains(docsStyle, []byte(out)) {
			t.Errorf("the page holds %s", out)
		}
	}
}
