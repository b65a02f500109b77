// Package house checks that the rooms keep to the plan in docs/architecture.md:
// who may import whom.
package house

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/refloat-db/refloat/"

// mayImport lists, for each room, the rooms of ours that it may import beside
// secret and target's value types. Rooms that are not listed may import none.
var mayImport = map[string][]string{
	"cmd/refloat":                        {"internal/cli"},
	"internal/app":                       {"*"},
	"internal/cli":                       {"internal/app", "internal/config"},
	"internal/config":                    {"internal/access", "internal/alert", "internal/audit", "internal/foreign", "internal/incident"}, // their options, the names of rules and places
	"internal/secret":                    {},
	"internal/target":                    {},
	"internal/target/postgres":           {},
	"internal/target/targettest":         {},
	"internal/repository":                {},
	"internal/repository/repositorytest": {"internal/repository"},
	"internal/backup":                    {"internal/repository"},
	"internal/scratch":                   {},
	"internal/restore":                   {"internal/repository", "internal/backup", "internal/scratch"},
	"internal/proof":                     {},
	"internal/drill":                     {"internal/restore", "internal/scratch", "internal/proof", "internal/backup"},
	"internal/recovery":                  {"internal/restore", "internal/proof"},
	"internal/foreign":                   {},
	"internal/foreign/pgbackrest":        {"internal/foreign"},
	"internal/foreign/barman":            {"internal/foreign"},
	"internal/foreign/walg":              {"internal/foreign"},
	"internal/foreign/dump":              {"internal/foreign"},
	"internal/foreign/jobs":              {"internal/foreign"},
	"internal/audit":                     {"internal/foreign"},
	"internal/alert":                     {},
	"internal/alert/email":               {"internal/alert"},
	"internal/alert/webhook":             {"internal/alert"},
	"internal/alert/chat":                {"internal/alert"},
	"internal/alert/inbound":             {"internal/alert"},
	"internal/monitor":                   {},
	"internal/incident":                  {},
	"internal/postmortem":                {"internal/postmortem/prose", "internal/incident"},
	"internal/statuspage":                {},
	"internal/statuspage/bucket":         {"internal/statuspage"},
	"internal/statuspage/site":           {"internal/statuspage"},
	"internal/postmortem/prose":          {},
	"internal/postmortem/review":         {},
	"internal/postmortem/render":         {"internal/postmortem", "internal/postmortem/prose"},
	"internal/journal":                   {},
	"internal/schedule":                  {},
	"internal/tracing":                   {},
	"internal/status":                    {"internal/proof"},
	"internal/store/sqlite":              {"internal/access", "internal/alert", "internal/journal", "internal/status", "internal/statuspage"},
	"internal/store/pgstore":             {"internal/access", "internal/alert", "internal/journal", "internal/status", "internal/statuspage"},
	"internal/store/storetest":           {"internal/access", "internal/alert", "internal/journal", "internal/status", "internal/statuspage"},
	"internal/server":                    {"internal/access", "internal/action", "internal/alert", "internal/audit", "internal/backup", "internal/incident", "internal/journal", "internal/monitor", "internal/proof", "internal/recovery", "internal/status"},
	"internal/server/rest":               {"internal/access", "internal/action", "internal/alert", "internal/audit", "internal/backup", "internal/incident", "internal/journal", "internal/monitor", "internal/proof", "internal/recovery", "internal/server", "internal/status"},
	"internal/server/slash":              {"internal/server", "internal/access", "internal/alert", "internal/audit", "internal/backup", "internal/incident", "internal/journal", "internal/monitor", "internal/proof", "internal/status"},
	"internal/client":                    {"internal/server", "internal/access", "internal/action", "internal/alert", "internal/audit", "internal/backup", "internal/incident", "internal/journal", "internal/monitor", "internal/proof", "internal/status"},
	"internal/mcp":                       {"internal/server", "internal/access", "internal/alert", "internal/audit", "internal/backup", "internal/incident", "internal/journal", "internal/monitor", "internal/proof", "internal/status"},
	"internal/server/web":                {"internal/server/web/component", "internal/server/web/chart", "internal/server/web/static", "internal/server", "internal/access", "internal/action", "internal/alert", "internal/audit", "internal/backup", "internal/incident", "internal/journal", "internal/monitor", "internal/proof", "internal/recovery", "internal/status"},
	"internal/server/web/component":      {"internal/status"}, // how it writes durations
	"internal/server/web/chart":          {},
	"internal/server/web/static":         {},
	"internal/server/web/webtest":        {"internal/server/web", "internal/server", "internal/access", "internal/action", "internal/alert", "internal/audit", "internal/backup", "internal/incident", "internal/journal", "internal/monitor", "internal/proof", "internal/recovery", "internal/status"},
	"cmd/refloat-storybook":              {"internal/server/web/webtest", "internal/server/web/static"},
	"internal/access":                    {},
	"internal/access/oidc":               {"internal/access"},
	"internal/access/oidc/oidctest":      {},
	"internal/action":                    {},
	"internal/action/tracker":            {"internal/action"},
	"internal/trend":                     {"internal/action", "internal/incident", "internal/proof", "internal/paper"},
	"internal/paper":                     {},
	"internal/runbook":                   {"internal/recovery"},
}

// onlyIn lists modules of others that one room alone may import.
var onlyIn = map[string][]string{
	"go.opentelemetry.io/otel":      {"internal/tracing"},
	"github.com/kopia/kopia":        {"internal/repository"},
	"github.com/riverqueue/river":   {"internal/schedule"},
	"github.com/jackc/pgx":          {"internal/target/postgres", "internal/target/targettest", "internal/store/pgstore", "internal/schedule"},
	"github.com/jackc/pglogrepl":    {"internal/target/postgres"},
	"modernc.org/sqlite":            {"internal/store/sqlite"},
	"github.com/spf13/cobra":        {"internal/cli"},
	"github.com/vbauerster/mpb":     {"internal/cli"},
	"github.com/goccy/go-yaml":      {"internal/config"},
	"github.com/johnfercher/maroto": {"internal/paper"},

	"github.com/wneessen/go-mail":         {"internal/alert/email"},
	"github.com/nicholas-fedor/shoutrrr":  {"internal/alert/chat"},
	"github.com/arran4/golang-ical":       {"internal/alert"},
	"github.com/teambition/rrule-go":      {"internal/alert"},
	"github.com/owenrumney/go-sarif":      {"internal/cli"},
	"github.com/jstemmer/go-junit-report": {"internal/cli"},
	"aead.dev/minisign":                   {"internal/proof"},
	"github.com/coreos/go-oidc":           {"internal/access/oidc"},
	"mvdan.cc/sh":                         {"internal/audit"},
	"github.com/danielgtaylor/huma":       {"internal/server/rest"},
	"github.com/modelcontextprotocol":     {"internal/mcp"},
	"github.com/a-h/templ":                {"internal/server/web", "internal/server/web/component"},
}

type goPackage struct {
	ImportPath string
	Imports    []string
}

func packages(t *testing.T) []goPackage {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", "./...")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []goPackage
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p goPackage
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		p.ImportPath = strings.TrimPrefix(p.ImportPath, module)
		all = append(all, p)
	}
	if len(all) < 10 {
		t.Fatalf("only %d packages found", len(all))
	}
	return all
}

func TestRoomsImportOnlyWhatTheyMay(t *testing.T) {
	for _, p := range packages(t) {
		if strings.HasPrefix(p.ImportPath, "test/") {
			continue
		}
		allowed, known := mayImport[p.ImportPath]
		if !known {
			t.Errorf("%s is in no plan: add it to docs/architecture.md, here and in .golangci.yml", p.ImportPath)
			continue
		}
		for _, imp := range p.Imports {
			ours, is := strings.CutPrefix(imp, module)
			if !is || ours == "internal/secret" || ours == "internal/target" || slices.Contains(allowed, "*") || slices.Contains(allowed, ours) {
				continue
			}
			t.Errorf("%s imports %s", p.ImportPath, ours)
		}
	}
}

func TestLibrariesStayInTheirRooms(t *testing.T) {
	for _, p := range packages(t) {
		for _, imp := range p.Imports {
			for lib, rooms := range onlyIn {
				if (imp == lib || strings.HasPrefix(imp, lib+"/")) && !slices.Contains(rooms, p.ImportPath) && !strings.HasPrefix(p.ImportPath, "test/") {
					t.Errorf("%s imports %s, which belongs to %v", p.ImportPath, imp, rooms)
				}
			}
		}
	}
}

func TestRoomsHaveNames(t *testing.T) {
	banned := []string{"utils", "util", "common", "helpers", "types", "models", "pkg", "misc"}
	for _, p := range packages(t) {
		if slices.Contains(banned, path.Base(p.ImportPath)) {
			t.Errorf("%s: a name that says nothing", p.ImportPath)
		}
	}
}
