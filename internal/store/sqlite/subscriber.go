package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/refloat-db/refloat/internal/statuspage"
)

// AskSubscriber keeps somebody who wants to subscribe, and a message that asks
// them to confirm. An address that is known already is asked again only if it
// may be, and whoever asks cannot tell. statuspage.ErrBusy when too many wait.
func (s *Store) AskSubscriber(ctx context.Context, x statuspage.Subscriber, now time.Time) error {
	err := s.tx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM subscriber WHERE confirmed IS NULL AND mailed < ?`, now.Add(-statuspage.ConfirmWithin).UnixMicro()); err != nil {
			return err
		}
		id, again, err := knownSubscriber(ctx, tx, x, now)
		if err != nil || id != "" && !again {
			return err
		}
		if id == "" {
			id = x.ID
			_, err = tx.ExecContext(ctx, `INSERT INTO subscriber (id, via, address, secret, asked, mailed, asks) VALUES (?, ?, ?, ?, ?, ?, 1)`,
				x.ID, x.Via, x.Address, x.Secret, now.UnixMicro(), now.UnixMicro())
		} else {
			_, err = tx.ExecContext(ctx, `UPDATE subscriber SET mailed = ?, asks = asks + 1 WHERE id = ?`, now.UnixMicro(), id)
		}
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO subscriber_delivery (subscriber, key, at, not_before, state, attempts) VALUES (?1, ?2, ?3, ?3, 'waiting', '[]')
			ON CONFLICT (subscriber, key) DO UPDATE SET at = excluded.at, not_before = excluded.not_before, state = 'waiting', attempts = '[]'`, id, statuspage.ConfirmKey, now.UnixMicro())
		return err
	})
	if err != nil {
		return fmt.Errorf("keep a subscriber: %w", err)
	}
	return nil
}

// knownSubscriber is the ID of whoever has the address already, and whether they
// are to be asked again; empty for nobody.
func knownSubscriber(ctx context.Context, tx *sql.Tx, x statuspage.Subscriber, now time.Time) (id string, again bool, err error) {
	var pending, same int
	if err := tx.QueryRowContext(ctx, `SELECT count(*), coalesce(sum(address = ?), 0) FROM subscriber WHERE confirmed IS NULL`, x.Address).Scan(&pending, &same); err != nil {
		return "", false, err
	}
	if x.Via == statuspage.ByEmail {
		var mailed int64
		var asks int
		var confirmed sql.NullInt64
		err := tx.QueryRowContext(ctx, `SELECT id, mailed, asks, confirmed FROM subscriber WHERE via = 'email' AND address = ?`, x.Address).Scan(&id, &mailed, &asks, &confirmed)
		switch {
		case err == nil && confirmed.Valid: // they are told that they are subscribed
			return id, now.Sub(time.UnixMicro(mailed)) >= statuspage.ConfirmWithin, nil
		case err == nil:
			return id, now.Sub(time.UnixMicro(mailed)) >= statuspage.AskAgain && asks < statuspage.AskMost, nil
		case !errors.Is(err, sql.ErrNoRows):
			return "", false, err
		}
	}
	if pending >= statuspage.MostPending || x.Via == statuspage.ByWebhook && same >= statuspage.MostPendingWebhook {
		return "", false, statuspage.ErrBusy
	}
	return "", false, nil
}

// ConfirmSubscriber notes that somebody confirmed; again changes nothing. False
// when there is nobody of that ID.
func (s *Store) ConfirmSubscriber(ctx context.Context, id string, now time.Time) (bool, error) {
	n, err := s.exec(ctx, "confirm a subscriber", `UPDATE subscriber SET confirmed = coalesce(confirmed, ?) WHERE id = ?`, now.UnixMicro(), id)
	return n > 0, err
}

// RemoveSubscriber forgets somebody, with all that was on its way. False when
// there is nobody of that ID.
func (s *Store) RemoveSubscriber(ctx context.Context, id string) (bool, error) {
	n, err := s.exec(ctx, "remove a subscriber", `DELETE FROM subscriber WHERE id = ?`, id)
	return n > 0, err
}

const subscriberColumns = `subscriber.id, subscriber.via, subscriber.address, subscriber.secret, subscriber.asked, subscriber.confirmed, subscriber.mailed, subscriber.asks`

func scanSubscriber(rows *sql.Rows, more ...any) (statuspage.Subscriber, error) {
	var x statuspage.Subscriber
	var asked, mailed int64
	var confirmed sql.NullInt64
	if err := rows.Scan(append([]any{&x.ID, &x.Via, &x.Address, &x.Secret, &asked, &confirmed, &mailed, &x.Asks}, more...)...); err != nil {
		return x, err
	}
	x.Asked, x.Mailed = time.UnixMicro(asked).UTC(), time.UnixMicro(mailed).UTC()
	if confirmed.Valid {
		x.Confirmed = time.UnixMicro(confirmed.Int64).UTC()
	}
	return x, nil
}

// Subscribers lists all, who confirmed and who did not, in the order in which
// they asked.
func (s *Store) Subscribers(ctx context.Context) ([]statuspage.Subscriber, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT `+subscriberColumns+` FROM subscriber ORDER BY asked, id`)
	if err != nil {
		return nil, fmt.Errorf("list subscribers: %w", err)
	}
	defer func() { _ = rows.Close() }() // rows.Err tells
	out := []statuspage.Subscriber{}
	for rows.Next() {
		x, err := scanSubscriber(rows)
		if err != nil {
			return nil, fmt.Errorf("list subscribers: %w", err)
		}
		out = append(out, x)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list subscribers: %w", err)
	}
	return out, nil
}

// FanOut makes a delivery of a notice to each subscriber who has confirmed, and
// returns how many. It does so once for a key, whoever asks and how often.
func (s *Store) FanOut(ctx context.Context, n statuspage.Notice, now time.Time) (int, error) {
	body, err := json.Marshal(n)
	if err != nil {
		return 0, fmt.Errorf("hand out %s: %w", n.Key, err)
	}
	var made int64
	err = s.tx(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `INSERT INTO subscriber_notice (key, at, body) VALUES (?, ?, ?) ON CONFLICT (key) DO NOTHING`, n.Key, now.UnixMicro(), string(body))
		if err != nil {
			return err
		}
		if fresh, err := res.RowsAffected(); err != nil || fresh == 0 {
			return err
		}
		if res, err = tx.ExecContext(ctx, `INSERT INTO subscriber_delivery (subscriber, key, at, not_before, state, attempts)
			SELECT id, ?1, ?2, ?2, 'waiting', '[]' FROM subscriber WHERE confirmed IS NOT NULL`, n.Key, now.UnixMicro()); err != nil {
			return err
		}
		made, err = res.RowsAffected()
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("hand out %s: %w", n.Key, err)
	}
	return int(made), nil
}

// DueDeliveries are those that wait and are to be tried by now, the longest due
// first. Who has not confirmed in time is not asked any more.
func (s *Store) DueDeliveries(ctx context.Context, now time.Time, limit int) ([]statuspage.Delivery, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT `+subscriberColumns+`, d.key, d.at, d.not_before, d.attempts, coalesce(n.body, '')
		FROM subscriber_delivery d JOIN subscriber ON subscriber.id = d.subscriber LEFT JOIN subscriber_notice n ON n.key = d.key
		WHERE d.state = 'waiting' AND d.not_before <= ? AND (subscriber.confirmed IS NOT NULL OR subscriber.mailed >= ?) ORDER BY d.not_before, d.subscriber, d.key LIMIT ?`,
		now.UnixMicro(), now.Add(-statuspage.ConfirmWithin).UnixMicro(), limit)
	if err != nil {
		return nil, fmt.Errorf("read what is due to subscribers: %w", err)
	}
	defer func() { _ = rows.Close() }() // rows.Err tells
	var out []statuspage.Delivery
	for rows.Next() {
		d := statuspage.Delivery{State: statuspage.Waiting}
		var at, notBefore int64
		var attempts, body string
		if d.Subscriber, err = scanSubscriber(rows, &d.Key, &at, &notBefore, &attempts, &body); err != nil {
			return nil, fmt.Errorf("read what is due to subscribers: %w", err)
		}
		d.At, d.NotBefore = time.UnixMicro(at).UTC(), time.UnixMicro(notBefore).UTC()
		if err := json.Unmarshal([]byte(attempts), &d.Attempts); err != nil {
			return nil, fmt.Errorf("read what is due to subscribers: %s: %w", d.Key, err)
		}
		if body != "" {
			if err := json.Unmarshal([]byte(body), &d.Notice); err != nil {
				return nil, fmt.Errorf("read what is due to subscribers: %s: %w", d.Key, err)
			}
		}
		out = append(out, d)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read what is due to subscribers: %w", err)
	}
	return out, nil
}

// SaveDelivery keeps what came of an attempt. One of somebody who is gone is
// gone, and that is no error.
func (s *Store) SaveDelivery(ctx context.Context, d statuspage.Delivery) error {
	attempts, err := json.Marshal(d.Attempts)
	if err != nil {
		return fmt.Errorf("keep what came of a message to a subscriber: %w", err)
	}
	_, err = s.exec(ctx, "keep what came of a message to a subscriber", `UPDATE subscriber_delivery SET not_before = ?, state = ?, attempts = ? WHERE subscriber = ? AND key = ?`,
		d.NotBefore.UnixMicro(), d.State, string(attempts), d.Subscriber.ID, d.Key)
	return err
}

// Backlog is how many deliveries of a way have waited since before a moment.
func (s *Store) Backlog(ctx context.Context, via string, before time.Time) (n int, err error) {
	err = s.scan(ctx, "count what waits for subscribers", []any{&n}, `SELECT count(*) FROM subscriber_delivery d JOIN subscriber ON subscriber.id = d.subscriber
		WHERE d.state = 'waiting' AND subscriber.via = ? AND d.at < ?`, via, before.UnixMicro())
	return n, err
}

// TidySubscribers forgets who did not confirm in time, and what was handed out
// before a moment.
func (s *Store) TidySubscribers(ctx context.Context, now, before time.Time) error {
	err := s.tx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM subscriber WHERE confirmed IS NULL AND mailed < ?`, now.Add(-statuspage.ConfirmWithin).UnixMicro()); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM subscriber_delivery WHERE state <> 'waiting' AND at < ?`, before.UnixMicro()); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `DELETE FROM subscriber_notice WHERE at < ? AND NOT EXISTS (SELECT 1 FROM subscriber_delivery d WHERE d.key = subscriber_notice.key)`, before.UnixMicro())
		return err
	})
	if err != nil {
		return fmt.Errorf("tidy subscribers: %w", err)
	}
	return nil
}
