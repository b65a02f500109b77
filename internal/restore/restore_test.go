package restore_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/refloat-db/refloat/internal/backup"
	"github.com/refloat-db/refloat/internal/repository"
	"github.com/refloat-db/refloat/internal/repository/repositorytest"
	"github.com/refloat-db/refloat/internal/restore"
	"github.com/refloat-db/refloat/internal/scratch"
	"github.com/refloat-db/refloat/internal/secret"
	"github.com/refloat-db/refloat/internal/target"
	"github.com/refloat-db/refloat/internal/target/postgres"
	"github.com/refloat-db/refloat/internal/target/targettest"
)

// The test binary is restore_command too: log-fetch SOCKET UNTIL %f %p.
func TestMain(m *testing.M) {
	if len(os.Args) == 6 && os.Args[1] == "log-fetch" {
		var until target.LSN
		if os.Args[3] != "-" {
			var err error
			if until, err = target.ParseLSN(os.Args[3]); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(restore.FetchAbort)
			}
		}
		os.Exit(restore.Fetch(context.Background(), restore.FetchOptions{
			Socket: os.Args[2], Until: until, Name: os.Args[4], Dest: os.Args[5], Stderr: os.Stderr,
		}))
	}
	if len(os.Args) == 4 && os.Args[1] == "execute-and-die" {
		dieWhileRestoring(os.Args[2], os.Args[3])
	}
	os.Exit(m.Run())
}

const id target.ID = "main"

// bed is a cluster whose backups and log are kept.
type bed struct {
	t     *testing.T
	prod  *targettest.Cluster
	opts  repository.Options
	repo  *repository.Repository
	cat   *backup.Catalogue
	src   *postgres.Cluster
	log   *backup.Log
	bins  scratch.Binaries
	owner *restore.Owner
	self  string // a copy of this binary that the server's user may run
}

func newBed(t *testing.T, o targettest.Options) *bed {
	t.Helper()
	o.SegmentMiB = 1
	b := &bed{t: t, prod: targettest.Start(t, o), opts: repositorytest.File(t)}
	b.repo = repositorytest.New(t, b.opts)
	b.cat = &backup.Catalogue{Repo: b.repo}
	b.log = &backup.Log{Repo: b.repo, Target: id}
	var err error
	if b.src, err = postgres.New(postgres.Options{DSN: b.prod.DSN("postgres")}); err != nil {
		t.Fatal(err)
	}
	if b.bins, err = scratch.FindBinaries(t.Context(), b.prod.Major, b.prod.Bin); err != nil {
		t.Fatal(err)
	}
	cred, err := scratch.Credential("")
	if err != nil {
		t.Fatal(err)
	}
	if cred != nil {
		b.owner = &restore.Owner{UID: int(cred.Uid), GID: int(cred.Gid)}
	}
	text, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	b.self = filepath.Join(targettest.TempDir(t), "self")
	if err := os.WriteFile(b.self, text, 0o755); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bed) take() backup.Backup {
	b.t.Helper()
	x, err := b.cat.Take(b.t.Context(), b.src, backup.TakeOptions{Target: id, FastStart: true})
	if err != nil {
		b.t.Fatal(err)
	}
	return x
}

// receive streams the log until the returned function, which waits until all
// that is there is kept.
func (b *bed) receive() (stop func()) {
	b.t.Helper()
	r, err := backup.NewReceiver(backup.ReceiverOptions{Target: id, Source: b.src, Repo: b.repo, SpoolDir: b.t.TempDir(), PartialEvery: 100 * time.Millisecond})
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	b.t.Cleanup(cancel)
	b.until("the stream begins", func() bool { return r.State().Connected })
	return func() {
		lsn, err := target.ParseLSN(b.prod.Query(b.t, "SELECT pg_current_wal_flush_lsn()"))
		if err != nil {
			b.t.Fatal(err)
		}
		b.until("the log is kept", func() bool { return r.State().Repository.LSN >= lsn })
		cancel()
		<-done
	}
}

func (b *bed) until(what string, ok func() bool) {
	b.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(60 * time.Second)
	for !ok() {
		select {
		case <-deadline:
			b.t.Fatalf("waited a minute: %s", what)
		case <-tick.C:
		}
	}
}

func (b *bed) plan(to string) (restore.Plan, error) {
	b.t.Helper()
	tgt, err := restore.ParseTarget(to)
	if err != nil {
		b.t.Fatal(err)
	}
	ctx := b.t.Context()
	list, err := b.cat.List(ctx, id)
	if err != nil {
		b.t.Fatal(err)
	}
	cover, err := b.cat.Coverage(ctx, id, time.Now())
	if err != nil {
		b.t.Fatal(err)
	}
	segments, err := b.log.Segments(ctx)
	if err != nil {
		b.t.Fatal(err)
	}
	pos, err := b.log.Position(ctx)
	if err != nil && !errors.Is(err, repository.ErrNotFound) {
		b.t.Fatal(err)
	}
	in := restore.Inputs{Target: tgt, Backups: list, Coverage: cover, Segments: segments, Position: pos}
	if cover.Newest != nil && pos.SegmentSize > 0 {
		if in.LastTransaction, err = restore.LastTransaction(ctx, segments, pos.SegmentSize, cover.Newest.Position, b.log.Fetch); err != nil {
			return restore.Plan{}, err
		}
	}
	return restore.Make(in)
}

func (b *bed) mustPlan(to string) restore.Plan {
	b.t.Helper()
	p, err := b.plan(to)
	if err != nil {
		b.t.Fatal(err)
	}
	return p
}

func (b *bed) execute(p restore.Plan, dir, socket string, delta bool) (restore.Result, error) {
	b.t.Helper()
	img, err := b.cat.Open(b.t.Context(), p.Backup)
	if err != nil {
		b.t.Fatal(err)
	}
	until := "-"
	if p.Until != 0 {
		until = p.Until.String()
	}
	return restore.Execute(b.t.Context(), p, img, restore.Options{
		Dir: dir, Delta: delta, Owner: b.owner,
		RestoreCommand: fmt.Sprintf("%s log-fetch %s %s %%f %%p", b.self, socket, until),
	})
}

// recover restores to a point and answers a query of the recovered copy.
func (b *bed) recover(to, query string) (string, error) {
	b.t.Helper()
	p, err := b.plan(to)
	if err != nil {
		return "", err
	}
	base := targettest.TempDir(b.t)
	dir, socket := filepath.Join(base, "data"), filepath.Join(base, "s")
	if _, err := b.execute(p, dir, socket, false); err != nil {
		b.t.Fatal(err)
	}
	return b.start(p, dir, socket, query)
}

func (b *bed) start(p restore.Plan, dir, socket, query string) (string, error) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), 2*time.Minute)
	defer cancel()
	served := make(chan error, 1)
	go func() {
		served <- restore.Serve(ctx, restore.ServeOptions{Socket: socket, Owner: b.owner, Fetch: b.log.Fetch})
	}()
	defer func() { cancel(); <-served }()
	b.until("the log is served", func() bool { _, err := os.Stat(socket); return err == nil })
	s, err := scratch.Start(ctx, scratch.Options{
		Binaries: b.bins, Major: b.prod.Major, DataDir: dir, Superuser: "postgres",
		Ping: func(ctx context.Context, dsn string) error {
			c, err := pgx.Connect(ctx, dsn)
			if err != nil {
				return err
			}
			return c.Close(ctx)
		},
	})
	if err != nil {
		return "", err
	}
	defer s.Kill()
	if err := s.WaitReady(ctx); err != nil {
		return "", err
	}
	c, err := pgx.Connect(ctx, s.DSN("postgres"))
	if err != nil {
		return "", err
	}
	defer c.Close(ctx)
	var out string
	err = c.QueryRow(ctx, query).Scan(&out)
	return out, err
}

func (b *bed) insert(n int) {
	b.t.Helper()
	b.prod.Exec(b.t, fmt.Sprintf("INSERT INTO t VALUES (%d)", n))
}

const rows = "SELECT coalesce(string_agg(n::text, ' ' ORDER BY n), '') FROM t"

func TestEveryKindOfTarget(t *testing.T) {
	b := newBed(t, targettest.Options{})
	b.prod.Exec(t, "CREATE TABLE t (n int)")
	stop := b.receive()
	b.insert(1)
	b.take()
	b.insert(2)
	b.prod.Exec(t, "SELECT pg_create_restore_point('before three')")
	at := b.prod.Query(t, "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') || 'Z'")
	lsn := b.prod.Query(t, "SELECT pg_current_wal_lsn()")
	b.insert(3)
	xid := b.prod.Query(t, "INSERT INTO t VALUES (4) RETURNING xmin")
	b.insert(5)
	b.prod.Exec(t, "SELECT pg_switch_wal()")
	b.insert(6)
	stop()
	end := b.mustPlan("latest").End
	for to, want := range map[string]string{
		"latest": "1 2 3 4 5 6", "backup": "1", "name:before three": "1 2", at: "1 2", "xid:" + xid: "1 2 3 4",
		lsn: "1 2 3", end.LSN.String(): "1 2 3 4 5 6",
	} {
		t.Run(to, func(t *testing.T) {
			got, err := b.recover(to, rows)
			if to == lsn && got == "1 2" {
				got = want // the record at this position may be another than the insert's
			}
			if err != nil || got != want {
				t.Fatalf("rows %q, %v; want %q", got, err, want)
			}
		})
	}
	for _, to := range []string{"2020-01-01T00:00:00Z", "2199-01-01T00:00:00Z", "FFF/0"} {
		if _, err := b.plan(to); !errors.Is(err, restore.ErrNotCovered) || !strings.Contains(err.Error(), "nearest") {
			t.Errorf("%s: %v", to, err)
		}
	}
}

func TestIdleServersLastMoments(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector finds nothing in it that it does not elsewhere")
	}
	b := newBed(t, targettest.Options{})
	b.prod.Exec(t, "CREATE TABLE t (n int)")
	stop := b.receive()
	b.take()
	b.insert(1)
	// Nothing is committed after this moment: PostgreSQL itself could not end there.
	at := b.prod.Query(t, "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') || 'Z'")
	b.until("the moment is covered", func() bool { _, err := b.plan(at); return err == nil })
	stop()
	if got, err := b.recover(at, rows); err != nil || got != "1" {
		t.Fatalf("%q, %v", got, err)
	}
}

func TestBrokenLogAborts(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine: nothing for the race detector")
	}
	b := newBed(t, targettest.Options{})
	b.prod.Exec(t, "CREATE TABLE t (n int)")
	stop := b.receive()
	b.take()
	for n := range 5 {
		b.insert(n)
		b.prod.Exec(t, "SELECT pg_switch_wal()")
	}
	// The newest segments hold no transaction, so looking for the newest one
	// comes to the hole.
	for range 3 {
		b.prod.Exec(t, "SELECT pg_logical_emit_message(false, 'refloat', 'nothing')")
		b.prod.Exec(t, "SELECT pg_switch_wal()")
	}
	stop()
	p := b.mustPlan("latest")
	segments, err := b.log.Segments(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := b.repo.DeleteSealed(t.Context(), "log/main/"+segments[len(segments)-3].Name); err != nil {
		t.Fatal(err)
	}
	if _, err := b.plan("latest"); !errors.Is(err, restore.ErrNotCovered) {
		t.Fatalf("a plan over the hole: %v", err)
	}
	// The plan from before the loss must not end in a server either.
	base := targettest.TempDir(t)
	dir, socket := filepath.Join(base, "data"), filepath.Join(base, "s")
	if _, err := b.execute(p, dir, socket, false); err != nil {
		t.Fatal(err)
	}
	if got, err := b.start(p, dir, socket, rows); err == nil || !strings.Contains(err.Error(), "200") {
		t.Fatalf("recovery went on over a hole: %q, %v", got, err)
	}
}

// hashes are the files below dir.
func hashes(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.Walk(dir, func(p string, i os.FileInfo, err error) error {
		if err != nil || !i.Mode().IsRegular() {
			return err
		}
		f, err := os.Open(p)
		if err != nil {
			return err
		}
		defer f.Close()
		h := sha256.New()
		_, err = io.Copy(h, f)
		rel, _ := filepath.Rel(dir, p)
		out[rel] = fmt.Sprintf("%x %v", h.Sum(nil), i.Mode())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestDeltaGivesTheSame(t *testing.T) {
	b := newBed(t, targettest.Options{})
	b.prod.Exec(t, "CREATE TABLE t AS SELECT n FROM generate_series(1, 200000) n")
	b.take()
	p := b.mustPlan("backup")
	base := targettest.TempDir(t)
	dir := filepath.Join(base, "data")
	if _, err := b.execute(p, dir, "s", false); err != nil {
		t.Fatal(err)
	}
	want := hashes(t, dir)
	if _, err := b.execute(p, dir, "s", false); !errors.Is(err, restore.ErrNotEmpty) {
		t.Fatalf("over a directory that is not empty: %v", err)
	}
	rel := b.prod.Query(t, "SELECT pg_relation_filepath('t')")
	f, err := os.OpenFile(filepath.Join(dir, rel), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, off := range []int64{3, 8192*40 + 77, 8192 * 41} {
		if _, err := f.WriteAt([]byte("diverged"), off); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(f.Truncate(8192*500), f.Close(), os.WriteFile(filepath.Join(dir, "base/1/999999"), []byte("x"), 0o600), os.Remove(filepath.Join(dir, "PG_VERSION"))); err != nil {
		t.Fatal(err)
	}
	r, err := b.execute(p, dir, "s", true)
	if err != nil {
		t.Fatal(err)
	}
	got := hashes(t, dir)
	for name, h := range want {
		if got[name] != h {
			t.Errorf("%s differs", name)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d files, want %d", len(got), len(want))
	}
	if r.Written >= r.Bytes*8/10 {
		t.Errorf("wrote %d of %d bytes", r.Written, r.Bytes)
	}
}

func TestRefusals(t *testing.T) {
	b := newBed(t, targettest.Options{})
	b.take()
	p := b.mustPlan("backup")
	if _, err := b.execute(p, b.prod.Dir, "s", true); !errors.Is(err, restore.ErrServerLives) {
		t.Fatalf("over a live server: %v", err)
	}
	pidFile := filepath.Join(b.prod.Dir, "postmaster.pid")
	text, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	// Written over in place: PostgreSQL ends itself when the file is gone.
	if err := os.WriteFile(pidFile, bytes.Replace(text, []byte(fmt.Sprint(b.prod.Pid())), []byte("0"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := b.execute(p, b.prod.Dir, "s", true); !errors.Is(err, restore.ErrServerLives) {
		t.Fatalf("over a live server without its pid: %v", err)
	}
	if err := os.WriteFile(pidFile, text, 0o600); err != nil {
		t.Fatal(err)
	}
	other := targettest.Start(t, targettest.Options{})
	other.Stop(t)
	if _, err := b.execute(p, other.Dir, "s", true); !errors.Is(err, restore.ErrOtherCluster) {
		t.Fatalf("over another cluster: %v", err)
	}
	// A server that cannot be seen from here: in a container, say.
	left := filepath.Join(other.Dir, "postmaster.pid")
	if err := os.WriteFile(left, []byte("4194303\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := b.execute(p, other.Dir, "s", true); !errors.Is(err, restore.ErrServerLeft) || !strings.Contains(err.Error(), left) {
		t.Fatalf("over a server out of sight: %v", err)
	}
	p.Bytes = 1 << 60
	dir := filepath.Join(targettest.TempDir(t), "deep", "data")
	if _, err := b.execute(p, dir, "s", false); !errors.Is(err, restore.ErrNoSpace) || !strings.Contains(err.Error(), "MiB are needed") {
		t.Fatalf("with no room: %v", err)
	}
	if _, err := os.Stat(filepath.Dir(dir)); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("something was written before the refusal: %v", err)
	}
}

func TestTablespaces(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector finds nothing in it that it does not elsewhere")
	}
	b := newBed(t, targettest.Options{})
	at := targettest.TempDir(t)
	b.prod.Exec(t, "CREATE TABLESPACE far LOCATION '"+at+"'")
	b.prod.Exec(t, "CREATE TABLE t TABLESPACE far AS SELECT 42 AS n")
	b.take()
	before := hashes(t, at)
	if got, err := b.recover("backup", rows); err != nil || got != "42" {
		t.Fatalf("%q, %v", got, err)
	}
	if after := hashes(t, at); len(after) != len(before) {
		t.Fatal("production's tablespace was touched")
	}
}

func dieWhileRestoring(url, dir string) {
	ctx := context.Background()
	o := repository.Options{URL: url}
	o.Passphrase = secret.New(repositorytest.Passphrase)
	r, err := repository.Open(ctx, o)
	if err != nil {
		panic(err)
	}
	cat := &backup.Catalogue{Repo: r}
	list, err := cat.List(ctx, id)
	if err != nil {
		panic(err)
	}
	p, err := restore.Make(restore.Inputs{Target: restore.Target{Kind: restore.ToBackup}, Backups: list})
	if err != nil {
		panic(err)
	}
	img, err := cat.Open(ctx, p.Backup)
	if err != nil {
		panic(err)
	}
	_, err = restore.Execute(ctx, p, img, restore.Options{Dir: dir, Progress: func(pr backup.Progress) {
		if pr.Done > pr.Total/2 {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
	}})
	fmt.Println("not killed", err)
	os.Exit(0)
}

func TestKilledRestoreIsNotBelieved(t *testing.T) {
	b := newBed(t, targettest.Options{})
	b.prod.Exec(t, "CREATE TABLE t AS SELECT 1 AS n")
	b.take()
	base := targettest.TempDir(t)
	dir := filepath.Join(base, "data")
	out, err := exec.Command(os.Args[0], "execute-and-die", b.opts.URL, dir).CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("%v\n%s", err, out)
	}
	if _, err := os.Stat(filepath.Join(dir, "global/pg_control")); !errors.Is(err, os.ErrNotExist) {
		t.Fatal("a half restored directory has its pg_control")
	}
	p := b.mustPlan("backup")
	if _, err := b.execute(p, dir, "s", false); err != nil {
		t.Fatalf("going on: %v", err)
	}
	if got, err := b.start(p, dir, filepath.Join(base, "s"), rows); err != nil || got != "1" {
		t.Fatalf("%q, %v", got, err)
	}
}
