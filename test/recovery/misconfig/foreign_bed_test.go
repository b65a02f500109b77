package misconfig

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/app"
	"github.com/refloat-db/refloat/internal/audit"
	"github.com/refloat-db/refloat/internal/proof"
	"github.com/refloat-db/refloat/internal/target/targettest"
)

// buildOnce builds the program, which a drill's scratch server calls back.
var buildOnce = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "refloat-program-")
	if err != nil {
		return "", err
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return "", err
	}
	program := filepath.Join(dir, "refloat")
	out, err := exec.Command("go", "build", "-o", program, "github.com/refloat-db/refloat/cmd/refloat").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return program, nil
})

// installed skips the test where a tool is missing; with REFLOAT_TEST_REQUIRE=1
// that is a failure.
func installed(t *testing.T, tool string) {
	t.Helper()
	if _, err := exec.LookPath(tool); err != nil {
		if os.Getenv("REFLOAT_TEST_REQUIRE") == "1" {
			t.Fatalf("%v; run test/tools/install-debian.sh test", err)
		}
		t.Skip(err)
	}
}

// foreignRules are those that judge other tools' backups.
func foreignRules() []audit.Rule {
	return slices.DeleteFunc(audit.Rules(), func(r audit.Rule) bool { return r.Area != audit.AreaForeign })
}

// found gathers a server's facts with those of places of other tools.
func found(t *testing.T, srv *targettest.Cluster, places ...string) audit.Facts {
	t.Helper()
	f := lookAt(t, srv, srv.DSN("postgres"))
	named, err := app.Places(places)
	if err != nil {
		t.Fatal(err)
	}
	f.Foreign = app.Find(t.Context(), app.FindOptions{Named: named, Server: f.Server})
	return f
}

// isFine wants nothing above info of other tools' backups, and every rule that
// applies to have looked.
func isFine(t *testing.T, f audit.Facts) {
	t.Helper()
	r := audit.Judge(foreignRules(), f)
	if bad := above(r); len(bad) > 0 {
		t.Errorf("found where all is well:\n%s", strings.Join(bad, "\n"))
	}
	for _, res := range r.Results {
		if res.Outcome == audit.Unknown && res.Rule != "foreign-untested" { // which needs a target of refloat.yaml
			t.Errorf("%s could not look: %s", res.Rule, res.Why)
		}
	}
}

// drilled drills a place and wants a verdict; evidence must be in what is said.
func drilled(t *testing.T, srv *targettest.Cluster, place string, want proof.Verdict, evidence string) {
	t.Helper()
	program, err := buildOnce()
	if err != nil {
		t.Fatal(err)
	}
	scratch := targettest.TempDir(t)
	cmd := exec.Command(program, "drill", "--json", "--from", place, srv.DSN("postgres"))
	cmd.Env = append(os.Environ(), "TMPDIR="+scratch)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	_ = cmd.Run() // its exit code is looked at
	var p *proof.Proof
	for dec := json.NewDecoder(&out); ; {
		var event struct {
			Proof *proof.Proof `json:"proof"`
		}
		if dec.Decode(&event) != nil {
			break
		}
		if event.Proof != nil {
			p = event.Proof
		}
	}
	codes := map[proof.Verdict]int{proof.Proven: 0, proof.Failed: 3, proof.Inconclusive: 4}
	if p == nil || p.Verdict != want || cmd.ProcessState.ExitCode() != codes[want] {
		t.Errorf("drill of %s: exit %d, want %s\n%s\n%+v", place, cmd.ProcessState.ExitCode(), want, errs.String(), p)
		return
	}
	text, _ := json.Marshal(p)
	if !strings.Contains(string(text), evidence) || p.Source == "" {
		t.Errorf("drill of %s does not say %q:\n%s", place, evidence, text)
	}
	if left, _ := filepath.Glob(filepath.Join(scratch, "*")); len(left) > 0 {
		t.Errorf("the drill left %v behind", left)
	}
	t.Logf("drill    %s: %s", p.Verdict, p.Summary)
}

// table says who says what of each case.
type table struct {
	heads []string
	rows  []string
}

func (x *table) add(name string, cells ...string) {
	x.rows = append(x.rows, "| "+name+" | "+strings.Join(cells, " | ")+" |")
}

func (x *table) log(t *testing.T) {
	t.Log("\n| case | " + strings.Join(x.heads, " | ") + " |\n|---|" + strings.Repeat("---|", len(x.heads)) + "\n" + strings.Join(x.rows, "\n"))
}

// copyOf copies a folder, with its owner, to another place.
func copyOf(t *testing.T, from, to string) string {
	t.Helper()
	if out, err := exec.Command("cp", "-a", from, to).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return to
}

// segmentsIn lists the files of segments below a folder, in order.
func segmentsIn(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		name := filepath.Base(path)
		if err == nil && !d.IsDir() && len(name) >= 24 && strings.Trim(name[:24], "0123456789ABCDEF") == "" && !strings.HasSuffix(name, ".backup") {
			out = append(out, path)
		}
		return err
	})
	if err != nil || len(out) < 4 {
		t.Fatalf("%d segments in %s: the case would break nothing (%v)", len(out), dir, err)
	}
	slices.SortFunc(out, func(a, b string) int { return strings.Compare(filepath.Base(a), filepath.Base(b)) })
	return out
}

// archivedPast makes segments full until the archiver says that it handed over
// so many more.
func archivedPast(t *testing.T, srv *targettest.Cluster, n int) {
	t.Helper()
	before := srv.Query(t, "SELECT archived_count FROM pg_stat_archiver")
	for range n {
		srv.Exec(t, "CREATE TABLE IF NOT EXISTS written (n int); INSERT INTO written VALUES (1); SELECT pg_switch_wal()")
	}
	targettest.WaitFor(t, "the archiver", func() bool {
		return srv.Query(t, fmt.Sprintf("SELECT archived_count >= %s + %d FROM pg_stat_archiver", before, n)) == "t"
	})
}

// filesOf are the files below a folder, with what tells whether one was changed.
func filesOf(t *testing.T, dir string) string {
	t.Helper()
	var out strings.Builder
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		i, err := d.Info()
		if err == nil {
			fmt.Fprintln(&out, path, i.Size(), i.ModTime().UnixNano())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

const week = 7 * 24 * time.Hour
