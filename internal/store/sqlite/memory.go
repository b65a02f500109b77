package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/refloat-db/refloat/internal/status"
	"github.com/refloat-db/refloat/internal/target"
)

var _ status.Memory = (*Store)(nil)

// Older ones say nothing about today's speed.
const keptMeasurements = 100

func (s *Store) exec(ctx context.Context, what, query string, args ...any) (int64, error) {
	if s.write == nil {
		return 0, fmt.Errorf("%s: %w", what, errReadOnly)
	}
	res, err := s.write.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", what, err)
	}
	n, err := res.RowsAffected()
	if err != nil {
		return 0, fmt.Errorf("%s: %w", what, err)
	}
	return n, nil
}

// scan runs a query for one row; status.ErrNothing when there is none.
func (s *Store) scan(ctx context.Context, what string, dest []any, query string, args ...any) error {
	err := s.read.QueryRowContext(ctx, query, args...).Scan(dest...)
	if errors.Is(err, sql.ErrNoRows) {
		err = status.ErrNothing
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// Acknowledge records how far a target's log is safely stored.
func (s *Store) Acknowledge(ctx context.Context, id target.ID, m status.LogMark) error {
	_, err := s.exec(ctx, "record the log position of "+string(id), `INSERT INTO log_mark (target, timeline, lsn, server_time, at) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (target) DO UPDATE SET timeline = excluded.timeline, lsn = excluded.lsn, server_time = excluded.server_time, at = excluded.at
		WHERE (excluded.timeline, excluded.lsn) >= (log_mark.timeline, log_mark.lsn)`,
		id, m.Position.Timeline, fmt.Sprintf("%016x", uint64(m.Position.LSN)), m.ServerTime.UnixMicro(), m.At.UnixMicro())
	return err
}

// Acknowledged returns the furthest recorded log position.
func (s *Store) Acknowledged(ctx context.Context, id target.ID) (status.LogMark, error) {
	var m status.LogMark
	var lsn string
	var serverTime, at int64
	err := s.scan(ctx, "read the log position of "+string(id), []any{&m.Position.Timeline, &lsn, &serverTime, &at},
		`SELECT timeline, lsn, server_time, at FROM log_mark WHERE target = ?`, id)
	if err != nil {
		return status.LogMark{}, err
	}
	n, err := strconv.ParseUint(lsn, 16, 64)
	if err != nil {
		return status.LogMark{}, fmt.Errorf("read the log position of %s: %w", id, err)
	}
	m.Position.LSN, m.ServerTime, m.At = target.LSN(n), time.UnixMicro(serverTime).UTC(), time.UnixMicro(at).UTC()
	return m, nil
}

// PutBeat records the last beat written to a target.
func (s *Store) PutBeat(ctx context.Context, id target.ID, b target.Beat) error {
	_, err := s.exec(ctx, "record the beat of "+string(id), `INSERT INTO beat (target, seq, at, prev, hash) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (target) DO UPDATE SET seq = excluded.seq, at = excluded.at, prev = excluded.prev, hash = excluded.hash`,
		id, b.Seq, b.At.UnixNano(), b.Prev, b.Hash)
	return err
}

// LastBeat returns the last recorded beat.
func (s *Store) LastBeat(ctx context.Context, id target.ID) (target.Beat, error) {
	var b target.Beat
	var at int64
	err := s.scan(ctx, "read the beat of "+string(id), []any{&b.Seq, &at, &b.Prev, &b.Hash}, `SELECT seq, at, prev, hash FROM beat WHERE target = ?`, id)
	if err != nil {
		return target.Beat{}, err
	}
	b.At = time.Unix(0, at).UTC()
	return b, nil
}

// Measured adds a measurement and forgets the oldest beyond a hundred.
func (s *Store) Measured(ctx context.Context, id target.ID, m status.Measurement) error {
	err := s.tx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO measurement (target, operation, at, took, bytes) VALUES (?, ?, ?, ?, ?)`,
			id, m.Operation, m.At.UnixMicro(), int64(m.Took), m.Bytes); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `DELETE FROM measurement WHERE target = ?1 AND operation = ?2 AND id NOT IN
			(SELECT id FROM measurement WHERE target = ?1 AND operation = ?2 ORDER BY at DESC, id DESC LIMIT ?3)`, id, m.Operation, keptMeasurements)
		return err
	})
	if err != nil {
		return fmt.Errorf("record a measurement of %s: %w", id, err)
	}
	return nil
}

// Measurements returns the latest of an operation, newest first.
func (s *Store) Measurements(ctx context.Context, id target.ID, operation string, limit int) ([]status.Measurement, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT at, took, bytes FROM measurement WHERE target = ? AND operation = ? ORDER BY at DESC, id DESC LIMIT ?`, id, operation, limit)
	if err != nil {
		return nil, fmt.Errorf("read measurements of %s: %w", id, err)
	}
	defer func() { _ = rows.Close() }() // rows.Err tells
	var out []status.Measurement
	for rows.Next() {
		m := status.Measurement{Operation: operation}
		var at, took int64
		if err := rows.Scan(&at, &took, &m.Bytes); err != nil {
			return nil, fmt.Errorf("read measurements of %s: %w", id, err)
		}
		m.At, m.Took = time.UnixMicro(at).UTC(), time.Duration(took)
		out = append(out, m)
	}
	if err := rows.Err(); err != nil {
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
	_, err = s.exec(ctx, fmt.Sprintf("keep %s of %s", name, id), `INSERT INTO fact (target, name, at, body) VALUES (?, ?, ?, ?)
		ON CONFLICT (target, name) DO UPDATE SET at = excluded.at, body = excluded.body`, id, name, at.UnixMicro(), string(body))
	return err
}

// Kept reads a cached fact.
func (s *Store) Kept(ctx context.Context, id target.ID, name string, fact any) (time.Time, error) {
	var at int64
	var body string
	if err := s.scan(ctx, fmt.Sprintf("read %s of %s", name, id), []any{&at, &body}, `SELECT at, body FROM fact WHERE target = ? AND name = ?`, id, name); err != nil {
		return time.Time{}, err
	}
	if err := json.Unmarshal([]byte(body), fact); err != nil {
		return time.Time{}, fmt.Errorf("read %s of %s: %w", name, id, err)
	}
	return time.UnixMicro(at).UTC(), nil
}

// Raise raises an alarm, or renews the detail of one that is up.
func (s *Store) Raise(ctx context.Context, id target.ID, a status.Alarm) (bool, error) {
	fresh := false
	err := s.tx(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `UPDATE alarm SET detail = ?, next = ? WHERE target = ? AND code = ? AND key = ? AND cleared IS NULL`, a.Detail, a.Next, id, a.Code, a.Key)
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		if err != nil || n > 0 {
			return err
		}
		fresh = true
		_, err = tx.ExecContext(ctx, `INSERT INTO alarm (target, code, key, detail, next, raised) VALUES (?, ?, ?, ?, ?, ?)`, id, a.Code, a.Key, a.Detail, a.Next, a.Raised.UnixMicro())
		return err
	})
	if err != nil {
		return false, fmt.Errorf("raise alarm %s of %s: %w", a.Code, id, err)
	}
	return fresh, nil
}

// Clear clears alarms of a code.
func (s *Store) Clear(ctx context.Context, id target.ID, code, key string, at time.Time) (int, error) {
	n, err := s.exec(ctx, fmt.Sprintf("clear alarm %s of %s", code, id),
		`UPDATE alarm SET cleared = ?1 WHERE target = ?2 AND code = ?3 AND (key = ?4 OR ?4 = '*') AND cleared IS NULL`, at.UnixMicro(), id, code, key)
	return int(n), err
}

// Alarms lists what is raised, oldest first.
func (s *Store) Alarms(ctx context.Context, id target.ID) ([]status.Alarm, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT code, key, detail, next, raised FROM alarm WHERE target = ? AND cleared IS NULL ORDER BY raised, id`, id)
	if err != nil {
		return nil, fmt.Errorf("read alarms of %s: %w", id, err)
	}
	defer func() { _ = rows.Close() }() // rows.Err tells
	var out []status.Alarm
	for rows.Next() {
		var a status.Alarm
		var raised int64
		if err := rows.Scan(&a.Code, &a.Key, &a.Detail, &a.Next, &raised); err != nil {
			return nil, fmt.Errorf("read alarms of %s: %w", id, err)
		}
		a.Raised = time.UnixMicro(raised).UTC()
		out = append(out, a)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read alarms of %s: %w", id, err)
	}
	return out, nil
}
