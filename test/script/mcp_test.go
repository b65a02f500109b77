package script

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/refloat-db/refloat/internal/store/sqlite"
	"github.com/refloat-db/refloat/internal/target/targettest"
)

// An assistant starts the program, asks it, and finds what people did; what it
// may not know, it does not get; and nothing is changed by its questions.
func TestAnAssistantAsksTheProgram(t *testing.T) {
	bin, dir := build(t), targettest.TempDir(t)
	state := filepath.Join(dir, "state")
	s, err := sqlite.Open(t.Context(), state)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "refloat.yaml")
	text := fmt.Sprintf("version: 1\nstate_dir: %s\nrepository: {url: \"file://%s/repo\", passphrase_env: PASS}\ntargets:\n  shop: {dsn: \"postgres://refloat@127.0.0.1:1/postgres\"}\n", state, dir)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	env := []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH"), "PASS=a long passphrase of this test", "REFLOAT_CONFIG=" + config}
	refloat := func(args ...string) {
		t.Helper()
		c := exec.CommandContext(t.Context(), bin, args...)
		c.Env = env
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	refloat("repo", "init")
	refloat("incident", "open", "orders fail", "--target", "shop", "--as", "ada")
	refloat("incident", "note", "1", "the volume is gone", "--as", "ada")

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.Command(bin, "mcp")
	cmd.Env = env
	client, err := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil).Connect(ctx, &mcp.CommandTransport{Command: cmd}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	tools, err := client.ListTools(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	last := func() int64 {
		t.Helper()
		s, err := sqlite.OpenReadOnly(ctx, state)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		h, err := s.Head(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return h.Seq
	}
	before := last()
	want := map[string]string{
		"board": `"incidents"`, "target": "never drilled", "coverage": `"backups":[]`, "proofs": `"proofs":[]`, "runbook": "missing", "incidents": "inc-1", "incident": "the volume is gone",
		"incident_timeline": "incident.note.added", "alerts": `"data":[]`, "findings": `"data"`, "explain": "fsync", "journal": "incident.opened", "oncall": `"teams"`, "proof": "no proof",
	}
	args := map[string]any{"target": "shop", "incident": "1", "rule": "server-fsync", "proof": "shop-20260101T000000Z"}
	for _, x := range tools.Tools {
		if !x.Annotations.ReadOnlyHint {
			t.Errorf("%s may change something", x.Name)
		}
		with := map[string]any{}
		schema, _ := x.InputSchema.(map[string]any)
		needed, _ := schema["required"].([]any)
		for _, name := range needed {
			with[name.(string)] = args[name.(string)]
		}
		r, err := client.CallTool(ctx, &mcp.CallToolParams{Name: x.Name, Arguments: with})
		if err != nil {
			t.Errorf("%s: %v", x.Name, err)
			continue
		}
		got := r.Content[0].(*mcp.TextContent).Text
		if r.IsError != (x.Name == "proof") || !strings.Contains(got, want[x.Name]) || want[x.Name] == "" {
			t.Errorf("%s answers %v %.600s", x.Name, r.IsError, got)
		}
		delete(want, x.Name)
	}
	if len(want) > 0 {
		t.Errorf("there are no tools %v", want)
	}
	if r, err := client.CallTool(ctx, &mcp.CallToolParams{Name: "target", Arguments: map[string]any{"target": "books"}}); err != nil || !r.IsError {
		t.Errorf("a target that is not there: %v %v", r, err)
	}
	if r, err := client.ReadResource(ctx, &mcp.ReadResourceParams{URI: "refloat://rule/server-fsync"}); err != nil || !strings.Contains(r.Contents[0].Text, "fsync") {
		t.Error(err)
	}
	if after := last(); after != before {
		t.Errorf("the journal went from %d to %d", before, after)
	}
}
