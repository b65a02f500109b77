// Command demo shows the main job on a real PostgreSQL cluster: a busy server
// is taken into care, backed up with its continuous log, drilled, destroyed
// and restored to its last second. It prints every command that it runs, so
// that each step can be repeated by hand, and it exits non-zero when a single
// acknowledged commit is missing.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

func main() {
	refloat := flag.String("refloat", "bin/refloat", "the built program")
	keep := flag.Bool("keep", false, "keep the working directory")
	load := flag.Duration("load", 15*time.Second, "how long the cluster is busy before it is destroyed")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *refloat, *keep, *load); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, refloat string, keep bool, load time.Duration) (err error) {
	bin, err := filepath.Abs(refloat)
	if err != nil {
		return err
	}
	s, err := newStage(bin, keep)
	if err != nil {
		return err
	}
	defer s.close()
	say("1. A busy PostgreSQL server")
	if err := s.startProduction(ctx); err != nil {
		return err
	}
	w, err := startWitness(ctx, s.dsn("shop"))
	if err != nil {
		return err
	}
	defer w.stop()

	say("2. Take it into care: configuration, a role with little, an encrypted repository")
	if err := s.protect(ctx); err != nil {
		return err
	}
	say("3. Back it up, and stream its log without pause")
	if err := s.startServer(ctx); err != nil {
		return err
	}
	if err := s.refloatRun(ctx, "backup", "shop"); err != nil {
		return err
	}
	if err := s.beSynchronous(ctx); err != nil {
		return err
	}
	say("4. Drill: restore for real, check, measure, sign")
	if err := s.refloatRun(ctx, "drill", "shop"); err != nil {
		return err
	}
	fmt.Printf("\n   … busy for %s more: %d commits acknowledged so far\n", load, w.acknowledged())
	select {
	case <-time.After(load):
	case <-ctx.Done():
		return ctx.Err()
	}

	say("5. Destroy it: kill -9, then remove the data directory")
	destroyed := time.Now()
	if err := s.destroyProduction(); err != nil {
		return err
	}
	last := w.stop()
	fmt.Printf("   %d commits had been acknowledged, the last at %s\n", last.Seq, last.At.Format("15:04:05.000"))
	s.stopServer()
	_ = s.refloatRun(ctx, "coverage", "shop") // to look at; what counts is checked below

	say("6. Restore to the last second")
	restored := filepath.Join(s.dir, "restored")
	if err := s.refloatRun(ctx, "restore", "shop", "--into", restored, "--to", "latest"); err != nil {
		return err
	}
	if err := s.startRestored(ctx, restored); err != nil {
		return err
	}
	took := time.Since(destroyed)

	say("7. What was lost")
	return s.compare(ctx, last, took)
}

func say(title string) { fmt.Printf("\n== %s\n", title) }
