package postgres

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/target"
	"github.com/refloat-db/refloat/internal/target/targettest"
)

// discardLog takes all and says that all is kept.
type discardLog struct {
	end   target.LSN
	first func()
	wake  chan struct{}
}

func (d *discardLog) Write(lsn target.LSN, data []byte, _ target.LSN, _ time.Time) error {
	d.end = lsn + target.LSN(len(data))
	return nil
}

func (d *discardLog) Idle(target.LSN, time.Time) error {
	if d.first != nil {
		d.first()
		d.first = nil
	}
	return nil
}

func (d *discardLog) Progress() (target.LSN, target.LSN) { return d.end, d.end }
func (d *discardLog) Wake() <-chan struct{}              { return d.wake }

// A server that is stopped keeps its connection open; TCP alone would wait for
// it without end.
func TestStalledServerEndsStream(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector finds nothing in it that it does not elsewhere")
	}
	t.Parallel()
	srv := targettest.Start(t, targettest.Options{SegmentMiB: 1})
	c, err := New(Options{DSN: srv.DSN("postgres"), StallTimeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	id, err := c.Identify(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	pid := 0
	h := &discardLog{wake: make(chan struct{})}
	h.first = func() {
		if _, err := fmt.Sscan(srv.Query(t, "SELECT pid FROM pg_stat_replication"), &pid); err != nil {
			t.Error(err)
			return
		}
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			t.Error(err)
		}
	}
	done := make(chan error, 1)
	go func() {
		_, err := c.StreamLog(t.Context(), target.LogRequest{From: target.Position{Timeline: id.Timeline, LSN: id.Flushed &^ (1<<20 - 1)}}, h)
		done <- err
	}()
	select {
	case err = <-done:
	case <-time.After(30 * time.Second):
	}
	if pid != 0 {
		_ = syscall.Kill(pid, syscall.SIGCONT)
	}
	if !errors.Is(err, target.ErrStalled) {
		t.Fatalf("a stream from a stopped server ended with %v", err)
	}
}
