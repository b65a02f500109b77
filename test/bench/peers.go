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
	return p, p.configurePgBackRest(ctx, c)
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
	return c.run(ctx, p.refloat, "--config", path, "repo", "init")
}

func (p *peers) configurePgBackRest(ctx context.Context, c *cluster) error {
	path := filepath.Join(c.dir, "pgbackrest.conf")
	text := fmt.Sprintf(`[global]
repo1-path=%[1]s/pgbackrest
repo1-bundle=y
repo1-block=y
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
[bench]
pg1-path=%[2]s
pg1-host-user=postgres
pg1-port=%[3]s
pg1-socket-path=%[1]s
pg1-user=postgres
`, c.dir, c.data, strconv.Itoa(c.port))
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		return err
	}
	p.configs["pgbackrest"] = path
	if err := c.run(ctx, p.pgbackrest, "--config="+path, "--stanza=bench", "--no-online", "stanza-create"); err != nil {
		// Some versions have no block incremental; bundles alone are their best.
		return fmt.Errorf("pgBackRest: %w", err)
	}
	return nil
}
