package postgres

import (
	"context"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/refloat-db/refloat/internal/target"
)

// lookSQL asks, in one round trip and without a lock on any table: is this a
// standby, would a transaction be read-only, how many processes hold a place,
// how many places ordinary roles have, and how many clients there are where the
// role may know it. Exporting a snapshot writes one small
// file in the data directory, so that a full disk is seen; it needs no rights
// and leaves nothing behind (PostgreSQL docs, Snapshot Synchronization
// Functions).
const lookSQL = `BEGIN;
SELECT pg_is_in_recovery()::text, current_setting('transaction_read_only'),
  (SELECT count(*) FROM pg_stat_get_backend_idset())::text,
  (current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int - coalesce(current_setting('reserved_connections', true), '0')::int)::text,
  CASE WHEN pg_has_role(current_user, 'pg_read_all_stats', 'MEMBER')
    THEN (SELECT count(*) FROM pg_stat_get_activity(NULL) WHERE backend_type = 'client backend') ELSE -1 END::text,
  pg_export_snapshot();
ROLLBACK`

// Watch is the side of a cluster that the monitor looks at.
type Watch struct {
	cluster *Cluster
}

// Watch returns the cluster's side that is looked at.
func (c *Cluster) Watch() *Watch { return &Watch{cluster: c} }

// Look signs in over a connection of its own and asks once. It gives up when
// patience passes without a byte from the server, and after three times that
// whatever comes.
func (w *Watch) Look(ctx context.Context, patience time.Duration) target.Look {
	began := time.Now()
	limited, p := watchProgress(ctx, patience)
	defer p.stop()
	lives := w.ping(limited, patience/3)
	var l target.Look
	conn, err := w.dial(limited, p)
	if err == nil {
		var row []string
		if row, err = askLook(limited, conn); err == nil {
			l = readLook(row, 1)
		}
		p.stop()
		go hangUp(conn)
	}
	if err != nil {
		l = lookOf(err, p)
	}
	if (l.Sees == target.Silent || l.Sees == target.Unreachable) && lives() {
		l.Sees = target.Stalled
	}
	if ctx.Err() != nil {
		l.Sees = target.Blind
	}
	l.At, l.Took, l.Fresh = began, time.Since(began), true
	return l
}

// ping asks the server after a while, over a connection of its own, whether it
// would speak TLS. A process of the server's answers with one byte before it
// looks at any catalogue (PostgreSQL docs, Message Flow: SSL Session Encryption),
// so that a server whose catalogues are locked, or that is very busy, is told from
// one that hangs. The function says whether the byte came.
func (w *Watch) ping(ctx context.Context, after time.Duration) func() bool {
	var answered atomic.Bool
	go func() {
		select {
		case <-ctx.Done():
			return
		case <-time.After(after):
		}
		config := w.cluster.config
		network, address := pgconn.NetworkAddress(config.Host, config.Port)
		conn, err := config.DialFunc(ctx, network, address)
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
		defer stop()
		question, err := (&pgproto3.SSLRequest{}).Encode(nil)
		if err != nil {
			return
		}
		if _, err := conn.Write(question); err != nil {
			return
		}
		if n, _ := conn.Read(make([]byte, 1)); n == 1 {
			answered.Store(true)
		}
	}()
	return answered.Load
}

// hangUp ends a session that is of no more use, in its own time.
func hangUp(conn *pgconn.PgConn) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_ = conn.Close(ctx) // however it ends
}

func (w *Watch) dial(ctx context.Context, p *progress) (*pgconn.PgConn, error) {
	config := w.cluster.config.Config.Copy()
	config.ConnectTimeout = 0 // patience decides
	config.RuntimeParams["application_name"] = "refloat watch"
	dial := config.DialFunc
	config.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		p.connect()
		return &progressConn{Conn: c, p: p}, nil
	}
	return pgconn.ConnectConfig(ctx, config)
}

// askLook runs lookSQL and returns its one row.
func askLook(ctx context.Context, conn *pgconn.PgConn) ([]string, error) {
	results, err := conn.Exec(ctx, lookSQL).ReadAll()
	if err != nil {
		return nil, err
	}
	for _, r := range results {
		if len(r.Rows) == 0 {
			continue // BEGIN
		}
		out := make([]string, len(r.Rows[0]))
		for i, v := range r.Rows[0] {
			out[i] = string(v)
		}
		return out, nil
	}
	return nil, nil
}

// readLook reads the row of lookSQL. A role that may use reserved places is let
// in when ordinary ones are not, so where the number of clients is known, it
// tells that the server is full. ours is how many of them are about to leave.
func readLook(row []string, ours int) target.Look {
	l := target.Look{Sees: target.Serving}
	if len(row) < 5 {
		return target.Look{Sees: target.Failing, Detail: "the answer is not PostgreSQL's"}
	}
	l.Standby = row[0] == "true"
	l.Used, _ = strconv.Atoi(row[2]) // 0 for unknown
	l.Room, _ = strconv.Atoi(row[3])
	clients, err := strconv.Atoi(row[4])
	if err == nil && clients >= 0 {
		l.Used = clients
	}
	switch {
	case err == nil && l.Room > 0 && clients-ours >= l.Room:
		l.Sees, l.Detail = target.Full, "only places that are reserved are left"
	case l.Standby:
		l.Sees, l.Detail = target.ReadOnly, "it is in recovery, a standby"
	case row[1] == "on":
		l.Sees, l.Detail = target.ReadOnly, "default_transaction_read_only is on"
	}
	return l
}
