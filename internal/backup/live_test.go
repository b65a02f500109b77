package backup

import (
	"bytes"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/refloat-db/refloat/internal/target"
	"github.com/refloat-db/refloat/internal/target/targettest"
)

const sumOfAccounts = `SELECT count(*) || ' ' || sum(n) || ' ' || md5(string_agg(id || ':' || n, ',' ORDER BY id)) FROM account`

// TestRealClusterThroughAChain takes a chain of backups of a busy server,
// starts a server from each, and compares what it says.
func TestRealClusterThroughAChain(t *testing.T) {
	for _, major := range []int{15, 18} {
		t.Run(fmt.Sprint(major), func(t *testing.T) {
			t.Parallel()
			cat := testCatalogue(t)
			c := targettest.Start(t, targettest.Options{Major: major, SegmentMiB: 1, Settings: map[string]string{"autovacuum": "off", "wal_keep_size": "256MB"}})
			c.Exec(t, `CREATE TABLE account (id int, n int, filler text) WITH (fillfactor = 50);
				INSERT INTO account SELECT i, i, (SELECT string_agg(md5((1000 * i + k)::text), '') FROM generate_series(1, 25) k) FROM generate_series(1, 8000) i;
				CREATE INDEX ON account (id); CREATE TABLE noise (n int)`)
			c.Exec(t, "VACUUM account")
			end := load(t, c)
			var took []Backup
			sums := map[string]string{}
			for i := range 4 {
				sum := c.Query(t, sumOfAccounts)
				b, err := cat.Take(t.Context(), liveSource{c}, TakeOptions{Target: memTarget})
				if err != nil {
					t.Fatal(err)
				}
				took = append(took, b)
				sums[b.ID] = sum
				c.Exec(t, fmt.Sprintf("UPDATE account SET n = n + 1 WHERE id %% 200 = %d", i))
			}
			end()
			sizeOfDelta(t, cat, took[0], took[1])
			c.Exec(t, "CHECKPOINT")
			idle := takeBoth(t, cat, c)
			sums[idle.ID] = c.Query(t, sumOfAccounts)
			for _, b := range append(took[2:], idle) {
				img, err := cat.Open(t.Context(), b)
				if err != nil {
					t.Fatal(err)
				}
				r := materialise(t, img, major)
				r.Start(t)
				if got := r.Query(t, sumOfAccounts); got != sums[b.ID] {
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

// sizeOfDelta holds a delta after 0.5 % of the rows changed, 2 % of the pages,
// to a small part of the full.
func sizeOfDelta(t *testing.T, cat *Catalogue, full, delta Backup) {
	t.Helper()
	tree, err := cat.Repo.Tree(t.Context(), delta.Snapshot)
	if err != nil {
		t.Fatal(err)
	}
	var pages int64
	for _, n := range tree {
		if strings.Contains(n.Path, deltaPrefix) {
			pages += n.Size
		}
	}
	if delta.Kind != Delta || pages == 0 || pages > full.Bytes/12 {
		t.Errorf("%s holds %d bytes of changed pages over a full of %d", delta.Kind, pages, full.Bytes)
	}
	t.Logf("full: %d files, %d bytes, %d stored; delta: %d bytes of pages, %d stored", full.Files, full.Bytes, full.Stored, pages, delta.Stored)
}

// takeBoth takes a delta and a full of an idle server and compares every page.
func takeBoth(t *testing.T, cat *Catalogue, c *targettest.Cluster) Backup {
	t.Helper()
	delta, err := cat.Take(t.Context(), liveSource{c}, TakeOptions{Target: memTarget})
	if err != nil {
		t.Fatal(err)
	}
	full, err := cat.Take(t.Context(), liveSource{c}, TakeOptions{Target: memTarget, Full: true})
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
		if !bytes.Equal(got[p], b) {
			t.Errorf("%s: the delta gives %d bytes that differ from the full's %d", p, len(got[p]), len(b))
		}
	}
	if compared < 1000 {
		t.Errorf("only %d pages were compared", compared)
	}
	return delta
}
