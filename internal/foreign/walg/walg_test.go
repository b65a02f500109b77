package walg

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/foreign"
)

// recorded is a listing in the form of wal-g's own types (BackupDetail), since
// no package of the program is at hand for tests.
const recorded = `[
 {"backup_name":"base_000000010000000000000004","time":"2026-11-21T02:00:40Z","wal_file_name":"000000010000000000000004","storage_name":"default",
  "start_time":"2026-11-21T02:00:00.1Z","finish_time":"2026-11-21T02:00:39.5Z","date_fmt":"%Y-%m-%dT%H:%M:%S.%fZ","hostname":"db1","data_dir":"/var/lib/postgresql/15/main",
  "pg_version":150018,"start_lsn":67108904,"finish_lsn":83886336,"is_permanent":false,"system_identifier":7711433238216657705,"uncompressed_size":31457280,"compressed_size":4194304},
 {"backup_name":"base_000000010000000000000007_D_000000010000000000000004","time":"2026-11-22T02:00:10Z","wal_file_name":"000000010000000000000007","storage_name":"default",
  "start_time":"2026-11-22T02:00:00Z","finish_time":"2026-11-22T02:00:09Z","hostname":"db1","data_dir":"/var/lib/postgresql/15/main",
  "pg_version":150018,"start_lsn":117440552,"finish_lsn":117440808,"is_permanent":false,"system_identifier":7711433238216657705,"uncompressed_size":31457280}
]`

func TestRead(t *testing.T) {
	dir := t.TempDir()
	env := filepath.Join(dir, "env")
	prefix := filepath.Join(dir, "backups")
	for _, d := range []string{env, filepath.Join(prefix, "wal_005")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	files := map[string]string{env + "/WALG_FILE_PREFIX": prefix + "\n", env + "/WALG_LIBSODIUM_KEY_PATH": "/etc/key"}
	for _, n := range []string{"4", "5", "7", "8"} {
		files[prefix+"/wal_005/00000001000000000000000"+n+".lz4"] = "x"
	}
	for name, text := range files {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	o := foreign.Options{Now: time.Now(), Run: func(_ context.Context, environ []string, command string, args ...string) ([]byte, []byte, int, error) {
		got = append(environ, command+" "+strings.Join(args, " "))
		return []byte(recorded), nil, 0, nil
	}}
	f := Read(t.Context(), o, foreign.Place{Tool: foreign.WALG, Config: env})
	if want := "wal-g backup-list --detail --json"; got[len(got)-1] != want || !strings.Contains(strings.Join(got, " "), "WALG_FILE_PREFIX="+prefix) {
		t.Errorf("ran %q", got)
	}
	b := f.Backups.Value
	if !f.Backups.Seen || len(b) != 2 || b[0].First != "000000010000000000000004" || b[0].Last != "000000010000000000000005" || b[0].Version != 15 || b[1].Kind != "incr" || b[1].Prior != "000000010000000000000004" {
		t.Errorf("%+v %s", b, f.Backups.Why)
	}
	if f.SystemID != 7711433238216657705 || !b[1].EndedAt.Equal(time.Date(2026, 11, 22, 2, 0, 9, 0, time.UTC)) {
		t.Errorf("%s %s", f.SystemID, b[1].EndedAt)
	}
	if r := f.Repository.Value[0]; !r.Encrypted || !r.Local || r.Device == 0 || r.Location != prefix {
		t.Errorf("%+v", r)
	}
	if name, n := f.Archive.Value.Missing(b[0].First, f.Archive.Value.Newest()); name != "000000010000000000000006" || n != 1 {
		t.Errorf("missing %s, %d", name, n)
	}
}

func TestNothingSaysWhere(t *testing.T) {
	f := Read(t.Context(), foreign.Options{}, foreign.Place{Tool: foreign.WALG})
	if f.Backups.Seen || !strings.Contains(f.Backups.Why, "WALG_FILE_PREFIX") {
		t.Errorf("%+v", f.Backups)
	}
}
