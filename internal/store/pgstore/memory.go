package pgstore

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/refloat-db/refloat/internal/status"
	"github.com/refloat-db/refloat/internal/target"
)

var _ status.Memory = (*Store)(nil)

// Older ones say nothing about today's speed.
const keptMeasurements = 100

// Acknowledge records how far a target's log is safely stored.
func (s *Store) Acknowledge(ctx context.Context, id target.ID, m status.LogMark) error {
	_, err := s.exec(ctx, "record the log position of "+string(id), `INSERT INTO refloat.log_mark AS have (target, timeline, lsn, server_time, at) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (target) DO UPDATE SET timeline = excluded.timeline, lsn = excluded.lsn, server_time = excluded.server_time, at = excluded.at
		WHERE (excluded.timeline, excluded.lsn) >= (have.timeline, have.lsn)`,
		string(id), int64(m.Position.Timeline), fmt.Sprintf("%016x", uint64(m.Position.LSN)), m.ServerTime.UnixMicro(), m.At.UnixMicro())
	return err
}

// Acknowledged returns the furthest recorded log position.
func (s *Store) Acknowledged(ctx context.Context, id target.ID) (status.LogMark, error) {
	var m status.LogMark
	var lsn string
	var timeline, serverTime, at int64
	err := s.one(ctx, "read the log position of "+string(id), []any{&timeline, &lsn, &serverTime, &at},
		`SELECT timeline, lsn, server_time, at FROM refloat.log_mark WHERE target = $1`, string(id))
	if err != nil {
		return status.LogMark{}, err
	}
	n, err := strconv.ParseUint(lsn, 16, 64)
	if err != nil {
		return status.LogMark{}, fmt.Errorf("read the log position of %s: %w", id, err)
	}
	m.Position = target.Position{Timeline: target.Timeline(timeline), LSN: target.LSN(n)}
	m.ServerTime, m.At = time.UnixMicro(serverTime).UTC(), time.UnixMicro(at).UTC()
	return m, nil
}

// PutBeat records the last beat written to a target.
func (s *Store) PutBeat(ctx context.Context, id target.ID, b target.Beat) error {
	_, err := s.exec(ctx, "record the beat of "+string(id), `INSERT INTO refloat.beat (target, seq, at, prev, hash) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (target) DO UPDATE SET seq = excluded.seq, at = excluded.at, prev = excluded.prev, hash = excluded.hash`,
		string(id), b.Seq, b.At.UnixNano(), b.Prev, b.Hash)
	return err
}

// LastBeat returns the last recorded beat.
func (s *Store) LastBeat(ctx context.Context, id target.ID) (target.Beat, error) {
	var b target.Beat
	var at int64
	err := s.one(ctx, "read the beat of "+string(id), []any{&b.Seq, &at, &b.Prev, &b.Hash}, `SELECT seq, at, prev, hash FROM refloat.beat WHERE target = $1`, string(id))
	if err != nil {
		return target.Beat{}, err
	}
	b.At = time.Unix(0, at).UTC()
	return b, nil
}

// Measured adds a measurement and forgets the oldest beyond a hundred.
func (s *Store) Measured(ctx context.Context, id target.ID, m status.Measurement) error {
	err := s.tx(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `INSERT INTO refloat.measurement (target, operation, at, took, bytes) VALUES ($1, $2, $3, $4, $5)`,
			string(id), text(m.Operation), m.At.UnixMicro(), int64(m.Took), m.Bytes); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `DELETE FROM refloat.measurement WHERE target = $1 AND operation = $2 AND id NOT IN
			(SELECT id FROM refloat.measurement WHERE target = $1 AND operation = $2 ORDER BY at DESC, id DESC LIMIT $3)`, string(id), text(m.Operation), keptMeasurements)
		return err
	})
	if err != nil {
		return fmt.Errorf("record a measurement of %s: %w", id, err)
	}
	return nil
}

// Measurements returns the latest of an operation, newest first.
func (s *Store) Measurements(ctx context.Context, id target.ID, operation string, limit int) ([]status.Measurement, error) {
	out, err := list(ctx, s, func(row pgx.CollectableRow) (status.Measurement, error) {
		m := status.Measurement{Operation: operation}
		var at, took int64
		err := row.Scan(&at, &took, &m.Bytes)
		m.At, m.Took = time.UnixMicro(at).UTC(), time.Duration(took)
		return m, err
	}, `SELECT at, took, bytes FROM refloat.measurement WHERE target = $1 AND operation = $2 ORDER BY at DESC, id DESC LIMIT $3`, string(id), text(operation), limit)
	if err != nil {
		return nil, fmt.Errorf("read measurements of %s: %w", id, err)
	}
	return out, nil
}

// Keep caches a fact.
func (s *Store) Keep(ctx context.Context, id target.ID, name string, at time.Time, fact any) error {
	body, err := json.Marshal(fact)
	if err != nil {
		return fmt.Errorf("keep %s of %s: %w", name, id, err)
	}
	_, err = s.exec(ctx, fmt.Sprintf("keep %s of %s", name, id), `INSERT INTO refloat.fact (target, name, at, body) VALUES ($1, $2, $3, $4)
		ON CONFLICT (target, name) DO UPDATE SET at = excluded.at, body = excluded.body`, string(id), text(name), at.UnixMicro(), string(body))
	return err
}

// Kept reads a cached fact.
func (s *Store) Kept(ctx context.Context, id target.ID, name string, fact any) (time.Time, error) {
	var at int64
	var body string
	if err := s.one(ctx, fmt.Sprintf("read %s of %s", name, id), []any{&at, &body}, `SELECT at, body FROM refloat.fact WHERE target = $1 AND name = $2`, string(id), text(name)); err != nil {
		return time.Time{}, err
	}
	if err := json.Unmarshal([]byte(body), fact); err != nil {
		return time.Time{}, fmt.Errorf("read %s of %s: %w", name, id, err)
	}
	return time.UnixMicro(at).UTC(), nil
}

// Raise raises an alarm, or renews the detail of one that is up. Of two that
// raise it at once one is told that it is new.
func (s *Store) Raise(ctx context.Context, id target.ID, a status.Alarm) (bool, error) {
	fresh := false
	err := s.tx(ctx, func(ctx context.Context, tx pgx.Tx) error {
		return tx.QueryRow(ctx, `INSERT INTO refloat.alarm (target, code, key, detail, next, raised) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (target, code, key) WHERE cleared IS NULL DO UPDATE SET detail = excluded.detail, next = excluded.next
			RETURNING xmax = 0`, string(id), text(a.Code), text(a.Key), text(a.Detail), text(a.Next), a.Raised.UnixMicro()).Scan(&fresh)
	})
	if err != nil {
		return false, fmt.Errorf("raise alarm %s of %s: %w", a.Code, id, err)
	}
	return fresh, nil
}

// Clear clears alarms of a code.
func (s *Store) Clear(ctx context.Context, id target.ID, code, key string, at time.Time) (int, error) {
	n, err := s.exec(ctx, fmt.Sprintf("clear alarm %s of %s", code, id),
		`UPDATE refloat.alarm SET cleared = $1 WHERE target = $2 AND code = $3 AND (key = $4 OR $4 = '*') AND cleared IS NULL`, at.UnixMicro(), string(id), text(code), text(key))
	return int(n), err
}

// Alarms lists what is raised, oldest first.
func (s *Store) Alarms(ctx context.Context, id target.ID) ([]status.Alarm, error) {
	out, err := list(ctx, s, func(row pgx.CollectableRow) (status.Alarm, error) {
		var a status.Alarm
		var raised int64
		err := row.Scan(&a.Code, &a.Key, &a.Detail, &a.Next, &raised)
		a.Raised = time.UnixMicro(raised).UTC()
		return a, err
	}, `SELECT code, key, detail, next, raised FROM refloat.alarm WHERE target = $1 AND cleared IS NULL ORDER BY raised, id`, string(id))
	if err != nil {
		return nil, fmt.Errorf("read alarms of %s: %w", id, err)
	}
	return out, nil
}
