package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/target"
	"github.com/refloat-db/refloat/internal/target/targettest"
)

func TestReadFilesStarts(t *testing.T) {
	for _, major := range []int{14, 15, 18} {
		t.Run(fmt.Sprint(major), func(t *testing.T) {
			t.Parallel()
			srv := targettest.Start(t, targettest.Options{Major: major})
			fill(t, srv, 20000)
			c := cluster(t, srv.DSN("postgres"))
			byProtocol, sink := newDirSink(t), newDirSink(t)
			take(t, c, target.BaseBackupRequest{}, byProtocol)
			end := take(t, c, target.BaseBackupRequest{ReadFiles: true, Workers: 3}, sink)
			checkTree(t, srv, sink)
			sameFiles(t, byProtocol, sink)
			checkOwnManifest(t, c, sink, end)
			restored := sink.boot(t, srv)
			if n := restored.Query(t, "SELECT count(*) || ' ' || (SELECT count(*) FROM far) || ' ' || (SELECT count(*) FROM fleeting) FROM big"); n != "20000 20000 0" {
				t.Fatalf("the restored server has %s rows", n)
			}
		})
	}
}

// sameFiles compares the names of what both ways keep, log aside.
func sameFiles(t *testing.T, a, b *dirSink) {
	t.Helper()
	for _, pair := range [][2]*dirSink{{a, b}, {b, a}} {
		for name := range pair[0].files {
			if _, ok := pair[1].files[name]; !ok && !strings.HasPrefix(name, "pg_wal/") {
				t.Errorf("%s is in one backup only (by protocol: %t)", name, pair[0] == a)
			}
		}
	}
	list := func(s *dirSink) (out []string) {
		err := filepath.WalkDir(s.dir, func(p string, d fs.DirEntry, err error) error {
			rel, _ := filepath.Rel(s.dir, p)
			if err == nil && d.IsDir() && !strings.HasPrefix(rel, "pg_wal/") {
				out = append(out, rel)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	if x, y := fmt.Sprint(list(a)), fmt.Sprint(list(b)); x != y {
		t.Errorf("directories differ:\n%s\n%s", x, y)
	}
}

// checkOwnManifest holds the manifest that we made against the files, and
// gives it to PostgreSQL's own checker where that is installed.
func checkOwnManifest(t *testing.T, c *Cluster, sink *dirSink, end target.BackupEnd) {
	t.Helper()
	files := map[string]fileSum{}
	for name := range sink.files {
		if name == manifestFile {
			continue
		}
		f, err := os.Open(filepath.Join(sink.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		s := &summing{r: f}
		if _, err := copyAway(s); err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
		files[name] = fileSum{s.n, s.crc}
	}
	m, err := os.Open(filepath.Join(sink.dir, manifestFile))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = m.Close() }()
	s, err := c.Inspect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := checkManifest(m, files, s.SystemID, sink.start.Position, end.Position); err != nil {
		t.Error(err)
	}
}

func TestReadFilesRefusesAnotherDirectory(t *testing.T) {
	t.Parallel()
	srv := targettest.Start(t, targettest.Options{})
	other := targettest.Start(t, targettest.Options{})
	c := cluster(t, srv.DSN("postgres"))
	server, err := c.Inspect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	refused := func(dir, port, want string) {
		t.Helper()
		b := &filesBackup{cluster: c, server: server}
		b.server.DataDirectory = dir
		b.server.Settings = map[string]string{"port": port}
		err := b.open(t.Context())
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
		if err == nil {
			b.tree.close()
		}
	}
	refused(srv.Dir, fmt.Sprint(srv.Port), "")
	refused(srv.Dir, "1", "instead of 1")
	refused(other.Dir, fmt.Sprint(other.Port), "belongs to system")
	refused(srv.Dir+"x", fmt.Sprint(srv.Port), "does not exist")
	refused("", "", "grant it pg_monitor")
	srv.Stop(t)
	refused(srv.Dir, fmt.Sprint(srv.Port), "no server runs on it")
}

func TestOtherServer(t *testing.T) {
	started := time.Unix(1700000000, 0)
	pid := "12\n/data\n1699999999\n5432\n/run\n"
	for _, c := range []struct {
		pid, port string
		started   time.Time
		want      string
	}{
		{pid, "5432", started, ""},
		{pid, "5433", started, "instead of 5433"},
		{pid, "5432", started.Add(time.Hour), "was not started"},
		{"12\n", "5432", started, "cannot be read"},
		{"12\n/data\nx\n5432\n", "5432", started, "was not started"},
	} {
		if got := otherServer(c.pid, c.port, c.started); (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%+v: %q", c, got)
		}
	}
}

func TestKeepsFile(t *testing.T) {
	unlogged := map[string]bool{"16400": true}
	for _, c := range []struct {
		dir, name string
		keeps     bool
	}{
		{".", "PG_VERSION", true}, {".", "postgresql.conf", true}, {".", "postmaster.pid", false}, {".", "postmaster.opts", false},
		{".", "backup_label", false}, {".", "backup_label.old", true}, {".", "tablespace_map", false}, {".", "backup_manifest", false},
		{".", "current_logfiles.tmp", false}, {".", "postgresql.auto.conf.tmp", false}, {".", "standby.signal", true},
		{"global", "pg_internal.init", false}, {"base/5", "pg_internal.init.123", false}, {"base/5", "pgsql_tmp12.3", false},
		{"base/5", "t3_16500", false}, {"base/5", "t3_16500_fsm", false}, {"base/5", "t3_16500.1", false}, {".", "t3_16500", true},
		{"base/5", "16400", false}, {"base/5", "16400.1", false}, {"base/5", "16400_fsm", false}, {"base/5", "16400_vm", false},
		{"base/5", "16400_init", true}, {"base/5", "16401", true}, {"base/5", "16401_vm.2", true},
		{"pg_tblspc/7/PG_15_1/5", "16400", false}, {"pg_xact", "16400", true},
	} {
		if got := keepsFile(c.dir, c.name, unlogged); got != c.keeps {
			t.Errorf("%s/%s: %t", c.dir, c.name, got)
		}
	}
}

func TestFileReaderOfAChangingFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "1")
	if err := os.WriteFile(name, make([]byte, 5*target.PageSize), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, small := range []bool{false, true} {
		f, err := os.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		r := &fileReader{ctx: t.Context(), f: f, size: 5 * target.PageSize, check: true, bad: func(s suspect) { t.Errorf("%+v", s) }}
		if err := f.Truncate(2 * target.PageSize); err != nil {
			t.Fatal(err)
		}
		p := make([]byte, 100<<10)
		if small {
			p = p[:100]
		}
		var n int64
		for {
			got, err := r.Read(p)
			n += int64(got)
			if err != nil {
				break
			}
		}
		if n != 5*target.PageSize {
			t.Errorf("read %d bytes of a file that shrank", n)
		}
		_ = f.Close()
	}
}

func TestFileReaderReadsTornPageAgain(t *testing.T) {
	name := filepath.Join(t.TempDir(), "1")
	page := goodPage(7, 100)
	torn := page
	torn[5000] ^= 1
	if err := os.WriteFile(name, torn[:], 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	ctx, cancel := context.WithCancelCause(t.Context())
	var suspects []suspect
	r := &fileReader{ctx: ctx, f: f, size: target.PageSize, first: 7, check: true, bad: func(s suspect) { suspects = append(suspects, s) }}
	got := make([]byte, target.PageSize)
	if _, err := r.Read(got); err != nil || len(suspects) != 1 || suspects[0].lsn != 100 {
		t.Fatalf("%v, %+v", err, suspects)
	}
	// The server finishes writing while the page is read again.
	r.off, suspects = 0, nil
	r.bad = func(s suspect) { t.Errorf("%+v", s) }
	copy(got, torn[:])
	if _, err := f.WriteAt(page[:], 0); err != nil {
		t.Fatal(err)
	}
	if err := r.page((*[target.PageSize]byte)(got), 0); err != nil || [target.PageSize]byte(got) != page {
		t.Fatalf("%v", err)
	}
	cancel(errors.New("enough"))
	if _, err := r.Read(got); err == nil || err.Error() != "enough" {
		t.Fatal(err)
	}
}
