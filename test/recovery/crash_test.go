package recovery

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/backup"
)

// crashRounds is how many kills the two long tests share.
func crashRounds(t *testing.T) int {
	t.Helper()
	v := os.Getenv("REFLOAT_CRASH_ROUNDS")
	if v == "" {
		return 50
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 2 {
		t.Fatalf("REFLOAT_CRASH_ROUNDS=%s: want a number of at least 2", v)
	}
	return n
}

// TestCrashAsynchronous: what production was told is safe is in the repository.
func TestCrashAsynchronous(t *testing.T) { crash(t, settings{}) }

// TestCrashSynchronous: what a client was told is committed can be restored.
func TestCrashSynchronous(t *testing.T) { crash(t, settings{Synchronous: true}) }

func crash(t *testing.T, set settings) {
	t.Parallel()
	rounds := crashRounds(t) / 2
	c := newCrashBed(t, set)
	c.server = c.background("server")
	t.Cleanup(func() { kill(c.server) })
	c.until("the first base backup", func() bool { at, _ := c.covered(); return at > 0 })
	if set.Synchronous {
		c.prod.Exec(t, "ALTER SYSTEM SET synchronous_standby_names = 'refloat_main'")
		c.prod.Exec(t, "SELECT pg_reload_conf()")
	}
	every := max(6, rounds/8)
	for c.round = 1; c.round <= rounds; c.round++ {
		if c.stop == nil {
			c.startLoad()
		}
		if !c.prod.Running() {
			c.prod.Start(t)
		}
		if c.server == nil {
			c.server = c.background("server")
		}
		look := c.round == rounds || c.round%every == 0 && rounds-c.round >= every/2
		c.oneRound(look)
		if look {
			c.check()
		}
	}
	c.server = c.background("server")
	c.until("a commit after all crashes", func() bool {
		_, err := c.prod.TryQuery("SET statement_timeout = '5s'; CREATE TABLE IF NOT EXISTS after ()")
		return err == nil
	})
	c.shipped()
	c.pauseLoad()
	c.covered()
	kill(c.server)
	c.server = nil
	c.must("repo", "maintain", "--exclusive")
	c.must("repo", "verify", "--full")
}

// oneRound lets things run, now and then beside a command, kills at a random
// moment.
func (c *crashBed) oneRound(look bool) {
	var work *exec.Cmd
	switch c.rng.IntN(6) {
	case 0:
		work = c.background("backup", "main")
	case 1:
		work = c.background("retention", "main", "--apply")
	case 2:
		work = c.background("repo", "maintain")
	}
	if c.rng.IntN(3) > 0 {
		c.streaming()
	}
	if look {
		// Or the look would show nothing.
		c.until("something is promised since the last look", func() bool { row, _ := c.promised(); return row > c.last })
	}
	c.moment(1200 * time.Millisecond)
	victim := c.rng.IntN(4)
	if victim != 1 {
		kill(c.server)
		c.server = nil
	}
	if victim == 1 || victim == 2 {
		c.prod.Kill(c.t)
	}
	kill(work)
}

// streaming waits until the server streams what is written.
func (c *crashBed) streaming() {
	c.until("the server streams again", func() bool {
		v, err := c.prod.TryQuery("SELECT active FROM pg_replication_slots WHERE slot_name = 'refloat_main'")
		return err == nil && v == "t"
	})
}

func (c *crashBed) size() (n int64) {
	for _, path := range c.blobs("") {
		if i, err := os.Stat(path); err == nil {
			n += i.Size()
		}
	}
	return n
}

func (c *crashBed) backups() int {
	var lists []struct {
		Backups []backup.Backup `json:"backups"`
	}
	out := c.must("backups", "main", "--json")
	if err := json.Unmarshal([]byte(out), &lists); err != nil || len(lists) > 1 {
		c.fatalf("backups: %v\n%s", err, out)
	}
	if len(lists) == 0 {
		return 0
	}
	return len(lists[0].Backups)
}

// TestCrashDuringBackup: half a backup is not listed, and its space comes back.
func TestCrashDuringBackup(t *testing.T) {
	t.Parallel()
	c := newCrashBed(t, settings{NoHeartbeat: true})
	c.prod.Exec(t, "CREATE TABLE big AS SELECT n, md5(n::text) || md5((n+1)::text) AS v FROM generate_series(1, 300000) n")
	before := c.size()
	for c.round = 1; c.round <= 4; c.round++ {
		cmd := c.background("backup", "main")
		c.until("the backup streams", func() bool {
			v, err := c.prod.TryQuery("SELECT EXISTS (SELECT FROM pg_stat_progress_basebackup WHERE phase = 'streaming database files' AND backup_streamed > 0)")
			return err == nil && v == "t"
		})
		c.moment(150 * time.Millisecond)
		kill(cmd)
		if n := c.backups(); n != 0 {
			c.fatalf("%d backups are listed; none was made whole", n)
		}
	}
	c.must("repo", "maintain", "--exclusive")
	if after := c.size(); after > before+1<<20 {
		c.fatalf("%d bytes before, %d after the killed backups and maintenance", before, after)
	}
	c.must("backup", "main")
	c.must("repo", "verify", "--full")
}

// TestCrashDuringRestore: what a killed restore leaves cannot be taken for a
// cluster, and the same command makes it whole.
func TestCrashDuringRestore(t *testing.T) {
	t.Parallel()
	c := newCrashBed(t, settings{NoHeartbeat: true})
	c.prod.Exec(t, "INSERT INTO paid SELECT n, md5(n::text) FROM generate_series(1, 200000) n")
	c.startServer()
	c.must("backup", "main")
	c.shipped()
	c.endServer(9)
	c.prod.Kill(t)
	dir := filepath.Join(c.dir, "restored")
	for c.round = 1; c.round <= 4; c.round++ {
		cmd := c.background("restore", "main", "--into", dir)
		c.until("the restore writes", func() bool { _, err := os.Stat(filepath.Join(dir, "base")); return err == nil })
		c.moment(100 * time.Millisecond)
		kill(cmd)
		if cmd.ProcessState.Success() {
			c.t.Logf("round %d: the restore was done before it was killed", c.round)
			break
		}
		if _, err := os.Stat(filepath.Join(dir, "global", "pg_control")); err == nil {
			c.fatalf("a killed restore left pg_control: a server would start on it")
		}
	}
	c.must("restore", "main", "--into", dir)
	c.holds(dir, 200000)
}

// TestCrashDuringRepoInit: after a kill at any moment, the same command makes
// the repository, or says that it is made; either way it works.
func TestCrashDuringRepoInit(t *testing.T) {
	t.Parallel()
	c := newCrashBed(t, settings{NoHeartbeat: true})
	for c.round = 1; c.round <= 8; c.round++ {
		if err := os.RemoveAll(filepath.Join(c.dir, "repository")); err != nil {
			t.Fatal(err)
		}
		cmd := c.background("repo", "init")
		c.moment(1500 * time.Millisecond)
		kill(cmd)
		code, out, errs := c.run("repo", "init")
		t.Logf("round %d: exit %d %s%s", c.round, code, out, errs)
		if code != 0 && !strings.Contains(errs, "[repository-exists]") {
			c.fatalf("exit %d\n%s%s", code, out, errs)
		}
		c.must("log", "status", "main")
		c.must("repo", "verify", "--full")
	}
	c.must("backup", "main")
}
