package postgres

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/refloat-db/refloat/internal/target"
)

// Limits of PostgreSQL (docs, Appendix K; Routine Vacuuming).
const (
	xidStop      = 1<<31 - 3_000_000 // no new transaction ids from here on
	relationMost = (1<<32 - 1) * 8192
	perHeadroom  = 5 * time.Second // for one question
	mostSeries   = 20              // sequences, and databases, that are shown
)

// Headroom asks what could run out. Each question has a time limit of its own;
// one that cannot be answered is in Unknown. The error is that of connecting.
func (c *Cluster) Headroom(ctx context.Context) (target.Headroom, error) {
	conn, err := c.connect(ctx, "")
	if err != nil {
		return target.Headroom{}, err
	}
	defer closeQuietly(conn)
	h := target.Headroom{At: time.Now().UTC(), Unknown: map[string]string{}}
	if t, ok := conn.PgConn().Conn().(*tls.Conn); ok {
		if all := t.ConnectionState().PeerCertificates; len(all) > 0 {
			h.Certificate = all[0].NotAfter.UTC()
		}
	}
	for _, q := range []struct {
		name string
		ask  func(context.Context, *pgx.Conn, *target.Headroom) error
	}{
		{"role", askRole}, {"transaction ids", askXIDs}, {"connections", askConnections},
		{"standbys", askStandbys}, {"disk", askDisk},
	} {
		limited, cancel := context.WithTimeout(ctx, perHeadroom)
		if err := q.ask(limited, conn, &h); err != nil {
			h.Unknown[q.name] = err.Error()
		}
		cancel()
		if conn.IsClosed() { // a time limit ends the session
			if conn, err = c.connect(ctx, ""); err != nil {
				return h, err
			}
			defer closeQuietly(conn)
		}
	}
	c.askDatabases(ctx, conn, &h)
	return h, nil
}

func askRole(ctx context.Context, conn *pgx.Conn, h *target.Headroom) error {
	var behind *float64
	if err := conn.QueryRow(ctx, `SELECT pg_is_in_recovery(), CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() ELSE false END,
		CASE WHEN pg_is_in_recovery() AND pg_last_wal_receive_lsn() IS DISTINCT FROM pg_last_wal_replay_lsn()
			THEN extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8 END`).Scan(&h.Recovering, &h.Paused, &behind); err != nil {
		return err
	}
	if behind != nil {
		h.Behind = time.Duration(*behind * float64(time.Second))
	}
	return conn.QueryRow(ctx, "SELECT system_identifier::text, pg_postmaster_start_time() FROM pg_control_system()").Scan(&h.SystemID, &h.Started)
}

func askXIDs(ctx context.Context, conn *pgx.Conn, h *target.Headroom) error {
	rows, err := conn.Query(ctx, `SELECT datname, age(datfrozenxid)::float8, mxid_age(datminmxid)::float8 FROM pg_database ORDER BY greatest(age(datfrozenxid), mxid_age(datminmxid)) DESC LIMIT $1`, mostSeries)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		var xid, multi float64
		if err := rows.Scan(&name, &xid, &multi); err != nil {
			return err
		}
		h.Gauges = append(h.Gauges, target.Gauge{Code: "transaction-ids", Object: name, Used: xid, Limit: xidStop}, target.Gauge{Code: "multixacts", Object: name, Used: multi, Limit: xidStop})
	}
	return rows.Err()
}

func askConnections(ctx context.Context, conn *pgx.Conn, h *target.Headroom) error {
	g := target.Gauge{Code: "connections"}
	var known bool
	err := conn.QueryRow(ctx, `SELECT pg_has_role(current_user, 'pg_read_all_stats', 'MEMBER'),
		(SELECT count(*) FROM pg_stat_get_activity(NULL) WHERE backend_type = 'client backend')::float8,
		(current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int - coalesce(current_setting('reserved_connections', true), '0')::int)::float8`).Scan(&known, &g.Used, &g.Limit)
	switch {
	case err != nil:
		return err
	case !known:
		return fmt.Errorf("the role does not see other sessions: GRANT pg_read_all_stats TO %s", conn.Config().User)
	}
	h.Gauges = append(h.Gauges, g)
	return nil
}

func askStandbys(ctx context.Context, conn *pgx.Conn, h *target.Headroom) error {
	if h.Recovering {
		return nil
	}
	var known bool
	if err := conn.QueryRow(ctx, "SELECT pg_has_role(current_user, 'pg_read_all_stats', 'MEMBER')").Scan(&known); err != nil {
		return err
	}
	if !known {
		return fmt.Errorf("the role does not see who follows: GRANT pg_read_all_stats TO %s", conn.Config().User)
	}
	rows, err := conn.Query(ctx, `SELECT application_name, coalesce(host(client_addr), ''), coalesce(state, ''), coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn), 0)::bigint, coalesce(extract(epoch FROM replay_lag), 0)::float8
		FROM pg_stat_replication WHERE application_name NOT LIKE 'refloat%' ORDER BY 1`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var s target.Standby
		var lag float64
		if err := rows.Scan(&s.Name, &s.Addr, &s.State, &s.Bytes, &lag); err != nil {
			return err
		}
		s.Lag = time.Duration(lag * float64(time.Second))
		h.Standbys = append(h.Standbys, s)
	}
	return rows.Err()
}

// askDisk looks at the file systems of the data and of the log, where they are
// on this machine: the control file there must be this server's.
func askDisk(ctx context.Context, conn *pgx.Conn, h *target.Headroom) error {
	var dir string
	if err := conn.QueryRow(ctx, "SHOW data_directory").Scan(&dir); err != nil {
		return fmt.Errorf("the role may not know the data directory: GRANT pg_read_all_settings TO %s", conn.Config().User)
	}
	h.Directory = dir
	control, err := os.ReadFile(filepath.Join(dir, "global", "pg_control"))
	if err != nil || len(control) < 8 {
		return fmt.Errorf("%s cannot be read from this machine", dir)
	}
	if id := strconv.FormatUint(binary.NativeEndian.Uint64(control), 10); id != h.SystemID {
		return fmt.Errorf("%s on this machine is another server's", dir)
	}
	for _, d := range []struct{ code, dir string }{{"disk", dir}, {"log-disk", filepath.Join(dir, "pg_wal")}} {
		var fs syscall.Statfs_t
		if err := syscall.Statfs(d.dir, &fs); err != nil {
			return fmt.Errorf("%s: %w", d.dir, err)
		}
		usable := float64(fs.Blocks-fs.Bfree+fs.Bavail) * float64(fs.Bsize) // without what is kept for root
		h.Gauges = append(h.Gauges, target.Gauge{Code: d.code, Object: d.dir, Used: usable - float64(fs.Bavail)*float64(fs.Bsize), Limit: usable, Unit: "B"})
	}
	return nil
}
