package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/target"
	"github.com/refloat-db/refloat/internal/target/targettest"
)

// dirSink writes a backup into a directory.
type dirSink struct {
	dir    string
	mu     sync.Mutex
	start  target.BackupStart
	files  map[string]target.File
	incs   map[string]target.Incremental
	onFile func(target.File) error
}

func newDirSink(t testing.TB) *dirSink {
	return &dirSink{dir: targettest.TempDir(t), files: map[string]target.File{}, incs: map[string]target.Incremental{}}
}

func (s *dirSink) Begin(_ context.Context, start target.BackupStart) error {
	s.start = start
	return nil
}

func (s *dirSink) Dir(_ context.Context, p string, mode fs.FileMode) error {
	if p != "." && !fs.ValidPath(p) || mode&^fs.ModePerm != 0 {
		return fmt.Errorf("directory %q %v", p, mode)
	}
	return os.MkdirAll(filepath.Join(s.dir, p), 0o700)
}

func (s *dirSink) File(_ context.Context, f target.File, r io.Reader) error {
	s.mu.Lock()
	_, twice := s.files[f.Path]
	s.files[f.Path] = f
	s.mu.Unlock()
	if twice {
		return errors.New("twice")
	}
	if s.onFile != nil {
		if err := s.onFile(f); err != nil {
			return err
		}
	}
	w, err := os.OpenFile(filepath.Join(s.dir, f.Path), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	n, err := io.Copy(w, r)
	if err == nil && n != f.Size {
		err = fmt.Errorf("%d bytes instead of %d", n, f.Size)
	}
	return errors.Join(err, w.Close())
}

// IncrementalFile applies the pages to what the directory holds.
func (s *dirSink) IncrementalFile(_ context.Context, f target.File, inc target.Incremental, pages io.Reader) error {
	s.mu.Lock()
	s.incs[f.Path] = inc
	s.mu.Unlock()
	w, err := os.OpenFile(filepath.Join(s.dir, f.Path), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	size := int64(inc.TruncationBlocks)
	page := make([]byte, target.PageSize)
	for _, b := range inc.Blocks {
		if _, err := io.ReadFull(pages, page); err != nil {
			return err
		}
		if _, err := w.WriteAt(page, int64(b)*target.PageSize); err != nil {
			return err
		}
		size = max(size, int64(b)+1)
	}
	n, err := io.Copy(io.Discard, pages)
	if n != 0 {
		err = errors.Join(err, fmt.Errorf("%d bytes after the pages", n))
	}
	return errors.Join(err, w.Truncate(size*target.PageSize), w.Close())
}

// boot starts a server on what the sink has, instead of src, which is stopped.
func (s *dirSink) boot(t testing.TB, src *targettest.Cluster) *targettest.Cluster {
	t.Helper()
	src.Stop(t)
	s.tablespaces(t)
	own(t, s.dir)
	restored := *src
	restored.Dir = s.dir
	restored.Start(t)
	t.Cleanup(func() { restored.Kill(t) })
	return &restored
}

// tablespaces puts links where the backup has directories.
func (s *dirSink) tablespaces(t testing.TB) {
	t.Helper()
	for _, ts := range s.start.Tablespaces {
		link := filepath.Join(s.dir, "pg_tblspc", fmt.Sprint(ts.OID))
		moved := filepath.Join(targettest.TempDir(t), "ts")
		if err := errors.Join(os.Rename(link, moved), os.Symlink(moved, link)); err != nil {
			t.Fatal(err)
		}
		own(t, moved)
	}
}

func own(t testing.TB, dir string) {
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.Type()&fs.ModeSymlink == 0 {
			targettest.Own(t, p)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// fill makes a table of some megabytes, and one in a tablespace.
func fill(t testing.TB, srv *targettest.Cluster, rows int) {
	t.Helper()
	loc := targettest.TempDir(t)
	srv.Exec(t, "CREATE TABLESPACE extra LOCATION '"+loc+"'")
	srv.Exec(t, fmt.Sprintf(`
		CREATE TABLE big AS SELECT n, repeat(md5(n::text), 8) AS pad FROM generate_series(1, %[1]d) n;
		CREATE INDEX ON big (n);
		CREATE TABLE far TABLESPACE extra AS SELECT n FROM generate_series(1, %[1]d) n;
		CREATE UNLOGGED TABLE fleeting AS SELECT n FROM generate_series(1, 1000) n`, rows))
	srv.Exec(t, "VACUUM") // sets hint bits, which would touch every page later
	srv.Exec(t, "CHECKPOINT")
}

// take takes a backup that must succeed without findings.
func take(t testing.TB, c *Cluster, req target.BaseBackupRequest, sink *dirSink) target.BackupEnd {
	t.Helper()
	req.Label, req.FastStart = "it's a test", true
	end, err := c.BaseBackup(t.Context(), req, sink)
	if err != nil {
		t.Fatal(err)
	}
	if len(end.Findings) > 0 {
		t.Fatalf("findings on a healthy cluster: %v", end.Findings)
	}
	if end.Position.LSN <= sink.start.Position.LSN || end.At.Before(sink.start.At) || time.Since(end.At).Abs() > time.Minute {
		t.Fatalf("from %+v to %+v", sink.start, end)
	}
	return end
}

// Later versions are started from a protocol backup in TestIncremental.
func TestBaseBackupStarts(t *testing.T) {
	t.Parallel()
	srv := targettest.Start(t, targettest.Options{})
	fill(t, srv, 20000)
	sink := newDirSink(t)
	take(t, cluster(t, srv.DSN("postgres")), target.BaseBackupRequest{}, sink)
	checkTree(t, srv, sink)
	restored := sink.boot(t, srv)
	if n := restored.Query(t, "SELECT count(*) || ' ' || (SELECT count(*) FROM far) || ' ' || (SELECT count(*) FROM fleeting) FROM big"); n != "20000 20000 0" {
		t.Fatalf("the restored server has %s rows", n)
	}
}

// checkTree looks at what the sink was told.
func checkTree(t *testing.T, srv *targettest.Cluster, sink *dirSink) {
	t.Helper()
	if ts := sink.start.Tablespaces; len(ts) != 1 || ts[0].Name != "extra" || ts[0].Size < 8192 {
		t.Errorf("tablespaces %+v", ts)
	}
	for _, want := range []string{"backup_label", "backup_manifest", "global/pg_control", "PG_VERSION"} {
		if _, ok := sink.files[want]; !ok {
			t.Errorf("%s is missing", want)
		}
	}
	for _, not := range []string{"tablespace_map", "postmaster.pid", "postmaster.opts", srv.Query(t, "SELECT pg_relation_filepath('fleeting')")} {
		if _, ok := sink.files[not]; ok {
			t.Errorf("%s is in the backup", not)
		}
	}
	for _, rel := range []string{"big", "far", "big_n_idx"} {
		p := srv.Query(t, "SELECT pg_relation_filepath('"+rel+"')")
		if f, ok := sink.files[p]; !ok || !f.Pages {
			t.Errorf("%s: %s is %+v", rel, p, f)
		}
	}
	if label, err := os.ReadFile(filepath.Join(sink.dir, labelFile)); err != nil || !bytes.Contains(label, []byte("START WAL LOCATION")) || bytes.Contains(label, []byte("INCREMENTAL")) {
		t.Errorf("backup_label: %s, %v", label, err)
	}
	if sink.start.EstimatedSize < 5<<20 && !sink.start.Incremental {
		t.Errorf("estimated %d bytes", sink.start.EstimatedSize)
	}
}

func TestIncremental(t *testing.T) {
	for _, major := range []int{17, 18} {
		t.Run(fmt.Sprint(major), func(t *testing.T) {
			t.Parallel()
			srv := targettest.Start(t, targettest.Options{Major: major, Settings: map[string]string{"summarize_wal": "on"}})
			fill(t, srv, 20000)
			c := cluster(t, srv.DSN("postgres"))
			base := newDirSink(t)
			take(t, c, target.BaseBackupRequest{}, base)
			manifest, err := os.ReadFile(filepath.Join(base.dir, manifestFile))
			if err != nil {
				t.Fatal(err)
			}
			srv.Exec(t, "UPDATE big SET pad = 'changed' WHERE n % 1000 = 0; INSERT INTO far VALUES (0); CREATE TABLE new AS SELECT 1 AS n; CHECKPOINT")
			next := mergeOver(t, base)
			take(t, c, target.BaseBackupRequest{PrevManifest: prevManifest(manifest)}, next)
			if !next.start.Incremental || len(next.incs) == 0 {
				t.Fatalf("not incremental: %+v", next.start)
			}
			if inc := next.incs[srv.Query(t, "SELECT pg_relation_filepath('big')")]; len(inc.Blocks) == 0 || len(inc.Blocks) > 100 {
				t.Fatalf("%d blocks of big: %+v, %+v", len(inc.Blocks), inc, next.files[srv.Query(t, "SELECT pg_relation_filepath('big')")])
			}
			restored := next.boot(t, srv)
			if n := restored.Query(t, "SELECT count(*) || ' ' || (SELECT count(*) FROM far) || ' ' || (SELECT n FROM new) FROM big WHERE pad = 'changed'"); n != "20 20001 1" {
				t.Fatalf("the restored server says %s", n)
			}
		})
	}
}

func prevManifest(b []byte) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }
}

// mergeOver keeps the relations' files of base, for changed pages to be
// applied to.
func mergeOver(t *testing.T, base *dirSink) *dirSink {
	t.Helper()
	for p, f := range base.files {
		if !f.Pages {
			if err := os.Remove(filepath.Join(base.dir, p)); err != nil {
				t.Fatal(err)
			}
		}
	}
	next := newDirSink(t)
	next.dir = base.dir
	next.onFile = func(f target.File) error {
		err := os.Remove(filepath.Join(next.dir, f.Path)) // a file that comes whole replaces the old one
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return err
	}
	return next
}

func TestNoIncremental(t *testing.T) {
	t.Parallel()
	srv := targettest.Start(t, targettest.Options{Major: 17, Settings: map[string]string{"summarize_wal": "off"}})
	c := cluster(t, srv.DSN("postgres"))
	base := newDirSink(t)
	take(t, c, target.BaseBackupRequest{}, base)
	manifest, err := os.ReadFile(filepath.Join(base.dir, manifestFile))
	if err != nil {
		t.Fatal(err)
	}
	other := targettest.Start(t, targettest.Options{Major: 17, Settings: map[string]string{"summarize_wal": "on"}})
	for name, on := range map[string]struct {
		srv      *targettest.Cluster
		manifest []byte
	}{
		"summaries off":   {srv, manifest},
		"another cluster": {other, manifest},
		"not a manifest":  {other, []byte("{ }")},
	} {
		_, err := cluster(t, on.srv.DSN("postgres")).BaseBackup(t.Context(),
			target.BaseBackupRequest{Label: "x", FastStart: true, PrevManifest: prevManifest(on.manifest)}, newDirSink(t))
		if !errors.Is(err, target.ErrNoIncremental) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A standby is a source too, and so is the primary that it becomes.
func TestStandby(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector finds nothing in it that it does not elsewhere")
	}
	t.Parallel()
	srv := targettest.Start(t, targettest.Options{})
	fill(t, srv, 5000)
	copied := newDirSink(t)
	take(t, cluster(t, srv.DSN("postgres")), target.BaseBackupRequest{}, copied)
	standby := beside(t, srv, copied)
	srv.Exec(t, "INSERT INTO far VALUES (0)")
	srv.Exec(t, "CHECKPOINT")
	waitFor(t, standby, "SELECT pg_last_wal_replay_lsn() >= '"+srv.Query(t, "SELECT pg_current_wal_lsn()")+"'", "t")
	c := cluster(t, standby.DSN("postgres"))
	if s, err := c.Inspect(t.Context()); err != nil || !s.InRecovery || s.Position == 0 || s.Timeline != 1 {
		t.Fatalf("%v, %+v", err, s)
	}
	for _, readFiles := range []bool{false, true} {
		sink := newDirSink(t)
		if end := take(t, c, target.BaseBackupRequest{ReadFiles: readFiles}, sink); end.Position.Timeline != 1 {
			t.Errorf("files %t: %+v", readFiles, end)
		}
	}
	// The primary's host has the same system, but the standby's files.
	pid := filepath.Join(standby.Dir, "postmaster.pid")
	if b, err := os.ReadFile(pid); err != nil || otherServer(string(b), fmt.Sprint(srv.Port), time.Now()) == "" {
		t.Errorf("the standby's directory passes for the primary's: %v", err)
	}
	standby.Exec(t, "SELECT pg_promote()")
	standby.Exec(t, "INSERT INTO far VALUES (-1)")
	var sink *dirSink
	for _, readFiles := range []bool{false, true} {
		sink = newDirSink(t)
		if end := take(t, c, target.BaseBackupRequest{ReadFiles: readFiles}, sink); end.Position.Timeline != 2 || sink.start.Position.Timeline != 2 {
			t.Errorf("files %t: %+v", readFiles, end)
		}
		if _, ok := sink.files["pg_wal/00000002.history"]; !ok {
			t.Errorf("files %t: no timeline history", readFiles)
		}
	}
	restored := sink.boot(t, standby)
	if n := restored.Query(t, "SELECT count(*) FROM far"); n != "5002" {
		t.Errorf("%s rows", n)
	}
}

// beside starts a standby of srv on a backup.
func beside(t *testing.T, srv *targettest.Cluster, sink *dirSink) *targettest.Cluster {
	t.Helper()
	standby := *srv
	standby.Dir, standby.Port = sink.dir, targettest.FreePort(t)
	sink.tablespaces(t)
	conf, err := os.OpenFile(filepath.Join(sink.dir, "postgresql.auto.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = fmt.Fprintf(conf, "port = %d\nprimary_conninfo = 'host=127.0.0.1 port=%d user=postgres'\n", standby.Port, srv.Port)
	if err := errors.Join(err, conf.Close(), os.WriteFile(filepath.Join(sink.dir, "standby.signal"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	own(t, sink.dir)
	standby.Start(t)
	t.Cleanup(func() { standby.Kill(t) })
	return &standby
}

func copyAway(r io.Reader) (int64, error) { return io.Copy(io.Discard, r) }
