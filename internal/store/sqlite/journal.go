package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/journal"
)

var _ journal.Log = (*Store)(nil)

var errReadOnly = errors.New("the state is open for reading only")

// tx runs f in a transaction that holds the write lock from its start.
func (s *Store) tx(ctx context.Context, f func(*sql.Tx) error) error {
	if s.write == nil {
		return errReadOnly
	}
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := f(tx); err != nil {
		_ = tx.Rollback() // the first error is the one that matters
		return err
	}
	return tx.Commit()
}

// Append adds an event to the journal. Two entries are never given the same
// number, by several processes neither: the end is read under the write lock.
func (s *Store) Append(ctx context.Context, e journal.Event) (journal.Entry, error) {
	var out journal.Entry
	err := s.tx(ctx, func(tx *sql.Tx) (err error) {
		out, err = s.append(ctx, tx, e)
		return err
	})
	if err != nil {
		return journal.Entry{}, fmt.Errorf("append to the journal: %w", err)
	}
	s.changes.signal()
	return out, nil
}

func (s *Store) append(ctx context.Context, tx *sql.Tx, e journal.Event) (journal.Entry, error) {
	head, err := readHead(tx.QueryRowContext(ctx, headQuery))
	if err != nil {
		return journal.Entry{}, err
	}
	out, err := journal.Chain(head, e)
	if err != nil {
		return out, err
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO journal (seq, time, actor, subject, kind, body, prev, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		out.Seq, out.Time.UnixMicro(), out.Actor, out.Subject, out.Kind, string(out.Body), out.Prev, out.Hash); err != nil {
		return out, err
	}
	h := journal.Seal(s.key, out.Seq, out.Hash)
	_, err = tx.ExecContext(ctx, `INSERT INTO journal_head (one, seq, hash, mac) VALUES (1, ?, ?, ?)
		ON CONFLICT (one) DO UPDATE SET seq = excluded.seq, hash = excluded.hash, mac = excluded.mac`, h.Seq, h.Hash, h.MAC)
	return out, err
}

// AppendAfter adds events if nothing was added to their scope meanwhile. The
// look and the writing are one transaction.
func (s *Store) AppendAfter(ctx context.Context, scope string, last int64, all ...journal.Event) ([]journal.Entry, error) {
	var out []journal.Entry
	err := s.tx(ctx, func(tx *sql.Tx) error {
		var now sql.NullInt64
		from, to := bounds(scope)
		if err := tx.QueryRowContext(ctx, `SELECT max(seq) FROM journal WHERE subject >= ? AND subject < ?`, from, to).Scan(&now); err != nil {
			return err
		}
		if now.Int64 != last {
			return fmt.Errorf("%w: the last of %s is %d, not %d", journal.ErrMoved, scope, now.Int64, last)
		}
		for _, e := range all {
			kept, err := s.append(ctx, tx, e)
			if err != nil {
				return err
			}
			out = append(out, kept)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("append to the journal: %w", err)
	}
	s.changes.signal()
	return out, nil
}

// ReadScope returns the entries of a subject, or of all that begin with it.
func (s *Store) ReadScope(ctx context.Context, scope string, after int64) ([]journal.Entry, error) {
	from, to := bounds(scope)
	return s.entries(ctx, `SELECT seq, time, actor, subject, kind, body, prev, hash FROM journal WHERE subject >= ? AND subject < ? AND seq > ? ORDER BY seq`, from, to, after)
}

// bounds are the first subject of a scope and the first after it.
func bounds(scope string) (from, to string) {
	if before, is := strings.CutSuffix(scope, "/"); is {
		return scope, before + "0" // what follows a slash
	}
	return scope, scope + "\x00"
}

const headQuery = `SELECT seq, hash, mac FROM journal_head`

func readHead(row *sql.Row) (journal.Head, error) {
	var h journal.Head
	if err := row.Scan(&h.Seq, &h.Hash, &h.MAC); err != nil && !errors.Is(err, sql.ErrNoRows) {
		return h, err
	}
	return h, nil
}

// Read returns entries after a sequence number, in order.
func (s *Store) Read(ctx context.Context, after int64, limit int) ([]journal.Entry, error) {
	return s.entries(ctx, `SELECT seq, time, actor, subject, kind, body, prev, hash FROM journal WHERE seq > ? ORDER BY seq LIMIT ?`, after, limit)
}

func (s *Store) entries(ctx context.Context, query string, args ...any) ([]journal.Entry, error) {
	var out []journal.Entry
	rows, err := s.read.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read the journal: %w", err)
	}
	defer func() { _ = rows.Close() }() // rows.Err tells
	for rows.Next() {
		e, err := scanEntry(rows)
		if err != nil {
			return nil, fmt.Errorf("read the journal: %w", err)
		}
		out = append(out, e)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the journal: %w", err)
	}
	return out, nil
}

func scanEntry(rows *sql.Rows) (journal.Entry, error) {
	var e journal.Entry
	var at int64
	var body string
	if err := rows.Scan(&e.Seq, &at, &e.Actor, &e.Subject, &e.Kind, &body, &e.Prev, &e.Hash); err != nil {
		return e, err
	}
	e.Time, e.Body = time.UnixMicro(at).UTC(), []byte(body)
	return e, nil
}

// Head returns the end of the journal, for noting elsewhere.
func (s *Store) Head(ctx context.Context) (journal.Head, error) {
	h, err := readHead(s.read.QueryRowContext(ctx, headQuery))
	if err != nil {
		return h, fmt.Errorf("read the journal's end: %w", err)
	}
	return h, nil
}

// Verify reads the whole journal in one snapshot and checks the chain.
func (s *Store) Verify(ctx context.Context, anchors ...journal.Head) (journal.Report, error) {
	tx, err := s.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return journal.Report{}, fmt.Errorf("verify the journal: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // nothing was written
	head, err := readHead(tx.QueryRowContext(ctx, headQuery))
	if err != nil {
		return journal.Report{}, fmt.Errorf("verify the journal: %w", err)
	}
	rows, err := tx.QueryContext(ctx, `SELECT seq, time, actor, subject, kind, body, prev, hash FROM journal ORDER BY seq`)
	if err != nil {
		return journal.Report{}, fmt.Errorf("verify the journal: %w", err)
	}
	defer func() { _ = rows.Close() }() // rows.Err tells
	c := journal.NewChecker(anchors...)
	for rows.Next() {
		e, err := scanEntry(rows)
		if err != nil {
			return journal.Report{}, fmt.Errorf("verify the journal: %w", err)
		}
		c.Add(e)
	}
	if err := rows.Err(); err != nil {
		return journal.Report{}, fmt.Errorf("verify the journal: %w", err)
	}
	// A journal in which nothing was ever written has no recorded end.
	return c.End(head, head == journal.Head{} || head.Sealed(s.key)), nil
}
