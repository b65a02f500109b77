package recovery

import (
	"encoding/json"
	"os/exec"
	"testing"

	"github.com/refloat-db/refloat/internal/backup"
	"github.com/refloat-db/refloat/internal/target"
)

// copyTree copies the contents of a directory.
func copyTree(t *testing.T, from, to string) {
	t.Helper()
	if out, err := exec.Command("cp", "-a", from+"/.", to+"/").CombinedOutput(); err != nil {
		t.Fatalf("copy: %v\n%s", err, out)
	}
}

// startSegment is the segment from which the newest backup's recovery starts.
func (b *bed) startSegment() string {
	b.t.Helper()
	var lists []struct {
		Backups []backup.Backup `json:"backups"`
	}
	if err := json.Unmarshal([]byte(b.must("backups", "main", "--json")), &lists); err != nil || len(lists) != 1 || len(lists[0].Backups) == 0 {
		b.t.Fatalf("backups: %v, %+v", err, lists)
	}
	all := lists[0].Backups
	newest := all[len(all)-1]
	return target.SegmentAt(newest.Start, newest.SegmentSize).Name()
}
