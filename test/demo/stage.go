package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// stage is the working directory, the programs and the processes of a demo.
type stage struct {
	refloat string
	dir     string
	pgBin   string
	port    int
	keep    bool
	cred    *syscall.Credential // PostgreSQL refuses to run as root

	production *exec.Cmd
	restored   *exec.Cmd
	server     *exec.Cmd
	load       *exec.Cmd
}

func newStage(refloat string, keep bool) (*stage, error) {
	if _, err := os.Stat(refloat); err != nil {
		return nil, fmt.Errorf("%w; run make build first", err)
	}
	s := &stage{refloat: refloat, keep: keep}
	bins, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil || len(bins) == 0 {
		return nil, errors.New("no PostgreSQL below /usr/lib/postgresql; run make deps")
	}
	sort.Strings(bins)
	s.pgBin = bins[len(bins)-1]
	if os.Geteuid() == 0 {
		if s.cred, err = postgresUser(); err != nil {
			return nil, err
		}
	}
	if s.dir, err = os.MkdirTemp("", "refloat-demo-"); err != nil {
		return nil, err
	}
	if s.port, err = freePort(); err != nil {
		return nil, err
	}
	return s, s.own(s.dir)
}

func postgresUser() (*syscall.Credential, error) {
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("running as root needs a user named postgres: %w", err)
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, errors.Join(err1, err2)
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port, nil
}

func (s *stage) own(path string) error {
	if s.cred == nil {
		return nil
	}
	return os.Chown(path, int(s.cred.Uid), int(s.cred.Gid))
}

func (s *stage) dsn(database string) string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/%s?sslmode=disable", s.port, database)
}

// pg runs one of PostgreSQL's programs to its end, as the server's user.
func (s *stage) pg(ctx context.Context, program string, args ...string) error {
	fmt.Printf("   $ %s %s\n", program, strings.Join(args, " "))
	cmd := exec.CommandContext(ctx, filepath.Join(s.pgBin, program), args...)
	cmd.Dir = s.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.cred}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", program, err, out)
	}
	return nil
}

func (s *stage) startProduction(ctx context.Context) (err error) {
	data := filepath.Join(s.dir, "production")
	if err := s.pg(ctx, "initdb", "-D", data, "-U", "postgres", "-A", "trust", "--data-checksums"); err != nil {
		return err
	}
	if s.production, err = s.postgres(data); err != nil {
		return err
	}
	if err := s.answers(ctx); err != nil {
		return err
	}
	if err := s.sql(ctx, "postgres", "CREATE DATABASE shop"); err != nil {
		return err
	}
	at := []string{"-h", "127.0.0.1", "-p", strconv.Itoa(s.port), "-U", "postgres"}
	if err := s.pg(ctx, "pgbench", append(at, "-q", "-i", "-s", "20", "shop")...); err != nil {
		return err
	}
	s.load = exec.Command(filepath.Join(s.pgBin, "pgbench"), append(at, "-n", "-c", "2", "-R", "200", "-T", "600", "shop")...)
	s.load.SysProcAttr = &syscall.SysProcAttr{Credential: s.cred, Setpgid: true}
	return s.load.Start()
}

// postgres starts a server over a data directory, on 127.0.0.1 only.
func (s *stage) postgres(data string) (*exec.Cmd, error) {
	log, err := os.OpenFile(filepath.Join(s.dir, "postgres.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	args := []string{"-D", data, "-c", "listen_addresses=127.0.0.1", "-c", "port=" + strconv.Itoa(s.port), "-c", "unix_socket_directories=" + s.dir}
	fmt.Printf("   $ postgres %s\n", strings.Join(args, " "))
	cmd := exec.Command(filepath.Join(s.pgBin, "postgres"), args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.dir, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.cred, Setpgid: true}
	return cmd, cmd.Start()
}

// answers waits until the server is out of recovery and serves.
func (s *stage) answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := pgx.Connect(ctx, s.dsn("postgres"))
		if err == nil {
			var standby bool
			err = conn.QueryRow(ctx, "SELECT pg_is_in_recovery()").Scan(&standby)
			_ = conn.Close(ctx)
			if err == nil && !standby {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the server does not answer: %w; see %s", err, filepath.Join(s.dir, "postgres.log"))
		case <-tick.C:
		}
	}
}

func (s *stage) sql(ctx context.Context, database, statement string) error {
	conn, err := pgx.Connect(ctx, s.dsn(database))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, statement)
	return err
}

// close ends every process that the demo started, by its pid.
func (s *stage) close() {
	for _, cmd := range []*exec.Cmd{s.load, s.server, s.production, s.restored} {
		end(cmd, syscall.SIGQUIT)
	}
	if s.keep {
		fmt.Printf("\nKept: %s\n", s.dir)
		return
	}
	_ = os.RemoveAll(s.dir)
}

func end(cmd *exec.Cmd, sig syscall.Signal) {
	if cmd == nil || cmd.Process == nil || cmd.ProcessState != nil {
		return
	}
	_ = cmd.Process.Signal(sig)
	_ = cmd.Wait()
}
