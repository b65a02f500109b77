package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"sort"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// cluster is the PostgreSQL server that everything is measured on.
type cluster struct {
	dir, data, bin string
	port           int
	cred           *syscall.Credential
	server         *exec.Cmd
}

func newCluster(ctx context.Context, scale int) (c *cluster, err error) {
	bins, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil || len(bins) == 0 {
		return nil, errors.New("no PostgreSQL below /usr/lib/postgresql; run make deps")
	}
	sort.Strings(bins)
	c = &cluster{bin: bins[len(bins)-1]}
	if os.Geteuid() == 0 {
		u, err := user.Lookup("postgres")
		if err != nil {
			return nil, fmt.Errorf("running as root needs a user named postgres: %w", err)
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(err1, err2); err != nil {
			return nil, err
		}
		c.cred = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	if c.dir, err = os.MkdirTemp("", "refloat-bench-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	if err := c.own(c.dir); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	c.port = l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		return nil, err
	}
	c.data = filepath.Join(c.dir, "data")
	if err := c.run(ctx, c.bin+"/initdb", "-D", c.data, "-U", "postgres", "-A", "trust", "--data-checksums"); err != nil {
		return nil, err
	}
	return c, c.start(ctx, scale)
}

func (c *cluster) start(ctx context.Context, scale int) error {
	c.server = exec.Command(c.bin+"/postgres", "-D", c.data, "-c", "listen_addresses=127.0.0.1", "-c", "port="+strconv.Itoa(c.port),
		"-c", "unix_socket_directories="+c.dir, "-c", "max_wal_size=8GB", "-c", "shared_buffers=512MB", "-c", "checkpoint_timeout=30min",
		"-c", "archive_mode=on", "-c", "archive_command=cp %p /dev/null", "-c", "autovacuum=off", "-c", "wal_keep_size=4GB")
	log, err := os.Create(filepath.Join(c.dir, "server.log"))
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	c.server.Stdout, c.server.Stderr = log, log
	c.server.SysProcAttr = &syscall.SysProcAttr{Credential: c.cred, Setpgid: true, Pdeathsig: syscall.SIGQUIT}
	if err := c.server.Start(); err != nil {
		return err
	}
	deadline := time.Now().Add(time.Minute)
	for {
		if _, err := c.query(ctx, "SELECT 1"); err == nil {
			break
		} else if time.Now().After(deadline) {
			return fmt.Errorf("the server does not answer: %w", err)
		}
		time.Sleep(50 * time.Millisecond)
	}
	if err := c.pgbench(ctx, "-q", "-i", "-s", strconv.Itoa(scale)); err != nil {
		return err
	}
	_, err = c.query(ctx, fmt.Sprintf("CREATE TABLE noise AS SELECT n, md5(random()::text) || md5(random()::text) || md5(random()::text) AS v FROM generate_series(1, %d) n", scale*20000))
	if err != nil {
		return err
	}
	_, err = c.query(ctx, "VACUUM FREEZE ANALYZE")
	return err
}

func (c *cluster) own(path string) error {
	if c.cred == nil {
		return nil
	}
	return os.Chown(path, int(c.cred.Uid), int(c.cred.Gid))
}

func (c *cluster) dsn(database string) string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/%s?sslmode=disable", c.port, database)
}

func (c *cluster) query(ctx context.Context, sql string) (string, error) {
	conn, err := pgx.Connect(ctx, c.dsn("postgres"))
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close(ctx) }()
	res, err := conn.PgConn().Exec(ctx, sql).ReadAll()
	if err != nil || len(res) == 0 || len(res[len(res)-1].Rows) == 0 {
		return "", err
	}
	return string(res[len(res)-1].Rows[0][0]), nil
}

func (c *cluster) pgbench(ctx context.Context, args ...string) error {
	return c.run(ctx, c.bin+"/pgbench", append([]string{"-h", "127.0.0.1", "-p", strconv.Itoa(c.port), "-U", "postgres"}, append(args, "postgres")...)...)
}

func (c *cluster) run(ctx context.Context, program string, args ...string) error {
	_, err := c.measure(ctx, program, args...)
	return err
}

// measure runs a program to its end as the server's user.
func (c *cluster) measure(ctx context.Context, program string, args ...string) (sample, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = c.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.cred, Setpgid: true}
	began := time.Now()
	out, err := cmd.CombinedOutput()
	s := sample{wall: time.Since(began)}
	if err != nil {
		return s, fmt.Errorf("%s %v: %w\n%s", filepath.Base(program), args, err, out)
	}
	usage := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	s.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	s.rss = usage.Maxrss << 10
	return s, nil
}

// settle lets a job's own checkpoint and dirty pages not fall on the next one.
func (c *cluster) settle(ctx context.Context) error {
	if _, err := c.query(ctx, "CHECKPOINT"); err != nil {
		return err
	}
	syscall.Sync()
	return nil
}

func (c *cluster) close() {
	if c.server != nil && c.server.Process != nil {
		_ = c.server.Process.Signal(syscall.SIGQUIT)
		_ = c.server.Wait()
	}
	_ = os.RemoveAll(c.dir)
}

func dirSize(path string) (total int64) {
	_ = filepath.WalkDir(path, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if i, err := d.Info(); err == nil {
				total += i.Size()
			}
		}
		return nil
	})
	return total
}
