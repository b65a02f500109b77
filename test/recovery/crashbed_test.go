package recovery

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/refloat-db/refloat/internal/backup"
	"github.com/refloat-db/refloat/internal/target"
	"github.com/refloat-db/refloat/internal/target/targettest"
)

// ack is a commit that the server acknowledged: at the time, its log ended at
// or before LSN.
type ack struct {
	ID  int64
	LSN target.LSN
}

// crashBed is a bed under load, with a record of what was promised that no
// crash can touch: it is in this process.
type crashBed struct {
	*bed
	rng   *rand.Rand
	seed  uint64
	round int
	last  int64 // newest row promised at the last look
	stop  context.CancelFunc
	ended sync.WaitGroup

	mu      sync.Mutex
	acked   []ack
	flushed target.LSN // newest position that production was told is safe
}

func newCrashBed(t *testing.T, set settings) *crashBed {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if v := os.Getenv("REFLOAT_CRASH_SEED"); v != "" {
		var err error
		if seed, err = strconv.ParseUint(v, 10, 64); err != nil {
			t.Fatalf("REFLOAT_CRASH_SEED: %v", err)
		}
	}
	t.Logf("REFLOAT_CRASH_SEED=%d", seed)
	c := &crashBed{seed: seed, rng: rand.New(rand.NewPCG(seed, 0))}
	c.bed = newBed(t, targettest.Options{SegmentMiB: 1}, set)
	t.Cleanup(func() { killAllIn(c.dir) })
	c.prod.Exec(t, "CREATE TABLE paid (id bigint PRIMARY KEY, note text)")
	t.Cleanup(c.pauseLoad)
	return c
}

// killAllIn ends what was started with the bed's directory on its command line.
func killAllIn(dir string) {
	all, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, p := range all {
		if line, err := os.ReadFile(p); err == nil && strings.Contains(string(line), dir) {
			if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(p))); err == nil && pid != os.Getpid() {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	}
}

func (c *crashBed) fatalf(format string, args ...any) {
	c.t.Helper()
	c.t.Fatalf("REFLOAT_CRASH_SEED=%d, round %d: %s\n%s", c.seed, c.round, fmt.Sprintf(format, args...), c.serverLog())
}

// startLoad writes and observes until pauseLoad, over crashes of the server.
func (c *crashBed) startLoad() {
	ctx, stop := context.WithCancel(context.Background())
	c.stop = stop
	for _, loop := range []func(context.Context, *pgx.Conn) error{c.writeRows, c.observe} {
		c.ended.Go(func() {
			for ctx.Err() == nil {
				if conn, err := pgx.Connect(ctx, c.prod.DSN("postgres")); err == nil {
					_ = loop(ctx, conn) // until the server is killed, or the load paused
					_ = conn.Close(context.Background())
				}
				select {
				case <-ctx.Done():
				case <-time.After(20 * time.Millisecond):
				}
			}
		})
	}
}

func (c *crashBed) pauseLoad() {
	if c.stop != nil {
		c.stop()
		c.ended.Wait()
		c.stop = nil
	}
}

// writeRows commits one numbered row after the other. A commit in doubt is
// settled by looking.
func (c *crashBed) writeRows(ctx context.Context, conn *pgx.Conn) error {
	var last int64
	if err := conn.QueryRow(ctx, "SELECT coalesce(max(id), 0) FROM paid").Scan(&last); err != nil {
		return err
	}
	for {
		last++
		if _, err := conn.Exec(ctx, "INSERT INTO paid VALUES ($1::bigint, repeat(md5($1::bigint::text), 20))", last); err != nil {
			return err
		}
		lsn := target.LSN(^uint64(0)) // not known to be safe, unless acknowledging says so
		var text string
		err := conn.QueryRow(ctx, "SELECT pg_current_wal_insert_lsn()::text").Scan(&text)
		if err == nil {
			lsn, err = target.ParseLSN(text)
		}
		c.mu.Lock()
		c.acked = append(c.acked, ack{last, lsn})
		c.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

// observe records what production was told is safe.
func (c *crashBed) observe(ctx context.Context, conn *pgx.Conn) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		var text string
		err := conn.QueryRow(ctx, `SELECT greatest(s.restart_lsn, r.flush_lsn, '0/0')::text FROM pg_replication_slots s
			LEFT JOIN pg_stat_replication r ON r.pid = s.active_pid WHERE s.slot_name = 'refloat_main'
			UNION ALL SELECT '0/0' LIMIT 1`).Scan(&text)
		if err != nil {
			return err
		}
		lsn, err := target.ParseLSN(text)
		if err != nil {
			return err
		}
		c.mu.Lock()
		c.flushed = max(c.flushed, lsn)
		c.mu.Unlock()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// promised is the newest row that must be there after any crash, and the
// position up to which the log must be.
func (c *crashBed) promised() (row int64, lsn target.LSN) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range c.acked {
		if a.LSN <= c.flushed || c.set.Synchronous {
			row = max(row, a.ID)
		}
	}
	return row, c.flushed
}

// background starts refloat without waiting for it.
func (c *crashBed) background(args ...string) *exec.Cmd {
	c.t.Helper()
	cmd := c.command(args...)
	logf, err := os.OpenFile(filepath.Join(c.dir, "server.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = logf.Close() }()
	cmd.Stdout, cmd.Stderr = logf, logf
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	return cmd
}

// kill ends a program and what it started at once.
func kill(cmd *exec.Cmd) {
	if cmd != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	}
}

// moment waits for a random part of at most d.
func (c *crashBed) moment(d time.Duration) { <-time.After(time.Duration(c.rng.Int64N(int64(d)))) }

// covered is how far the repository reaches. A gap fails the test.
func (c *crashBed) covered() (target.LSN, string) {
	code, out, errs := c.run("coverage", "main", "--json")
	var all []struct {
		backup.CoverageReport
	}
	if err := json.Unmarshal([]byte(out), &all); err != nil || len(all) != 1 {
		c.fatalf("coverage: exit %d, %v\n%s%s", code, err, out, errs)
	}
	if n, d := len(all[0].Gaps), len(all[0].Damaged); n+d > 0 {
		c.fatalf("coverage shows %d gaps and %d damaged backups\n%s", n, d, out)
	}
	if all[0].Newest == nil {
		return 0, out
	}
	return all[0].Newest.Position.LSN, out
}

// check kills all that lives and holds what a restore brings back to what was
// promised. Then it goes on as before.
func (c *crashBed) check() {
	c.t.Helper()
	if c.prod.Running() {
		c.prod.Kill(c.t)
	}
	c.pauseLoad()
	kill(c.server)
	c.server = nil
	row, lsn := c.promised()
	if c.set.Synchronous {
		// What was acknowledged may be in the spool only. Refloat's machine
		// lives: its server brings it to the repository without production.
		c.server = c.background("server")
		c.until(fmt.Sprintf("the spool up to %s is in the repository, with production dead", lsn), func() bool {
			at, _ := c.covered()
			return at >= lsn
		})
		kill(c.server)
		c.server = nil
	}
	if at, out := c.covered(); at < lsn {
		c.fatalf("the repository reaches %s; %s was reported flushed\n%s", at, lsn, out)
	}
	c.must("repo", "verify")
	dir := filepath.Join(c.dir, "restored")
	c.must("restore", "main", "--into", dir)
	c.holds(dir, row)
	if err := os.RemoveAll(dir); err != nil {
		c.t.Fatal(err)
	}
	c.prod.Start(c.t)
}

// holds recovers a restored directory and checks that it has every row up to
// the promised one, and no row without all before it.
func (c *crashBed) holds(dir string, row int64) {
	c.t.Helper()
	restored := targettest.Adopt(c.t, dir, c.prod.Major, c.prod.Port)
	restored.Start(c.t)
	c.until("the restored server has recovered", func() bool {
		v, err := restored.TryQuery("SELECT pg_is_in_recovery()")
		return err == nil && v == "f"
	})
	got := restored.Query(c.t, "SELECT count(*) || ' ' || coalesce(max(id), 0) FROM paid")
	restored.Kill(c.t)
	var count, newest int64
	if _, err := fmt.Sscan(got, &count, &newest); err != nil {
		c.fatalf("%q: %v", got, err)
	}
	if count != newest {
		c.fatalf("not a whole prefix: %d rows, the newest is %d", count, newest)
	}
	c.last = row
	if newest < row {
		c.fatalf("rows %d to %d are missing; they were reported flushed (%s)", newest+1, row, c.flushed)
	}
	c.t.Logf("round %d: %d rows promised, %d restored", c.round, row, newest)
}
