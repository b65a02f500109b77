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
	var list []backup.Backup
	if err := json.Unmarshal([]byte(b.must("backups", "main", "--json")), &list); err != nil || len(list) == 0 {
		b.t.Fatalf("backups: %v, %d listed", err, len(list))
	}
	newest := list[len(list)-1]
	return target.SegmentAt(newest.Start, newest.SegmentSize).Name()
}
