package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/refloat-db/refloat/internal/target"
)

// Schema reads what a restored copy must share with this server: roles,
// tablespaces and the objects of every database that accepts connections. It
// reads catalogues only, and needs no right beyond CONNECT; never a password.
// A database that the role may not enter is an error.
func (c *Cluster) Schema(ctx context.Context) (target.Schema, error) {
	conn, err := c.connect(ctx, "")
	if err != nil {
		return target.Schema{}, err
	}
	defer closeQuietly(conn)
	if err := plainOutput(ctx, conn); err != nil {
		return target.Schema{}, err
	}
	var s target.Schema
	if s.Roles, err = texts(ctx, conn, rolesQuery); err != nil {
		return s, fmt.Errorf("read roles: %w", err)
	}
	if s.Tablespaces, err = texts(ctx, conn, tablespacesQuery); err != nil {
		return s, fmt.Errorf("read tablespaces: %w", err)
	}
	found, err := objects(ctx, conn, `SELECT oid, datname::text FROM pg_database WHERE datallowconn`)
	if err != nil {
		return s, fmt.Errorf("list databases: %w", err)
	}
	for _, db := range found {
		d, err := c.databaseSchema(ctx, db)
		if err != nil {
			return s, fmt.Errorf("read the schema of database %s: %w", db.Text, err)
		}
		s.Databases = append(s.Databases, d)
	}
	return s, nil
}

func (c *Cluster) databaseSchema(ctx context.Context, db target.Object) (target.DatabaseSchema, error) {
	conn, err := c.connect(ctx, db.Text)
	if err != nil {
		return target.DatabaseSchema{}, err
	}
	defer closeQuietly(conn)
	if err := plainOutput(ctx, conn); err != nil {
		return target.DatabaseSchema{}, err
	}
	measured := true
	for try := 1; ; try++ {
		d, err := inOneMoment(ctx, conn, func() (target.DatabaseSchema, error) { return readDatabase(ctx, conn, db, measured) })
		switch {
		case err != nil && measured && hasCode(err, "55P03"): // lock_not_available: measuring would wait for someone
			measured = false
		case err != nil && try < 4 && (hasCode(err, "XX000") || hasCode(err, "42P01") || hasCode(err, "42704")):
			// An object was dropped while its definition was made.
		default:
			return d, err
		}
	}
}

// inOneMoment reads in one snapshot, so that what belongs together is there
// together.
func inOneMoment[T any](ctx context.Context, conn *pgx.Conn, read func() (T, error)) (out T, err error) {
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return out, err
	}
	out, err = read()
	return out, errors.Join(err, tx.Rollback(ctx))
}

// plainOutput makes definitions come out the same whatever the settings of
// server, database and role: names always qualified, times in UTC. A lock held
// by someone does not hold us up.
func plainOutput(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, `SET search_path = pg_catalog; SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'postgres';
		SET extra_float_digits = 1; SET bytea_output = 'hex'; SET quote_all_identifiers = off; SET lock_timeout = '2s'; SET statement_timeout = '60s'`)
	if err != nil {
		return fmt.Errorf("prepare the connection: %w", err)
	}
	return nil
}

// texts collects a query's one column, sorted.
func texts(ctx context.Context, conn *pgx.Conn, query string) ([]string, error) {
	rows, err := conn.Query(ctx, query)
	if err != nil {
		return nil, err
	}
	out, err := pgx.CollectRows(rows, pgx.RowTo[string])
	slices.Sort(out)
	return out, err
}

// objects collects a query's OIDs and texts, sorted by text.
func objects(ctx context.Context, conn *pgx.Conn, query string) ([]target.Object, error) {
	rows, err := conn.Query(ctx, query)
	if err != nil {
		return nil, err
	}
	var out []target.Object
	var oid uint32
	var text *string // null: it was dropped while its definition was made
	_, err = pgx.ForEachRow(rows, []any{&oid, &text}, func() error {
		if text != nil {
			out = append(out, target.Object{OID: oid, Text: *text})
		}
		return nil
	})
	slices.SortFunc(out, func(a, b target.Object) int { return strings.Compare(a.Text, b.Text) })
	return out, err
}

func readDatabase(ctx context.Context, conn *pgx.Conn, db target.Object, measured bool) (target.DatabaseSchema, error) {
	d := target.DatabaseSchema{OID: db.OID, Name: db.Text}
	for _, part := range []struct {
		into  *[]target.Object
		what  string
		query string
	}{
		{&d.Extensions, "extensions", extensionsQuery},
		{&d.Indexes, "indexes", indexesQuery},
		{&d.Constraints, "constraints", constraintsQuery},
		{&d.Functions, "functions", functionsQuery},
	} {
		var err error
		if *part.into, err = objects(ctx, conn, part.query); err != nil {
			return d, fmt.Errorf("%s: %w", part.what, err)
		}
	}
	size := "pg_relation_size(c.oid)"
	if !measured {
		size = "c.relpages::bigint * current_setting('block_size')::bigint"
	}
	var err error
	d.Relations, err = readRelations(ctx, conn, relationsQuery(size))
	if err != nil {
		return d, fmt.Errorf("relations: %w", err)
	}
	return d, nil
}

func readRelations(ctx context.Context, conn *pgx.Conn, query string) ([]target.Relation, error) {
	rows, err := conn.Query(ctx, query)
	if err != nil {
		return nil, err
	}
	out, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (target.Relation, error) {
		var r target.Relation
		err := row.Scan(&r.OID, &r.Name, &r.Kind, &r.Unlogged, &r.Bytes, &r.Columns)
		return r, err
	})
	slices.SortFunc(out, func(a, b target.Relation) int { return strings.Compare(a.Name, b.Name) })
	return out, err
}

const rolesQuery = `
	SELECT format('%I: %s', r.rolname, concat_ws(', ',
	         CASE WHEN rolsuper THEN 'superuser' END, CASE WHEN NOT rolinherit THEN 'noinherit' END,
	         CASE WHEN rolcreaterole THEN 'createrole' END, CASE WHEN rolcreatedb THEN 'createdb' END,
	         CASE WHEN rolcanlogin THEN 'login' ELSE 'nologin' END, CASE WHEN rolreplication THEN 'replication' END,
	         CASE WHEN rolbypassrls THEN 'bypassrls' END, CASE WHEN rolconnlimit >= 0 THEN 'connection limit ' || rolconnlimit END,
	         CASE WHEN rolvaliduntil IS NOT NULL THEN 'valid until ' || rolvaliduntil::text END,
	         CASE WHEN rolconfig IS NOT NULL THEN 'set ' || array_to_string(rolconfig, ' and ') END,
	         (SELECT 'member of ' || string_agg(DISTINCT format('%I%s', g.rolname, CASE WHEN m.admin_option THEN ' with admin' END), ' and ')
	            FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid WHERE m.member = r.oid)))
	FROM pg_roles r WHERE r.rolname !~ '^pg_'`

// A tablespace's place is not part of it: a restore maps it elsewhere.
const tablespacesQuery = `
	SELECT format('%I: %s', spcname, concat_ws(', ', 'owner ' || pg_get_userbyid(spcowner), array_to_string(spcoptions, ', ')))
	FROM pg_tablespace WHERE spcname !~ '^pg_'`

const extensionsQuery = `SELECT oid, format('%I %s', extname, extversion) FROM pg_extension`

// userSchema is the condition on pg_namespace n for objects of the users.
const userSchema = `n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND n.nspname !~ '^pg_(temp|toast_temp)_'`

const indexesQuery = `
	SELECT i.indexrelid, pg_get_indexdef(i.indexrelid) || CASE WHEN i.indisvalid THEN '' ELSE ' (invalid)' END
	FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
	WHERE ` + userSchema + ` AND c.relpersistence <> 't'`

const constraintsQuery = `
	SELECT k.oid, format('%I.%I %I: %s', n.nspname, coalesce(c.relname, t.typname), k.conname, pg_get_constraintdef(k.oid))
	FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace
	LEFT JOIN pg_class c ON c.oid = k.conrelid LEFT JOIN pg_type t ON t.oid = k.contypid
	WHERE ` + userSchema + ` AND coalesce(c.relpersistence, 'p') <> 't'`

const functionsQuery = `
	SELECT p.oid, format('%I.%I(%s) %s', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid), md5(p.prosrc || coalesce(p.probin, '')))
	FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
	WHERE ` + userSchema + ``

func relationsQuery(size string) string {
	return `
	SELECT c.oid, format('%I.%I', n.nspname, c.relname),
	       CASE c.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned' WHEN 'v' THEN 'view' WHEN 'm' THEN 'matview'
	                      WHEN 'S' THEN 'sequence' ELSE 'foreign' END,
	       c.relpersistence = 'u',
	       CASE WHEN c.relkind IN ('r', 'm', 'S') THEN coalesce(` + size + `, 0) ELSE 0 END,
	       coalesce(a.columns, '{}')
	FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
	LEFT JOIN LATERAL (
	  SELECT array_agg(concat_ws(' ', quote_ident(attname), format_type(atttypid, atttypmod), CASE WHEN attnotnull THEN 'not null' END,
	           CASE attidentity WHEN 'a' THEN 'identity always' WHEN 'd' THEN 'identity' END,
	           CASE WHEN d.adbin IS NOT NULL THEN CASE WHEN attgenerated = '' THEN 'default ' ELSE 'generated ' END || pg_get_expr(d.adbin, d.adrelid) END)
	         ORDER BY attnum) AS columns
	  FROM pg_attribute LEFT JOIN pg_attrdef d ON d.adrelid = attrelid AND d.adnum = attnum
	  WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped) a ON true
	WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND c.relpersistence <> 't' AND ` + userSchema + ``
}
