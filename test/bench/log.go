package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// streamer is a process that keeps the log: a peer's or ours.
type streamer struct {
	name string
	cmd  *exec.Cmd
}

func (c *cluster) stream(name, program string, args ...string) (*streamer, error) {
	cmd := exec.Command(program, args...)
	cmd.Dir = c.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.cred, Setpgid: true, Pdeathsig: syscall.SIGKILL}
	log, err := os.Create(filepath.Join(c.dir, strings.ReplaceAll(name, " ", "-")+".log"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	cmd.Stdout, cmd.Stderr = log, log
	return &streamer{name: name, cmd: cmd}, cmd.Start()
}

// stop ends it and reports what it used.
func (s *streamer) stop() sample {
	_ = s.cmd.Process.Signal(syscall.SIGINT)
	_ = s.cmd.Wait()
	u := s.cmd.ProcessState.SysUsage().(*syscall.Rusage)
	return sample{cpu: s.cmd.ProcessState.UserTime() + s.cmd.ProcessState.SystemTime(), rss: u.Maxrss << 10}
}

func (c *cluster) await(ctx context.Context, what, sql string) error {
	deadline := time.Now().Add(3 * time.Minute)
	for {
		v, err := c.query(ctx, sql)
		if err != nil {
			return err
		}
		if v == "t" {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("waited 3 minutes for %s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// startStreamers gives each tool a slot and starts it.
func (p *peers) startPeer(c *cluster, synchronous bool) (*streamer, error) {
	dir := filepath.Join(c.dir, "received")
	if err := errors.Join(os.MkdirAll(dir, 0o700), c.own(dir)); err != nil {
		return nil, err
	}
	args := []string{"-d", fmt.Sprintf("host=127.0.0.1 port=%d user=postgres application_name=peer", c.port), "-D", dir, "--slot=peer", "--no-loop", "--status-interval=1"}
	if synchronous {
		args = append(args, "--synchronous")
	}
	return c.stream("pg_receivewal", c.bin+"/pg_receivewal", args...)
}

func (p *peers) startOurs(c *cluster) (*streamer, error) {
	return c.stream("refloat log stream", p.refloat, "--config", p.configs["protocol"], "log", "stream", "bench")
}

// logRows measures how fast a backlog of log is kept: received, synced, and
// for Refloat also compressed, encrypted and stored.
func logRows(ctx context.Context, c *cluster, p *peers, r *results) error {
	const job = "log kept, MiB/s"
	tools := []struct {
		name, slot string
		start      func() (*streamer, error)
	}{
		{"pg_receivewal", "peer", func() (*streamer, error) { return p.startPeer(c, false) }},
		{"refloat log stream", "refloat_protocol", func() (*streamer, error) { return p.startOurs(c) }},
	}
	for _, tool := range tools {
		if _, err := c.query(ctx, "SELECT pg_create_physical_replication_slot('"+tool.slot+"', true) WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = '"+tool.slot+"')"); err != nil {
			return err
		}
	}
	from, err := c.query(ctx, "SELECT pg_switch_wal()")
	if err != nil {
		return err
	}
	// A backlog of a gigabyte, whatever the machine does meanwhile; after each
	// checkpoint the log has whole pages again.
	for range 40 {
		if _, err := c.query(ctx, "CHECKPOINT"); err != nil {
			return err
		}
		if err := c.pgbench(ctx, "-n", "-c", "4", "-j", "2", "-T", "5"); err != nil {
			return err
		}
		enough, err := c.query(ctx, fmt.Sprintf("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '%s') >= 1073741824", from))
		if err != nil {
			return err
		}
		if enough == "t" || enough == "true" {
			break
		}
	}
	to, err := c.query(ctx, "SELECT pg_switch_wal()")
	if err != nil {
		return err
	}
	mib, err := c.query(ctx, fmt.Sprintf("SELECT pg_wal_lsn_diff('%s', '%s') / 1048576", to, from))
	if err != nil {
		return err
	}
	amount, err := strconv.ParseFloat(mib, 64)
	if err != nil {
		return err
	}
	for _, tool := range tools {
		began := time.Now()
		s, err := tool.start()
		if err != nil {
			return err
		}
		err = c.await(ctx, tool.name, fmt.Sprintf("SELECT restart_lsn >= '%s' FROM pg_replication_slots WHERE slot_name = '%s'", to, tool.slot))
		wall := time.Since(began)
		used := s.stop()
		if err != nil {
			return err
		}
		used.wall, used.rate = wall, amount/wall.Seconds()
		r.add(job, tool.name, used)
	}
	return nil
}

// commitRows measures what a synchronous commit costs: transactions a second.
func commitRows(ctx context.Context, c *cluster, p *peers, r *results) error {
	config, err := os.ReadFile(p.configs["protocol"])
	if err != nil {
		return err
	}
	text := strings.Replace(string(config), "slot: refloat_protocol", "slot: refloat_protocol, synchronous: true", 1)
	path := filepath.Join(c.dir, "refloat-synchronous.yaml")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		return err
	}
	for _, clients := range []string{"1", "4"} {
		job := "synchronous commits/s, " + clients + " clients"
		for _, tool := range []struct {
			name, application string
			start             func() (*streamer, error)
		}{
			{"pg_receivewal --synchronous", "peer", func() (*streamer, error) { return p.startPeer(c, true) }},
			{"refloat", "refloat_protocol", func() (*streamer, error) {
				return c.stream("refloat synchronous", p.refloat, "--config", path, "log", "stream", "bench")
			}},
		} {
			if err := commitRow(ctx, c, r, job, clients, tool.name, tool.application, tool.start); err != nil {
				return err
			}
		}
	}
	return nil
}

func commitRow(ctx context.Context, c *cluster, r *results, job, clients, name, application string, start func() (*streamer, error)) (err error) {
	if _, err := c.query(ctx, "SELECT pg_create_physical_replication_slot('peer', true) WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = 'peer')"); err != nil {
		return err
	}
	s, err := start()
	if err != nil {
		return err
	}
	defer func() {
		_, reset := c.query(ctx, "ALTER SYSTEM RESET synchronous_standby_names")
		_, reload := c.query(ctx, "SELECT pg_reload_conf()")
		err = errors.Join(err, reset, reload)
		if s != nil {
			s.stop()
		}
	}()
	caughtUp := fmt.Sprintf("SELECT EXISTS (SELECT FROM pg_stat_replication WHERE application_name = '%s' AND state = 'streaming' AND flush_lsn >= pg_current_wal_flush_lsn() - 1048576::numeric)", application)
	if err := c.await(ctx, name, caughtUp); err != nil {
		return err
	}
	for _, q := range []string{"ALTER SYSTEM SET synchronous_standby_names = '\"" + application + "\"'", "SELECT pg_reload_conf()"} {
		if _, err := c.query(ctx, q); err != nil {
			return err
		}
	}
	if err := c.await(ctx, name+" to be synchronous", fmt.Sprintf("SELECT EXISTS (SELECT FROM pg_stat_replication WHERE application_name = '%s' AND sync_state = 'sync')", application)); err != nil {
		return err
	}
	count := "SELECT xact_commit FROM pg_stat_database WHERE datname = 'postgres'"
	before, err := c.query(ctx, count)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := c.pgbench(ctx, "-n", "-N", "-c", clients, "-j", clients, "-T", "10"); err != nil {
		return err
	}
	wall := time.Since(began)
	if _, err := c.query(ctx, "ALTER SYSTEM RESET synchronous_standby_names"); err != nil {
		return err
	}
	if _, err := c.query(ctx, "SELECT pg_reload_conf(), pg_sleep(1.2)"); err != nil { // sessions report their counts within a second
		return err
	}
	after, err := c.query(ctx, count)
	if err != nil {
		return err
	}
	used := s.stop()
	s = nil
	b, err1 := strconv.ParseFloat(before, 64)
	a, err2 := strconv.ParseFloat(after, 64)
	used.wall, used.rate = wall, (a-b)/wall.Seconds()
	r.add(job, name, used)
	return errors.Join(err1, err2)
}
