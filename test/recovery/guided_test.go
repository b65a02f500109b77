package recovery

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/recovery"
	"github.com/refloat-db/refloat/internal/target/targettest"
)

// offer is what refloat incident recover --json says.
type offer struct {
	Reason string
	Cards  []recovery.Card `json:"servers"`
	Ways   []recovery.Way
}

func (b *bed) offer(args ...string) offer {
	b.t.Helper()
	var o offer
	text := b.must(append([]string{"incident", "recover", "1", "--json"}, args...)...)
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		b.t.Fatalf("%v\n%s", err, text)
	}
	return o
}

// incident reads the one incident of the bed.
func (b *bed) incident() incident.State {
	b.t.Helper()
	var s incident.State
	text := b.must("incident", "show", "1", "--json")
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		b.t.Fatalf("%v\n%s", err, text)
	}
	return s
}

// refused expects an exit code and words on standard error, and that nothing was
// chosen by it.
func (b *bed) refused(code int, says string, args ...string) {
	b.t.Helper()
	told := func() (n int) { // of recoveries: the server tells other things meanwhile
		for _, e := range b.incident().Timeline {
			if strings.HasPrefix(e.Kind, "incident.recovery.") {
				n++
			}
		}
		return n
	}
	before := told()
	got, out, errs := b.run(append([]string{"incident", "recover", "1"}, args...)...)
	if got != code || !strings.Contains(errs, says) {
		b.t.Errorf("%s: exit %d, want %d and %q:\n%s%s", strings.Join(args, " "), got, code, says, out, errs)
	}
	if after := told(); after != before {
		b.t.Errorf("%s: %d events were added by what was refused", strings.Join(args, " "), after-before)
	}
}

// asServer is a command as the user who runs servers.
func asServer(words string) string {
	if os.Geteuid() == 0 {
		return "runuser -u postgres -- " + words
	}
	return words
}

// inCare is a bed whose server keeps the log, with a backup, a proof, and rows
// of which the last were shipped.
func inCare(t *testing.T, recovery func(*bed) string) *bed {
	b := newBed(t, targettest.Options{Settings: map[string]string{"track_commit_timestamp": "on"}}, settings{})
	b.set.Extra = "    recovery:\n      data_directory: " + b.prod.Dir + "\n      timeout: 60s\n"
	if recovery != nil {
		b.set.Extra += recovery(b)
	}
	b.configure()
	b.prod.Exec(t, "CREATE TABLE orders (id int PRIMARY KEY); INSERT INTO orders SELECT generate_series(1, 1000)")
	b.startServer()
	b.must("backup", "main")
	b.mustProve()
	b.prod.Exec(t, "INSERT INTO orders SELECT generate_series(1001, 1500)")
	b.shipped()
	return b
}

// pgCtl is a start command for a restored directory; its server is ended with
// the test.
func pgCtl(b *bed) string {
	return "      start: " + asServer(filepath.Join(b.prod.Bin, "pg_ctl")+" -D {directory} -w -t 60 -l "+filepath.Join(targettest.TempDir(b.t), "restored.log")+" start") + "\n"
}

// endsWithTest stops whatever server runs on a directory when the test ends.
func endsWithTest(t *testing.T, dir string) {
	t.Cleanup(func() {
		text, err := os.ReadFile(filepath.Join(dir, "postmaster.pid"))
		if err != nil {
			return
		}
		var pid int
		if _, err := fmt.Sscan(string(text), &pid); err != nil || pid <= 1 {
			return
		}
		_ = syscall.Kill(pid, syscall.SIGQUIT)
		for deadline := time.Now().Add(20 * time.Second); syscall.Kill(pid, 0) == nil && time.Now().Before(deadline); {
			time.Sleep(10 * time.Millisecond)
		}
	})
}

func (b *bed) outage() {
	b.t.Helper()
	b.until("the incident is open", func() bool {
		_, out, _ := b.run("incident", "list")
		return strings.Contains(out, "inc-1")
	})
}

// killedInTheRestore runs refloat and kills it once it has begun to write.
func (b *bed) killedInTheRestore(into string, args ...string) {
	b.t.Helper()
	cmd := b.command(args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			b.t.Fatalf("it ended before it was killed: %v", err)
		case <-tick.C:
			if _, err := os.Stat(filepath.Join(into, "refloat-restore-incomplete")); err == nil {
				_ = syscall.Kill(cmd.Process.Pid, syscall.SIGKILL)
				<-ended
				return
			}
		}
	}
}

// configureWith writes the configuration with one line in another's place.
func (b *bed) configureWith(line, other string) {
	b.t.Helper()
	path := filepath.Join(b.dir, "refloat.yaml")
	text, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(text), line) {
		b.t.Fatalf("the configuration has no line %s: %v\n%s", line, err, text)
	}
	b.write("refloat.yaml", strings.Replace(string(text), line, other, 1))
}

// stops expects a run to end at the check of its copy with a verdict, and nothing
// to be started.
func (b *bed) stops(verdict, into string, args ...string) {
	b.t.Helper()
	code, out, errs := b.run(append([]string{"incident", "recover", "1"}, args...)...)
	s := b.incident()
	r := s.Recoveries[len(s.Recoveries)-1]
	if code != 3 || r.Verification == nil || r.Verification.Verdict != verdict || r.Steps[r.Current()].ID != recovery.StepCheck || r.Standing(time.Now()) != incident.RecoveryFailed {
		b.t.Errorf("exit %d, want 3 and %s: %+v\n%s%s", code, verdict, r.Verification, out, errs)
	}
	if _, err := os.Stat(filepath.Join(into, "postmaster.opts")); err == nil {
		b.t.Error("a server was started on what was not verified")
	}
}

// damage breaks a page of a file.
func (b *bed) damage(path string) {
	b.t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if _, err := f.WriteAt([]byte("this was a row once"), 4096); err != nil {
		b.t.Fatal(err)
	}
}

func TestGuidedRestoreOfAKilledServer(t *testing.T) {
	b := inCare(t, pgCtl)
	orders := b.prod.Query(t, "SELECT pg_relation_filepath('orders')")
	b.prod.Kill(t)
	b.outage()
	into := filepath.Join(targettest.TempDir(t), "restored")

	o := b.offer("--into", into)
	if o.Reason != "crash" || o.Ways[0].Name != recovery.Restart || !o.Ways[0].Recommended || len(o.Ways) != 5 {
		t.Errorf("%+v", o)
	}
	card := o.Cards[0]
	if card.Verdict.Is != recovery.IsMeant || !card.Dead() || card.State != "in production" || card.Directory.Value != b.prod.Dir {
		t.Errorf("%+v", card)
	}
	latest := recovery.Find(o.Ways, recovery.RestoreLatest)
	if !latest.Time.Known || !latest.Loss.Known || !latest.Gap.Known || !strings.Contains(latest.Time.From, "(proven)") || !latest.Possible() {
		t.Errorf("%+v", latest)
	}
	if p := recovery.Find(o.Ways, recovery.Promote); p.Possible() || p.Loss.Known {
		t.Errorf("%+v", p)
	}
	dry := b.must("incident", "recover", "1", "--way", "restore-latest", "--into", into, "--dry-run")
	for _, want := range []string{"==== TARGET MAIN ====", "this is the one", "no process of it lives", "restore main --into " + into + " --to latest", "start: Start a server on it"} {
		if !strings.Contains(dry, want) {
			t.Errorf("the dry run does not say %q:\n%s", want, dry)
		}
	}

	b.refused(1, "is not empty", "--way", "restore-latest", "--into", b.dir, "--confirm-target", "main")
	b.refused(2, `"Main" is not the name of the target`, "--way", "restore-latest", "--into", into, "--confirm-target", "Main")
	b.refused(1, "none is configured", "--way", "promote", "--confirm-target", "main")
	b.refused(2, "say where to restore into", "--way", "restore-latest", "--confirm-target", "main")

	chosen := b.must("incident", "recover", "1", "--way", "restore-latest", "--into", into, "--as", "ada")
	if !strings.Contains(chosen, "nothing was begun") {
		t.Error(chosen)
	}
	b.refused(1, "was not confirmed", "--run", "r1", "--as", "ada")
	b.refused(1, "ada chose r1 and cannot be the second person too", "--confirm", "r1", "--as", "ada")
	b.refused(1, `"prod" is not the name of the target`, "--run", "r1", "--confirm-target", "prod", "--as", "ada")
	b.refused(1, "r1 (restore-latest) is under way", "--way", "restart", "--as", "ben")
	if _, err := os.Stat(into); err == nil {
		t.Error("something was restored before it was confirmed")
	}
	endsWithTest(t, into)
	b.killedInTheRestore(into, "incident", "recover", "1", "--confirm", "r1", "--as", "ben")
	if shown := b.must("incident", "show", "1"); !strings.Contains(shown, "INTERRUPTED") || strings.Contains(shown, "RECOVERED") {
		t.Error(shown)
	}
	if r := b.incident().Recoveries[0]; r.Current() != 1 || r.Outcome != "" || r.Progress[1].State != incident.StepRunning {
		t.Errorf("%+v", r)
	}

	// It cannot be checked: nothing is started. It is damaged: nothing is started.
	b.configureWith("    drill: {bin_dir: "+b.prod.Bin+"}", "    drill: {bin_dir: "+b.prod.Bin+", scratch_dir: "+b.dir+"/passphrase}")
	b.stops("inconclusive", into, "--run", "r1", "--as", "ben")
	b.configure()
	b.damage(filepath.Join(into, orders))
	b.stops("failed", into, "--run", "r1", "--as", "ben")
	if r := b.incident().Recoveries[0]; r.Progress[1].Tries != 2 || r.Progress[1].State != incident.StepDone || r.Progress[2].Tries != 2 {
		t.Errorf("%+v", r.Progress)
	}
	b.refused(1, "say why it is given up", "--abandon", "r1")
	b.must("incident", "recover", "1", "--abandon", "r1", "--why", "the copy is damaged", "--as", "ada")

	// The same directory, mended from the repository.
	b.refused(1, "is not empty", "--way", "restore-latest", "--into", into, "--confirm-target", "main")
	out := b.must("incident", "recover", "1", "--way", "restore-latest", "--into", into, "--delta", "--confirm-target", "main", "--as", "ben")
	if !strings.Contains(out, "RECOVERED") {
		t.Error(out)
	}
	if n := b.prod.Query(t, "SELECT count(*) || ' ' || max(id) FROM orders"); n != "1500 1500" {
		t.Errorf("%s rows", n)
	}
	s := b.incident()
	if r := s.Recoveries[0]; r.Outcome != incident.RecoveryAbandoned || r.ConfirmedBy != "ben" || r.ChosenBy != "ada" || r.Confirmed != "second person" {
		t.Errorf("%+v", r)
	}
	if r := s.Recoveries[1]; r.Outcome != incident.RecoveryRecovered || r.Confirmed != "typed name" || r.Verification == nil || r.Verification.Verdict != "proven" || len(s.Unread) != 0 {
		t.Errorf("%+v", r)
	}
	if s.DataLoss == nil || s.DataLoss.Loss > 10*time.Second || !strings.Contains(s.DataLoss.Source, "recovery r") {
		t.Errorf("%+v", s.DataLoss)
	}
	checked := false
	for _, e := range s.Timeline {
		if e.Kind == incident.KindVerified && strings.Contains(string(e.Body), "page-checksums") && strings.Contains(string(e.Body), "throw-away copy") {
			checked = true
		}
	}
	if !checked {
		t.Error("no copy was checked before it was started")
	}
	b.until("the outage is over", func() bool { return b.incident().Serves() })
	b.refused(1, "is over", "--run", "r2")
}

// One server, one standby: each way but the restore to the latest point is gone,
// or refused for what would go wrong.
func TestGuidedWaysOfAServerWithAStandby(t *testing.T) {
	if testing.Short() {
		t.Skip("it kills and restores a server several times")
	}
	var standby *targettest.Cluster
	port := targettest.FreePort(t)
	b := inCare(t, func(b *bed) string {
		standby = targettest.StartStandby(b.t, b.prod, nil)
		start := strings.Replace(pgCtl(b), " -w ", fmt.Sprintf(" -o '-c port=%d' -w ", port), 1)
		return start + "      standby: " + standby.DSN("postgres") + "\n      promote: sql\n"
	})
	// What is acknowledged is on the standby, so that nothing may be lost.
	b.prod.Exec(t, "ALTER SYSTEM SET synchronous_standby_names = 'walreceiver'")
	b.prod.Exec(t, "SELECT pg_reload_conf()")
	ways := map[string]string{}
	if p := b.mustProve(); len(p.Ways) != 5 {
		t.Fatalf("%+v", p.Ways)
	} else {
		for _, w := range p.Ways {
			ways[w.Name] = string(w.Open())
			for _, c := range w.Checks {
				t.Logf("%s: %s %s: %s", w.Name, c.Outcome, c.Name, c.Detail)
			}
		}
	}
	if ways["promote"] != "passed" || ways["wait"] != "passed" || ways["restart"] != "could not run" || ways["restore-to"] != "passed" {
		t.Errorf("%v", ways)
	}
	if shown := b.must("proof", "show", "main"); !strings.Contains(shown, "way back: Promote the standby (promote)") || !strings.Contains(shown, "a person does it") {
		t.Error(shown)
	}
	b.must("proof", "verify", "main")

	// Somebody deletes rows; the server lives.
	xid := b.prod.Query(t, "DELETE FROM orders WHERE id > 700; SELECT pg_current_xact_id()")
	b.prod.Exec(t, "INSERT INTO orders VALUES (9000)")
	b.shipped()
	b.must("incident", "open", "orders are gone", "--target", "main")
	into := filepath.Join(targettest.TempDir(t), "before")
	o := b.offer("--to", "xid:"+xid, "--into", into)
	if w := o.Ways[0]; o.Reason != "data-deleted" || w.Name != recovery.RestoreTo || !w.Recommended || w.Loss.Known || len(w.Steps) != 3 {
		t.Errorf("%s %+v", o.Reason, w)
	}
	if c := o.Cards; len(c) != 2 || !c[0].Primary() || !c[0].Commit.Seen || c[1].Role.Value != recovery.RoleStandby || c[1].Verdict.Is != recovery.IsMeant {
		t.Errorf("%+v", c)
	}
	b.refused(1, "two primaries would be the result", "--way", "promote", "--confirm-target", "main")
	b.refused(1, "a server is running on", "--way", "restore-latest", "--into", b.prod.Dir, "--confirm-target", "main")
	b.refused(1, "a server is running on", "--way", "restore-latest", "--into", b.prod.Dir, "--delta", "--confirm-target", "main")
	b.refused(1, "what was deleted stays deleted", "--way", "restart", "--reason", "data-deleted", "--confirm-target", "main")
	b.refused(1, "nothing says what is wrong with it", "--way", "restart", "--confirm-target", "main")
	b.refused(2, "just before latest cannot be restored", "--way", "restore-to", "--to", "latest", "--into", into, "--confirm-target", "main")
	endsWithTest(t, into)
	out := b.must("incident", "recover", "1", "--way", "restore-to", "--to", "xid:"+xid, "--into", into, "--second-primary", "to copy the rows from", "--confirm-target", "main")
	if !strings.Contains(out, "RECOVERED") {
		t.Error(out)
	}
	beside := targettest.Adopt(t, into, 15, port)
	if n := beside.Query(t, "SELECT count(*) || ' ' || max(id) FROM orders"); n != "1500 1500" {
		t.Errorf("before the rows were deleted there were %s", n)
	}
	if n := b.prod.Query(t, "SELECT count(*) || ' ' || max(id) FROM orders"); n != "701 9000" {
		t.Errorf("production was touched: %s", n)
	}
	if s := b.incident(); s.DataLoss != nil {
		t.Errorf("a restore beside production lost nothing: %+v", s.DataLoss)
	}

	// The server is killed. A person starts it again, as nothing grants that.
	b.prod.Kill(t)
	b.until("the outage joins the incident", func() bool { return !b.incident().Serves() })
	out = b.must("incident", "recover", "1", "--way", "restart", "--confirm-target", "main")
	if !strings.Contains(out, "now, by hand: Restart the server") || !strings.Contains(out, "-D "+b.prod.Dir) || !strings.Contains(out, "--run r2 --done restart") {
		t.Error(out)
	}
	b.refused(1, "step restart comes first", "--run", "r2", "--done", "verify")
	b.prod.Start(t)
	out = b.must("incident", "recover", "1", "--run", "r2", "--done", "restart", "--note", "started it")
	s := b.incident()
	if r := s.Recoveries[1]; r.Outcome != incident.RecoveryRecovered || s.DataLoss == nil || s.DataLoss.Loss != 0 || !strings.Contains(s.DataLoss.Source, "every acknowledged heartbeat is there") {
		t.Errorf("%+v\n%+v\n%s", r, s.DataLoss, out)
	}
	b.until("the outage is over", func() bool { return b.incident().Serves() })

	// It is killed again, for good. The standby takes over.
	b.prod.Kill(t)
	b.until("it is down again", func() bool { return !b.incident().Serves() })
	if w := recovery.Find(b.offer().Ways, recovery.Promote); !w.Possible() || !w.Loss.Known || w.Loss.Value > 10*time.Second {
		t.Errorf("%+v", w)
	}
	out = b.must("incident", "recover", "1", "--way", "promote", "--confirm-target", "main")
	if n, err := standby.TryQuery("SELECT pg_is_in_recovery() || ' ' || max(id) FROM orders"); err != nil || n != "false 9000" {
		t.Errorf("%s %v\n%s", n, err, out)
	}
	if r := b.incident().Recoveries[2]; r.Outcome != incident.RecoveryRecovered || r.Verification.Loss == nil || !strings.Contains(r.Verification.LossBy, "every acknowledged heartbeat is there") {
		t.Errorf("%+v", r)
	}
}
