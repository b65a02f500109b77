package main

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// commit is one that the server acknowledged.
type commit struct {
	Seq int64
	At  time.Time
}

// witness writes numbered rows, one commit each, and remembers the last that
// the server acknowledged: what a client was promised.
type witness struct {
	cancel context.CancelFunc
	done   chan struct{}
	mu     sync.Mutex
	last   commit
}

func startWitness(ctx context.Context, dsn string) (*witness, error) {
	ctx, cancel := context.WithCancel(ctx)
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		cancel()
		return nil, err
	}
	if _, err := conn.Exec(ctx, `CREATE TABLE orders (seq bigint PRIMARY KEY, at timestamptz NOT NULL DEFAULT clock_timestamp())`); err != nil {
		cancel()
		return nil, err
	}
	w := &witness{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(w.done)
		defer func() { _ = conn.Close(context.Background()) }()
		for n := int64(1); ; n++ {
			if _, err := conn.Exec(ctx, `INSERT INTO orders (seq) VALUES ($1)`, n); err != nil {
				return // the server is gone, which is the point
			}
			w.mu.Lock()
			w.last = commit{Seq: n, At: time.Now()}
			w.mu.Unlock()
		}
	}()
	return w, nil
}

func (w *witness) acknowledged() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last.Seq
}

// stop ends the witness and returns the last acknowledged commit. It may be
// called more than once.
func (w *witness) stop() commit {
	w.cancel()
	<-w.done
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last
}
