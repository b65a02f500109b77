package targettest

import (
	"strconv"
	"strings"
	"testing"
)

func TestCluster(t *testing.T) {
	for _, major := range []int{14, 15, 16, 17, 18} {
		t.Run(strconv.Itoa(major), func(t *testing.T) {
			c := Start(t, Options{Major: major, SegmentMiB: 1})
			if v := c.Query(t, "SHOW server_version_num"); !strings.HasPrefix(v, strconv.Itoa(major)) {
				t.Fatalf("version %s", v)
			}
			c.Exec(t, "CREATE TABLE t AS SELECT 7 AS n")
			c.Kill(t)
			c.Start(t)
			if n := c.Query(t, "SELECT n FROM t"); n != "7" {
				t.Fatalf("after a kill: %q", n)
			}
			c.Stop(t)
		})
	}
}
