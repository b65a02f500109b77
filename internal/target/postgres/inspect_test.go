package postgres

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/target"
	"github.com/refloat-db/refloat/internal/target/targettest"
)

func TestInspect(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector finds nothing in it that it does not elsewhere")
	}
	for _, major := range []int{14, 15, 18} {
		srv := targettest.Start(t, targettest.Options{Major: major, SegmentMiB: 1})
		loc := targettest.TempDir(t)
		srv.Exec(t, "CREATE TABLESPACE extra LOCATION '"+loc+"'")
		srv.Exec(t, "CREATE DATABASE shop")
		s, err := cluster(t, srv.DSN("postgres")).Inspect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case s.Version.Major() != major, s.SystemID.String() != srv.Query(t, "SELECT system_identifier FROM pg_control_system()"),
			s.Timeline != 1, s.Position == 0, s.InRecovery, s.DataDirectory != srv.Dir, !s.DataChecksums, s.SegmentSize != 1<<20,
			s.SummarizeWAL, s.Size < 1<<20, time.Since(s.StartedAt) > time.Minute, s.ClockOffset.Abs() > time.Second,
			s.Settings["fsync"] != "on", !slices.Contains(s.Databases, "shop"), slices.Contains(s.Databases, "template0"),
			s.BootstrapRole != "postgres", s.ReplicationNote != "":
			t.Errorf("%d: %+v", major, s)
		}
		if r := s.Role; r.Name != "postgres" || !r.Superuser || !r.Replication || !r.Monitor || !r.BackupControl || r.Heartbeat {
			t.Errorf("%d: role %+v", major, r)
		}
		if ts := s.Tablespaces; len(ts) != 1 || ts[0].Name != "extra" || ts[0].Location != loc || ts[0].Size < 0 {
			t.Errorf("%d: tablespaces %+v", major, ts)
		}
	}
}

func TestCheckServer(t *testing.T) {
	for _, c := range []struct {
		version int
		block   string
		want    string
	}{{150018, "8192", ""}, {140001, "8192", ""}, {190000, "8192", ""}, {130020, "8192", "14 or later"}, {150018, "32768", "32768"}} {
		err := checkServer(target.Version(c.version), c.block)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%d, %s: %v", c.version, c.block, err)
		}
	}
}
