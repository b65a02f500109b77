package repository_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/refloat-db/refloat/internal/repository"
	"github.com/refloat-db/refloat/internal/repository/repositorytest"
)

// stockKopia gives kopia's own program: the installed one, or one built from
// the module that the library comes from.
func stockKopia(t *testing.T) string {
	t.Helper()
	if p, err := exec.LookPath("kopia"); err == nil {
		return p
	}
	if os.Getenv("REFLOAT_TEST_REQUIRE") != "1" || testing.Short() {
		t.Skip("kopia is not installed, and building it takes a while")
	}
	bin := filepath.Join(t.TempDir(), "kopia")
	if out, err := exec.Command("go", "build", "-tags", "nohtmlui", "-o", bin, "github.com/kopia/kopia").CombinedOutput(); err != nil {
		t.Fatalf("build kopia: %v %s", err, out)
	}
	return bin
}

// tool finds a program that docs/formats/repository.md names.
func tool(t *testing.T, name string) string {
	t.Helper()
	p, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("REFLOAT_TEST_REQUIRE") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	return p
}

// TestStockTools does what docs/formats/repository.md says: the stock programs
// kopia, age and zstd recover everything without us.
func TestStockTools(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	kopia, age, zstd := stockKopia(t), tool(t, "age"), tool(t, "zstd")
	o := repositorytest.File(t)
	r := repositorytest.New(t, o)
	files := map[string][]byte{"pgdata/PG_VERSION": []byte("15\n"), "pgdata/base/1/1259": repositorytest.Noise(1, 3<<20+5), "refloat/backup.json": []byte("{}")}
	s := repositorytest.Save(t, r, "/db", files)
	segment := halfNoise(2, 1<<20)
	if err := r.PutSealed(ctx, "log/db/00000001/000000010000000000000001", segment); err != nil {
		t.Fatal(err)
	}

	dir := t.TempDir()
	run := func(in string, args ...string) []byte {
		t.Helper()
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "KOPIA_PASSWORD="+repositorytest.Passphrase, "HOME="+dir, "KOPIA_CHECK_FOR_UPDATES=false")
		if in != "" {
			f, err := os.Open(filepath.Join(dir, in))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			cmd.Stdin = f
		}
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, stderr.String())
		}
		return out
	}
	conf := "--config-file=" + filepath.Join(dir, "kopia.config")
	run("", kopia, conf, "repository", "connect", "filesystem", "--path="+folder(o), "--readonly", "--no-persist-credentials")
	list := string(run("", kopia, conf, "snapshot", "list", "--all", "--show-identical", "--manifest-id"))
	for _, want := range []string{s.ID, "refloat@refloat:/db", "refloat@refloat:/refloat-keys", "pins:refloat"} {
		if !strings.Contains(list, want) {
			t.Errorf("kopia snapshot list does not show %q:\n%s", want, list)
		}
	}
	run("", kopia, conf, "snapshot", "verify", "--verify-files-percent=100")
	run("", kopia, conf, "snapshot", "restore", s.ID, "restored")
	for name, want := range files {
		if b, err := os.ReadFile(filepath.Join(dir, "restored", name)); err != nil || !bytes.Equal(b, want) {
			t.Errorf("restored %s: %d bytes, %v", name, len(b), err)
		}
	}
	keys := ""
	for line := range strings.Lines(list) {
		if f := strings.Fields(line); len(f) > 4 && keys == "?" {
			keys = f[3]
		}
		if strings.Contains(line, "/refloat-keys") {
			keys = "?"
		}
	}
	run("", kopia, conf, "snapshot", "restore", strings.Fields(keys)[0], "keys")
	if err := os.WriteFile(filepath.Join(dir, "plain.zst"), run("", age, "-d", "-i", "keys/age-identity.txt",
		filepath.Join(folder(o), "refloat.", "log~db~00000001~000000010000000000000001.f")), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := run("plain.zst", zstd, "-d", "-q", "-c"); !bytes.Equal(got, segment) {
		t.Errorf("age and zstd give %d bytes, not what was sealed", len(got))
	}
	stockMaintenance(t, run, kopia, conf, o, s.ID, files)
}

// stockMaintenance: the stock program may maintain the repository too, and
// leaves everything of ours.
func stockMaintenance(t *testing.T, run func(string, ...string) []byte, kopia, conf string, o repository.Options, id string, files map[string][]byte) {
	run("", kopia, conf, "repository", "connect", "filesystem", "--path="+folder(o), "--no-persist-credentials",
		"--override-username=refloat", "--override-hostname=refloat")
	run("", kopia, conf, "snapshot", "expire", "--all", "--delete")
	run("", kopia, conf, "maintenance", "run", "--full", "--safety=none")
	r := repositorytest.Open(t, o)
	repositorytest.Check(t, r, id, files)
	repositorytest.Clean(t, r)
	if b, err := r.GetSealed(context.Background(), "log/db/00000001/000000010000000000000001"); err != nil || len(b) != 1<<20 {
		t.Errorf("sealed object after the stock maintenance: %d bytes, %v", len(b), err)
	}
}
