// Command bench measures Refloat beside pg_basebackup, pg_receivewal and,
// where it is installed, pgBackRest: the same cluster, the same machine, the
// same run, interleaved rounds. It prints a table in Markdown with ratios; it
// judges nothing, since absolute times move between machines.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

func main() {
	refloat := flag.String("refloat", "bin/refloat", "the built program")
	scales := flag.String("scales", "20,150", "pgbench scales, one cluster each (100 is about 1.5 GB)")
	rounds := flag.Int("rounds", 2, "interleaved rounds; the median is shown")
	only := flag.String("only", "", "rows to run: backup, log, commit (comma-separated; all when empty)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *refloat, *scales, *rounds, *only); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, refloat, scales string, rounds int, only string) error {
	bin, err := filepath.Abs(refloat)
	if err != nil {
		return err
	}
	wanted := func(part string) bool { return only == "" || strings.Contains(","+only+",", ","+part+",") }
	for _, text := range strings.Split(scales, ",") {
		scale, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("scale %q: %w", text, err)
		}
		if err := benchScale(ctx, bin, scale, rounds, wanted); err != nil {
			return err
		}
	}
	return nil
}

func benchScale(ctx context.Context, refloat string, scale, rounds int, wanted func(string) bool) (err error) {
	c, err := newCluster(ctx, scale)
	if err != nil {
		return err
	}
	defer c.close()
	r := &results{}
	peers, err := newPeers(ctx, c, refloat)
	if err != nil {
		return err
	}
	if wanted("backup") {
		for range rounds {
			if err := backupRows(ctx, c, peers, r); err != nil {
				return err
			}
		}
	}
	if wanted("log") {
		for range rounds {
			if err := logRows(ctx, c, peers, r); err != nil {
				return err
			}
		}
	}
	if wanted("commit") {
		for range rounds {
			if err := commitRows(ctx, c, peers, r); err != nil {
				return err
			}
		}
	}
	size, err := c.query(ctx, "SELECT pg_size_pretty(sum(pg_database_size(oid))) FROM pg_database")
	if err != nil {
		return err
	}
	version, err := c.query(ctx, "SHOW server_version")
	if err != nil {
		return err
	}
	fmt.Printf("\n### Scale %d (%s, PostgreSQL %s), median of %d\n\n%s", scale, size, version, rounds, r.table())
	return nil
}
