package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/refloat-db/refloat/internal/alert"
)

// Save writes records, all or none; one of the same kind and ID is replaced.
func (s *Store) Save(ctx context.Context, all ...alert.Record) error {
	if len(all) == 0 {
		return nil
	}
	err := s.tx(ctx, func(tx *sql.Tx) error {
		for _, r := range all {
			if _, err := tx.ExecContext(ctx, `INSERT INTO paging (kind, id, target, open, at, body) VALUES (?, ?, ?, ?, ?, ?)
				ON CONFLICT (kind, id) DO UPDATE SET target = excluded.target, open = excluded.open, at = excluded.at, body = excluded.body`,
				r.Kind, r.ID, r.Target, r.Open, r.At.UnixMicro(), string(r.Body)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("record %s %s: %w", all[0].Kind, all[0].ID, err)
	}
	return nil
}

// Forget deletes what began before a moment of a kind, and says how much it was.
func (s *Store) Forget(ctx context.Context, kind string, before time.Time) (int, error) {
	n, err := s.exec(ctx, "forget old "+kind, `DELETE FROM paging WHERE kind = ? AND at < ?`, kind, before.UnixMicro())
	return int(n), err
}

// OpenRecords lists what is open of a kind, oldest first.
func (s *Store) OpenRecords(ctx context.Context, kind string) ([]alert.Record, error) {
	return s.records(ctx, kind, `SELECT id, target, open, at, body FROM paging WHERE kind = ? AND open = 1 ORDER BY at, id`, kind)
}

// RecentRecords lists the newest of a kind, open or not, newest first.
func (s *Store) RecentRecords(ctx context.Context, kind string, limit int) ([]alert.Record, error) {
	return s.records(ctx, kind, `SELECT id, target, open, at, body FROM paging WHERE kind = ? ORDER BY at DESC, id DESC LIMIT ?`, kind, limit)
}

// OneRecord reads one record; status.ErrNothing when there is none.
func (s *Store) OneRecord(ctx context.Context, kind, id string) (alert.Record, error) {
	r := alert.Record{Kind: kind, ID: id}
	var at int64
	var body string
	if err := s.scan(ctx, "read "+kind+" "+id, []any{&r.Target, &r.Open, &at, &body}, `SELECT target, open, at, body FROM paging WHERE kind = ? AND id = ?`, kind, id); err != nil {
		return alert.Record{}, err
	}
	r.At, r.Body = time.UnixMicro(at).UTC(), json.RawMessage(body)
	return r, nil
}

func (s *Store) records(ctx context.Context, kind, query string, args ...any) ([]alert.Record, error) {
	rows, err := s.read.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read each %s: %w", kind, err)
	}
	defer func() { _ = rows.Close() }() // rows.Err tells
	var out []alert.Record
	for rows.Next() {
		r := alert.Record{Kind: kind}
		var at int64
		var body string
		if err := rows.Scan(&r.ID, &r.Target, &r.Open, &at, &body); err != nil {
			return nil, fmt.Errorf("read each %s: %w", kind, err)
		}
		r.At, r.Body = time.UnixMicro(at).UTC(), json.RawMessage(body)
		out = append(out, r)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read each %s: %w", kind, err)
	}
	return out, nil
}
