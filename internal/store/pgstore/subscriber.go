package pgstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/refloat-db/refloat/internal/statuspage"
)

// Who asks to be a subscriber is counted and kept by one at a time, so that the
// bounds hold whichever node is asked.
const lockSubscribers = `SELECT pg_advisory_xact_lock(hashtext('refloat.subscriber'))`

// AskSubscriber keeps somebody who wants to subscribe, and a message that asks
// them to confirm. An address that is known already is asked again only if it
// may be, and whoever asks cannot tell. statuspage.ErrBusy when too many wait.
func (s *Store) AskSubscriber(ctx context.Context, x statuspage.Subscriber, now time.Time) error {
	x.Address = text(x.Address)
	err := s.tx(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, lockSubscribers); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM refloat.subscriber WHERE confirmed IS NULL AND mailed < $1`, now.Add(-statuspage.ConfirmWithin).UnixMicro()); err != nil {
			return err
		}
		id, again, err := knownSubscriber(ctx, tx, x, now)
		if err != nil || id != "" && !again {
			return err
		}
		if id == "" {
			id = x.ID
			_, err = tx.Exec(ctx, `INSERT INTO refloat.subscriber (id, via, address, secret, asked, mailed, asks) VALUES ($1, $2, $3, $4, $5, $5, 1)`,
				x.ID, x.Via, x.Address, text(x.Secret), now.UnixMicro())
		} else {
			_, err = tx.Exec(ctx, `UPDATE refloat.subscriber SET mailed = $1, asks = asks + 1 WHERE id = $2`, now.UnixMicro(), id)
		}
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO refloat.subscriber_delivery (subscriber, key, at, not_before, state, attempts) VALUES ($1, $2, $3, $3, 'waiting', '[]')
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
func knownSubscriber(ctx context.Context, tx pgx.Tx, x statuspage.Subscriber, now time.Time) (id string, again bool, err error) {
	var pending, same int
	if err := tx.QueryRow(ctx, `SELECT count(*), count(*) FILTER (WHERE address = $1) FROM refloat.subscriber WHERE confirmed IS NULL`, x.Address).Scan(&pending, &same); err != nil {
		return "", false, err
	}
	if x.Via == statuspage.ByEmail {
		var mailed int64
		var asks int
		var confirmed *int64
		err := tx.QueryRow(ctx, `SELECT id, mailed, asks, confirmed FROM refloat.subscriber WHERE via = 'email' AND address = $1`, x.Address).Scan(&id, &mailed, &asks, &confirmed)
		switch {
		case err == nil && confirmed != nil: // they are told that they are subscribed
			return id, now.Sub(time.UnixMicro(mailed)) >= statuspage.ConfirmWithin, nil
		case err == nil:
			return id, now.Sub(time.UnixMicro(mailed)) >= statuspage.AskAgain && asks < statuspage.AskMost, nil
		case !errors.Is(err, pgx.ErrNoRows):
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
	n, err := s.exec(ctx, "confirm a subscriber", `UPDATE refloat.subscriber SET confirmed = coalesce(confirmed, $1) WHERE id = $2`, now.UnixMicro(), text(id))
	return n > 0, err
}

// RemoveSubscriber forgets somebody, with all that was on its way. False when
// there is nobody of that ID.
func (s *Store) RemoveSubscriber(ctx context.Context, id string) (bool, error) {
	n, err := s.exec(ctx, "remove a subscriber", `DELETE FROM refloat.subscriber WHERE id = $1`, text(id))
	return n > 0, err
}

const subscriberColumns = `s.id, s.via, s.address, s.secret, s.asked, s.confirmed, s.mailed, s.asks`

func scanSubscriber(row pgx.CollectableRow, more ...any) (statuspage.Subscriber, error) {
	var x statuspage.Subscriber
	var asked, mailed int64
	var confirmed *int64
	if err := row.Scan(append([]any{&x.ID, &x.Via, &x.Address, &x.Secret, &asked, &confirmed, &mailed, &x.Asks}, more...)...); err != nil {
		return x, err
	}
	x.Asked, x.Mailed = time.UnixMicro(asked).UTC(), time.UnixMicro(mailed).UTC()
	if confirmed != nil {
		x.Confirmed = time.UnixMicro(*confirmed).UTC()
	}
	return x, nil
}

// Subscribers lists all, who confirmed and who did not, in the order in which
// they asked.
func (s *Store) Subscribers(ctx context.Context) ([]statuspage.Subscriber, error) {
	out, err := list(ctx, s, func(row pgx.CollectableRow) (statuspage.Subscriber, error) { return scanSubscriber(row) },
		`SELECT `+subscriberColumns+` FROM refloat.subscriber s ORDER BY s.asked, s.id`)
	if err != nil {
		return nil, fmt.Errorf("list subscribers: %w", err)
	}
	if out == nil {
		out = []statuspage.Subscriber{}
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
	err = s.tx(ctx, func(ctx context.Context, tx pgx.Tx) error {
		made = 0
		tag, err := tx.Exec(ctx, `INSERT INTO refloat.subscriber_notice (key, at, body) VALUES ($1, $2, $3) ON CONFLICT (key) DO NOTHING`, text(n.Key), now.UnixMicro(), string(body))
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		tag, err = tx.Exec(ctx, `INSERT INTO refloat.subscriber_delivery (subscriber, key, at, not_before, state, attempts)
			SELECT id, $1, $2::bigint, $2::bigint, 'waiting', '[]' FROM refloat.subscriber WHERE confirmed IS NOT NULL`, text(n.Key), now.UnixMicro())
		made = tag.RowsAffected()
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
	out, err := list(ctx, s, scanDelivery, `SELECT `+subscriberColumns+`, d.key, d.at, d.not_before, d.attempts, coalesce(n.body, '')
		FROM refloat.subscriber_delivery d JOIN refloat.subscriber s ON s.id = d.subscriber LEFT JOIN refloat.subscriber_notice n ON n.key = d.key
		WHERE d.state = 'waiting' AND d.not_before <= $1 AND (s.confirmed IS NOT NULL OR s.mailed >= $2) ORDER BY d.not_before, d.subscriber, d.key LIMIT $3`,
		now.UnixMicro(), now.Add(-statuspage.ConfirmWithin).UnixMicro(), limit)
	if err != nil {
		return nil, fmt.Errorf("read what is due to subscribers: %w", err)
	}
	return out, nil
}

func scanDelivery(row pgx.CollectableRow) (statuspage.Delivery, error) {
	d := statuspage.Delivery{State: statuspage.Waiting}
	var at, notBefore int64
	var attempts, body string
	var err error
	if d.Subscriber, err = scanSubscriber(row, &d.Key, &at, &notBefore, &attempts, &body); err != nil {
		return d, err
	}
	d.At, d.NotBefore = time.UnixMicro(at).UTC(), time.UnixMicro(notBefore).UTC()
	if err := json.Unmarshal([]byte(attempts), &d.Attempts); err != nil {
		return d, fmt.Errorf("%s: %w", d.Key, err)
	}
	if body != "" {
		if err := json.Unmarshal([]byte(body), &d.Notice); err != nil {
			return d, fmt.Errorf("%s: %w", d.Key, err)
		}
	}
	return d, nil
}

// SaveDelivery keeps what came of an attempt. One of somebody who is gone is
// gone, and that is no error.
func (s *Store) SaveDelivery(ctx context.Context, d statuspage.Delivery) error {
	attempts, err := json.Marshal(d.Attempts)
	if err != nil {
		return fmt.Errorf("keep what came of a message to a subscriber: %w", err)
	}
	_, err = s.exec(ctx, "keep what came of a message to a subscriber", `UPDATE refloat.subscriber_delivery SET not_before = $1, state = $2, attempts = $3 WHERE subscriber = $4 AND key = $5`,
		d.NotBefore.UnixMicro(), d.State, string(attempts), d.Subscriber.ID, text(d.Key))
	return err
}

// Backlog is how many deliveries of a way have waited since before a moment.
func (s *Store) Backlog(ctx context.Context, via string, before time.Time) (n int, err error) {
	err = s.one(ctx, "count what waits for subscribers", []any{&n}, `SELECT count(*) FROM refloat.subscriber_delivery d JOIN refloat.subscriber s ON s.id = d.subscriber
		WHERE d.state = 'waiting' AND s.via = $1 AND d.at < $2`, text(via), before.UnixMicro())
	return n, err
}

// TidySubscribers forgets who did not confirm in time, and what was handed out
// before a moment.
func (s *Store) TidySubscribers(ctx context.Context, now, before time.Time) error {
	err := s.tx(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `DELETE FROM refloat.subscriber WHERE confirmed IS NULL AND mailed < $1`, now.Add(-statuspage.ConfirmWithin).UnixMicro()); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM refloat.subscriber_delivery WHERE state <> 'waiting' AND at < $1`, before.UnixMicro()); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `DELETE FROM refloat.subscriber_notice n WHERE at < $1 AND NOT EXISTS (SELECT FROM refloat.subscriber_delivery d WHERE d.key = n.key)`, before.UnixMicro())
		return err
	})
	if err != nil {
		return fmt.Errorf("tidy subscribers: %w", err)
	}
	return nil
}
