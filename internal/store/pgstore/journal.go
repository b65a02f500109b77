package pgstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/refloat-db/refloat/internal/journal"
)

var _ journal.Log = (*Store)(nil)

const (
	// The end of the journal is read and moved by one at a time, whoever writes.
	lockJournal = `SELECT pg_advisory_xact_lock(hashtext('refloat.journal'))`
	headQuery   = `SELECT seq, hash, mac FROM refloat.journal_head`
	entryFields = `SELECT seq, time, actor, subject, kind, body, prev, hash FROM refloat.journal `
	channel     = "refloat_journal" // told of each commit that adds to the journal
)

// Append adds an event to the journal. Two entries are never given the same
// number, by several nodes neither: the end is read under a lock. An error may
// mean that the server was lost after it kept the entry.
func (s *Store) Append(ctx context.Context, e journal.Event) (journal.Entry, error) {
	var out []journal.Entry
	err := s.tx(ctx, func(ctx context.Context, tx pgx.Tx) (err error) {
		if _, err := tx.Exec(ctx, lockJournal); err != nil {
			return err
		}
		out, err = s.append(ctx, tx, e)
		return err
	})
	if err != nil {
		return journal.Entry{}, fmt.Errorf("append to the journal: %w", err)
	}
	s.changes.signal()
	return out[0], nil
}

// append chains events to the end. Call with the journal locked.
func (s *Store) append(ctx context.Context, tx pgx.Tx, all ...journal.Event) ([]journal.Entry, error) {
	key, err := s.key()
	if err != nil {
		return nil, fmt.Errorf("the journal's key: %w", err)
	}
	head, err := readHead(tx.QueryRow(ctx, headQuery))
	if err != nil {
		return nil, err
	}
	var out []journal.Entry
	b := &pgx.Batch{}
	for _, e := range all {
		// What is hashed is what is kept; a zero byte is refused by Chain.
		for _, p := range []*string{&e.Actor, &e.Subject, &e.Kind} {
			*p = strings.ToValidUTF8(*p, "\uFFFD")
		}
		kept, err := journal.Chain(head, e)
		if err != nil {
			return nil, err
		}
		b.Queue(`INSERT INTO refloat.journal (seq, time, actor, subject, kind, body, prev, hash) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
			kept.Seq, kept.Time.UnixMicro(), kept.Actor, kept.Subject, kept.Kind, string(kept.Body), kept.Prev, kept.Hash)
		head = journal.Head{Seq: kept.Seq, Hash: kept.Hash}
		out = append(out, kept)
	}
	if len(out) == 0 {
		return nil, nil
	}
	h := journal.Seal(key, head.Seq, head.Hash)
	b.Queue(`INSERT INTO refloat.journal_head (one, seq, hash, mac) VALUES (1, $1, $2, $3)
		ON CONFLICT (one) DO UPDATE SET seq = excluded.seq, hash = excluded.hash, mac = excluded.mac`, h.Seq, h.Hash, h.MAC)
	b.Queue(`SELECT pg_notify($1, '')`, channel)
	return out, tx.SendBatch(ctx, b).Close()
}

// AppendAfter adds events if nothing was added to their scope meanwhile. The
// look and the writing are one transaction.
func (s *Store) AppendAfter(ctx context.Context, scope string, last int64, all ...journal.Event) ([]journal.Entry, error) {
	var out []journal.Entry
	err := s.tx(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, lockJournal); err != nil {
			return err
		}
		where, args := bounds(scope)
		var now int64
		if err := tx.QueryRow(ctx, `SELECT coalesce(max(seq), 0) FROM refloat.journal WHERE `+where, args...).Scan(&now); err != nil {
			return err
		}
		if now != last {
			return fmt.Errorf("%w: the last of %s is %d, not %d", journal.ErrMoved, scope, now, last)
		}
		var err error
		out, err = s.append(ctx, tx, all...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("append to the journal: %w", err)
	}
	s.changes.signal()
	return out, nil
}

// bounds say in SQL that an entry belongs to a scope.
func bounds(scope string) (where string, args []any) {
	if before, is := strings.CutSuffix(scope, "/"); is {
		return `subject >= $1 AND subject < $2`, []any{text(scope), text(before) + "0"} // what follows a slash
	}
	return `subject = $1`, []any{text(scope)}
}

func readHead(row pgx.Row) (journal.Head, error) {
	var h journal.Head
	if err := row.Scan(&h.Seq, &h.Hash, &h.MAC); err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return h, err
	}
	return h, nil
}

// ReadScope returns the entries of a subject, or of all that begin with it.
func (s *Store) ReadScope(ctx context.Context, scope string, after int64) ([]journal.Entry, error) {
	where, args := bounds(scope)
	return s.entries(ctx, fmt.Sprintf(`%s AND seq > $%d ORDER BY seq`, where, len(args)+1), append(args, after)...)
}

// Read returns entries after a sequence number, in order.
func (s *Store) Read(ctx context.Context, after int64, limit int) ([]journal.Entry, error) {
	return s.entries(ctx, `seq > $1 ORDER BY seq LIMIT $2`, after, limit)
}

func (s *Store) entries(ctx context.Context, where string, args ...any) ([]journal.Entry, error) {
	out, err := list(ctx, s, scanEntry, entryFields+`WHERE `+where, args...)
	if err != nil {
		return nil, fmt.Errorf("read the journal: %w", err)
	}
	return out, nil
}

func scanEntry(row pgx.CollectableRow) (journal.Entry, error) {
	var e journal.Entry
	var at int64
	var body string
	if err := row.Scan(&e.Seq, &at, &e.Actor, &e.Subject, &e.Kind, &body, &e.Prev, &e.Hash); err != nil {
		return e, err
	}
	e.Time, e.Body = time.UnixMicro(at).UTC(), []byte(body)
	return e, nil
}

// Head returns the end of the journal, for noting elsewhere.
func (s *Store) Head(ctx context.Context) (journal.Head, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	h, err := readHead(s.pool.QueryRow(ctx, headQuery))
	if err != nil {
		return h, fmt.Errorf("read the journal's end: %w", err)
	}
	return h, nil
}

// Verify reads the whole journal in one snapshot and checks the chain.
func (s *Store) Verify(ctx context.Context, anchors ...journal.Head) (journal.Report, error) {
	r, err := s.verify(ctx, anchors)
	if err != nil {
		return journal.Report{}, fmt.Errorf("verify the journal: %w", err)
	}
	return r, nil
}

func (s *Store) verify(ctx context.Context, anchors []journal.Head) (journal.Report, error) {
	key, err := s.key()
	if err != nil {
		return journal.Report{}, fmt.Errorf("the journal's key: %w", err)
	}
	tx, err := s.pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return journal.Report{}, err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // nothing was written
	head, err := readHead(tx.QueryRow(ctx, headQuery))
	if err != nil {
		return journal.Report{}, err
	}
	rows, err := tx.Query(ctx, entryFields+`ORDER BY seq`)
	if err != nil {
		return journal.Report{}, err
	}
	defer rows.Close() // rows.Err tells
	c := journal.NewChecker(anchors...)
	for rows.Next() {
		e, err := scanEntry(rows)
		if err != nil {
			return journal.Report{}, err
		}
		c.Add(e)
	}
	if err := rows.Err(); err != nil {
		return journal.Report{}, err
	}
	// A journal in which nothing was ever written has no recorded end.
	return c.End(head, head == journal.Head{} || head.Sealed(key)), nil
}
