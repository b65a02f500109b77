package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/refloat-db/refloat/internal/target"
)

// inspectTimeout is the server-side limit of each question.
const inspectTimeout = "15s"

// Inspect looks at the server. It needs a role that may sign in; what the
// role may not see stays empty (docs/postgres-roles.md says what each right
// adds). Errors: the server cannot be reached, is older than 14, or has
// another block size than 8192.
func (c *Cluster) Inspect(ctx context.Context) (target.Server, error) {
	conn, err := c.connect(ctx, "")
	if err != nil {
		return target.Server{}, fmt.Errorf("inspect the server: %w", err)
	}
	defer closeQuietly(conn)
	if _, err := conn.Exec(ctx, "SET statement_timeout = '"+inspectTimeout+"'; SET lock_timeout = '2s'; SET search_path = pg_catalog"); err != nil {
		return target.Server{}, fmt.Errorf("inspect the server: %w", err)
	}
	s, err := c.inspectOn(ctx, conn)
	if err != nil {
		return s, err
	}
	_, err = c.inspectReplication(ctx, &s)
	return s, err
}

// inspectOn reads what an ordinary connection may see.
func (c *Cluster) inspectOn(ctx context.Context, conn *pgx.Conn) (target.Server, error) {
	s := target.Server{Settings: map[string]string{}}
	for _, part := range []struct {
		what string
		read func(context.Context, *pgx.Conn, *target.Server) error
	}{
		{"settings", c.inspectSettings},
		{"role", inspectRole},
		{"state", inspectState},
		{"size", inspectSize},
		{"databases", inspectDatabases},
		{"tablespaces", inspectTablespaces},
		{"rights on the heartbeat", inspectHeartbeat},
		{"backup functions", inspectBackupControl},
		{"system identifier", inspectControl},
		{"clock", func(ctx context.Context, conn *pgx.Conn, s *target.Server) (err error) {
			s.ClockOffset, err = clockOffset(ctx, conn)
			return err
		}},
	} {
		err := part.read(ctx, conn, &s)
		if err != nil && !mayNotSee(err) {
			return s, fmt.Errorf("inspect the server: %s: %w", part.what, err)
		}
		if err != nil {
			c.log.Debug("the role may not see all of the server", "what", part.what, "error", err)
		}
	}
	return s, nil
}

// mayNotSee recognises errors that leave a field empty: no right, too slow, or
// locked by someone.
func mayNotSee(err error) bool {
	return hasCode(err, "42501") || hasCode(err, "57014") || hasCode(err, "55P03")
}

func (c *Cluster) inspectSettings(ctx context.Context, conn *pgx.Conn, s *target.Server) error {
	rows, err := conn.Query(ctx, "SELECT name, setting FROM pg_settings WHERE setting IS NOT NULL")
	if err != nil {
		return err
	}
	var name, value string
	if _, err := pgx.ForEachRow(rows, []any{&name, &value}, func() error { s.Settings[name] = value; return nil }); err != nil {
		return err
	}
	n, err := strconv.Atoi(s.Settings["server_version_num"])
	if err != nil {
		return fmt.Errorf("server_version_num: %w", err)
	}
	s.Version = target.Version(n)
	if err := checkServer(s.Version, s.Settings["block_size"]); err != nil {
		return err
	}
	if s.Version.Major() > newestMajor {
		c.log.Warn("the server is newer than the versions that Refloat was tried with", "version", s.Version.String(), "newest", newestMajor)
	}
	if s.SegmentSize, err = strconv.ParseInt(s.Settings["wal_segment_size"], 10, 64); err != nil || !target.ValidSegmentSize(s.SegmentSize) {
		return fmt.Errorf("wal_segment_size %q", s.Settings["wal_segment_size"])
	}
	s.DataDirectory = s.Settings["data_directory"]
	s.DataChecksums = s.Settings["data_checksums"] == "on"
	s.SummarizeWAL = s.Settings["summarize_wal"] == "on"
	return nil
}

func inspectRole(ctx context.Context, conn *pgx.Conn, s *target.Server) error {
	r := &s.Role
	const query = `
		SELECT rolname::text, rolsuper, rolreplication OR rolsuper, pg_has_role(oid, 'pg_monitor', 'USAGE'), pg_get_userbyid(10)::text
		FROM pg_roles WHERE rolname = current_user`
	return conn.QueryRow(ctx, query).Scan(&r.Name, &r.Superuser, &r.Replication, &r.Monitor, &s.BootstrapRole)
}

func inspectState(ctx context.Context, conn *pgx.Conn, s *target.Server) error {
	var lsn string
	const query = `
		SELECT pg_is_in_recovery(), pg_postmaster_start_time(),
		       coalesce(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END::text, '0/0')`
	if err := conn.QueryRow(ctx, query).Scan(&s.InRecovery, &s.StartedAt, &lsn); err != nil {
		return err
	}
	var err error
	s.Position, err = target.ParseLSN(lsn)
	return err
}

func inspectSize(ctx context.Context, conn *pgx.Conn, s *target.Server) error {
	const query = `
		SELECT coalesce(sum(pg_database_size(oid)), 0)::bigint FROM pg_database
		WHERE has_database_privilege(oid, 'CONNECT') OR pg_has_role('pg_read_all_stats', 'USAGE')`
	return conn.QueryRow(ctx, query).Scan(&s.Size)
}

func inspectDatabases(ctx context.Context, conn *pgx.Conn, s *target.Server) (err error) {
	s.Databases, err = texts(ctx, conn, "SELECT datname::text FROM pg_database WHERE datallowconn")
	return err
}

func inspectTablespaces(ctx context.Context, conn *pgx.Conn, s *target.Server) error {
	const pgDefault, pgGlobal = 1663, 1664
	const query = `
		SELECT oid, spcname::text, pg_tablespace_location(oid),
		       CASE WHEN has_tablespace_privilege(oid, 'CREATE') OR pg_has_role('pg_read_all_stats', 'USAGE')
		            THEN coalesce(pg_tablespace_size(oid), -1) ELSE -1 END
		FROM pg_tablespace WHERE oid NOT IN ($1, $2) ORDER BY oid`
	rows, err := conn.Query(ctx, query, pgDefault, pgGlobal)
	if err != nil {
		return err
	}
	s.Tablespaces, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (target.Tablespace, error) {
		var t target.Tablespace
		err := row.Scan(&t.OID, &t.Name, &t.Location, &t.Size)
		return t, err
	})
	return err
}

func inspectHeartbeat(ctx context.Context, conn *pgx.Conn, s *target.Server) error {
	const query = `
		SELECT coalesce(bool_or(has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
		                        AND has_table_privilege(c.oid, 'INSERT') AND has_table_privilege(c.oid, 'DELETE')), false)
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'refloat' AND c.relname = 'heartbeat'`
	return conn.QueryRow(ctx, query).Scan(&s.Role.Heartbeat)
}

// inspectBackupControl asks whether the role may call what reading files
// needs; the functions had other names up to 14.
func inspectBackupControl(ctx context.Context, conn *pgx.Conn, s *target.Server) error {
	const query = `
		SELECT count(*) FILTER (WHERE proname ~ 'start') > 0 AND count(*) FILTER (WHERE proname ~ 'stop') > 0
		FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace
		  AND proname IN ('pg_backup_start', 'pg_backup_stop', 'pg_start_backup', 'pg_stop_backup')
		  AND has_function_privilege(oid, 'EXECUTE')`
	return conn.QueryRow(ctx, query).Scan(&s.Role.BackupControl)
}

// inspectControl reads identifier and timeline without replication.
func inspectControl(ctx context.Context, conn *pgx.Conn, s *target.Server) error {
	var id string
	var timeline int64
	const query = `SELECT (SELECT system_identifier FROM pg_control_system())::text, (SELECT timeline_id FROM pg_control_checkpoint())`
	if err := conn.QueryRow(ctx, query).Scan(&id, &timeline); err != nil {
		return err
	}
	s.Timeline = target.Timeline(timeline)
	var err error
	s.SystemID, err = parseSystemID(id)
	return err
}

// inspectReplication tries a replication connection, and says how it reached
// the server. That it is refused is a note; that it leads to another server,
// and that nothing tells which server this is, are errors.
func (c *Cluster) inspectReplication(ctx context.Context, s *target.Server) (target.Known[target.Connection], error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	id, how, err := c.identifyAndHow(ctx)
	if err != nil {
		if s.ReplicationNote = replicationNote(err); ctx.Err() != nil {
			s.ReplicationNote = "the server did not answer in " + lookTimeout.String()
		}
		if s.SystemID == 0 {
			return target.Known[target.Connection]{}, fmt.Errorf("inspect the server: its system identifier cannot be read: %s", s.ReplicationNote)
		}
		return target.Unseen[target.Connection](s.ReplicationNote), nil
	}
	if s.SystemID != 0 && s.SystemID != id.SystemID {
		return target.Known[target.Connection]{}, fmt.Errorf("inspect the server: ordinary connections reach system %s and replication connections %s: is there a pooler or balancer in the way?", s.SystemID, id.SystemID)
	}
	s.SystemID, s.Timeline = id.SystemID, id.Timeline
	return target.Seen(how), nil
}

func (c *Cluster) identifyAndHow(ctx context.Context) (target.LogIdentity, target.Connection, error) {
	conn, err := c.connectReplication(ctx, "")
	if err != nil {
		return target.LogIdentity{}, target.Connection{}, err
	}
	defer closeReplication(conn)
	id, err := identifyOn(ctx, conn)
	return id, connectionOf(conn), err
}

// replicationNote says in one line why a replication connection failed and
// what helps.
func replicationNote(err error) string {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return strings.Join(strings.Fields(err.Error()), " ")
	}
	switch {
	case pg.Code == "42501":
		return pg.Message + ": give the role the REPLICATION attribute"
	case pg.Code == "28000" && strings.Contains(pg.Message, "pg_hba.conf"):
		return pg.Message + ": add a pg_hba.conf line with database replication"
	case pg.Code == "53300":
		return pg.Message + ": raise max_wal_senders"
	}
	return pg.Message
}

// ConfigLoaded is when the server last read its configuration files.
func (c *Cluster) ConfigLoaded(ctx context.Context) (time.Time, error) {
	conn, err := c.connect(ctx, "")
	if err != nil {
		return time.Time{}, err
	}
	defer closeQuietly(conn)
	var at time.Time
	if err := conn.QueryRow(ctx, "SELECT pg_catalog.pg_conf_load_time()").Scan(&at); err != nil {
		return time.Time{}, fmt.Errorf("ask when the configuration was read: %w", err)
	}
	return at, nil
}
