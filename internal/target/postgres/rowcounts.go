package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/refloat-db/refloat/internal/target"
)

const (
	countBelow   = 256 << 20        // bytes of a table that is counted row by row
	countTimeout = "15s"            // of one count
	countInAll   = 90 * time.Second // of a database; then estimates do
)

// RowCounts counts the rows of a database's tables under one snapshot, which
// holds production up as little as any long query does. Tables that are large,
// may not be read, or take too long get the server's own estimate.
func (c *Cluster) RowCounts(ctx context.Context, database string) ([]target.TableCount, error) {
	conn, err := c.connect(ctx, database)
	if err != nil {
		return nil, err
	}
	defer func() { closeQuietly(conn) }()
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return nil, err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // it only read
	if _, err := tx.Exec(ctx, "SET LOCAL statement_timeout = '"+countTimeout+"'; SET LOCAL lock_timeout = '1s'"); err != nil {
		return nil, err
	}
	rows, err := tx.Query(ctx, `
		SELECT format('%I.%I', n.nspname, c.relname), c.reltuples::bigint, pg_relation_size(c.oid) < $1 AND has_table_privilege(c.oid, 'SELECT')
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\_toast%'
		ORDER BY 1 LIMIT 100000`, countBelow)
	if err != nil {
		return nil, fmt.Errorf("list the tables of %s: %w", database, err)
	}
	type table struct {
		target.TableCount
		count bool
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (t table, err error) {
		return t, row.Scan(&t.Name, &t.Rows, &t.count)
	})
	if err != nil {
		return nil, fmt.Errorf("list the tables of %s: %w", database, err)
	}
	out := make([]target.TableCount, 0, len(all))
	end := time.Now().Add(countInAll)
	for _, t := range all {
		if t.count && time.Now().Before(end) {
			t.Rows, t.Exact, err = countOne(ctx, tx, t.Name, t.Rows)
			if err != nil {
				return nil, err
			}
		}
		out = append(out, t.TableCount)
	}
	return out, nil
}

// countOne counts a table, or keeps the estimate when that cannot be done; the
// snapshot lives on through a savepoint.
func countOne(ctx context.Context, tx pgx.Tx, name string, estimate int64) (int64, bool, error) {
	sp, err := tx.Begin(ctx)
	if err != nil {
		return 0, false, err
	}
	var n int64
	if err := sp.QueryRow(ctx, "SELECT count(*) FROM ONLY "+name).Scan(&n); err != nil {
		if ctx.Err() != nil {
			return 0, false, ctx.Err()
		}
		return estimate, false, sp.Rollback(ctx)
	}
	return n, true, sp.Commit(ctx)
}
