package pgstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/refloat-db/refloat/internal/status"
)

// within bounds an operation whose caller set no limit: a server that hangs must
// not hold up what has to go on from memory.
const within = 5 * time.Second

// ErrFenced means that this node no longer leads: another has taken over, and
// nothing that the first writes as a leader is taken any more.
var ErrFenced = errors.New("another node has taken the lead")

// codeFenced is what refloat.must_lead raises.
const codeFenced = "RF001"

const mustLead = `SELECT refloat.must_lead($1)`

// Fenced is the store as a leader writes to it: each write is taken only while
// fence is the current one, which is looked at in the same transaction. It shares
// the sessions of s; closing it closes nothing. When over is closed nothing more is
// tried: a leader that was replaced ends its work without waiting for a database
// that it may not even reach.
func (s *Store) Fenced(fence int64, over <-chan struct{}) *Store {
	out := *s
	out.fence, out.over = fence, over
	return &out
}

// ended reports that this store was a leader's whose time is over.
func (s *Store) ended() error {
	select {
	case <-s.over:
		return ErrFenced
	default: // also where there is no such end
		return nil
	}
}

// Renewed gives up sessions that are not in use: after a time in which the
// database was out of reach none of them may work, and each would be waited for.
func (s *Store) Renewed() { s.pool.Reset() }

func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, has := ctx.Deadline(); has {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, within)
}

// tx runs f in a transaction. A session that broke before the commit was asked
// for is replaced once: nothing of it was kept. So f may run twice.
func (s *Store) tx(ctx context.Context, f func(context.Context, pgx.Tx) error) error {
	if s.o.ReadOnly {
		return errReadOnly
	}
	if err := s.ended(); err != nil {
		return err
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	asked, err := s.once(ctx, f)
	if err != nil && !asked && broken(err) && ctx.Err() == nil {
		_, err = s.once(ctx, f)
	}
	return told(err)
}

// once reports whether the commit was asked for.
func (s *Store) once(ctx context.Context, f func(context.Context, pgx.Tx) error) (asked bool, err error) {
	tx, err := s.pool.Begin(ctx)
	if err != nil {
		return false, err
	}
	if s.fence != 0 {
		if _, err := tx.Exec(ctx, mustLead, s.fence); err != nil {
			_ = tx.Rollback(ctx) // the first error is the one that matters
			return false, err
		}
	}
	if err := f(ctx, tx); err != nil {
		_ = tx.Rollback(ctx) // the first error is the one that matters
		return false, err
	}
	return true, tx.Commit(ctx)
}

// broken reports that a session failed rather than a statement in it, or that
// the server gave one of two transactions up for the other.
func broken(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return strings.HasPrefix(pg.Code, "57P") || strings.HasPrefix(pg.Code, "08") || pg.Code == "25P03" || pg.Code == "40001" || pg.Code == "40P01"
	}
	return !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) && isConnection(err)
}

func isConnection(err error) bool {
	var connect *pgconn.ConnectError
	return errors.As(err, &connect) || pgconn.SafeToRetry(err) || strings.Contains(err.Error(), "unexpected EOF") ||
		strings.Contains(err.Error(), "conn closed") || strings.Contains(err.Error(), "connection reset") || strings.Contains(err.Error(), "broken pipe")
}

// told names the error that callers tell apart.
func told(err error) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == codeFenced {
		return fmt.Errorf("%w: %w", ErrFenced, err)
	}
	return err
}

// exec runs one statement in one round trip, with the look at the lead before it
// in the same transaction. Doing it twice must do no harm.
func (s *Store) exec(ctx context.Context, what, query string, args ...any) (int64, error) {
	if s.o.ReadOnly {
		return 0, fmt.Errorf("%s: %w", what, errReadOnly)
	}
	if err := s.ended(); err != nil {
		return 0, fmt.Errorf("%s: %w", what, err)
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	n, err := s.batch(ctx, query, args)
	if err != nil && broken(err) && ctx.Err() == nil {
		n, err = s.batch(ctx, query, args)
	}
	if err != nil {
		return 0, fmt.Errorf("%s: %w", what, told(err))
	}
	return n, nil
}

func (s *Store) batch(ctx context.Context, query string, args []any) (int64, error) {
	if s.fence == 0 {
		tag, err := s.pool.Exec(ctx, query, args...)
		return tag.RowsAffected(), err
	}
	b := &pgx.Batch{}
	b.Queue(mustLead, s.fence)
	b.Queue(query, args...)
	results := s.pool.SendBatch(ctx, b)
	_, err := results.Exec()
	var tag pgconn.CommandTag
	if err == nil {
		tag, err = results.Exec()
	}
	if cerr := results.Close(); err == nil {
		err = cerr
	}
	return tag.RowsAffected(), err
}

// one runs a query for one row; status.ErrNothing when there is none.
func (s *Store) one(ctx context.Context, what string, dest []any, query string, args ...any) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	err := s.pool.QueryRow(ctx, query, args...).Scan(dest...)
	if err != nil && broken(err) && ctx.Err() == nil {
		err = s.pool.QueryRow(ctx, query, args...).Scan(dest...)
	}
	if errors.Is(err, pgx.ErrNoRows) {
		err = status.ErrNothing
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// list runs a query and reads each row.
func list[T any](ctx context.Context, s *Store, read func(pgx.CollectableRow) (T, error), query string, args ...any) ([]T, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	all := func() ([]T, error) {
		rows, err := s.pool.Query(ctx, query, args...)
		if err != nil {
			return nil, err
		}
		return pgx.CollectRows(rows, read)
	}
	out, err := all()
	if err != nil && broken(err) && ctx.Err() == nil {
		out, err = all()
	}
	if err != nil {
		return nil, err
	}
	if len(out) == 0 {
		return nil, nil
	}
	return out, nil
}

// text is a string as PostgreSQL takes it: whole UTF-8 without a zero byte. What
// a server or a program said may be neither.
func text(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}
