package postgres

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/refloat-db/refloat/internal/target"
)

// askDatabases looks at each database that the role may connect to.
func (c *Cluster) askDatabases(ctx context.Context, conn *pgx.Conn, h *target.Headroom) {
	limited, cancel := context.WithTimeout(ctx, perHeadroom)
	defer cancel()
	rows, err := conn.Query(limited, `SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate AND has_database_privilege(oid, 'CONNECT') ORDER BY 1 LIMIT $1`, mostSeries)
	if err != nil {
		h.Unknown["databases"] = err.Error()
		return
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		h.Unknown["databases"] = err.Error()
		return
	}
	for _, name := range names {
		c.askDatabase(ctx, name, h)
	}
}

func (c *Cluster) askDatabase(ctx context.Context, name string, h *target.Headroom) {
	limited, cancel := context.WithTimeout(ctx, 2*perHeadroom)
	defer cancel()
	conn, err := c.connect(limited, name)
	if err != nil {
		h.Unknown["database "+name] = err.Error()
		return
	}
	defer closeQuietly(conn)
	if err := askRelation(limited, conn, name, h); err != nil {
		h.Unknown["relation size of "+name] = err.Error()
	}
	if err := askOIDs(limited, conn, name, h); err != nil {
		h.Unknown["oids of "+name] = err.Error()
	}
	if err := askSequences(limited, conn, name, h); err != nil {
		h.Unknown["sequences of "+name] = err.Error()
	}
}

// relationSQL finds the largest relation by what the last VACUUM counted.
// relpages is an unsigned number in a signed column: negative from 16 TiB on.
const relationSQL = `
SELECT n.nspname || '.' || c.relname, (c.relpages::bigint & 4294967295)::float8 * current_setting('block_size')::float8
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 't', 'm', 'i') ORDER BY c.relpages::bigint & 4294967295 DESC LIMIT 1`

func askRelation(ctx context.Context, conn *pgx.Conn, database string, h *target.Headroom) error {
	limited, cancel := context.WithTimeout(ctx, perHeadroom)
	defer cancel()
	g := target.Gauge{Code: "relation-size", Limit: relationMost, Unit: "B"}
	if err := conn.QueryRow(limited, relationSQL).Scan(&g.Object, &g.Used); err != nil {
		return err
	}
	g.Object = database + ":" + g.Object
	h.Gauges = append(h.Gauges, g)
	return nil
}

// oidSQL finds what holds most of the 2^32 object ids that it has: the table
// with most values stored out of line (docs, TOAST: each has an OID of its own), and
// the database's large objects. Of the values there is no count: there are no more
// of them than chunks, nor than rows times columns that can be stored so.
const oidSQL = `
(SELECT 'toast-values', n.nspname || '.' || c.relname,
  CASE WHEN c.reltuples > 0 THEN least(t.reltuples, c.reltuples * (SELECT count(*) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attstorage IN ('e', 'x'))) ELSE t.reltuples END::float8
FROM pg_class t JOIN pg_class c ON c.reltoastrelid = t.oid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE t.relkind = 't' AND t.reltuples > 0 ORDER BY t.reltuples DESC LIMIT 1)
UNION ALL
SELECT 'large-objects', '', reltuples::float8 FROM pg_class WHERE oid = 'pg_largeobject_metadata'::regclass AND reltuples > 0`

func askOIDs(ctx context.Context, conn *pgx.Conn, database string, h *target.Headroom) error {
	limited, cancel := context.WithTimeout(ctx, perHeadroom)
	defer cancel()
	rows, err := conn.Query(limited, oidSQL)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		g := target.Gauge{Limit: 1<<32 - 1}
		if err := rows.Scan(&g.Code, &g.Object, &g.Used); err != nil {
			return err
		}
		g.Object = strings.TrimSuffix(database+":"+g.Object, ":")
		h.Gauges = append(h.Gauges, g)
	}
	return rows.Err()
}

// sequenceSQL lists the sequences that can come to an end within a lifetime, by
// their own range or by the type of the column that they feed, and whether the
// role may read them. It takes a lock on none.
const sequenceSQL = `
SELECT * FROM (
  SELECT q.oid, coalesce(tn.nspname || '.' || t.relname || '.' || a.attname, n.nspname || '.' || q.relname),
    least(s.seqmax, CASE a.atttypid WHEN 'int2'::regtype THEN 32767 WHEN 'int4'::regtype THEN 2147483647 ELSE s.seqmax END)::float8 AS most,
    has_sequence_privilege(q.oid, 'SELECT, USAGE')
  FROM pg_sequence s
  JOIN pg_class q ON q.oid = s.seqrelid
  JOIN pg_namespace n ON n.oid = q.relnamespace
  LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = q.oid AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0
  LEFT JOIN pg_class t ON t.oid = d.refobjid
  LEFT JOIN pg_namespace tn ON tn.oid = t.relnamespace
  LEFT JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
  WHERE NOT s.seqcycle AND s.seqincrement > 0 AND (q.relpersistence = 'p' OR q.relpersistence = 'u' AND NOT pg_is_in_recovery())
) x WHERE most < 9e15`

// sequenceBatch is how many sequences one statement reads. Each stays locked
// until its statement ends, and the server's lock table is shared by all: reading
// tens of thousands at once would make other sessions fail.
const sequenceBatch = 200

type sequence struct {
	oid      uint32
	name     string
	most     float64
	readable bool
}

// askSequences finds the sequences nearest to their end.
func askSequences(ctx context.Context, conn *pgx.Conn, database string, h *target.Headroom) error {
	ctx, cancel := context.WithTimeout(ctx, perHeadroom)
	defer cancel()
	rows, err := conn.Query(ctx, sequenceSQL)
	if err != nil {
		return err
	}
	all, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (s sequence, err error) {
		return s, r.Scan(&s.oid, &s.name, &s.most, &s.readable)
	})
	if err != nil {
		return err
	}
	known := slices.DeleteFunc(slices.Clone(all), func(s sequence) bool { return !s.readable })
	var found []target.Gauge
	var failed error
	for batch := range slices.Chunk(known, sequenceBatch) {
		g, err := readSequences(ctx, conn, database, batch)
		if found = append(found, g...); err != nil && failed == nil {
			failed = err // as one that was dropped meanwhile; the others are still told
		}
		if ctx.Err() != nil {
			failed = fmt.Errorf("not all of %d were read in time", len(all))
			break
		}
	}
	slices.SortStableFunc(found, func(a, b target.Gauge) int { return cmp.Compare(b.Ratio(), a.Ratio()) })
	told := map[string]bool{} // a column may own two sequences; the fuller one counts
	found = slices.DeleteFunc(found, func(g target.Gauge) bool {
		again := told[g.Object]
		told[g.Object] = true
		return again
	})
	h.Gauges = append(h.Gauges, found[:min(len(found), mostSeries)]...)
	if hidden := len(all) - len(known); failed == nil && hidden > 0 {
		return fmt.Errorf("the role may not read %d of %d: GRANT USAGE ON ALL SEQUENCES, or pg_read_all_data, to %s", hidden, len(all), conn.Config().User)
	}
	return failed
}

func readSequences(ctx context.Context, conn *pgx.Conn, database string, batch []sequence) ([]target.Gauge, error) {
	by, oids := map[uint32]sequence{}, []uint32{}
	for _, s := range batch {
		by[s.oid], oids = s, append(oids, s.oid)
	}
	rows, err := conn.Query(ctx, `SELECT oid, pg_sequence_last_value(oid)::float8 FROM pg_class WHERE oid = ANY($1) AND relkind = 'S'`, oids)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []target.Gauge
	for rows.Next() {
		var oid uint32
		var last *float64
		if err := rows.Scan(&oid, &last); err != nil {
			return out, err
		}
		if s := by[oid]; last != nil { // nothing was drawn from it yet
			out = append(out, target.Gauge{Code: "sequence", Object: database + ":" + s.name, Used: *last, Limit: s.most})
		}
	}
	return out, rows.Err()
}
