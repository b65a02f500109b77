package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/refloat-db/refloat/internal/target"
)

// HeartbeatKeep is how many beats stay in the table.
const HeartbeatKeep = 7200

// HeartbeatDDL makes the heartbeat's schema and table. HeartbeatGrants lets a
// role write it.
const HeartbeatDDL = `CREATE SCHEMA IF NOT EXISTS refloat;
CREATE TABLE IF NOT EXISTS refloat.heartbeat (
    seq  bigint PRIMARY KEY,
    at   timestamptz NOT NULL,
    prev text NOT NULL,
    hash text NOT NULL
);
`

// HeartbeatGrants is the SQL that lets a role write and read the heartbeat,
// and nothing else.
func HeartbeatGrants(role string) string {
	q := quoteName(role)
	return "GRANT USAGE ON SCHEMA refloat TO " + q + ";\nGRANT SELECT, INSERT, DELETE ON refloat.heartbeat TO " + q + ";\n"
}

// beatTimeout bounds one beat: a server that hangs must not hang us.
const beatTimeout = 5 * time.Second

// Heartbeat writes a target's hash chain over one held connection. Safe for
// concurrent use; beats are written one after the other.
type Heartbeat struct {
	cluster *Cluster
	id      target.ID
	mu      sync.Mutex
	conn    *pgx.Conn
}

// Heartbeat returns the writer of target id's beats. It connects when first
// used, and again after any failure.
func (c *Cluster) Heartbeat(id target.ID) *Heartbeat { return &Heartbeat{cluster: c, id: id} }

// Beat writes the beat that follows prev and returns it once its commit is
// acknowledged. The chain in the table decides: when its last beat is not prev
// (a restart, or a failover that lost some) the new beat follows that one.
// Errors: target.ErrReadOnly, target.ErrNoHeartbeat. After an error the beat
// may or may not have been written.
func (h *Heartbeat) Beat(ctx context.Context, prev target.Beat, now time.Time) (target.Beat, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, beatTimeout)
	defer cancel()
	beat, err := h.write(ctx, prev, now)
	if err != nil {
		h.drop()
		return target.Beat{}, fmt.Errorf("write the heartbeat of %s: %w", h.id, beatError(err))
	}
	return beat, nil
}

func (h *Heartbeat) write(ctx context.Context, prev target.Beat, now time.Time) (target.Beat, error) {
	if err := h.open(ctx); err != nil {
		return target.Beat{}, err
	}
	for range 3 {
		beat := target.NextBeat(h.id, prev, now)
		const insert = `
			WITH gone AS (DELETE FROM refloat.heartbeat WHERE seq <= $1 - $5::bigint)
			INSERT INTO refloat.heartbeat (seq, at, prev, hash)
			SELECT $1, $2, $3, $4
			WHERE coalesce((SELECT hash FROM refloat.heartbeat ORDER BY seq DESC LIMIT 1), '') = $3`
		tag, err := h.conn.Exec(ctx, insert, beat.Seq, beat.At, beat.Prev, beat.Hash, int64(HeartbeatKeep))
		if err != nil && !hasCode(err, "23505") { // unique_violation: another writer was first
			return target.Beat{}, err
		}
		if err == nil && tag.RowsAffected() == 1 {
			return beat, nil
		}
		last, err := readBeats(ctx, h.conn, 1)
		if err != nil {
			return target.Beat{}, err
		}
		prev = target.Beat{}
		if len(last) == 1 {
			prev = last[0]
		}
	}
	return target.Beat{}, errors.New("another writer keeps adding beats: is a second Refloat at work on this target?")
}

// open connects. Where commits are not waited for (synchronous_commit = off)
// the beat's own is: an acknowledged beat must be one that a crash keeps.
func (h *Heartbeat) open(ctx context.Context) error {
	if h.conn != nil && !h.conn.IsClosed() {
		return nil
	}
	conn, err := h.cluster.connect(ctx, "")
	if err != nil {
		return err
	}
	h.conn = conn
	// A lock on the table is no trouble of the server: the beat fails by it before
	// its own time limit would say that writes hang.
	if _, err := conn.Exec(ctx, "SET lock_timeout = '3s'"); err != nil {
		return err
	}
	var mode string
	if err := conn.QueryRow(ctx, "SHOW synchronous_commit").Scan(&mode); err != nil {
		return err
	}
	if mode == "off" {
		_, err = conn.Exec(ctx, "SET synchronous_commit = local")
	}
	return err
}

func (h *Heartbeat) drop() {
	if h.conn != nil {
		closeQuietly(h.conn)
		h.conn = nil
	}
}

// Close ends the held connection; a later Beat opens another.
func (h *Heartbeat) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.drop()
}

// Beats reads the newest beats, at most limit, oldest first, from whatever
// server c is: production, or a restored copy.
func (c *Cluster) Beats(ctx context.Context, limit int) ([]target.Beat, error) {
	conn, err := c.connect(ctx, "")
	if err != nil {
		return nil, err
	}
	defer closeQuietly(conn)
	beats, err := readBeats(ctx, conn, limit)
	if err != nil {
		return nil, fmt.Errorf("read the heartbeat: %w", beatError(err))
	}
	return beats, nil
}

func readBeats(ctx context.Context, conn *pgx.Conn, limit int) ([]target.Beat, error) {
	rows, err := conn.Query(ctx, "SELECT seq, at, prev, hash FROM refloat.heartbeat ORDER BY seq DESC LIMIT $1", limit)
	if err != nil {
		return nil, err
	}
	out, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (target.Beat, error) {
		var b target.Beat
		err := row.Scan(&b.Seq, &b.At, &b.Prev, &b.Hash)
		b.At = b.At.UTC()
		return b, err
	})
	slices.Reverse(out)
	return out, err
}

// beatError adds the kind of failure that callers tell apart.
func beatError(err error) error {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return err
	}
	switch pg.Code {
	case "25006": // read_only_sql_transaction
		return fmt.Errorf("%w: %w", target.ErrReadOnly, err)
	case "42P01", "3F000", "42501": // undefined_table, invalid_schema_name, insufficient_privilege
		return fmt.Errorf("%w: %w", target.ErrNoHeartbeat, err)
	}
	return err
}
