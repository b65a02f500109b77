package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// peers are the tools under measurement, each with a repository of its own.
type peers struct {
	refloat    string
	pgbackrest string // empty when not installed
	beta       bool
	configs    map[string]string
}

// newPeers writes the configuration of each tool. The cluster belongs to the
// server's user, and so does everything that is measured.
func newPeers(ctx context.Context, c *cluster, refloat string) (*peers, error) {
	p := &peers{refloat: filepath.Join(c.dir, "refloat"), configs: map[string]string{}}
	p.pgbackrest, _ = exec.LookPath("pgbackrest")
	b, err := os.ReadFile(refloat)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(p.refloat, b, 0o755); err != nil { // where the server's user can reach it
		return nil, err
	}
	pass := filepath.Join(c.dir, "passphrase")
	if err := os.WriteFile(pass, []byte("a passphrase for a benchmark\n"), 0o600); err != nil {
		return nil, err
	}
	if err := c.own(pass); err != nil {
		return nil, err
	}
	for _, read := range []string{"protocol", "files"} {
		if err := p.configureRefloat(ctx, c, read, pass); err != nil {
			return nil, err
		}
	}
	if p.pgbackrest == "" {
		fmt.Println("pgBackRest is not installed: its rows are left out")
		return p, nil
	}
	for _, kind := range []string{"bundle", "block"} {
		if err := p.configurePgBackRest(ctx, c, kind); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// backRest are the arguments of a pgBackRest call: kind is bundle, or block
// for its block incremental, which older versions call beta.
func (p *peers) backRest(kind string, args ...string) []string {
	all := []string{"--config=" + p.configs[kind], "--stanza=bench"}
	if kind == "block" && p.beta {
		all = append(all, "--beta")
	}
	return append(all, args...)
}

func (p *peers) configureRefloat(ctx context.Context, c *cluster, read, pass string) error {
	path := filepath.Join(c.dir, "refloat-"+read+".yaml")
	text := fmt.Sprintf(`version: 1
state_dir: %[1]s/state-%[2]s
repository:
  url: file://%[1]s/repository-%[2]s
  passphrase_file: %[3]s
targets:
  bench:
    dsn: %[4]s
    backup: {read: %[2]s}
    log: {enabled: true, slot: refloat_%[2]s}
    heartbeat: {enabled: false}
`, c.dir, read, pass, c.dsn("postgres"))
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		return err
	}
	p.configs[read] = path
	return p.emptyRefloat(ctx, c, read)
}

// emptyRefloat makes our repository anew.
func (p *peers) emptyRefloat(ctx context.Context, c *cluster, read string) error {
	for _, dir := range []string{"repository-", "state-"} {
		if err := os.RemoveAll(filepath.Join(c.dir, dir+read)); err != nil {
			return err
		}
	}
	return c.run(ctx, p.refloat, "--config", p.configs[read], "repo", "init")
}

func (p *peers) configurePgBackRest(ctx context.Context, c *cluster, kind string) error {
	path := filepath.Join(c.dir, "pgbackrest-"+kind+".conf")
	block := "n"
	if kind == "block" {
		block = "y"
	}
	text := fmt.Sprintf(`[global]
repo1-path=%[1]s/pgbackrest-%[4]s
repo1-bundle=y
repo1-cipher-type=aes-256-cbc
repo1-cipher-pass=a passphrase for a benchmark
repo1-retention-full=9
compress-type=zst
compress-level=3
process-max=2
log-level-console=warn
log-level-file=off
lock-path=%[1]s/lock
spool-path=%[1]s/spool
start-fast=y
archive-check=n
archive-copy=n
%[5]s
[bench]
pg1-path=%[2]s
pg1-port=%[3]s
pg1-socket-path=%[1]s
pg1-user=postgres
`, c.dir, c.data, strconv.Itoa(c.port), kind, map[string]string{"y": "repo1-block=y\n", "n": ""}[block])
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		return err
	}
	p.configs[kind] = path
	p.beta = kind == "block"
	err := c.run(ctx, p.pgbackrest, p.backRest(kind, "stanza-create")...)
	if err != nil && p.beta { // newer versions do not know the option
		p.beta = false
		err = c.run(ctx, p.pgbackrest, p.backRest(kind, "stanza-create")...)
	}
	if err != nil {
		return fmt.Errorf("pgBackRest: %w", err)
	}
	return nil
}
