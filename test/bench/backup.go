package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// backupRows measures full backup, second backup after about 2 % of the pages
// changed, restore, and restore over a directory that differs.
func backupRows(ctx context.Context, c *cluster, p *peers, r *results) error {
	for _, step := range []func(context.Context, *cluster, *peers, *results) error{fullRows, secondRows, restoreRows} {
		if err := step(ctx, c, p, r); err != nil {
			return err
		}
	}
	return nil
}

// stored measures a job and how much it added below dir.
func (c *cluster) stored(ctx context.Context, dir, program string, args ...string) (sample, error) {
	if err := c.settle(ctx); err != nil {
		return sample{}, err
	}
	before := dirSize(dir)
	s, err := c.measure(ctx, program, args...)
	s.size = dirSize(dir) - before
	return s, err
}

func fullRows(ctx context.Context, c *cluster, p *peers, r *results) error {
	const job = "full backup"
	if p.pgbackrest != "" {
		for _, kind := range []string{"bundle", "block"} {
			s, err := c.stored(ctx, c.dir+"/pgbackrest-"+kind, p.pgbackrest, p.backRest(kind, "--type=full", "backup")...)
			if err != nil {
				return err
			}
			r.add(job, "pgBackRest zst3 AES 2 processes, "+kind, s)
		}
	}
	plain := filepath.Join(c.dir, "basebackup")
	s, err := c.stored(ctx, plain, c.bin+"/pg_basebackup", "-h", "127.0.0.1", "-p", fmt.Sprint(c.port), "-U", "postgres", "-D", plain, "-Ft", "-c", "fast", "--compress=client-zstd:3")
	if err != nil {
		return err
	}
	r.add(job, "pg_basebackup zstd:3", s)
	if err := os.RemoveAll(plain); err != nil {
		return err
	}
	for _, read := range []string{"protocol", "files"} {
		// Into an empty repository in every round: chunks that are there already
		// would not be stored again.
		if err := p.emptyRefloat(ctx, c, read); err != nil {
			return err
		}
		s, err := c.stored(ctx, c.dir+"/repository-"+read, p.refloat, "--config", p.configs[read], "backup", "bench", "--full")
		if err != nil {
			return err
		}
		r.add(job, "refloat "+read, s)
	}
	return nil
}

// change updates about one page in fifty, scattered.
func change(ctx context.Context, c *cluster) error {
	_, err := c.query(ctx, `UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid % 3050 = (SELECT (random() * 3049)::int)`)
	return err
}

func secondRows(ctx context.Context, c *cluster, p *peers, r *results) error {
	const job = "second backup, 2 % changed"
	if err := change(ctx, c); err != nil {
		return err
	}
	if p.pgbackrest != "" {
		for _, kind := range []string{"block", "bundle"} {
			s, err := c.stored(ctx, c.dir+"/pgbackrest-"+kind, p.pgbackrest, p.backRest(kind, "--type=incr", "backup")...)
			if err != nil {
				return err
			}
			r.add(job, "pgBackRest incremental, "+kind, s)
		}
	}
	for _, read := range []string{"protocol", "files"} {
		s, err := c.stored(ctx, c.dir+"/repository-"+read, p.refloat, "--config", p.configs[read], "backup", "bench")
		if err != nil {
			return err
		}
		r.add(job, "refloat "+read, s)
	}
	return nil
}

func restoreRows(ctx context.Context, c *cluster, p *peers, r *results) error {
	var theirs, ours []string
	their, our := filepath.Join(c.dir, "restored-theirs"), filepath.Join(c.dir, "restored-ours")
	theirs = p.backRest("bundle", "--pg1-path="+their, "--type=none", "restore")
	ours = []string{"--config", p.configs["protocol"], "restore", "bench", "--into", our, "--to", "backup"}
	defer func() { _, _ = os.RemoveAll(their), os.RemoveAll(our) }()
	for _, job := range []string{"restore", "delta restore"} {
		if p.pgbackrest != "" {
			if job == "restore" {
				if err := os.MkdirAll(their, 0o700); err != nil {
					return err
				}
				if err := c.own(their); err != nil {
					return err
				}
			} else {
				theirs = append([]string{"--delta"}, theirs...)
			}
			s, err := c.stored(ctx, their, p.pgbackrest, theirs...)
			if err != nil {
				return err
			}
			s.size = 0
			r.add(job, "pgBackRest 2 processes", s)
		}
		if job == "delta restore" {
			ours = append(ours, "--delta")
		}
		s, err := c.stored(ctx, our, p.refloat, ours...)
		if err != nil {
			return err
		}
		s.size = 0
		r.add(job, "refloat", s)
		if err := diverge(their, our); err != nil {
			return err
		}
	}
	return nil
}

// diverge alters a page in every hundred of each large file, the same in both.
func diverge(dirs ...string) error {
	for _, dir := range dirs {
		files, err := filepath.Glob(filepath.Join(dir, "base/*/*"))
		if err != nil {
			return err
		}
		for _, f := range files {
			i, err := os.Stat(f)
			if err != nil || i.Size() < 1<<20 {
				continue
			}
			h, err := os.OpenFile(f, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			for off := int64(0); off < i.Size(); off += 100 * 8192 {
				if _, err := h.WriteAt([]byte("diverged"), off+4000); err != nil {
					return err
				}
			}
			if err := h.Close(); err != nil {
				return err
			}
		}
	}
	return nil
}
