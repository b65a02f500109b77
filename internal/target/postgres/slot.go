package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/refloat-db/refloat/internal/target"
)

// Slot looks at a physical replication slot (pg_replication_slots, which any
// role may read).
func (c *Cluster) Slot(ctx context.Context, name string) (target.Slot, error) {
	conn, err := c.connect(ctx, "")
	if err != nil {
		return target.Slot{}, err
	}
	defer closeQuietly(conn)
	s := target.Slot{Name: name}
	var restart string
	// A standby's log ends where it has received it to.
	const query = `
		SELECT active, coalesce(restart_lsn::text, '0/0'), coalesce(wal_status, ''),
		       coalesce(pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN coalesce(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())
		                                     ELSE pg_current_wal_lsn() END, restart_lsn), 0)::bigint
		FROM pg_catalog.pg_replication_slots WHERE slot_name = $1 AND slot_type = 'physical'`
	err = conn.QueryRow(ctx, query, name).Scan(&s.Active, &restart, &s.WALStatus, &s.Retained)
	if errors.Is(err, pgx.ErrNoRows) {
		return s, nil
	}
	if err != nil {
		return s, fmt.Errorf("read replication slot %s: %w", name, err)
	}
	s.Exists, s.Retained = true, max(0, s.Retained)
	if s.RestartLSN, err = target.ParseLSN(restart); err != nil {
		return s, fmt.Errorf("read replication slot %s: %w", name, err)
	}
	return s, nil
}

// CreateSlot makes a physical slot that reserves log from the last checkpoint
// on. A slot of that name is left as it is.
func (c *Cluster) CreateSlot(ctx context.Context, name string) (target.Slot, error) {
	conn, err := c.connectReplication(ctx, "")
	if err != nil {
		return target.Slot{}, err
	}
	defer closeReplication(conn)
	_, err = conn.Exec(ctx, "CREATE_REPLICATION_SLOT "+quoteName(name)+" PHYSICAL RESERVE_WAL").ReadAll()
	if err != nil && !hasCode(err, "42710") { // duplicate_object
		return target.Slot{}, fmt.Errorf("create replication slot %s: %w", name, err)
	}
	return c.Slot(ctx, name)
}

// DropSlot removes a slot; one that is not there is no error. A slot that is
// in use cannot be dropped: an error.
func (c *Cluster) DropSlot(ctx context.Context, name string) error {
	conn, err := c.connectReplication(ctx, "")
	if err != nil {
		return err
	}
	defer closeReplication(conn)
	_, err = conn.Exec(ctx, "DROP_REPLICATION_SLOT "+quoteName(name)).ReadAll()
	if err != nil && !hasCode(err, "42704") { // undefined_object
		return fmt.Errorf("drop replication slot %s: %w", name, err)
	}
	return nil
}

func hasCode(err error, code string) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == code
}
