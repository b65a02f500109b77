package misconfig

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/audit"
	"github.com/refloat-db/refloat/internal/proof"
	"github.com/refloat-db/refloat/internal/target/targettest"
)

// barBed is a server that Barman backs up as it should be.
type barBed struct {
	srv  *targettest.Cluster
	dir  string // on another device than the data
	conf string
	p    *peer
	far  string // a tablespace, which no drill may touch
}

func (b *barBed) config(t *testing.T, name, home, more string) string {
	t.Helper()
	path := filepath.Join(b.dir, name+".conf")
	dsn := fmt.Sprintf("host=127.0.0.1 port=%d user=postgres dbname=postgres", b.srv.Port)
	text := fmt.Sprintf("[barman]\nbarman_user = postgres\nbarman_home = %[1]s\nlog_file = %[2]s/barman.log\nlog_level = ERROR\nconfiguration_files_directory = %[2]s/none\n\n[demo]\ndescription = demo\nconninfo = %[3]s\nstreaming_conninfo = %[3]s\nbackup_method = postgres\narchiver = on\npath_prefix = %[4]s\n%[5]s", home, b.dir, dsn, b.srv.Bin, more)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

const keepTwo = "retention_policy = REDUNDANCY 2\n"

func newBarBed(t *testing.T) *barBed {
	t.Helper()
	installed(t, "barman")
	b := &barBed{dir: archiveDir(t)}
	b.srv = targettest.Start(t, targettest.Options{SegmentMiB: 1, Settings: map[string]string{"archive_mode": "on", "archive_command": "", "autovacuum": "off"}})
	b.conf = b.config(t, "healthy", b.dir+"/home", keepTwo)
	b.p = &peer{t: t, srv: b.srv, args: []string{"barman", "-c", b.conf}}
	if err := os.Mkdir(b.dir+"/home", 0o700); err != nil {
		t.Fatal(err)
	}
	targettest.Own(t, b.dir+"/home")
	_ = b.p.check() // makes its folders, and is not content yet
	b.archive(t)
	archivedPast(t, b.srv, 1)
	b.p.must("archive-wal", "demo")
	b.far = targettest.TempDir(t)
	b.srv.Exec(t, "CREATE TABLESPACE far LOCATION '"+b.far+"'")
	b.srv.Exec(t, "CREATE TABLE kept TABLESPACE far AS SELECT generate_series(1, 2000) n")
	b.backup(t)
	for range 4 {
		b.srv.Exec(t, "INSERT INTO kept SELECT generate_series(1, 2000)")
		archivedPast(t, b.srv, 1)
	}
	b.p.must("archive-wal", "demo")
	return b
}

// backup takes one, while the server's log goes on, which Barman waits for.
func (b *barBed) backup(t *testing.T) {
	t.Helper()
	cmd := b.p.command("backup", "demo")
	done := make(chan error, 1)
	go func() {
		out, err := cmd.CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
		done <- err
	}()
	last := time.Now()
	targettest.WaitFor(t, "the backup", func() bool {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			return true
		default:
			// Each segment is a run of Barman in a drill, so few of them.
			if time.Since(last) > 500*time.Millisecond {
				b.srv.Exec(t, "INSERT INTO kept VALUES (1); SELECT pg_switch_wal()")
				last = time.Now()
			}
			return false
		}
	})
}

func (b *barBed) archive(t *testing.T) {
	in := b.dir + "/home/demo/incoming"
	set(t, b.srv, map[string]string{"archive_command": fmt.Sprintf("test ! -f %[1]s/%%f && cp %%p %[1]s/%%f", in)})
}

// TestForeignBarman breaks what Barman keeps, in each way that its check does
// not notice.
func TestForeignBarman(t *testing.T) {
	t.Parallel()
	b := newBarBed(t)
	place := func(conf string) string { return "barman:demo@" + conf }
	tab := table{heads: []string{"refloat check", "refloat drill --from", "barman check"}}
	says := func(conf string) string {
		if !*peers {
			return ""
		}
		return said((&peer{t: t, srv: b.srv, args: []string{"barman", "-c", conf}}).check())
	}
	t.Run("healthy", func(t *testing.T) {
		isFine(t, found(t, b.srv, place(b.conf)))
		b.srv.Exec(t, "CHECKPOINT")
		before := filesOf(t, b.far)
		drilled(t, b.srv, place(b.conf), proof.Proven, "production's archiver vouches")
		if after := filesOf(t, b.far); after != before {
			t.Errorf("the drill touched production's tablespace:\n%s\n%s", before, after)
		}
		tab.add("healthy", "nothing", "proven", says(b.conf))
	})
	wals := b.dir + "/home/demo/wals"
	broken := func(name, evidence string, breakIt func(t *testing.T)) {
		t.Run(name, func(t *testing.T) {
			whole := copyOf(t, wals, b.dir+"/wals-whole")
			defer func() {
				if err := errors.Join(os.RemoveAll(wals), os.Rename(whole, wals)); err != nil {
					t.Fatal(err)
				}
			}()
			breakIt(t)
			mustFind(t, found(t, b.srv, place(b.conf)), "foreign-log-gap", audit.Critical, evidence)
			drilled(t, b.srv, place(b.conf), proof.Failed, "")
			tab.add(name, "critical", "failed", says(b.conf))
		})
	}
	broken("a segment missing after the backup", "ends there and says nothing", func(t *testing.T) {
		s := segmentsIn(t, wals)
		remove(t, s[len(s)-2])
	})
	broken("the first segment of the only full missing", "does not start", func(t *testing.T) {
		infos, _ := filepath.Glob(b.dir + "/home/demo/base/*/backup.info")
		text, err := os.ReadFile(infos[0])
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(text), "begin_wal=")
		for _, s := range segmentsIn(t, wals) {
			if filepath.Base(s) == rest[:24] {
				remove(t, s)
			}
		}
	})
	say := func(name, rule string, severity audit.Severity, evidence, conf string, later bool) {
		t.Run(name, func(t *testing.T) {
			f := found(t, b.srv, place(conf))
			if later {
				f.At = f.At.Add(week + 2*week/7)
			}
			mustFind(t, f, rule, severity, evidence)
			tab.add(name, severity.String(), "", says(conf))
		})
	}
	say("retention keeps one full", "foreign-retention", audit.High, "REDUNDANCY 1", b.config(t, "one", b.dir+"/home", "retention_policy = REDUNDANCY 1\n"), false)
	say("newest backup nine days old", "foreign-old", audit.High, "9 days old", b.conf, true)
	say("its own check fails", "foreign-unhealthy", audit.High, "minimum redundancy", b.config(t, "three", b.dir+"/home", keepTwo+"minimum_redundancy = 2\n"), false)
	near := targettest.TempDir(t)
	copyOf(t, b.dir+"/home", near+"/home")
	say("repository on the data's disk", "foreign-same-disk", audit.High, near, b.config(t, "near", near+"/home", keepTwo), false)
	set(t, b.srv, map[string]string{"archive_command": "/bin/true"})
	archivedPast(t, b.srv, 2)
	say("archive_command = /bin/true", "foreign-log-behind", audit.Critical, "the server says that it archived", b.conf, false)
	tab.log(t)
}
