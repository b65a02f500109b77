package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/config"
	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/recovery"
	"github.com/refloat-db/refloat/internal/secret"
	"github.com/refloat-db/refloat/internal/target"
	"github.com/refloat-db/refloat/internal/target/targettest"
)

// recoveringApp is an App with one target and what may be done to it.
func recoveringApp(t *testing.T, dsn string, r config.Recovery) *App {
	t.Helper()
	if r.Timeout == 0 {
		r.Timeout = config.Duration(20 * time.Second)
	}
	return New(config.Config{StateDir: t.TempDir(), Targets: map[string]config.Target{"shop": {DSN: dsn, Password: secret.New("geheim-2"), Recovery: r}}}, slog.New(slog.DiscardHandler))
}

func TestCommandsOfARecovery(t *testing.T) {
	a := recoveringApp(t, "host=/nowhere", config.Recovery{Timeout: config.Duration(2 * time.Second)})
	w := &stepWork{runner: &runner{a: a}}
	run := func(words ...string) (string, error) {
		return w.command(t.Context(), words, a.cfg.Targets["shop"])
	}
	t.Setenv("REFLOAT_SECRET_OF_OURS", "geheim-1")
	out, err := run("env")
	if err != nil || strings.Contains(out, "geheim-1") || !strings.Contains(out, "PATH=") {
		t.Errorf("a command gets our environment: %v\n%s", err, out)
	}
	if out, err = run("echo", "a  b", "$HOME;", "geheim-2"); err != nil || out != "a  b $HOME; geheim-2" {
		t.Errorf("a shell was in between: %q %v", out, err)
	}
	if got := a.redacted(out); got != "a  b $HOME; [redacted]" {
		t.Errorf("%q", got)
	}
	if out, err = run("sh", "-c", "echo why >&2; exit 3"); err == nil || out != "why" || !strings.Contains(err.Error(), "exit status 3: why") {
		t.Errorf("%q %v", out, err)
	}
	if _, err = run("/nowhere/at/all"); err == nil {
		t.Error("a program that is not there ran")
	}
	if _, err = run(); !errors.Is(err, incident.ErrRefused) {
		t.Errorf("what is not granted: %v", err)
	}
	if _, err = run("sleep", "60"); err == nil || !strings.Contains(err.Error(), "did not end within 2s") {
		t.Errorf("%v", err)
	}
	// What a command leaves behind keeps its output open, and must not keep us.
	began := time.Now()
	out, err = run("sh", "-c", "sleep 30 & echo $!")
	if err != nil || time.Since(began) > 2*time.Second {
		t.Errorf("%q %v after %s", out, err, time.Since(began))
	}
	if pid, err := strconv.Atoi(strings.TrimSpace(out)); err == nil {
		if p, err := os.FindProcess(pid); err == nil {
			_ = p.Kill()
		}
	}
}

func TestARunOfOursThatIsGoneIsInterruptedAtOnce(t *testing.T) {
	a := recoveringApp(t, "host=/nowhere", config.Recovery{})
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	v := incident.Recovery{
		RecoveryChosen: incident.RecoveryChosen{Run: "r1", Steps: []incident.PlannedStep{{ID: "restore"}}}, ConfirmedAt: now, LastSeen: now,
		Progress: []incident.StepProgress{{RecoveryStep: incident.RecoveryStep{Step: "restore", Host: host}, State: incident.StepRunning}},
	}
	if got := a.standing("inc-1", v, now); got != incident.RecoveryRunning {
		t.Errorf("without a lock to look at: %s", got)
	}
	free, err := a.lockRun("inc-1", "r1")
	if err != nil {
		t.Fatal(err)
	}
	if got := a.standing("inc-1", v, now); got != incident.RecoveryRunning {
		t.Errorf("while it is held: %s", got)
	}
	if _, err := a.lockRun("inc-1", "r1"); !errors.Is(err, incident.ErrRefused) {
		t.Errorf("two run it: %v", err)
	}
	if err := free(); err != nil {
		t.Fatal(err)
	}
	if got := a.standing("inc-1", v, now); got != incident.RecoveryInterrupted {
		t.Errorf("nobody holds it: %s", got)
	}
	v.Progress[0].Host = "another"
	if got := a.standing("inc-1", v, now); got != incident.RecoveryRunning {
		t.Errorf("another machine runs it: %s", got)
	}
}

// A server that is killed leaves its pid file. It is dead only where nobody listens
// at its address and no process of it is here.
func TestWhetherAServerIsDead(t *testing.T) {
	srv := targettest.Start(t, targettest.Options{})
	ctx := context.Background()
	card := func(dsn, dir string) recovery.Card {
		a := recoveringApp(t, dsn, config.Recovery{DataDirectory: dir})
		c, _ := a.serverCard(ctx, "shop", a.cfg.Targets["shop"], headroom{}.Last)
		return c
	}
	if c := card(srv.DSN("postgres"), srv.Dir); !c.Primary() || c.Dead() || c.Directory.Value != srv.Dir {
		t.Errorf("alive: %+v", c)
	}
	elsewhere := strings.Replace(srv.DSN("postgres"), strconv.Itoa(srv.Port), strconv.Itoa(targettest.FreePort(t)), 1)
	if c := card(elsewhere, srv.Dir); c.Dead() || c.Process != srv.Pid() || !c.Alive.Value || c.State != "in production" {
		t.Errorf("it lives, and is asked at the wrong port: %+v", c)
	}
	srv.Kill(t)
	if c := card(srv.DSN("postgres"), srv.Dir); !c.Dead() || !c.SystemID.Seen || c.Size.Value == 0 {
		t.Errorf("killed: %+v", c)
	}
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections, as what stands before a container does
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	if c := card("postgres://postgres@"+silent.Addr().String()+"/postgres?sslmode=disable&connect_timeout=1", srv.Dir); c.Dead() || c.Alive.Seen {
		t.Errorf("killed, or in another container: %+v", c)
	}
	if c := card(srv.DSN("postgres"), filepath.Join(srv.Dir, "gone")); c.Dead() || c.SystemID.Seen || !c.Here.Value {
		t.Errorf("its directory is gone: %+v", c)
	}
	if c := card(srv.DSN("postgres"), ""); c.Dead() || c.Directory.Seen || !strings.Contains(c.Directory.Why, "recovery.data_directory") {
		t.Errorf("nobody says where: %+v", c)
	}
}

func TestNothingIsStartedUnverifiedOrBesideAPrimary(t *testing.T) {
	dead := recovery.Card{What: "target shop"}
	lives := recovery.Card{What: "target shop", Alive: target.Seen(true), Role: target.Seen(recovery.RolePrimary)}
	for name, c := range map[string]struct {
		card    recovery.Card
		verdict string
		despite string
		says    string
	}{
		"verified":            {dead, "proven", "", ""},
		"not verified":        {dead, "", "", "was not verified"},
		"not certain":         {dead, "inconclusive", "", "was not verified"},
		"it came back":        {lives, "proven", "", "a second primary beside it is started only when it was chosen so"},
		"it came back, blank": {lives, "proven", "  ", "a second primary beside it"},
		"that was wanted":     {lives, "proven", "to look", ""},
	} {
		v := incident.Recovery{RecoveryChosen: incident.RecoveryChosen{Run: "r1", Target: "shop", Into: t.TempDir(), Despite: map[string]string{AskSecondPrimary: c.despite}}}
		if c.verdict != "" {
			v.Verification = &incident.RecoveryVerified{Verdict: c.verdict}
		}
		w := &stepWork{runner: &runner{run: "r1", x: Incident{Recoveries: []incident.Recovery{v}}}}
		err := w.mayStart(RecoveryOffer{Cards: []RecoveryCard{c.card}})
		if (err == nil) != (c.says == "") || err != nil && (!errors.Is(err, incident.ErrRefused) || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A run that was killed after it had started the server and before it said so goes
// on, and does not take that server for a second one.
func TestAServerThatWasStartedBefore(t *testing.T) {
	dir := t.TempDir()
	pid := fmt.Sprintf("%d\n%s\n", os.Getpid(), dir)
	if err := os.WriteFile(filepath.Join(dir, "postmaster.pid"), []byte(pid), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		again   bool
		verdict string
		into    string
		want    bool
	}{
		"again": {true, "proven", dir, true}, "the first time": {false, "proven", dir, false},
		"not verified": {true, "inconclusive", dir, false}, "nothing runs": {true, "proven", t.TempDir(), false},
	} {
		v := incident.Recovery{RecoveryChosen: incident.RecoveryChosen{Run: "r1", Target: "shop", Into: c.into}, Verification: &incident.RecoveryVerified{Verdict: c.verdict}}
		w := &stepWork{again: c.again, runner: &runner{run: "r1", x: Incident{Recoveries: []incident.Recovery{v}}}}
		if got := w.startedBefore(); (got != "") != c.want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// A repository that cannot be reached takes away what comes from it, and nothing
// else.
func TestWaysWithoutTheRepository(t *testing.T) {
	a := recoveringApp(t, "host=/nowhere", config.Recovery{Restart: "systemctl restart pg", RestartWords: []string{"systemctl", "restart", "pg"}})
	a.cfg.Repository = config.Repository{URL: "file:///nowhere/at/all", Passphrase: secret.New("a passphrase for tests, long enough")}
	s, err := a.openStore(t.Context(), false) // a server ran here once
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	x, err := a.OpenIncident(t.Context(), IncidentRequest{Title: "shop is down", Target: "shop", By: "ada"})
	if err != nil {
		t.Fatal(err)
	}
	o, err := a.RecoveryOffer(t.Context(), RecoveryAsk{Incident: x.ID, Reason: recovery.Crash})
	if err != nil {
		t.Fatal(err)
	}
	latest := recovery.Find(o.Ways, recovery.RestoreLatest)
	if latest.Possible() || latest.Time.Known || latest.Loss.Known || !strings.Contains(latest.Failing().Detail, "the repository: ") {
		t.Errorf("%+v", latest)
	}
	if w := recovery.Find(o.Ways, recovery.Restart); !w.Possible() || w.Steps[1].ByHand || !w.Recommended {
		t.Errorf("%+v", w)
	}
	if c := o.Cards[0]; c.Verdict.Is != recovery.IsUnclear || c.Dead() {
		t.Errorf("%+v", c)
	}
	for name, q := range map[string]RecoveryAsk{
		"no reason":   {Incident: x.ID, Reason: "gone"},
		"no target":   {Incident: x.ID, Target: "other"},
		"no point":    {Incident: x.ID, To: "tomorrow"},
		"no incident": {Incident: "inc-7"},
	} {
		if _, err := a.RecoveryOffer(t.Context(), q); err == nil || Explain(err).Class != ClassUsage {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := a.ChooseRecovery(t.Context(), RecoveryAsk{Incident: x.ID, Into: t.TempDir()}, recovery.RestoreLatest, "ada"); !errors.Is(err, incident.ErrRefused) {
		t.Error(err)
	}
}
