package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// refloatRun runs the program as a user would, its output before the reader.
func (s *stage) refloatRun(ctx context.Context, args ...string) error {
	fmt.Printf("   $ refloat %s\n", strings.Join(args, " "))
	cmd := s.command(ctx, args...)
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("refloat %s: %w", args[0], err)
	}
	return nil
}

func (s *stage) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, s.refloat, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.dir, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), "REFLOAT_CONFIG="+filepath.Join(s.dir, "refloat.yaml"))
	return cmd
}

func (s *stage) protect(ctx context.Context) error {
	if err := s.refloatRun(ctx, "init", s.dsn("shop"), "--name", "shop", "--synchronous", "--out", filepath.Join(s.dir, "refloat.yaml")); err != nil {
		return err
	}
	grants, err := s.output(ctx, "init", s.dsn("shop"), "--grants", "--role", "postgres", "--sql-only")
	if err != nil {
		return err
	}
	if err := s.sql(ctx, "shop", grants); err != nil {
		return fmt.Errorf("the printed grants: %w", err)
	}
	return s.refloatRun(ctx, "repo", "init")
}

func (s *stage) output(ctx context.Context, args ...string) (string, error) {
	fmt.Printf("   $ refloat %s\n", strings.Join(args, " "))
	cmd := s.command(ctx, args...)
	cmd.Stdout = nil
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("refloat %s: %w", args[0], err)
	}
	return string(out), nil
}

func (s *stage) startServer(context.Context) error {
	fmt.Println("   $ refloat server &")
	log, err := os.Create(filepath.Join(s.dir, "refloat.log"))
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	s.server = s.command(context.Background(), "server")
	s.server.Stdout, s.server.Stderr = log, log
	s.server.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return s.server.Start()
}

// beSynchronous makes production wait for Refloat at each commit, as an owner
// who promises no data loss would, once Refloat is streaming.
func (s *stage) beSynchronous(ctx context.Context) error {
	const streaming = `SELECT application_name FROM pg_stat_replication WHERE state = 'streaming' AND application_name LIKE 'refloat%' LIMIT 1`
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.dsn("postgres"))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	var name string
	for conn.QueryRow(ctx, streaming).Scan(&name) != nil {
		select {
		case <-ctx.Done():
			return fmt.Errorf("refloat does not stream: %w; see %s", ctx.Err(), filepath.Join(s.dir, "refloat.log"))
		case <-tick.C:
		}
	}
	for _, q := range []string{`ALTER SYSTEM SET synchronous_standby_names = '"` + name + `"'`, `SELECT pg_reload_conf()`} {
		fmt.Printf("   > %s\n", q)
		if _, err := conn.Exec(ctx, q); err != nil {
			return err
		}
	}
	return nil
}

// destroyProduction does what the incident did, and worse.
func (s *stage) destroyProduction() error {
	data := filepath.Join(s.dir, "production")
	fmt.Printf("   $ kill -9 %d; rm -rf %s\n", s.production.Process.Pid, data)
	if err := syscall.Kill(-s.production.Process.Pid, syscall.SIGKILL); err != nil {
		return err
	}
	_ = s.production.Wait() // it was killed: the error says so
	end(s.load, syscall.SIGTERM)
	return os.RemoveAll(data)
}

func (s *stage) stopServer() { end(s.server, syscall.SIGTERM) }

// startRestored starts the restored directory. It must not wait for the
// standby that it was told to wait for: nothing streams from it yet.
func (s *stage) startRestored(ctx context.Context, data string) (err error) {
	if s.restored, err = s.postgres(data); err != nil {
		return err
	}
	return s.answers(ctx)
}

func (s *stage) compare(ctx context.Context, last commit, took time.Duration) error {
	conn, err := pgx.Connect(ctx, s.dsn("shop"))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	var rows, newest int64
	if err := conn.QueryRow(ctx, `SELECT count(*), coalesce(max(seq), 0) FROM orders`).Scan(&rows, &newest); err != nil {
		return err
	}
	// A commit whose answer never came may or may not be there.
	lost := last.Seq - min(rows, newest, last.Seq)
	fmt.Printf("   acknowledged before the end: %d\n   found after the restore:     %d\n   lost:                        %d\n   from destruction to service: %s\n",
		last.Seq, rows, lost, took.Round(10*time.Millisecond))
	if lost != 0 || rows != newest {
		return fmt.Errorf("%d acknowledged commits are missing, or the order has holes (%d rows, newest %d)", lost, rows, newest)
	}
	fmt.Println("\nNothing was lost.")
	return nil
}
