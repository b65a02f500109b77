package sqlite

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/journal"
	"github.com/refloat-db/refloat/internal/status"
	"github.com/refloat-db/refloat/internal/store/storetest"
	"github.com/refloat-db/refloat/internal/target"
)

func open(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) (storetest.Store, func() storetest.Store) {
		dir := t.TempDir()
		return open(t, dir), func() storetest.Store { return open(t, dir) }
	})
}

func TestTwoProcessesSeeEachOther(t *testing.T) {
	dir := t.TempDir()
	storetest.Share(t, open(t, dir), open(t, dir))
}

func fill(t *testing.T, s *Store, n int) {
	t.Helper()
	for i := range n {
		if _, err := s.Append(context.Background(), journal.Event{Time: time.Unix(int64(i), 0), Actor: "a", Subject: "s", Kind: "k", Body: i}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFilesArePrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state ?#%")
	s := open(t, dir)
	fill(t, s, 1)
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) < 2 {
		t.Fatal(entries, err)
	}
	for _, e := range entries {
		if fi, err := e.Info(); err != nil || fi.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v (%v)", e.Name(), fi.Mode(), err)
		}
	}
	if fi, err := os.Stat(dir); err != nil || fi.Mode().Perm() != 0o700 {
		t.Errorf("%v %v", fi.Mode(), err)
	}
}

func TestWritesAreDurable(t *testing.T) {
	s := open(t, t.TempDir())
	var sync int
	var mode string
	if err := s.write.QueryRow("PRAGMA synchronous").Scan(&sync); err != nil || sync != 2 {
		t.Errorf("synchronous %d, want FULL (2): %v", sync, err)
	}
	if err := s.write.QueryRow("PRAGMA journal_mode").Scan(&mode); err != nil || mode != "wal" {
		t.Errorf("journal mode %q: %v", mode, err)
	}
}

func TestJournalRefusesChange(t *testing.T) {
	s := open(t, t.TempDir())
	fill(t, s, 2)
	for _, q := range []string{"UPDATE journal SET actor = 'x'", "DELETE FROM journal"} {
		if _, err := s.write.Exec(q); err == nil || !strings.Contains(err.Error(), "append-only") {
			t.Errorf("%s: %v", q, err)
		}
	}
}

func TestVerifyFindsDamageInTheFile(t *testing.T) {
	cases := map[string]struct {
		sql   []string
		fault journal.Fault
		seq   int64
	}{
		"changed":            {[]string{"UPDATE journal SET body = '99' WHERE seq = 3"}, journal.Changed, 3},
		"missing":            {[]string{"DELETE FROM journal WHERE seq = 3"}, journal.Missing, 3},
		"reordered":          {[]string{"UPDATE journal SET seq = 100 WHERE seq = 3", "UPDATE journal SET seq = 3 WHERE seq = 4", "UPDATE journal SET seq = 4 WHERE seq = 100"}, journal.Reordered, 3},
		"truncated":          {[]string{"DELETE FROM journal WHERE seq > 4"}, journal.Truncated, 5},
		"truncated and head": {[]string{"DELETE FROM journal WHERE seq > 4", "UPDATE journal_head SET seq = 4, hash = (SELECT hash FROM journal WHERE seq = 4)"}, journal.BadHead, 4},
		"emptied":            {[]string{"DELETE FROM journal"}, journal.Truncated, 1},
		"head gone":          {[]string{"DELETE FROM journal_head"}, journal.Extra, 1},
	}
	for name, c := range cases {
		s := open(t, t.TempDir())
		fill(t, s, 6)
		for _, q := range append([]string{"DROP TRIGGER journal_no_update", "DROP TRIGGER journal_no_delete"}, c.sql...) {
			if _, err := s.write.Exec(q); err != nil {
				t.Fatal(name, q, err)
			}
		}
		r, err := s.Verify(context.Background())
		if err != nil || !slices.ContainsFunc(r.Findings, func(f journal.Finding) bool { return f.Fault == c.fault && f.Seq == c.seq }) {
			t.Errorf("%s: %+v %v", name, r, err)
		}
	}
}

func TestReadOnly(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	if _, err := OpenReadOnly(ctx, dir); !errors.Is(err, ErrNoState) {
		t.Fatalf("without state: %v", err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Fatalf("looking made %v", entries)
	}
	s := open(t, dir)
	fill(t, s, 3)
	ro, err := OpenReadOnly(ctx, dir) // while the server has it open
	if err != nil {
		t.Fatal(err)
	}
	defer ro.Close()
	if r, err := ro.Verify(ctx); err != nil || r.Entries != 3 || len(r.Findings) != 0 {
		t.Errorf("%+v %v", r, err)
	}
	if _, err := ro.Append(ctx, journal.Event{Time: time.Unix(1, 0), Actor: "a", Subject: "s", Kind: "k"}); !errors.Is(err, errReadOnly) {
		t.Errorf("append: %v", err)
	}
	if err := ro.PutBeat(ctx, "a", target.Beat{At: time.Unix(1, 0)}); !errors.Is(err, errReadOnly) {
		t.Errorf("beat: %v", err)
	}
}

func TestNewerStateIsRefused(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	s := open(t, dir)
	if _, err := s.write.Exec("INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)"); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(ctx, dir); !errors.Is(err, ErrNewer) {
		t.Errorf("open: %v", err)
	}
	if _, err := OpenReadOnly(ctx, dir); !errors.Is(err, ErrNewer) {
		t.Errorf("read only: %v", err)
	}
}

func TestTwoProcessesShareAJournal(t *testing.T) {
	dir := t.TempDir()
	a, b := open(t, dir), open(t, dir)
	for range 10 {
		fill(t, a, 1)
		fill(t, b, 1)
	}
	if r, err := a.Verify(context.Background()); err != nil || r.Entries != 20 || len(r.Findings) != 0 {
		t.Errorf("%+v %v", r, err)
	}
}

// TestMain lets the test program stand in for a server that is killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv("REFLOAT_TEST_WRITER"); dir != "" {
		writer(dir)
	}
	if dir := os.Getenv("REFLOAT_TEST_ACTOR"); dir != "" {
		actor(dir)
		return
	}
	os.Exit(m.Run())
}

// writer appends for ever and says after each write what is durable.
func writer(dir string) {
	ctx := context.Background()
	s, err := Open(ctx, dir)
	if err != nil {
		panic(err)
	}
	for i := 1; ; i++ {
		e, err := s.Append(ctx, journal.Event{Time: time.Now(), Actor: "writer", Subject: "s", Kind: "k", Body: i})
		if err != nil {
			panic(err)
		}
		m := status.LogMark{Position: target.Position{Timeline: 1, LSN: target.LSN(e.Seq)}, ServerTime: e.Time, At: e.Time}
		if err := s.Acknowledge(ctx, "a", m); err != nil {
			panic(err)
		}
		fmt.Println(e.Seq)
	}
}

func TestNothingReportedIsLostByKill(t *testing.T) {
	dir := t.TempDir()
	last := int64(0)
	for round := range 8 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "REFLOAT_TEST_WRITER="+dir)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		stop := 1 + rand.IntN(40)
		for i := 0; lines.Scan(); i++ {
			n, err := strconv.ParseInt(lines.Text(), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			last = n
			if i == stop {
				_ = cmd.Process.Kill()
			}
		}
		_ = cmd.Wait() // killed
		s, err := Open(context.Background(), dir)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		r, err := s.Verify(context.Background())
		if err != nil || len(r.Findings) != 0 || r.Entries < last {
			t.Errorf("round %d: %d reported, %+v %v", round, last, r, err)
		}
		if m, err := s.Acknowledged(context.Background(), "a"); err != nil || int64(m.Position.LSN) < last {
			t.Errorf("round %d: mark %+v %v", round, m, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// acts is how often each of several processes acts.
const acts = 25

// actor looks at a subject, decides and adds, again whenever somebody was
// faster.
func actor(dir string) {
	ctx := context.Background()
	s, err := Open(ctx, dir)
	if err != nil {
		panic(err)
	}
	for done := 0; done < acts; {
		have, err := s.ReadScope(ctx, "incident/inc-1", 0)
		if err != nil {
			panic(err)
		}
		last := int64(0)
		if n := len(have); n > 0 {
			last = have[n-1].Seq
		}
		_, err = s.AppendAfter(ctx, "incident/inc-1", last, journal.Event{Time: time.Unix(1, 0), Actor: "a", Subject: "incident/inc-1", Kind: "k", Body: len(have)})
		switch {
		case err == nil:
			done++
		case !errors.Is(err, journal.ErrMoved):
			panic(err)
		}
	}
	if err := s.Close(); err != nil {
		panic(err)
	}
}

func TestProcessesThatActAtOnceAllDo(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	const processes = 4
	var all []*exec.Cmd
	for range processes {
		cmd := exec.Command(os.Args[0])
		cmd.Env, cmd.Stderr = append(os.Environ(), "REFLOAT_TEST_ACTOR="+dir), os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		all = append(all, cmd)
	}
	for _, cmd := range all {
		if err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.ReadScope(context.Background(), "incident/", 0)
	if err != nil || len(got) != processes*acts {
		t.Fatalf("%d of %d acts are there: %v", len(got), processes*acts, err)
	}
	for i, e := range got { // each was decided by who knew all that came before
		if string(e.Body) != strconv.Itoa(i) {
			t.Fatalf("act %d was decided after %s", i, e.Body)
		}
	}
}
