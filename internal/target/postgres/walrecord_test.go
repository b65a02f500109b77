package postgres

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/target"
	"github.com/refloat-db/refloat/internal/target/targettest"
)

// TestWalkLog holds our reading of the log to what the server itself wrote:
// commit times, a made tablespace, log switches, records over page and segment
// borders, and the end.
func TestWalkLog(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector finds nothing in it that it does not elsewhere")
	}
	for _, major := range []int{14, 15, 16, 17, 18} {
		t.Run(strconv.Itoa(major), func(t *testing.T) {
			c := targettest.Start(t, targettest.Options{Major: major, SegmentMiB: 1, Settings: map[string]string{"track_commit_timestamp": "on", "wal_keep_size": "256MB", "full_page_writes": "on"}})
			at := targettest.TempDir(t)
			from, err := target.ParseLSN(c.Query(t, "CHECKPOINT; SELECT redo_lsn FROM pg_control_checkpoint()"))
			if err != nil {
				t.Fatal(err)
			}
			c.Exec(t, "CREATE TABLE t AS SELECT n, repeat(md5(n::text), 20) AS v FROM generate_series(1, 6000) n")
			c.Exec(t, "SELECT pg_switch_wal()")
			c.Exec(t, "CREATE TABLESPACE far LOCATION '"+at+"'")
			xid, err := strconv.ParseUint(c.Query(t, "INSERT INTO t VALUES (0, repeat('x', 100000)) RETURNING xmin"), 10, 32)
			if err != nil {
				t.Fatal(err)
			}
			stamp := c.Query(t, "SELECT to_char(pg_xact_commit_timestamp('"+strconv.FormatUint(xid, 10)+"') AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')")
			committed, err := time.Parse("2006-01-02 15:04:05.999999", stamp)
			if err != nil {
				t.Fatal(err)
			}
			c.Stop(t)
			var records int
			var found, made bool
			read := func(n uint64) ([]byte, error) {
				b, err := os.ReadFile(filepath.Join(c.Dir, "pg_wal", target.Segment{Timeline: 1, Number: n, Size: 1 << 20}.Name()))
				if os.IsNotExist(err) {
					return nil, nil
				}
				return b, err
			}
			visit := func(r target.LogRecord) bool {
				records++
				if when, is := r.EndOfTransaction(); is && r.XID == uint32(xid) && when.Equal(committed) {
					found = true
				}
				if oid, location, is := r.MakesTablespace(); is && oid > 16000 && location == at {
					made = true
				}
				return true
			}
			end, err := target.WalkLog(from, 1<<20, read, visit)
			if err != nil || !found || !made || records < 1000 {
				t.Fatalf("%d records, commit found %t, tablespace found %t, %v", records, found, made, err)
			}
			// The last record of a clean shutdown is its checkpoint.
			out, err := c.Command(t, controlData(t, c), c.Dir).CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			var last target.LSN
			for line := range strings.Lines(string(out)) {
				if v, ok := strings.CutPrefix(line, "Latest checkpoint location:"); ok {
					if last, err = target.ParseLSN(strings.TrimSpace(v)); err != nil {
						t.Fatal(err)
					}
				}
			}
			if end <= last || end > last+200 {
				t.Errorf("the log ends at %s; its last record begins at %s", end, last)
			}
			// From a segment's start, in the middle of a record or not.
			again, err := target.WalkLog(from/(1<<20)*(1<<20)+1<<20, 1<<20, read, func(target.LogRecord) bool { return true })
			if err != nil || again != end {
				t.Errorf("from a segment's start the log ends at %s, want %s; %v", again, end, err)
			}
		})
	}
}

// controlData finds pg_controldata, which not every installation holds; that
// of another version can read the part that is wanted here only of its own.
func controlData(t *testing.T, c *targettest.Cluster) string {
	t.Helper()
	if _, err := os.Stat(filepath.Join(c.Bin, "pg_controldata")); err != nil {
		t.Skip("pg_controldata is not part of this installation")
	}
	return "pg_controldata"
}
