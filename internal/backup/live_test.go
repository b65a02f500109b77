package backup

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/refloat-db/refloat/internal/target"
	"github.com/refloat-db/refloat/internal/target/postgres"
	"github.com/refloat-db/refloat/internal/target/targettest"
)

var relationFile = regexp.MustCompile(`^(global|base/[0-9]+)/[0-9]+(_fsm|_vm|_init)?(\.[0-9]+)?$`)

func liveSource(t testing.TB, c *targettest.Cluster) Source {
	t.Helper()
	s, err := postgres.New(postgres.Options{DSN: c.DSN("postgres")})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Through the table, and through the index alone, which trusts the visibility
// map.
const (
	sumOfIDs      = `SET enable_seqscan = off; SET enable_bitmapscan = off; SELECT count(*) || ' ' || sum(id) FROM account WHERE id > 0`
	sumOfAccounts = `SELECT count(*) || ' ' || sum(n) || ' ' || md5(string_agg(id || ':' || n, ',' ORDER BY id)) FROM account`
)

// TestRealClusterThroughAChain takes a chain of backups of a busy server,
// starts a server from each, and compares what it says.
func TestRealClusterThroughAChain(t *testing.T) {
	for _, tc := range []struct {
		major  int
		method string
	}{{15, methodProtocol}, {15, methodFiles}, {17, methodIncremental}, {18, methodIncremental}} {
		if testing.Short() && tc.major == 18 {
			continue // as 17
		}
		major, method := tc.major, tc.method
		t.Run(fmt.Sprint(major, " ", method), func(t *testing.T) {
			t.Parallel()
			cat := testCatalogue(t)
			settings := map[string]string{"autovacuum": "off", "wal_keep_size": "256MB"}
			if method == methodIncremental {
				settings["summarize_wal"] = "on"
			}
			c := targettest.Start(t, targettest.Options{Major: major, SegmentMiB: 1, Settings: settings})
			c.Exec(t, `CREATE TABLE account (id int, n int, filler text) WITH (fillfactor = 50);
				INSERT INTO account SELECT i, i, (SELECT string_agg(md5((1000 * i + k)::text), '') FROM generate_series(1, 25) k) FROM generate_series(1, 8000) i;
				CREATE INDEX ON account (id); CREATE TABLE noise (n int)`)
			c.Exec(t, "VACUUM account")
			end := load(t, c)
			var took []Backup
			sums := map[string]string{}
			for i := range 4 {
				sum := c.Query(t, sumOfAccounts) + " " + c.Query(t, sumOfIDs)
				b, err := cat.Take(t.Context(), liveSource(t, c), TakeOptions{Target: memTarget, FastStart: true, ReadFiles: method == methodFiles})
				if err != nil {
					t.Fatal(err)
				}
				took = append(took, b)
				sums[b.ID] = sum
				c.Exec(t, fmt.Sprintf("UPDATE account SET n = n + 1 WHERE id %% 200 = %d; DELETE FROM account WHERE id %% 2000 = %d", i, 100+i))
			}
			end()
			for _, b := range took[1:] {
				if b.Kind != Delta || b.Method != method {
					t.Errorf("%s: %s by %s", b.ID, b.Kind, b.Method)
				}
			}
			sizeOfDelta(t, cat, took[1], c.Query(t, "SELECT pg_relation_filepath('account')"))
			t.Logf("full: %d files, %d bytes, %d received, %d stored; delta: %d received, %d stored", took[0].Files, took[0].Bytes, took[0].Received, took[0].Stored, took[1].Received, took[1].Stored)
			c.Exec(t, "CHECKPOINT")
			idle := takeBoth(t, cat, c, method)
			sums[idle.ID] = c.Query(t, sumOfAccounts) + " " + c.Query(t, sumOfIDs)
			for _, b := range append(took[2:], idle) {
				img, err := cat.Open(t.Context(), b)
				if err != nil {
					t.Fatal(err)
				}
				r := materialise(t, img, major)
				r.Start(t)
				if got := r.Query(t, sumOfAccounts) + " " + r.Query(t, sumOfIDs); got != sums[b.ID] {
					t.Errorf("%s (chain of %d): %s, want %s", b.ID, b.Chain, got, sums[b.ID])
				}
				if got := r.Query(t, "SELECT count(*) FROM account WHERE id IN (5, 7999)"); got != "2" {
					t.Errorf("%s: the index finds %s rows", b.ID, got)
				}
				r.Stop(t)
			}
		})
	}
}

// load writes to another table until the returned function is called.
func load(t *testing.T, c *targettest.Cluster) func() {
	t.Helper()
	var stop atomic.Bool
	done := make(chan error, 1)
	go func() {
		for !stop.Load() {
			if _, err := c.TryQuery("INSERT INTO noise SELECT generate_series(1, 500); UPDATE noise SET n = n + 1 WHERE n % 50 = 1"); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	return func() {
		stop.Store(true)
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// sizeOfDelta holds what a delta stores of a table, after 0.5 % of its rows
// and 2 % of its pages changed, to a small part of the table.
func sizeOfDelta(t *testing.T, cat *Catalogue, delta Backup, table string) {
	t.Helper()
	img, err := cat.Open(t.Context(), delta)
	if err != nil {
		t.Fatal(err)
	}
	whole := img.files[img.byPath[table].file].Size
	n, err := cat.Repo.Lookup(t.Context(), delta.Snapshot, path.Join(dataRoot, deltaPath(table)))
	if err != nil {
		t.Fatal(err)
	}
	if n.Size < 20*target.PageSize || n.Size > whole/25 {
		t.Errorf("the delta stores %d bytes of a table of %d", n.Size, whole)
	}
}

// takeBoth takes a delta and a full of an idle server and compares every page.
func takeBoth(t *testing.T, cat *Catalogue, c *targettest.Cluster, method string) Backup {
	t.Helper()
	delta, err := cat.Take(t.Context(), liveSource(t, c), TakeOptions{Target: memTarget, FastStart: true, ReadFiles: method == methodFiles})
	if err != nil {
		t.Fatal(err)
	}
	full, err := cat.Take(t.Context(), liveSource(t, c), TakeOptions{Target: memTarget, Full: true, FastStart: true, ReadFiles: method == methodFiles})
	if err != nil {
		t.Fatal(err)
	}
	if delta.Kind != Delta || delta.Chain != 4 || full.Kind != Full {
		t.Errorf("took %s in a chain of %d, and %s", delta.Kind, delta.Chain, full.Kind)
	}
	got, err := contents(cat, delta)
	if err != nil {
		t.Fatal(err)
	}
	want, err := contents(cat, full)
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for p, b := range want {
		if !relationFile.MatchString(p) {
			continue
		}
		compared += len(b) / target.PageSize
		if strings.HasSuffix(p, "_vm") {
			claims(t, p, got[p], b)
			continue
		}
		if !bytes.Equal(got[p], b) {
			t.Errorf("%s: the delta gives %d bytes that differ from the full's %d", p, len(got[p]), len(b))
		}
	}
	if compared < 1000 {
		t.Errorf("only %d pages were compared", compared)
	}
	return delta
}

// claims holds a merged visibility map to the true one: it may claim less.
func claims(t *testing.T, p string, got, want []byte) {
	t.Helper()
	if len(got) > len(want) {
		t.Errorf("%s: %d bytes instead of %d", p, len(got), len(want))
		return
	}
	for i, b := range got {
		if i%target.PageSize >= mapHeader && b&^want[i] != 0 {
			t.Errorf("%s: byte %d claims %08b of %08b", p, i, b, want[i])
		}
	}
}

// materialise writes an image to a new directory and makes it a cluster that
// can be started beside the first.
func materialise(t testing.TB, img *Image, major int) *targettest.Cluster {
	t.Helper()
	dir := filepath.Join(targettest.TempDir(t), "data")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	targettest.Own(t, dir)
	for _, f := range img.Files() {
		full := filepath.Join(dir, f.Path)
		if f.Mode.IsDir() {
			if err := os.Mkdir(full, f.Mode.Perm()); err != nil {
				t.Fatal(err)
			}
			targettest.Own(t, full)
			continue
		}
		r, err := img.OpenFile(t.Context(), f.Path)
		if err != nil {
			t.Fatal(err)
		}
		w, err := os.OpenFile(full, os.O_CREATE|os.O_EXCL|os.O_WRONLY, f.Mode.Perm())
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(w, r)
		if err := errors.Join(err, w.Close(), r.Close()); err != nil {
			t.Fatal(err)
		}
		targettest.Own(t, full)
	}
	port := targettest.FreePort(t)
	f, err := os.OpenFile(filepath.Join(dir, "postgresql.auto.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteString("port = " + strconv.Itoa(port) + "\nunix_socket_directories = '" + filepath.Dir(dir) + "'\narchive_mode = off\n")
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	return targettest.Adopt(t, dir, major, port)
}
