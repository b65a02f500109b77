package pgstore

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/refloat-db/refloat/internal/alert"
)

// Save writes records, all or none; one of the same kind and ID is replaced.
func (s *Store) Save(ctx context.Context, all ...alert.Record) error {
	if len(all) == 0 {
		return nil
	}
	err := s.tx(ctx, func(ctx context.Context, tx pgx.Tx) error {
		b := &pgx.Batch{}
		for _, r := range all {
			b.Queue(`INSERT INTO refloat.paging (kind, id, target, open, at, body) VALUES ($1, $2, $3, $4, $5, $6)
				ON CONFLICT (kind, id) DO UPDATE SET target = excluded.target, open = excluded.open, at = excluded.at, body = excluded.body`,
				text(r.Kind), text(r.ID), text(r.Target), r.Open, r.At.UnixMicro(), string(r.Body))
		}
		return tx.SendBatch(ctx, b).Close()
	})
	if err != nil {
		return fmt.Errorf("record %s %s: %w", all[0].Kind, all[0].ID, err)
	}
	return nil
}

// Forget deletes what began before a moment of a kind.
func (s *Store) Forget(ctx context.Context, kind string, before time.Time) (int, error) {
	n, err := s.exec(ctx, "forget each old "+kind, `DELETE FROM refloat.paging WHERE kind = $1 AND at < $2`, text(kind), before.UnixMicro())
	return int(n), err
}

const recordFields = `SELECT id, target, open, at, body FROM refloat.paging `

// OpenRecords lists what is open of a kind, oldest first.
func (s *Store) OpenRecords(ctx context.Context, kind string) ([]alert.Record, error) {
	return s.records(ctx, kind, `WHERE kind = $1 AND open ORDER BY at, id`, text(kind))
}

// RecentRecords lists the newest of a kind, open or not, newest first.
func (s *Store) RecentRecords(ctx context.Context, kind string, limit int) ([]alert.Record, error) {
	return s.records(ctx, kind, `WHERE kind = $1 ORDER BY at DESC, id DESC LIMIT $2`, text(kind), limit)
}

// OneRecord reads one record; status.ErrNothing when there is none.
func (s *Store) OneRecord(ctx context.Context, kind, id string) (alert.Record, error) {
	r := alert.Record{Kind: kind}
	var at int64
	var body string
	if err := s.one(ctx, "read "+kind+" "+id, []any{&r.ID, &r.Target, &r.Open, &at, &body}, recordFields+`WHERE kind = $1 AND id = $2`, text(kind), text(id)); err != nil {
		return alert.Record{}, err
	}
	r.At, r.Body = time.UnixMicro(at).UTC(), json.RawMessage(body)
	return r, nil
}

func (s *Store) records(ctx context.Context, kind, where string, args ...any) ([]alert.Record, error) {
	out, err := list(ctx, s, func(row pgx.CollectableRow) (alert.Record, error) {
		r := alert.Record{Kind: kind}
		var at int64
		var body string
		err := row.Scan(&r.ID, &r.Target, &r.Open, &at, &body)
		r.At, r.Body = time.UnixMicro(at).UTC(), json.RawMessage(body)
		return r, err
	}, recordFields+where, args...)
	if err != nil {
		return nil, fmt.Errorf("read each %s: %w", kind, err)
	}
	return out, nil
}
