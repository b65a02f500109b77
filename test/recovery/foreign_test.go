package recovery

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/proof"
	"github.com/refloat-db/refloat/internal/target/targettest"
)

// A drill of another tool's backup is signed and chained, is known to the
// audit, and says nothing of our own backups.
func TestForeignDrillIsNoProofOfOurs(t *testing.T) {
	t.Parallel()
	b := newBed(t, targettest.Options{}, settings{})
	b.prod.Exec(t, schema)
	dumps := filepath.Join(b.dir, "dumps")
	if err := os.Mkdir(dumps, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, x := range [][]string{{"all-1.sql", "pg_dumpall"}, {"all-2.sql", "pg_dumpall"}} {
		out, err := b.prod.Command(t, x[1], "-h", "127.0.0.1", "-p", portOf(b), "-U", "postgres").Output()
		if err != nil {
			t.Fatal(err)
		}
		b.write("dumps/"+x[0], string(out))
		at := time.Now().Add(-2 * time.Minute)
		if err := os.Chtimes(filepath.Join(dumps, x[0]), at, at); err != nil {
			t.Fatal(err)
		}
	}
	place := "dump:" + dumps
	untested := func() bool {
		_, out, _ := b.run("check", "main", "--foreign", place, "--json", "--fail-on", "never")
		return strings.Contains(out, place+": no drill of it is on record")
	}
	if !untested() {
		t.Error("the audit does not say that the dumps were never drilled")
	}
	for range 2 {
		code, out, errs := b.run("drill", "main", "--from", place)
		if code != 0 || !strings.Contains(out, "source  "+place) {
			t.Fatalf("exit %d\n%s%s", code, out, errs)
		}
	}
	if untested() {
		t.Error("the audit does not know of the drill")
	}
	var all []proof.Proof
	if err := json.Unmarshal([]byte(b.must("proof", "list", "main", "--json")), &all); err != nil {
		t.Fatal(err)
	}
	if len(all) != 2 || all[1].Source != place || all[1].Sequence != 2 || all[1].Previous == "" || all[1].Subject() == all[1].Target {
		t.Errorf("%+v", all)
	}
	if out := b.must("proof", "verify", "main"); !strings.Contains(out, "main.dump-") || !strings.Contains(out, "2 proof(s)") {
		t.Error(out)
	}
	for _, name := range []string{"main.dump", "main." + place, string(all[1].Subject())} {
		if out := b.must("proof", "show", name); !strings.Contains(out, all[1].ID) {
			t.Errorf("proof show %s: %s", name, out)
		}
	}
	if out := b.must("proof", "show", all[1].ID); !strings.Contains(out, "another tool's") {
		t.Error(out)
	}
	if code, out, _ := b.run("status", "main", "--json"); code == 0 || !strings.Contains(out, "never drilled") {
		t.Errorf("another tool's backup counts as a proof of ours: exit %d\n%s", code, out)
	}
	if code, out, errs := b.run("drill", "main", "--from", "rsync:/x"); code != 2 {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
}

func portOf(b *bed) string {
	_, rest, _ := strings.Cut(b.prod.DSN("postgres"), "127.0.0.1:")
	port, _, _ := strings.Cut(rest, "/")
	return port
}
