package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/refloat-db/refloat/internal/target"
)

// The methods of this file put questions to a restored copy. They need a
// superuser, and nobody else at work on the server.

// Ping connects and asks for nothing.
func (c *Cluster) Ping(ctx context.Context) error {
	conn, err := c.connect(ctx, "")
	if err != nil {
		return err
	}
	defer closeQuietly(conn)
	_, err = conn.Exec(ctx, "SELECT 1")
	return err
}

const allTables = `SELECT format('%I.%I', n.nspname, c.relname),
       EXISTS (SELECT FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am a ON a.oid = x.relam
               WHERE i.indrelid = c.oid AND i.indisvalid AND i.indpred IS NULL AND a.amname = 'btree')
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't' AND (c.relkind = 'r' OR c.relispopulated)
 ORDER BY c.relpages DESC, c.oid`

// ReadTables reads every table and materialised view of a database from
// beginning to end, system catalogues too, every column of every row, with
// what is stored out of line. Where a table has a btree index, its rows are
// also counted through an index alone. The error is for what kept it from
// looking; a table that cannot be read is a result.
func (c *Cluster) ReadTables(ctx context.Context, database string, each func(target.TableRead)) error {
	conn, err := c.connect(ctx, database)
	if err != nil {
		return err
	}
	defer func() { closeQuietly(conn) }()
	// As it is stored: what a role or database asks for may have no way to say it.
	if _, err := conn.Exec(ctx, "SELECT set_config('client_encoding', getdatabaseencoding(), false)"); err != nil {
		return fmt.Errorf("prepare to read %s: %w", database, err)
	}
	type table struct {
		name    string
		indexed bool
	}
	rows, err := conn.Query(ctx, allTables)
	if err != nil {
		return fmt.Errorf("list the tables of %s: %w", database, err)
	}
	tables, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (t table, err error) {
		return t, row.Scan(&t.name, &t.indexed)
	})
	if err != nil {
		return fmt.Errorf("list the tables of %s: %w", database, err)
	}
	for _, t := range tables {
		r := target.TableRead{Database: database, Name: t.name, ByIndex: -1}
		r.Rows, err = readTable(ctx, conn, t.name)
		if err == nil && t.indexed {
			r.ByIndex, err = countByIndex(ctx, conn, t.name)
		}
		if err != nil {
			if ctx.Err() != nil {
				return fmt.Errorf("read %s in %s: %w", t.name, database, err)
			}
			r.Problem = err.Error()
			// The server may have ended the session over it.
			if conn.IsClosed() {
				if conn, err = c.connect(ctx, database); err != nil {
					return fmt.Errorf("after reading %s in %s: %w", t.name, database, err)
				}
			}
		}
		each(r)
	}
	return nil
}

// readTable reads a table's rows to their last byte and counts them.
func readTable(ctx context.Context, conn *pgx.Conn, name string) (int64, error) {
	for _, format := range []string{"binary", "text"} {
		tag, err := conn.PgConn().CopyTo(ctx, io.Discard, "COPY (SELECT * FROM "+name+") TO STDOUT (FORMAT "+format+")")
		// A type without a binary form is read in its textual one.
		if err != nil && format == "binary" && (hasCode(err, "42883") || hasCode(err, "0A000")) {
			continue
		}
		return tag.RowsAffected(), err
	}
	return 0, errors.New("unreachable")
}

// countByIndex counts rows without looking at the table where the visibility
// map says that it need not: a count that differs from the table's own shows a
// stale map, or an index that does not fit its table.
func countByIndex(ctx context.Context, conn *pgx.Conn, name string) (n int64, err error) {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { _ = tx.Rollback(ctx) }()
	if _, err := tx.Exec(ctx, "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL max_parallel_workers_per_gather = 0"); err != nil {
		return 0, err
	}
	return n, tx.QueryRow(ctx, "SELECT count(*) FROM "+name).Scan(&n)
}

// Assert runs one query in a read-only transaction and returns its first
// column of the first row as text; "" when there is no row or it is null.
func (c *Cluster) Assert(ctx context.Context, database, sql string, timeout time.Duration) (string, error) {
	conn, err := c.connect(ctx, database)
	if err != nil {
		return "", err
	}
	defer closeQuietly(conn)
	if _, err := conn.Exec(ctx, fmt.Sprintf("SET statement_timeout = %d; SET default_transaction_read_only = on", timeout.Milliseconds())); err != nil {
		return "", err
	}
	results, err := conn.PgConn().Exec(ctx, sql).ReadAll()
	if err != nil {
		return "", err
	}
	if len(results) == 0 || len(results[len(results)-1].Rows) == 0 || len(results[len(results)-1].Rows[0]) == 0 {
		return "", nil
	}
	return string(results[len(results)-1].Rows[0][0]), nil
}

// Checkpoint writes everything to disk.
func (c *Cluster) Checkpoint(ctx context.Context) error {
	conn, err := c.connect(ctx, "")
	if err != nil {
		return err
	}
	defer closeQuietly(conn)
	_, err = conn.Exec(ctx, "CHECKPOINT")
	return err
}

// PrepareAmcheck makes the amcheck extension in a database. False, with the
// reason, when the installation does not have it.
func (c *Cluster) PrepareAmcheck(ctx context.Context, database string) (available bool, err error) {
	conn, err := c.connect(ctx, database)
	if err != nil {
		return false, err
	}
	defer closeQuietly(conn)
	if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'amcheck')").Scan(&available); err != nil || !available {
		return false, err
	}
	// Whatever search_path says, and whether there is a schema public or not;
	// one that came with an upgrade may be too old for pg_amcheck.
	for _, sql := range []string{"CREATE EXTENSION IF NOT EXISTS amcheck SCHEMA pg_catalog", "ALTER EXTENSION amcheck UPDATE"} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return true, err
		}
	}
	return true, nil
}

const relationFiles = `SELECT pg_relation_filepath(c.oid),
       CASE WHEN c.relkind IN ('r', 'm', 't') AND coalesce(a.amname, 'heap') = 'heap' THEN 'heap'
            WHEN a.amname = 'btree' THEN 'btree' ELSE 'other' END,
       coalesce(pg_relation_filepath(i.indrelid), '')
  FROM pg_class c LEFT JOIN pg_am a ON a.oid = c.relam LEFT JOIN pg_index i ON i.indexrelid = c.oid
 WHERE pg_relation_filepath(c.oid) IS NOT NULL AND c.relpersistence = 'p'`

// RelationFiles says which files belong to which relations of a database.
func (c *Cluster) RelationFiles(ctx context.Context, database string) ([]target.RelationFile, error) {
	conn, err := c.connect(ctx, database)
	if err != nil {
		return nil, err
	}
	defer closeQuietly(conn)
	rows, err := conn.Query(ctx, relationFiles)
	if err != nil {
		return nil, fmt.Errorf("list the files of %s: %w", database, err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (f target.RelationFile, err error) {
		return f, row.Scan(&f.Path, &f.Kind, &f.Heap)
	})
}
