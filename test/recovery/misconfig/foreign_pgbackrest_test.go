package misconfig

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/refloat-db/refloat/internal/audit"
	"github.com/refloat-db/refloat/internal/proof"
	"github.com/refloat-db/refloat/internal/target/targettest"
)

// restBed is a server that pgBackRest backs up as it should be.
type restBed struct {
	srv  *targettest.Cluster
	dir  string // on another device than the data
	conf string
	p    *peer
	far  string // a tablespace, which no drill may touch
}

const cipher = "repo1-cipher-type=aes-256-cbc\nrepo1-cipher-pass=a-passphrase-for-tests\n"

// config writes a configuration for a repository, with further lines.
func (b *restBed) config(t *testing.T, name, repo, more string) string {
	t.Helper()
	path := filepath.Join(b.dir, name+".conf")
	text := fmt.Sprintf("[global]\nrepo1-path=%[1]s\nlog-path=%[2]s\nlock-path=%[2]s\nspool-path=%[2]s\nlog-level-console=warn\nlog-level-file=off\narchive-timeout=3\nstart-fast=y\n%[3]s\n[demo]\npg1-path=%[4]s\npg1-port=%[5]d\npg1-socket-path=%[6]s\npg1-user=postgres\n",
		repo, b.dir, more, b.srv.Dir, b.srv.Port, filepath.Dir(b.srv.Dir))
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func (b *restBed) place(conf string) string { return "pgbackrest:demo@" + conf }

func (b *restBed) with(conf string) *peer {
	return &peer{t: b.p.t, srv: b.srv, args: []string{"pgbackrest", "--config=" + conf, "--stanza=demo"}}
}

func newRestBed(t *testing.T) *restBed {
	t.Helper()
	installed(t, "pgbackrest")
	b := &restBed{dir: archiveDir(t)}
	b.srv = targettest.Start(t, targettest.Options{SegmentMiB: 1, Settings: map[string]string{"archive_mode": "on", "archive_command": "", "autovacuum": "off"}})
	b.conf = b.config(t, "healthy", b.dir+"/repo", "repo1-retention-full=2\n"+cipher)
	b.p = &peer{t: t, srv: b.srv, args: []string{"pgbackrest", "--config=" + b.conf, "--stanza=demo"}}
	b.p.must("stanza-create")
	b.archiveWith(t, "pgbackrest --config="+b.conf+" --stanza=demo archive-push %p")
	b.far = targettest.TempDir(t)
	b.srv.Exec(t, "CREATE TABLESPACE far LOCATION '"+b.far+"'")
	b.srv.Exec(t, "CREATE TABLE kept TABLESPACE far AS SELECT generate_series(1, 2000) n")
	b.p.must("backup", "--type=full")
	for range 3 {
		b.srv.Exec(t, "INSERT INTO kept SELECT generate_series(1, 2000)")
		archivedPast(t, b.srv, 1)
	}
	return b
}

func (b *restBed) archiveWith(t *testing.T, command string) {
	t.Helper()
	set(t, b.srv, map[string]string{"archive_command": command})
}

// TestForeignPgBackRest breaks what pgBackRest keeps, in each way that it does
// not notice or that nobody reads.
func TestForeignPgBackRest(t *testing.T) {
	t.Parallel()
	b := newRestBed(t)
	said3 := func(p *peer) []string {
		if !*peers {
			return nil
		}
		return []string{said(p.ask("check")), said(p.ask("verify")), said(p.ask("info"))}
	}
	tab := table{heads: []string{"refloat check", "refloat drill --from", "pgbackrest check", "verify", "info"}}
	t.Run("healthy", func(t *testing.T) {
		isFine(t, found(t, b.srv, b.place(b.conf)))
		b.srv.Exec(t, "CHECKPOINT")
		before := filesOf(t, b.far)
		drilled(t, b.srv, b.place(b.conf), proof.Proven, "production's archiver vouches")
		if after := filesOf(t, b.far); after != before {
			t.Errorf("the drill touched production's tablespace:\n%s\n%s", before, after)
		}
		tab.add("healthy", append([]string{"nothing", "proven"}, said3(b.p)...)...)
	})
	// A copy of the repository, broken.
	broken := func(name, part, evidence string, breakIt func(t *testing.T, repo string)) {
		t.Run(name, func(t *testing.T) {
			repo, whole := b.dir+"/repo", copyOf(t, b.dir+"/repo/"+part, b.dir+"/"+part+"-whole")
			defer func() {
				if err := errors.Join(os.RemoveAll(repo+"/"+part), os.Rename(whole, repo+"/"+part)); err != nil {
					t.Fatal(err)
				}
			}()
			breakIt(t, repo)
			said := "-"
			if evidence != "" {
				mustFind(t, found(t, b.srv, b.place(b.conf)), "foreign-log-gap", audit.Critical, evidence)
				said = "critical"
			}
			drilled(t, b.srv, b.place(b.conf), proof.Failed, "")
			tab.add(name, append([]string{said, "failed"}, said3(b.p)...)...)
		})
	}
	broken("a segment missing after the backup", "archive", "ends there and says nothing", func(t *testing.T, repo string) {
		s := segmentsIn(t, repo+"/archive")
		remove(t, s[len(s)-2])
	})
	broken("the first segment of the only full missing", "archive", "does not start", func(t *testing.T, repo string) {
		first := b.firstSegment(t)
		for _, s := range segmentsIn(t, repo+"/archive") {
			if strings.HasPrefix(filepath.Base(s), first) {
				remove(t, s)
			}
		}
	})
	broken("a byte flipped in archived log", "archive", "", func(t *testing.T, repo string) {
		s := segmentsIn(t, repo+"/archive")
		flip(t, s[len(s)-2])
	})
	broken("a byte flipped in the base backup", "backup", "", func(t *testing.T, repo string) {
		flip(t, largestIn(t, repo+"/backup"))
	})
	b.settings(t, &tab, said3)
	b.archiving(t, &tab, said3)
	tab.log(t)
}

// largestIn is the largest file below a folder.
func largestIn(t *testing.T, dir string) string {
	t.Helper()
	largest, size := "", int64(-1)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Size() > size {
			largest, size = path, info.Size()
		}
		return err
	})
	if err != nil || largest == "" {
		t.Fatalf("no file in %s: %v", dir, err)
	}
	return largest
}

// firstSegment is the first that the backup needs.
func (b *restBed) firstSegment(t *testing.T) string {
	t.Helper()
	out := b.p.must("info", "--output=json")
	_, rest, ok := strings.Cut(out, `"archive":{"start":"`)
	if !ok {
		t.Fatal(out)
	}
	return rest[:24]
}

// settings are cases that the configuration alone tells.
func (b *restBed) settings(t *testing.T, tab *table, said3 func(*peer) []string) {
	say := func(name, rule string, severity audit.Severity, evidence, conf string, later bool) {
		t.Run(name, func(t *testing.T) {
			place := b.place(conf)
			if strings.HasPrefix(conf, "pgbackrest:") {
				place = conf
			}
			f := found(t, b.srv, place)
			if later {
				f.At = f.At.Add(week + 2*week/7)
			}
			mustFind(t, f, rule, severity, evidence)
			cells := []string{severity.String(), ""}
			if text, err := os.ReadFile(conf); err == nil && strings.Contains(string(text), "repo1-path="+b.dir+"/repo\n") {
				cells = append(cells, said3(b.with(conf))...)
			} else { // the server archives to the other repository, of which it would complain
				cells = append(cells, "–", "–", "–")
			}
			tab.add(name, cells...)
		})
	}
	say("retention keeps one full", "foreign-retention", audit.High, "repo1-retention-full=1", b.config(t, "one", b.dir+"/repo", "repo1-retention-full=1\n"+cipher), false)
	say("newest backup nine days old", "foreign-old", audit.High, "9 days old", b.conf, true)
	say("archive queue limit", "foreign-queue-drops", audit.High, "archive-push-queue-max=8MB", b.config(t, "queue", b.dir+"/repo", "repo1-retention-full=2\narchive-push-queue-max=8MB\n"+cipher), false)
	near := targettest.TempDir(t)
	copyOf(t, b.dir+"/repo", near+"/repo")
	say("repository on the data's disk", "foreign-same-disk", audit.High, near, b.config(t, "near", near+"/repo", "repo1-retention-full=2\n"+cipher), false)
	plain := b.config(t, "plain", b.dir+"/plain", "repo1-retention-full=2\n")
	b.with(plain).must("stanza-create")
	say("encryption off", "foreign-unencrypted", audit.Medium, "no cipher", plain, false)
	say("no backup", "foreign-none", audit.Critical, "lists 0 backups", plain, false)
	say("no such stanza", "foreign-unhealthy", audit.High, "missing stanza path", "pgbackrest:other@"+b.conf, false)
}

// archiving are cases in which the server believes that it archives. They leave
// a gap behind, so they come last.
func (b *restBed) archiving(t *testing.T, tab *table, said3 func(*peer) []string) {
	push := "pgbackrest --config=" + b.conf + " --stanza=demo %s archive-push %%p"
	behind := func(name, command string) {
		t.Run(name, func(t *testing.T) {
			b.archiveWith(t, command)
			archivedPast(t, b.srv, 2)
			mustFind(t, found(t, b.srv, b.place(b.conf)), "foreign-log-behind", audit.Critical, "the server says that it archived")
			tab.add(name, append([]string{"critical", ""}, said3(b.p)...)...)
		})
	}
	behind("archive_command = /bin/true", "/bin/true")
	drilled(t, b.srv, b.place(b.conf), proof.Failed, "is kept")
	behind("archive push followed by || true, repository unwritable", fmt.Sprintf(push, "--repo1-path=/proc/none")+" || true")
	other := b.config(t, "other", b.dir+"/elsewhere", cipher)
	b.with(other).must("stanza-create")
	behind("archive and backup use different repository paths", "pgbackrest --config="+other+" --stanza=demo archive-push %p")
	t.Run("the queue limit drops log", func(t *testing.T) {
		b.archiveWith(t, "false")
		for range 4 {
			b.srv.Exec(t, "INSERT INTO kept VALUES (1); SELECT pg_switch_wal()")
		}
		before := b.srv.Query(t, "SELECT archived_count FROM pg_stat_archiver")
		b.archiveWith(t, fmt.Sprintf(push, "--archive-push-queue-max=1MB"))
		targettest.WaitFor(t, "the archiver", func() bool {
			return b.srv.Query(t, "SELECT archived_count >= "+before+" + 3 FROM pg_stat_archiver") == "t"
		})
		mustFind(t, found(t, b.srv, b.place(b.conf)), "foreign-log-gap", audit.Critical, "but not")
		tab.add("archive queue limit drops log", append([]string{"critical", ""}, said3(b.p)...)...)
	})
	t.Run("a backup of damaged pages", func(t *testing.T) {
		b.archiveWith(t, fmt.Sprintf(push, ""))
		b.srv.Exec(t, "CREATE TABLE hurt AS SELECT generate_series(1, 5000) n; CHECKPOINT")
		file := filepath.Join(b.srv.Dir, b.srv.Query(t, "SELECT pg_relation_filepath('hurt')"))
		flip(t, file)
		_, _ = b.p.run("backup", "--type=incr")
		mustFind(t, found(t, b.srv, b.place(b.conf)), "foreign-backup-error", audit.High, "checksums")
		tab.add("corrupt heap page, checksums on", append([]string{"high", ""}, said3(b.p)...)...)
	})
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

// flip changes a byte in the middle of a file.
func flip(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 0x40
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if _, err := f.WriteAt(data, 0); err != nil {
		t.Fatal(err)
	}
}
