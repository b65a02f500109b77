// Package recovery breaks backups in every way that we know of, for real, and
// holds the drill to one rule: it never says proven when the cluster could not
// be recovered, and always does when it could.
package recovery

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/proof"
	"github.com/refloat-db/refloat/internal/target/postgres"
	"github.com/refloat-db/refloat/internal/target/targettest"
)

// program is the built refloat, made once for all tests.
var program string

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "refloat-program-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := os.Chmod(dir, 0o755); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	program = filepath.Join(dir, "refloat")
	if out, err := exec.Command("go", "build", "-o", program, "github.com/refloat-db/refloat/cmd/refloat").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// settings of a bed's configuration that cases differ in.
type settings struct {
	DataLoss    string // objective; default 1h, so that only the case in question fails
	Synchronous bool
	NoHeartbeat bool
	DSN         string // default: the bed's own cluster
	Extra       string // further lines of the target, indented by four spaces
}

// bed is a cluster, a repository and a configuration.
type bed struct {
	backupSays int // exit code of the base backup by hand: 3 of a damaged cluster
	t          *testing.T
	prod       *targettest.Cluster
	dir        string // holds refloat.yaml, passphrase, repository/ and state/
	set        settings
	server     *exec.Cmd
}

func newBed(t *testing.T, cluster targettest.Options, set settings) *bed {
	t.Helper()
	b := &bed{t: t, prod: targettest.Start(t, cluster), dir: targettest.TempDir(t), set: set}
	b.write("passphrase", "a passphrase for tests, long enough\n")
	b.configure()
	if !set.NoHeartbeat {
		b.prod.Exec(t, postgres.HeartbeatDDL)
	}
	b.must("repo", "init")
	return b
}

func (b *bed) write(name, text string) {
	b.t.Helper()
	if err := os.WriteFile(filepath.Join(b.dir, name), []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// configure writes refloat.yaml for the bed's directory.
func (b *bed) configure() {
	b.t.Helper()
	s := b.set
	if s.DataLoss == "" {
		s.DataLoss = "1h"
	}
	if s.DSN == "" {
		s.DSN = b.prod.DSN("postgres")
	}
	b.write("refloat.yaml", fmt.Sprintf(`version: 1
state_dir: %[1]s/state
repository:
  url: file://%[1]s/repository
  passphrase_file: %[1]s/passphrase
server:
  listen: 127.0.0.1:%[2]d
targets:
  main:
    dsn: %[3]s
    objectives: {data_loss: %[4]s, resolution: 4h, proof_age: 7d}
    log: {enabled: true, partial_every: 200ms, synchronous: %[5]t}
    heartbeat: {enabled: %[6]t, every: 200ms}
    drill: {bin_dir: %[7]s}
%[8]s`, b.dir, targettest.FreePort(b.t), s.DSN, s.DataLoss, s.Synchronous, !s.NoHeartbeat, b.prod.Bin, s.Extra))
}

// command prepares refloat on the bed's configuration.
func (b *bed) command(args ...string) *exec.Cmd {
	cmd := exec.Command(program, append([]string{"--config", filepath.Join(b.dir, "refloat.yaml")}, args...)...)
	cmd.Dir = b.dir
	return cmd
}

// run runs refloat and returns its exit code and output.
func (b *bed) run(args ...string) (code int, stdout, stderr string) {
	b.t.Helper()
	cmd := b.command(args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		b.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

func (b *bed) must(args ...string) string {
	b.t.Helper()
	code, out, errs := b.run(args...)
	if code != 0 {
		b.t.Fatalf("refloat %s: exit %d\n%s%s", strings.Join(args, " "), code, out, errs)
	}
	return out
}

// startServer starts `refloat server` and waits until it streams.
func (b *bed) startServer() {
	b.t.Helper()
	logf, err := os.OpenFile(filepath.Join(b.dir, "server.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = logf.Close() }()
	b.server = b.command("server")
	b.server.Stdout, b.server.Stderr = logf, logf
	b.server.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := b.server.Start(); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { b.endServer(syscall.SIGKILL) })
	b.until("the server streams", func() bool {
		v, err := b.prod.TryQuery("SELECT active FROM pg_replication_slots WHERE slot_name = 'refloat_main'")
		return err == nil && v == "t"
	})
}

// endServer ends the server and every process of its group.
func (b *bed) endServer(sig syscall.Signal) {
	if b.server == nil {
		return
	}
	pid := b.server.Process.Pid
	_ = syscall.Kill(pid, sig)
	done := make(chan struct{})
	go func() { _ = b.server.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(60 * time.Second):
		_ = syscall.Kill(pid, syscall.SIGKILL)
		<-done
		b.t.Errorf("the server did not end within a minute of %v\n%s", sig, b.serverLog())
	}
	_ = syscall.Kill(-pid, syscall.SIGKILL) // what it may have left behind
	b.server = nil
}

func (b *bed) serverLog() string {
	text, _ := os.ReadFile(filepath.Join(b.dir, "server.log"))
	if len(text) > 8000 {
		text = text[len(text)-8000:]
	}
	return string(text)
}

// until waits for a condition, with a deadline.
func (b *bed) until(what string, ok func() bool) {
	b.t.Helper()
	deadline := time.After(90 * time.Second)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			b.t.Fatalf("waited 90 s: %s\n%s", what, b.serverLog())
		case <-tick.C:
		}
	}
}

// shipped waits until all log written so far is durable in the repository,
// which is when the slot moves past it.
func (b *bed) shipped() {
	b.t.Helper()
	lsn := b.prod.Query(b.t, "SELECT pg_current_wal_flush_lsn()")
	b.until("log up to "+lsn+" is in the repository", func() bool {
		v, err := b.prod.TryQuery("SELECT restart_lsn >= '" + lsn + "' FROM pg_replication_slots WHERE slot_name = 'refloat_main'")
		return err == nil && v == "t"
	})
}

// drill drills and returns the exit code and the proof, nil when there is none.
func (b *bed) drill(args ...string) (int, *proof.Proof, string) {
	b.t.Helper()
	code, out, errs := b.run(append([]string{"drill", "main", "--json"}, args...)...)
	var last *proof.Proof
	dec := json.NewDecoder(strings.NewReader(out))
	for {
		var event struct {
			Proof *proof.Proof `json:"proof"`
		}
		if err := dec.Decode(&event); err != nil {
			break
		}
		if event.Proof != nil {
			last = event.Proof
		}
	}
	return code, last, out + errs
}

// mustProve fails the test unless a drill says proven.
func (b *bed) mustProve() *proof.Proof {
	b.t.Helper()
	code, p, text := b.drill()
	if code != 0 || p == nil || p.Verdict != proof.Proven {
		b.t.Fatalf("a healthy backup was not proven: exit %d\n%s", code, text)
	}
	return p
}

// copyTo is the same bed over copies of repository and state, so that a case
// can break them.
func (b *bed) copyTo(t *testing.T) *bed {
	t.Helper()
	c := &bed{t: t, prod: b.prod, dir: targettest.TempDir(t), set: b.set}
	for _, name := range []string{"repository", "state", "passphrase"} {
		if out, err := exec.Command("cp", "-a", filepath.Join(b.dir, name), filepath.Join(c.dir, name)).CombinedOutput(); err != nil {
			t.Fatalf("copy %s: %v\n%s", name, err, out)
		}
	}
	c.configure()
	return c
}

// blobs lists the stored blobs whose name begins with prefix: name to path.
func (b *bed) blobs(prefix string) map[string]string {
	b.t.Helper()
	root := filepath.Join(b.dir, "repository")
	found := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(root, path)
		name := strings.TrimSuffix(strings.ReplaceAll(rel, string(filepath.Separator), ""), ".f")
		if strings.HasSuffix(path, ".f") && strings.HasPrefix(name, prefix) {
			found[name] = path
		}
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	if len(found) == 0 {
		b.t.Fatalf("no blob named %s… in the repository: the case would break nothing", prefix)
	}
	return found
}

// segments lists the stored whole WAL segments of the target, in order.
func (b *bed) segments() []string {
	b.t.Helper()
	var paths []string
	names := make([]string, 0, 16)
	all := b.blobs("refloat.log~main~0")
	for n := range all {
		if len(strings.TrimPrefix(n, "refloat.log~main~")) == 24 {
			names = append(names, n)
		}
	}
	sortStrings(names)
	for _, n := range names {
		paths = append(paths, all[n])
	}
	if len(paths) < 4 {
		b.t.Fatalf("only %d whole segments: the case would break nothing", len(paths))
	}
	return paths
}

// load writes rows in the given number of commits, and switches segments so
// that the log has several.
func (b *bed) load(rounds int) {
	b.t.Helper()
	for range rounds {
		b.prod.Exec(b.t, "INSERT INTO ledger (note) SELECT md5(random()::text) FROM generate_series(1, 500); UPDATE ledger SET note = note || '+' WHERE id % 50 = "+strconv.Itoa(rounds%50)+"; SELECT pg_switch_wal()")
	}
}
