package recovery

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/refloat-db/refloat/internal/proof"
	"github.com/refloat-db/refloat/internal/target/targettest"
)

// damagePage alters or zeroes one page of a table's file while the server is
// down, as a failing disk would.
func damagePage(t *testing.T, c *targettest.Cluster, table string, block int64, zero bool) {
	t.Helper()
	c.Exec(t, "VACUUM FREEZE "+table)
	c.Exec(t, "CHECKPOINT")
	path := filepath.Join(c.Dir, c.Query(t, "SELECT pg_relation_filepath('"+table+"')"))
	c.Stop(t)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	page := make([]byte, 8192)
	if !zero {
		if _, err := f.ReadAt(page, block*8192); err != nil {
			t.Fatal(err)
		}
		page[5000] ^= 0x55
	}
	if _, err := f.WriteAt(page, block*8192); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	c.Start(t)
}

// protected is a bed with data, a backup and a running server.
func protected(t *testing.T, cluster targettest.Options, set settings, before func(*bed)) *bed {
	t.Helper()
	if cluster.SegmentMiB == 0 {
		cluster.SegmentMiB = 1
	}
	b := newBed(t, cluster, set)
	b.prod.Exec(t, schema)
	if before != nil {
		before(b)
	}
	b.startServer()
	if code, out, errs := b.run("backup", "main"); code != b.backupSays {
		t.Fatalf("refloat backup main: exit %d, want %d\n%s%s", code, b.backupSays, out, errs)
	}
	b.load(2)
	b.shipped()
	return b
}

func failedCheck(t *testing.T, p *proof.Proof, name string) {
	t.Helper()
	if p == nil {
		t.Fatal("no proof was written")
	}
	for _, c := range p.Checks {
		if c.Name == name && (c.Outcome == proof.CheckFailed || c.Outcome == proof.CouldNotRun) {
			return
		}
	}
	t.Errorf("check %q did not see it: %+v", name, p.Checks)
}

func TestDamagedPageWithChecksums(t *testing.T) {
	t.Parallel()
	b := protected(t, targettest.Options{}, settings{}, func(b *bed) {
		damagePage(t, b.prod, "plain", 3, false)
		b.backupSays = 3
	})
	failedCheck(t, notProven(t, b), "page-checksums")
}

func TestZeroedHeapPageWithoutChecksums(t *testing.T) {
	t.Parallel()
	b := protected(t, targettest.Options{NoChecksums: true}, settings{}, func(b *bed) { damagePage(t, b.prod, "plain", 3, true) })
	failedCheck(t, notProven(t, b), "zero-pages")
}

func TestHealthyWithoutChecksums(t *testing.T) {
	t.Parallel()
	protected(t, targettest.Options{NoChecksums: true}, settings{}, nil).mustProve()
}

func TestDamagedIndexWithoutChecksums(t *testing.T) {
	t.Parallel()
	b := protected(t, targettest.Options{NoChecksums: true}, settings{}, func(b *bed) {
		// The index says that rows exist which the table does not have.
		b.prod.Exec(t, "CREATE TABLE torn AS SELECT n FROM generate_series(1, 2000) n; CREATE INDEX torn_n ON torn (n); UPDATE pg_index SET indisready = false WHERE indexrelid = 'torn_n'::regclass; INSERT INTO torn SELECT generate_series(2001, 2100); UPDATE pg_index SET indisready = true WHERE indexrelid = 'torn_n'::regclass")
	})
	failedCheck(t, notProven(t, b), "amcheck")
}

func TestUnloggedTable(t *testing.T) {
	t.Parallel()
	b := protected(t, targettest.Options{}, settings{}, func(b *bed) {
		b.prod.Exec(t, "CREATE UNLOGGED TABLE basket AS SELECT generate_series(1, 5000) n")
	})
	failedCheck(t, notProven(t, b), "unlogged")
}

func TestUnsafeSettings(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"fsync", "full_page_writes"} {
		t.Run(name, func(t *testing.T) {
			b := protected(t, targettest.Options{Settings: map[string]string{name: "off"}}, settings{}, nil)
			failedCheck(t, notProven(t, b), "settings")
		})
	}
}

func TestStreamDeadWhileSlotHoldsLog(t *testing.T) {
	t.Parallel()
	b := protected(t, targettest.Options{}, settings{DataLoss: "2s"}, nil)
	b.endServer(syscall.SIGKILL)
	b.load(3)
	b.prod.Exec(t, "SELECT pg_sleep(3); INSERT INTO ledger (note) VALUES ('late')")
	failedCheck(t, notProven(t, b), "data-loss")
}

func TestProductionDownAndNobodyKnows(t *testing.T) {
	t.Parallel()
	b := protected(t, targettest.Options{}, settings{}, nil)
	b.endServer(syscall.SIGTERM)
	if err := os.RemoveAll(filepath.Join(b.dir, "state")); err != nil {
		t.Fatal(err)
	}
	b.prod.Stop(t)
	if p := notProven(t, b); p != nil && p.Verdict != proof.Inconclusive {
		t.Errorf("verdict %s: nothing is known to be wrong, only unknown", p.Verdict)
	}
}

func TestWrongCluster(t *testing.T) {
	t.Parallel()
	b := protected(t, targettest.Options{}, settings{}, nil)
	b.endServer(syscall.SIGTERM)
	other := targettest.Start(t, targettest.Options{SegmentMiB: 1})
	other.Exec(t, schema)
	b.set.DSN = other.DSN("postgres")
	b.configure()
	if code, out, errs := b.run("backup", "main"); code == 0 {
		t.Fatalf("a backup of another cluster was taken under the same name\n%s%s", out, errs)
	}
	failedCheck(t, notProven(t, b), "same-cluster")
}

func TestHeartbeatChainBroken(t *testing.T) {
	t.Parallel()
	b := protected(t, targettest.Options{}, settings{}, nil)
	b.until("a few beats", func() bool { return b.prod.Query(t, "SELECT count(*) > 8 FROM refloat.heartbeat") == "t" })
	b.endServer(syscall.SIGTERM)
	b.prod.Exec(t, "DELETE FROM refloat.heartbeat WHERE seq = (SELECT max(seq) - 4 FROM refloat.heartbeat)")
	b.startServer()
	b.shipped()
	failedCheck(t, notProven(t, b), "heartbeat")
}

func TestTablespaces(t *testing.T) {
	t.Parallel()
	at := targettest.TempDir(t)
	// Production itself must leave its files alone meanwhile.
	b := protected(t, targettest.Options{Settings: map[string]string{"autovacuum": "off"}}, settings{}, func(b *bed) {
		b.prod.Exec(t, "CREATE TABLESPACE outside LOCATION '"+at+"'")
		b.prod.Exec(t, "CREATE TABLE far TABLESPACE outside AS SELECT generate_series(1, 5000) n")
	})
	b.mustProve()
	// A tablespace made after the backup: replaying it must not touch the
	// directory that production uses on this host.
	later := targettest.TempDir(t)
	b.prod.Exec(t, "CREATE TABLESPACE later LOCATION '"+later+"'")
	b.prod.Exec(t, "CREATE TABLE farther TABLESPACE later AS SELECT generate_series(1, 5000) n")
	b.prod.Exec(t, "CHECKPOINT")
	b.shipped()
	before := tree(t, later)
	code, p, text := b.drill()
	if after := tree(t, later); after != before {
		t.Fatalf("the drill touched production's tablespace\nbefore:\n%s\nafter:\n%s", before, after)
	}
	if code == 0 && (p == nil || p.Verdict != proof.Proven) {
		t.Fatalf("exit 0 without a proof\n%s", text)
	}
	if n := b.prod.Query(t, "SELECT count(*) FROM farther"); n != "5000" {
		t.Fatalf("production has %s rows left of 5000", n)
	}
	b.must("backup", "main")
	b.shipped()
	b.mustProve()
}

// tree lists a directory's files with size, inode and time of change.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.Walk(dir, func(path string, i os.FileInfo, err error) error {
		if err == nil && i.Mode().IsRegular() {
			fmt.Fprintf(&b, "%s %d %d %s\n", path, i.Size(), i.Sys().(*syscall.Stat_t).Ino, i.ModTime())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestServerKilledDuringBackup(t *testing.T) {
	t.Parallel()
	b := newBed(t, targettest.Options{SegmentMiB: 1}, settings{})
	b.prod.Exec(t, schema)
	b.prod.Exec(t, "CREATE TABLE big AS SELECT n, md5(n::text) || md5((n+1)::text) AS v FROM generate_series(1, 1500000) n")
	cmd := b.command("backup", "main")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	b.until("the backup streams", func() bool {
		v, err := b.prod.TryQuery("SELECT EXISTS (SELECT FROM pg_stat_progress_basebackup WHERE phase = 'streaming database files')")
		return err != nil || v == "t"
	})
	b.prod.Kill(t)
	if err := cmd.Wait(); err == nil {
		t.Fatal("the backup of a killed server ended with success")
	}
	if out := b.must("backups", "main", "--json"); strings.Contains(out, `"id"`) {
		t.Fatalf("a half backup is listed: %s", out)
	}
	b.prod.Start(t)
	notProven(t, b)
	b.must("backup", "main")
}

func TestPassphraseGone(t *testing.T) {
	t.Parallel()
	b := protected(t, targettest.Options{}, settings{}, nil)
	before := len(b.blobs(""))
	b.endServer(syscall.SIGTERM)
	before = max(before, len(b.blobs("")))
	remove(t, filepath.Join(b.dir, "passphrase"))
	if code, out, errs := b.run("backup", "main"); code == 0 {
		t.Fatalf("a backup was taken without the passphrase\n%s%s", out, errs)
	}
	if after := len(b.blobs("")); after != before {
		t.Errorf("%d blobs were written without a passphrase", after-before)
	}
}

func TestDiskFullDuringBackup(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("mounting a small file system needs root")
	}
	b := newBed(t, targettest.Options{SegmentMiB: 1}, settings{})
	b.prod.Exec(t, schema)
	b.must("backup", "main")
	small := filepath.Join(b.dir, "repository")
	// The stored repository moves onto a file system with little room left.
	moved := small + ".moved"
	if err := os.Rename(small, moved); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(small, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", small, "tmpfs", 0, "size=24m"); err != nil {
		t.Skipf("mount: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(small, 0) })
	copyTree(t, moved, small)
	b.prod.Exec(t, "CREATE TABLE big AS SELECT n, md5(random()::text) || md5(random()::text) AS v FROM generate_series(1, 700000) n")
	code, out, errs := b.run("backup", "main", "--full")
	if code == 0 || !strings.Contains(strings.ToLower(out+errs), "full") && !strings.Contains(strings.ToLower(out+errs), "space") {
		t.Fatalf("exit %d without a word about the full disk\n%s%s", code, out, errs)
	}
	if err := syscall.Mount("tmpfs", small, "tmpfs", syscall.MS_REMOUNT, "size=400m"); err != nil {
		t.Fatal(err)
	}
	b.must("repo", "verify", "--full")
	b.startServer()
	b.must("backup", "main")
	b.shipped()
	b.mustProve()
	b.endServer(syscall.SIGTERM)
}

func TestFailover(t *testing.T) {
	t.Parallel()
	b := protected(t, targettest.Options{}, settings{}, nil)
	b.prod.Exec(t, "CHECKPOINT")
	// A crash of the old primary, and a promoted copy in its place: the same
	// directory started as a standby and promoted is a new timeline.
	b.prod.Stop(t)
	if err := os.WriteFile(filepath.Join(b.prod.Dir, "standby.signal"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	targettest.Own(t, filepath.Join(b.prod.Dir, "standby.signal"))
	b.prod.Start(t)
	b.prod.Exec(t, "SELECT pg_promote(true, 60)")
	b.until("the server follows the new timeline", func() bool {
		v, err := b.prod.TryQuery("SELECT active FROM pg_replication_slots WHERE slot_name = 'refloat_main'")
		return err == nil && v == "t"
	})
	b.load(4)
	b.shipped()
	b.mustProve()
	b.endServer(syscall.SIGTERM)
	t.Run("the new timeline's history missing", func(t *testing.T) {
		c := b.copyTo(t)
		each("refloat.log~main~00000002.history", remove)(t, c)
		notProven(t, c)
	})
	t.Run("the new timeline's log missing", func(t *testing.T) {
		c := b.copyTo(t)
		each("refloat.log~main~00000002", remove)(t, c)
		notProven(t, c)
	})
}

func TestSupportedVersions(t *testing.T) {
	t.Parallel()
	for _, major := range []int{14, 15, 16, 17, 18} {
		t.Run(fmt.Sprint(major), func(t *testing.T) {
			set := map[string]string{}
			if major >= 17 {
				set["summarize_wal"] = "on"
			}
			b := protected(t, targettest.Options{Major: major, Settings: set}, settings{}, nil)
			b.must("backup", "main")
			b.load(2)
			b.shipped()
			b.mustProve()
		})
	}
}
