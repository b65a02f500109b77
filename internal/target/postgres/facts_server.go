package postgres

import (
	"context"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/refloat-db/refloat/internal/target"
)

// rowsLimit bounds every list.
const rowsLimit = "LIMIT 500"

// collect reads rows into values.
func collect[T any](ctx context.Context, conn *pgx.Conn, query string, fields func(*T) []any) ([]T, error) {
	rows, err := conn.Query(ctx, query)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (T, error) {
		var v T
		err := row.Scan(fields(&v)...)
		return v, err
	})
}

// timeOr is a column of times in which null becomes Go's zero time.
type timeOr struct{ to *time.Time }

// ScanTimestamptz is pgx's way to read a timestamp.
func (t timeOr) ScanTimestamptz(v pgtype.Timestamptz) error {
	*t.to = time.Time{}
	if v.Valid && v.InfinityModifier == pgtype.Finite {
		*t.to = v.Time
	}
	return nil
}

// readSettings reads every setting that the role may see. A connection string
// can hold a password, so that of the primary is not kept.
func readSettings(ctx context.Context, conn *pgx.Conn) (map[string]target.Setting, error) {
	const query = `
		SELECT name, setting, coalesce(unit, ''), source, coalesce(sourcefile, ''), coalesce(sourceline, 0), pending_restart
		FROM pg_settings WHERE setting IS NOT NULL`
	type named struct {
		name string
		target.Setting
	}
	all, err := collect(ctx, conn, query, func(n *named) []any {
		return []any{&n.name, &n.Value, &n.Unit, &n.Source, &n.File, &n.Line, &n.PendingRestart}
	})
	out := make(map[string]target.Setting, len(all))
	for _, n := range all {
		if n.name == "primary_conninfo" && n.Value != "" {
			n.Value = "(set)"
		}
		out[n.name] = n.Setting
	}
	return out, err
}

func (g gathering) scoped(ctx context.Context) ([]target.ScopedSetting, error) {
	const query = `
		SELECT coalesce(r.rolname::text, ''), coalesce(d.datname::text, ''), split_part(c, '=', 1), substr(c, strpos(c, '=') + 1)
		FROM pg_db_role_setting s CROSS JOIN LATERAL unnest(s.setconfig) AS c
		LEFT JOIN pg_roles r ON r.oid = s.setrole LEFT JOIN pg_database d ON d.oid = s.setdatabase
		WHERE split_part(c, '=', 1) IN ('synchronous_commit', 'default_transaction_read_only', 'zero_damaged_pages',
		                                'ignore_checksum_failure', 'ignore_system_indexes', 'session_replication_role')
		ORDER BY 1, 2, 3 ` + rowsLimit
	return collect(ctx, g.conn, query, func(s *target.ScopedSetting) []any {
		return []any{&s.Role, &s.Database, &s.Name, &s.Value}
	})
}

// fileErrors leaves out what only waits for a restart, which the server calls
// an error as well.
func (g gathering) fileErrors(ctx context.Context) ([]target.FileError, error) {
	const query = `
		SELECT f.sourcefile, coalesce(f.sourceline, 0), coalesce(f.name, ''), f.error
		FROM pg_file_settings f LEFT JOIN pg_settings s ON s.name = f.name
		WHERE f.error IS NOT NULL AND NOT coalesce(s.pending_restart, false) ORDER BY 1, 2 ` + rowsLimit
	return collect(ctx, g.conn, query, func(e *target.FileError) []any {
		return []any{&e.File, &e.Line, &e.Name, &e.Error}
	})
}

func (g gathering) hba(ctx context.Context) ([]target.HBARule, error) {
	file := "coalesce(current_setting('hba_file', true), '')"
	if g.server.Version.Major() >= 16 {
		file = "coalesce(file_name, '')"
	} else if _, ok := g.settings["hba_file"]; !ok {
		file = "''"
	}
	query := `
		SELECT ` + file + `, line_number, coalesce(type, ''), coalesce(database, '{}'), coalesce(user_name, '{}'),
		       coalesce(address, ''), coalesce(netmask, ''), coalesce(auth_method, ''), coalesce(error, '')
		FROM pg_hba_file_rules ` + rowsLimit
	return collect(ctx, g.conn, query, func(r *target.HBARule) []any {
		return []any{&r.File, &r.Line, &r.Type, &r.Databases, &r.Users, &r.Address, &r.Netmask, &r.Method, &r.Error}
	})
}

func (g gathering) roles(ctx context.Context) ([]target.RoleFacts, error) {
	const query = `
		SELECT rolname::text, rolsuper, rolreplication, rolvaliduntil FROM pg_roles
		WHERE rolcanlogin AND (rolsuper OR rolreplication) ORDER BY 1 ` + rowsLimit
	return collect(ctx, g.conn, query, func(r *target.RoleFacts) []any {
		return []any{&r.Name, &r.Superuser, &r.Replication, timeOr{&r.ValidUntil}}
	})
}

func (g gathering) prepared(ctx context.Context) ([]target.Prepared, error) {
	const query = `
		SELECT gid, owner::text, database::text, prepared, age(transaction)
		FROM pg_prepared_xacts ORDER BY prepared ` + rowsLimit
	return collect(ctx, g.conn, query, func(p *target.Prepared) []any {
		return []any{&p.GID, &p.Owner, &p.Database, &p.At, &p.XIDAge}
	})
}

func (g gathering) transactions(ctx context.Context) ([]target.Transaction, error) {
	const query = `
		SELECT pid, coalesce(usename::text, ''), coalesce(datname::text, ''), coalesce(application_name, ''), coalesce(state, ''),
		       xact_start, coalesce(state_change, xact_start), coalesce(age(backend_xmin), 0)
		FROM pg_stat_activity
		WHERE backend_type = 'client backend' AND xact_start IS NOT NULL AND pid <> pg_backend_pid()
		ORDER BY xact_start LIMIT 20`
	return collect(ctx, g.conn, query, func(x *target.Transaction) []any {
		return []any{&x.PID, &x.Role, &x.Database, &x.Application, &x.State, &x.Began, &x.StateSince, &x.XminAge}
	})
}

// connections counts clients but ourselves, who are many for a moment; a role that may not see the kind of a backend
// counts what works in a database.
func (g gathering) connections(ctx context.Context) (target.Connections, error) {
	used := "SELECT coalesce(sum(numbackends), 0) FROM pg_stat_database"
	if g.stats {
		used = `SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'
			AND NOT (usename = current_user AND application_name = current_setting('application_name'))`
	}
	out := target.Connections{Reserved: g.number("superuser_reserved_connections") + g.number("reserved_connections"), Max: g.number("max_connections")}
	err := g.conn.QueryRow(ctx, "SELECT ("+used+")::int, (SELECT count(*) FROM pg_stat_replication)::int").Scan(&out.Used, &out.Senders)
	return out, err
}

// number is a setting as a number, 0 when there is none.
func (g gathering) number(name string) int {
	n, _ := strconv.Atoi(g.settings[name].Value)
	return n
}
