package schedule

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/riverqueue/river/rivertype"
)

// queue is where due work waits: River's tables and two of ours beside them.
// Queries have a ? for each argument.
type queue interface {
	reader
	migrate(ctx context.Context) error // River's tables
	exec(ctx context.Context, query string) error
	open(c *river.Config) error
	begin(ctx context.Context) (transaction, error)
	start(ctx context.Context) error
	stop(ctx context.Context) error
}

type reader interface {
	// find scans the first column of the first row; false when there is none.
	find(ctx context.Context, dest any, query string, args ...any) (bool, error)
}

// transaction queues work and records that it did, both or neither.
type transaction interface {
	reader
	exec(ctx context.Context, query string, args ...any) error
	insert(ctx context.Context, a args, o *river.InsertOpts) (*rivertype.JobInsertResult, error)
	commit(ctx context.Context) error
	rollback(ctx context.Context)
}

// fileQueue is a SQLite file of one server.
type fileQueue struct {
	db     *sql.DB
	client *river.Client[*sql.Tx]
}

func (q *fileQueue) migrate(ctx context.Context) error {
	m, err := rivermigrate.New(riversqlite.New(q.db), &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	_, err = m.Migrate(ctx, rivermigrate.DirectionUp, nil)
	return err
}

func (q *fileQueue) exec(ctx context.Context, query string) error {
	_, err := q.db.ExecContext(ctx, query)
	return err
}

func (q *fileQueue) open(c *river.Config) (err error) {
	q.client, err = river.NewClient(riversqlite.New(q.db), c)
	return err
}

func (q *fileQueue) find(ctx context.Context, dest any, query string, args ...any) (bool, error) {
	return found(q.db.QueryRowContext(ctx, query, args...).Scan(dest))
}

func found(err error) (bool, error) {
	if errors.Is(err, sql.ErrNoRows) || errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

func (q *fileQueue) start(ctx context.Context) error { return q.client.Start(ctx) }
func (q *fileQueue) stop(ctx context.Context) error  { return q.client.StopAndCancel(ctx) }

func (q *fileQueue) begin(ctx context.Context) (transaction, error) {
	tx, err := q.db.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	return &fileTransaction{tx: tx, client: q.client}, nil
}

type fileTransaction struct {
	tx     *sql.Tx
	client *river.Client[*sql.Tx]
}

func (t *fileTransaction) find(ctx context.Context, dest any, query string, args ...any) (bool, error) {
	return found(t.tx.QueryRowContext(ctx, query, args...).Scan(dest))
}

func (t *fileTransaction) exec(ctx context.Context, query string, args ...any) error {
	_, err := t.tx.ExecContext(ctx, query, args...)
	return err
}

func (t *fileTransaction) insert(ctx context.Context, a args, o *river.InsertOpts) (*rivertype.JobInsertResult, error) {
	return t.client.InsertTx(ctx, t.tx, a, o)
}

func (t *fileTransaction) commit(context.Context) error { return t.tx.Commit() }
func (t *fileTransaction) rollback(context.Context)     { _ = t.tx.Rollback() } // the first error is the one that matters

// sharedSchema is where the queue is in a database that nodes share.
const sharedSchema = "refloat"

// sharedQueue is in a PostgreSQL database that nodes share.
type sharedQueue struct {
	pool   *pgxpool.Pool
	client *river.Client[pgx.Tx]
}

func (q *sharedQueue) migrate(ctx context.Context) error {
	m, err := rivermigrate.New(riverpgxv5.New(q.pool), &rivermigrate.Config{Schema: sharedSchema, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	_, err = m.Migrate(ctx, rivermigrate.DirectionUp, nil)
	return err
}

func (q *sharedQueue) exec(ctx context.Context, query string) error {
	_, err := q.pool.Exec(ctx, query)
	return err
}

func (q *sharedQueue) open(c *river.Config) (err error) {
	c.Schema = sharedSchema
	q.client, err = river.NewClient(riverpgxv5.New(q.pool), c)
	return err
}

func (q *sharedQueue) find(ctx context.Context, dest any, query string, args ...any) (bool, error) {
	return found(q.pool.QueryRow(ctx, numbered(query), args...).Scan(dest))
}

func (q *sharedQueue) start(ctx context.Context) error { return q.client.Start(ctx) }
func (q *sharedQueue) stop(ctx context.Context) error  { return q.client.StopAndCancel(ctx) }

func (q *sharedQueue) begin(ctx context.Context) (transaction, error) {
	tx, err := q.pool.Begin(ctx)
	if err != nil {
		return nil, err
	}
	return &sharedTransaction{tx: tx, client: q.client}, nil
}

type sharedTransaction struct {
	tx     pgx.Tx
	client *river.Client[pgx.Tx]
}

func (t *sharedTransaction) find(ctx context.Context, dest any, query string, args ...any) (bool, error) {
	return found(t.tx.QueryRow(ctx, numbered(query), args...).Scan(dest))
}

func (t *sharedTransaction) exec(ctx context.Context, query string, args ...any) error {
	_, err := t.tx.Exec(ctx, numbered(query), args...)
	return err
}

func (t *sharedTransaction) insert(ctx context.Context, a args, o *river.InsertOpts) (*rivertype.JobInsertResult, error) {
	return t.client.InsertTx(ctx, t.tx, a, o)
}

func (t *sharedTransaction) commit(ctx context.Context) error { return t.tx.Commit(ctx) }

func (t *sharedTransaction) rollback(ctx context.Context) {
	_ = t.tx.Rollback(context.WithoutCancel(ctx)) // the first error is the one that matters
}

// numbered writes arguments as PostgreSQL does: $1 for the first ?.
func numbered(query string) string {
	var b strings.Builder
	n := 0
	for part := range strings.SplitSeq(query, "?") {
		if n > 0 {
			b.WriteString("$" + strconv.Itoa(n))
		}
		b.WriteString(part)
		n++
	}
	return b.String()
}
