package pgstore

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/journal"
	"github.com/refloat-db/refloat/internal/status"
	"github.com/refloat-db/refloat/internal/store/storetest"
	"github.com/refloat-db/refloat/internal/target"
	"github.com/refloat-db/refloat/internal/target/targettest"
)

func testKey() ([]byte, error) { return []byte("a key of the tests, 32 bytes long"), nil }

func options(c *targettest.Cluster, role, database string) Options {
	return Options{URL: fmt.Sprintf("postgres://%s@127.0.0.1:%d/%s", role, c.Port, database), Key: testKey}
}

func open(t testing.TB, o Options) *Store {
	t.Helper()
	s, err := Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// databases makes a new database at each call, owned by nobody special.
func databases(t testing.TB, c *targettest.Cluster) func() string {
	n := 0
	return func() string {
		n++
		name := fmt.Sprintf("store%d", n)
		c.Exec(t, "CREATE DATABASE "+name)
		return name
	}
}

func TestStore(t *testing.T) {
	c := targettest.Start(t, targettest.Options{})
	next := databases(t, c)
	storetest.Run(t, func(t *testing.T) (storetest.Store, func() storetest.Store) {
		o := options(c, "postgres", next())
		return open(t, o), func() storetest.Store { return open(t, o) }
	})
	t.Run("subscribers", func(t *testing.T) {
		storetest.RunSubscribers(t, func(t *testing.T) (storetest.Subscribers, func() storetest.Subscribers) {
			o := options(c, "postgres", next())
			return open(t, o), func() storetest.Subscribers { return open(t, o) }
		})
	})
	t.Run("two nodes", func(t *testing.T) {
		o := options(c, "postgres", next())
		storetest.Share(t, open(t, o), open(t, o))
	})
	t.Run("two nodes at once", func(t *testing.T) {
		o := options(c, "postgres", next())
		storetest.Race(t, open(t, o), open(t, o))
	})
	t.Run("read only", func(t *testing.T) { testReadOnly(t, options(c, "postgres", next())) })
	t.Run("damage", func(t *testing.T) { testDamage(t, c, next) })
	t.Run("unfit servers", func(t *testing.T) { testUnfit(t, c, next) })
	t.Run("strange text", func(t *testing.T) { testStrangeText(t, open(t, options(c, "postgres", next()))) })
	t.Run("a newer state", func(t *testing.T) {
		name := next()
		o := options(c, "postgres", name)
		open(t, o)
		c.ExecIn(t, name, "INSERT INTO refloat.schema_version (version_id, is_applied) VALUES (9999, true)")
		for _, o.ReadOnly = range []bool{false, true} {
			if _, err := Open(context.Background(), o); !errors.Is(err, ErrNewer) {
				t.Errorf("read only %v: %v", o.ReadOnly, err)
			}
		}
	})
}

func fill(t testing.TB, s *Store, n int) {
	t.Helper()
	for i := range n {
		if _, err := s.Append(context.Background(), journal.Event{Time: time.Unix(int64(i), 0), Actor: "a", Subject: "s", Kind: "k", Body: i}); err != nil {
			t.Fatal(err)
		}
	}
}

func testReadOnly(t *testing.T, o Options) {
	ctx := context.Background()
	ro := o
	ro.ReadOnly = true
	if _, err := Open(ctx, ro); !errors.Is(err, ErrNoState) {
		t.Fatalf("without state: %v", err)
	}
	if _, err := Open(ctx, ro); !errors.Is(err, ErrNoState) {
		t.Fatalf("looking made it: %v", err)
	}
	fill(t, open(t, o), 3)
	s := open(t, ro)
	if r, err := s.Verify(ctx); err != nil || r.Entries != 3 || len(r.Findings) != 0 {
		t.Errorf("%+v %v", r, err)
	}
	if _, err := s.Append(ctx, journal.Event{Time: time.Unix(1, 0), Actor: "a", Subject: "s", Kind: "k"}); !errors.Is(err, errReadOnly) {
		t.Errorf("append: %v", err)
	}
	if err := s.PutBeat(ctx, "a", target.Beat{At: time.Unix(1, 0)}); !errors.Is(err, errReadOnly) {
		t.Errorf("beat: %v", err)
	}
	if _, err := s.pool.Exec(ctx, "INSERT INTO refloat.fact VALUES ('a', 'b', 1, '1')"); err == nil {
		t.Error("the session itself may write")
	}
}

func testDamage(t *testing.T, c *targettest.Cluster, next func() string) {
	cases := map[string]struct {
		sql   []string
		fault journal.Fault
		seq   int64
	}{
		"changed":            {[]string{"UPDATE refloat.journal SET body = '99' WHERE seq = 3"}, journal.Changed, 3},
		"missing":            {[]string{"DELETE FROM refloat.journal WHERE seq = 3"}, journal.Missing, 3},
		"truncated":          {[]string{"DELETE FROM refloat.journal WHERE seq > 4"}, journal.Truncated, 5},
		"truncated and head": {[]string{"DELETE FROM refloat.journal WHERE seq > 4", "UPDATE refloat.journal_head SET seq = 4, hash = (SELECT hash FROM refloat.journal WHERE seq = 4)"}, journal.BadHead, 4},
		"head gone":          {[]string{"DELETE FROM refloat.journal_head"}, journal.Extra, 1},
	}
	for name, x := range cases {
		db := next()
		s := open(t, options(c, "postgres", db))
		fill(t, s, 6)
		for _, q := range []string{"UPDATE refloat.journal SET actor = 'x'", "DELETE FROM refloat.journal", "TRUNCATE refloat.journal"} {
			if _, err := s.pool.Exec(context.Background(), q); err == nil || !strings.Contains(err.Error(), "append-only") {
				t.Errorf("%s: %v", q, err)
			}
		}
		for _, q := range append([]string{"DROP TRIGGER journal_no_change ON refloat.journal"}, x.sql...) {
			c.ExecIn(t, db, q)
		}
		r, err := s.Verify(context.Background())
		if err != nil || !slices.ContainsFunc(r.Findings, func(f journal.Finding) bool { return f.Fault == x.fault && f.Seq == x.seq }) {
			t.Errorf("%s: %+v %v", name, r, err)
		}
	}
	db := next()
	fill(t, open(t, options(c, "postgres", db)), 2)
	o := options(c, "postgres", db)
	o.Key = func() ([]byte, error) { return []byte("another key"), nil }
	if r, err := open(t, o).Verify(context.Background()); err != nil || len(r.Findings) != 1 || r.Findings[0].Fault != journal.BadHead {
		t.Errorf("another key: %+v %v", r, err)
	}
}

// A server that acknowledges what it may lose is refused at each session, not
// only at the first.
func testUnfit(t *testing.T, c *targettest.Cluster, next func() string) {
	ctx := context.Background()
	o := options(c, "postgres", next())
	s := open(t, o)
	fill(t, s, 1)
	c.Exec(t, "ALTER ROLE postgres SET synchronous_commit = off")
	if _, err := Open(ctx, o); !errors.Is(err, ErrNotDurable) || !strings.Contains(err.Error(), "ALTER ROLE") {
		t.Errorf("at the open: %v", err)
	}
	s.pool.Reset()
	if _, err := s.Append(ctx, journal.Event{Time: time.Unix(1, 0), Actor: "a", Subject: "s", Kind: "k"}); !errors.Is(err, ErrNotDurable) {
		t.Errorf("with a new session: %v", err)
	}
	c.Exec(t, "ALTER ROLE postgres RESET synchronous_commit")
	fill(t, s, 1)
	c.Exec(t, "CREATE DATABASE odd ENCODING 'SQL_ASCII' TEMPLATE template0 LOCALE 'C'")
	if _, err := Open(ctx, options(c, "postgres", "odd")); !errors.Is(err, ErrUnfit) {
		t.Errorf("another encoding: %v", err)
	}
	for _, u := range []string{"mysql://a@b/c", "host=a dbname=b", "://"} {
		if _, err := Open(ctx, Options{URL: u, Key: testKey}); err == nil {
			t.Errorf("%s is taken", u)
		}
	}
}

// What servers and programs say is neither always UTF-8 nor always without a
// zero byte, and must be kept nevertheless.
func testStrangeText(t *testing.T, s *Store) {
	ctx := context.Background()
	odd := "caf\xe9 \x00 end"
	if _, err := s.Raise(ctx, "a", status.Alarm{Code: "c", Key: odd, Detail: odd, Next: odd, Raised: time.Unix(1, 0)}); err != nil {
		t.Error(err)
	}
	if n, err := s.Clear(ctx, "a", "c", odd, time.Unix(2, 0)); err != nil || n != 1 {
		t.Errorf("%d %v", n, err)
	}
	if err := s.Keep(ctx, "a", odd, time.Unix(1, 0), odd); err != nil {
		t.Error(err)
	}
	if _, err := s.Append(ctx, journal.Event{Time: time.Unix(1, 0), Actor: "caf\xe9", Subject: "s", Kind: "k", Body: odd}); err != nil {
		t.Error(err)
	}
	if _, err := s.ReadScope(ctx, odd, 0); err != nil {
		t.Error(err)
	}
	if r, err := s.Verify(ctx); err != nil || len(r.Findings) != 0 || r.Entries != 1 {
		t.Errorf("%+v %v", r, err)
	}
}

func TestWhatLeavesThisMachineIsEncrypted(t *testing.T) {
	for host, leaves := range map[string]bool{
		"127.0.0.1:5432": false, "localhost": false, "[::1]:5432": false, "": false, "db.example.org": true, "db.example.org:5432": true,
		"10.0.0.1": true, "127.0.0.1:5432,db.example.org": true, "[fd00::1]:5432": true, "/run/postgresql": false,
	} {
		if leavesHost(host) != leaves {
			t.Errorf("%q leaves: %v", host, !leaves)
		}
	}
	c, err := poolConfig(Options{URL: "postgres://r@db.example.org/x"})
	if err != nil || c.ConnConfig.TLSConfig == nil || c.ConnConfig.TLSConfig.ServerName != "db.example.org" || c.ConnConfig.TLSConfig.InsecureSkipVerify {
		t.Errorf("%+v %v", c, err)
	}
}

// TestMain lets the test program stand in for a node that is killed.
func TestMain(m *testing.M) {
	if url := os.Getenv("REFLOAT_TEST_WRITER"); url != "" {
		writer(url)
	}
	os.Exit(m.Run())
}

// writer appends for ever and says after each write what is durable. The body is
// its own count: it must be in the journal once.
func writer(url string) {
	ctx := context.Background()
	s, err := Open(ctx, Options{URL: url, Key: testKey})
	if err != nil {
		panic(err)
	}
	for i := 1; ; i++ {
		e, err := s.Append(ctx, journal.Event{Time: time.Now(), Actor: "writer", Subject: "s", Kind: "k", Body: i})
		if err != nil {
			panic(err)
		}
		fmt.Println(e.Seq)
	}
}

func TestNothingReportedIsLostByKill(t *testing.T) {
	c := targettest.Start(t, targettest.Options{})
	o := options(c, "postgres", "postgres")
	s := open(t, o)
	last := int64(0)
	for round := range 3 {
		cmd := exec.Command(os.Args[0])
		cmd.Env, cmd.Stderr = append(os.Environ(), "REFLOAT_TEST_WRITER="+o.URL), os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		stop := 1 + rand.IntN(60)
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
		r, err := s.Verify(context.Background())
		if err != nil || len(r.Findings) != 0 || r.Entries < last {
			t.Errorf("round %d: %d reported, %+v %v", round, last, r, err)
		}
	}
}

// The database server is killed while two nodes write: what either was told is
// kept is there, once, and the chain is whole. Both go on by themselves.
func TestNothingReportedIsLostWithTheServer(t *testing.T) {
	c := targettest.Start(t, targettest.Options{})
	o := options(c, "postgres", "postgres")
	stores := []*Store{open(t, o), open(t, o)}
	ctx, end := context.WithCancel(context.Background())
	type act struct {
		who, n int
	}
	kept := make([][]int, len(stores)) // what each was told is kept
	var total atomic.Int64
	done := make(chan struct{}, len(stores))
	for who, s := range stores {
		go func() {
			defer func() { done <- struct{}{} }()
			for n := 1; ctx.Err() == nil; n++ {
				_, err := s.Append(context.Background(), journal.Event{Time: time.Unix(1, 0), Actor: strconv.Itoa(who), Subject: "s", Kind: strconv.Itoa(n)})
				if err == nil {
					kept[who] = append(kept[who], n)
					total.Add(1)
					continue
				}
				select { // a failed one is not tried again: it may be kept
				case <-ctx.Done():
				case <-time.After(5 * time.Millisecond):
				}
			}
		}()
	}
	for range 3 {
		before := total.Load()
		targettest.WaitFor(t, "both to write", func() bool { return total.Load() > before+20+rand.Int64N(50) })
		c.Kill(t)
		c.Start(t)
	}
	before := total.Load()
	targettest.WaitFor(t, "both to go on", func() bool { return total.Load() > before+20 })
	end()
	for range stores {
		<-done
	}
	r, err := stores[0].Verify(context.Background())
	if err != nil || len(r.Findings) != 0 {
		t.Fatalf("%+v %v", r, err)
	}
	all, err := stores[0].Read(context.Background(), 0, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	times := map[act]int{}
	for _, e := range all {
		who, _ := strconv.Atoi(e.Actor)
		n, _ := strconv.Atoi(e.Kind)
		times[act{who, n}]++
	}
	for a, n := range times {
		if n > 1 {
			t.Errorf("act %+v is there %d times", a, n)
		}
	}
	for who, list := range kept {
		for _, n := range list {
			if times[act{who, n}] != 1 {
				t.Errorf("act %d of %d was told to be kept and is there %d times", n, who, times[act{who, n}])
			}
		}
	}
	t.Logf("%d acts kept, %d entries, through 3 kills of the server", total.Load(), r.Entries)
}

// The role of the printed grants can do all that the store does, and nothing
// beside it.
func TestTheRoleOfTheGrantsIsEnough(t *testing.T) {
	c := targettest.Start(t, targettest.Options{})
	c.Exec(t, "CREATE TABLE public.secret (x int)")
	for range 2 { // again does no harm
		cmd := c.Command(t, "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", strconv.Itoa(c.Port), "-U", "postgres", "-d", "postgres")
		cmd.Stdin = strings.NewReader(Grants("refloat_store", "refloat", ""))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	o := options(c, "refloat_store", "refloat")
	storetest.Run(t, func(t *testing.T) (storetest.Store, func() storetest.Store) {
		c.ExecIn(t, "refloat", "DROP SCHEMA refloat CASCADE; CREATE SCHEMA refloat AUTHORIZATION refloat_store")
		return open(t, o), func() storetest.Store { return open(t, o) }
	})
	c.ExecIn(t, "refloat", "DROP SCHEMA refloat CASCADE; CREATE SCHEMA refloat AUTHORIZATION refloat_store")
	s := open(t, o)
	for _, q := range []string{"CREATE SCHEMA other", "CREATE TABLE public.x (x int)", "CREATE ROLE x", "CREATE DATABASE x", "SELECT pg_read_file('postgresql.conf')"} {
		if _, err := s.pool.Exec(context.Background(), q); err == nil {
			t.Errorf("it may: %s", q)
		}
	}
	c.ExecIn(t, "refloat", "DROP SCHEMA refloat CASCADE")
	if _, err := Open(context.Background(), o); err == nil || !strings.Contains(err.Error(), "--store-grants") {
		t.Errorf("without its schema: %v", err)
	}
}
