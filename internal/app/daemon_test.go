package app

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/backup"
	"github.com/refloat-db/refloat/internal/proof"
	"github.com/refloat-db/refloat/internal/repository"
	"github.com/refloat-db/refloat/internal/schedule"
	"github.com/refloat-db/refloat/internal/secret"
	"github.com/refloat-db/refloat/internal/server"
	"github.com/refloat-db/refloat/internal/status"
	"github.com/refloat-db/refloat/internal/store/sqlite"
	"github.com/refloat-db/refloat/internal/target"
)

func daemon(t *testing.T, dir string, cares ...Care) *Daemon {
	t.Helper()
	d, err := NewDaemon(DaemonOptions{StateDir: dir, Listen: "127.0.0.1:0", Version: "test", Targets: cares, Secrets: []secret.Value{secret.New("hunter22")}, StopTimeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stopped(t, d) })
	return d
}

func stopped(t *testing.T, d *Daemon) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := d.Stop(ctx); err != nil {
		t.Error(err)
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("in 30 s not: %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func fetch(t *testing.T, d *Daemon) status.Report {
	t.Helper()
	res, err := http.Get("http://" + d.Address() + "/status.json")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(body), "hunter22") {
		t.Errorf("a secret is served: %s", body)
	}
	var doc server.Document
	if err := json.Unmarshal(body, &doc); err != nil || len(doc.Targets) != 1 {
		t.Fatalf("%v: %s", err, body)
	}
	return doc.Targets[0]
}

func TestDaemonTakesCare(t *testing.T) {
	f := &fakeTarget{slot: target.Slot{Name: "refloat_shop", Exists: true, Active: true, Retained: 10}, gap: make(chan backup.Gap)}
	c := f.care()
	var backups, drills atomic.Int32
	var taken atomic.Pointer[backup.Backup]
	var proven atomic.Pointer[proof.Proof]
	c.Backup = func(context.Context) (backup.Backup, error) {
		if backups.Add(1) == 1 {
			return backup.Backup{}, schedule.Final(errors.New("connect to postgres://refloat:hunter22@db failed"))
		}
		b := backup.Backup{ID: "b2", EndedAt: time.Now(), Bytes: 100, Start: target.Position{Timeline: 1, LSN: 50}}
		taken.Store(&b)
		return b, nil
	}
	c.NeedsBackup = func(context.Context) (string, error) {
		if taken.Load() == nil {
			return "first", nil
		}
		return "", nil
	}
	c.DrillAt = schedule.Every(2 * time.Second)
	c.Drill = func(context.Context) (proof.Proof, error) {
		drills.Add(1)
		p := proof.Proof{ID: "p1", Verdict: proof.Proven, EndedAt: time.Now(), Summary: "all well"}
		proven.Store(&p)
		return p, nil
	}
	c.Facts = Sources{
		Backups: func(context.Context) ([]backup.Backup, error) {
			if b := taken.Load(); b != nil {
				return []backup.Backup{*b}, nil
			}
			return nil, nil
		},
		Position: func(context.Context) (backup.LogPosition, error) { return backup.LogPosition{}, repository.ErrNotFound },
		Proof:    func(context.Context) (*proof.Proof, error) { return proven.Load(), nil },
	}
	dir := t.TempDir()
	d := daemon(t, dir, c)
	for range 2 { // idempotent
		if err := d.Start(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	if runs, err := ServerRuns(dir); err != nil || !runs {
		t.Errorf("a server runs: %v %v", runs, err)
	}
	eventually(t, "the first backup failed and raised an alarm", func() bool {
		for _, a := range fetch(t, d).Alarms {
			if a.Code == status.AlarmBackup {
				return true
			}
		}
		return false
	})
	f.gap <- backup.Gap{From: target.Position{Timeline: 1, LSN: 5}, To: target.Position{Timeline: 1, LSN: 9}, Reason: "removed"}
	var r status.Report
	eventually(t, "all well", func() bool {
		r = fetch(t, d)
		return r.Class == status.Good && r.Heartbeat != nil && len(r.Alarms) == 0
	})
	if r.Answer != status.Proven || r.Backup.ID != "b2" || r.Log == nil || r.Log.LagBytes == nil || r.Slot.Retained != 10 {
		t.Errorf("%+v", r)
	}
	stopped(t, d)
	stopped(t, d)
	if runs, err := ServerRuns(dir); err != nil || runs {
		t.Errorf("after the stop: %v %v", runs, err)
	}
	journalHas(t, dir, "server.started", "backup.asked", "backup.failed", "alarm.raised", "log.gap", "backup.taken", "drill.ended", "alarm.cleared", "server.stopped")
	facts := status.Facts{Target: "shop"}
	recall(context.Background(), &facts, storeIn(dir), dir)
	if facts.Server.Running || facts.Server.SeenAt.IsZero() || facts.Slot == nil || facts.Heartbeat == nil || len(facts.Unread) != 0 {
		t.Errorf("what the state remembers: %+v", facts)
	}
	if r := TargetStatus(context.Background(), c.Facts, "shop", proof.Objectives{}, storeIn(dir), dir, time.Now()); r.Answer != status.Proven || r.Server.Running || r.Class != status.Bad {
		t.Errorf("status without a server: %+v", r)
	}
	empty := t.TempDir()
	if r := TargetStatus(context.Background(), c.Facts, "shop", proof.Objectives{}, storeIn(empty), empty, time.Now()); r.Answer != status.Proven || len(r.Unread) != 0 || !r.Server.SeenAt.IsZero() {
		t.Errorf("status where no server ever ran: %+v", r)
	}
	if left, err := os.ReadDir(empty); err != nil || len(left) != 0 {
		t.Errorf("looking left %v behind (%v)", left, err)
	}
	// And again from what was left.
	if err := d.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	n := drills.Load()
	eventually(t, "another drill", func() bool { return drills.Load() > n })
}

func journalHas(t *testing.T, dir string, kinds ...string) {
	t.Helper()
	ctx := context.Background()
	s, err := sqlite.OpenReadOnly(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if r, err := s.Verify(ctx); err != nil || len(r.Findings) != 0 {
		t.Errorf("journal: %+v %v", r, err)
	}
	entries, err := s.Read(ctx, 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]bool{}
	for _, e := range entries {
		have[e.Kind] = true
		if e.Actor != "server" || e.Subject == "" {
			t.Errorf("%+v", e)
		}
	}
	for _, k := range kinds {
		if !have[k] {
			t.Errorf("the journal has no %s", k)
		}
	}
}

func TestOneServerForAStateDirectory(t *testing.T) {
	dir := t.TempDir()
	f := &fakeTarget{}
	first, second := daemon(t, dir, f.care()), daemon(t, dir, f.care())
	if err := first.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := second.Start(context.Background()); !errors.Is(err, ErrServerRuns) {
		t.Fatalf("a second server: %v", err)
	}
	stopped(t, first)
	if err := second.Start(context.Background()); err != nil {
		t.Errorf("after the first: %v", err)
	}
}

func TestHalfAStartIsUndone(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dir := t.TempDir()
	f := &fakeTarget{}
	d, err := NewDaemon(DaemonOptions{StateDir: dir, Listen: l.Addr().String(), Targets: []Care{f.care()}})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Start(context.Background()); err == nil {
		t.Fatal("started on a port that is taken")
	}
	if f.get(func(f *fakeTarget) int { return b2i(f.receiving) }) != 0 {
		t.Error("the receiver still runs")
	}
	if runs, err := ServerRuns(dir); err != nil || runs {
		t.Errorf("the lock is still held: %v %v", runs, err)
	}
	_ = l.Close()
	if err := d.Start(context.Background()); err != nil {
		t.Errorf("with the port free: %v", err)
	}
	stopped(t, d)
}

func TestRunStopsWithItsContext(t *testing.T) {
	f := &fakeTarget{}
	d := daemon(t, t.TempDir(), f.care())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	eventually(t, "it receives", func() bool { return f.get(func(f *fakeTarget) int { return b2i(f.receiving) }) == 1 })
	cancel()
	if err := <-done; err != nil || f.get(func(f *fakeTarget) int { return b2i(f.receiving) }) != 0 {
		t.Error(err)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	f := &fakeTarget{}
	for name, o := range map[string]DaemonOptions{
		"no state": {}, "twice": {StateDir: "x", Targets: []Care{f.care(), f.care()}}, "empty care": {StateDir: "x", Targets: []Care{{Target: "a"}}},
	} {
		if _, err := NewDaemon(o); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestUnreadFactsAreNamed(t *testing.T) {
	broken := errors.New("storage cannot be reached")
	f := Sources{
		Backups:  func(context.Context) ([]backup.Backup, error) { return nil, broken },
		Position: func(context.Context) (backup.LogPosition, error) { return backup.LogPosition{}, broken },
		Coverage: func(context.Context) (*status.Coverage, error) { return nil, broken },
		Proof:    func(context.Context) (*proof.Proof, error) { return nil, broken },
	}.Gather(context.Background(), "shop", proof.Objectives{})
	if len(f.Unread) != 4 {
		t.Errorf("%+v", f.Unread)
	}
	if r := status.Evaluate(f, time.Now()); r.Answer != status.Unknown || r.Class == status.Good {
		t.Errorf("%+v", r)
	}
}

func TestMain(m *testing.M) {
	if dir := os.Getenv("REFLOAT_TEST_DAEMON"); dir != "" {
		child(dir)
	}
	os.Exit(m.Run())
}

// child is a server that is killed. Its "server" is a file that acknowledged
// positions are appended to.
func child(dir string) {
	f := &fakeTarget{slot: target.Slot{Exists: true}}
	c := f.care()
	base := time.Now().UnixNano()
	c.Receive = func(ctx context.Context, e LogEvents) error {
		for ctx.Err() == nil {
			e.Acknowledged(status.LogMark{Position: target.Position{Timeline: 1, LSN: target.LSN(time.Now().UnixNano())}, ServerTime: time.Now(), At: time.Now()})
			time.Sleep(time.Millisecond)
		}
		return nil
	}
	c.NeedsBackup = func(context.Context) (string, error) { return "first", nil }
	c.Backup = func(ctx context.Context) (backup.Backup, error) {
		fmt.Println("backup")
		<-ctx.Done()
		return backup.Backup{}, ctx.Err()
	}
	d, err := NewDaemon(DaemonOptions{StateDir: dir, Listen: "127.0.0.1:0", Targets: []Care{c}})
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	if err := d.Start(ctx); err != nil {
		panic(err)
	}
	fmt.Println("started", strconv.FormatInt(base, 10))
	buf := make([]byte, 1)
	_, _ = os.Stdin.Read(buf) // closed: stop
	cancel()
	if err := d.Stop(context.Background()); err != nil {
		panic(err)
	}
	os.Exit(0)
}

func TestKilledServerStartsAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	var lastMark target.LSN
	var entries int64
	const rounds = 8
	for round := range rounds {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "REFLOAT_TEST_DAEMON="+dir)
		cmd.Stderr = os.Stderr
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		sawBackup := false
		for lines.Scan() {
			if lines.Text() == "backup" {
				sawBackup = true
			}
			if strings.HasPrefix(lines.Text(), "started") && round%2 == 0 {
				// A random moment, in the middle of whatever goes on.
				time.AfterFunc(time.Duration(rand.IntN(1200))*time.Millisecond, func() { _ = cmd.Process.Signal(syscall.SIGKILL) })
			}
			if sawBackup && round%2 == 1 {
				_ = in.Close()
			}
		}
		err = cmd.Wait()
		if round%2 == 1 && (err != nil || !sawBackup) {
			t.Errorf("round %d: graceful stop: %v, backup ran again: %v", round, err, sawBackup)
		}
		s, err := sqlite.Open(context.Background(), dir)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		r, err := s.Verify(context.Background())
		if err != nil || len(r.Findings) != 0 || r.Entries < entries {
			t.Errorf("round %d: %+v %v", round, r, err)
		}
		entries = r.Entries
		m, err := s.Acknowledged(context.Background(), "shop")
		if err == nil && m.Position.LSN < lastMark || err != nil && !errors.Is(err, status.ErrNothing) {
			t.Errorf("round %d: the mark went from %s to %s: %v", round, lastMark, m.Position.LSN, err)
		}
		lastMark = m.Position.LSN
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if lastMark == 0 {
		t.Error("no mark was ever kept")
	}
}
