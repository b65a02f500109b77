package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/refloat-db/refloat/internal/target"
)

func (g gathering) databases(ctx context.Context) ([]target.DatabaseFacts, error) {
	made, now := "''", "''"
	if g.server.Version.Major() >= 15 {
		made, now = "coalesce(d.datcollversion, '')", "coalesce(pg_database_collation_actual_version(d.oid), '')"
	}
	query := `
		SELECT d.datname::text, d.datallowconn, d.datistemplate, d.datconnlimit, age(d.datfrozenxid), mxid_age(d.datminmxid),
		       coalesce(s.checksum_failures, 0), s.checksum_last_failure, ` + made + `, ` + now + `
		FROM pg_database d LEFT JOIN pg_stat_database s ON s.datid = d.oid ORDER BY d.datname ` + rowsLimit
	return collect(ctx, g.conn, query, func(d *target.DatabaseFacts) []any {
		return []any{&d.Name, &d.AllowsConn, &d.Template, &d.ConnLimit, &d.XIDAge, &d.MultixactAge, &d.ChecksumFailures, timeOr{&d.ChecksumFailedAt}, &d.CollationMade, &d.CollationNow}
	})
}

// inside looks into one database.
func (c *Cluster) inside(ctx context.Context, database string, version target.Version) (target.DatabaseInside, error) {
	var d target.DatabaseInside
	conn, err := c.connect(ctx, database)
	if err != nil {
		return d, err
	}
	defer closeQuietly(conn)
	if err := gentle(ctx, conn); err != nil {
		return d, err
	}
	for _, part := range []struct {
		what string
		read func() error
	}{
		{"unlogged tables", func() error { return readUnlogged(ctx, conn, &d.Unlogged) }},
		{"publications", func() error {
			return conn.QueryRow(ctx, "SELECT count(*) FROM pg_publication").Scan(&d.Publications)
		}},
		{"tables without a key", func() error { return readKeyless(ctx, conn, version, &d) }},
		{"large objects", func() error { return conn.QueryRow(ctx, largeObjectsQuery).Scan(&d.LargeObjects) }},
		{"extensions", func() (err error) {
			d.Extensions, err = collect(ctx, conn, installedQuery, func(e *target.Extension) []any { return []any{&e.Name, &e.Version, &e.Library} })
			return err
		}},
		{"collations", func() (err error) {
			d.Collations, err = collect(ctx, conn, collationsQuery, func(m *target.CollationMismatch) []any { return []any{&m.Name, &m.Made, &m.Now} })
			return err
		}},
		{"indexes", func() error {
			return conn.QueryRow(ctx, invalidIndexesQuery).Scan(&d.InvalidIndexes.Count, &d.InvalidIndexes.Names)
		}},
		{"ages", func() error {
			return conn.QueryRow(ctx, agesQuery).Scan(&d.OldestXID.Table, &d.OldestXID.Age, &d.OldestMXID.Table, &d.OldestMXID.Age)
		}},
	} {
		if err := part.read(); err != nil {
			return d, fmt.Errorf("%s: %w", part.what, err)
		}
	}
	return d, nil
}

// examples is the end of a query over rows "name" that counts them and names a
// few.
const examples = `SELECT count(*), coalesce((array_agg(name ORDER BY name))[1:5], '{}') FROM `

// readUnlogged measures unlogged tables only, and 500 at most. Where measuring
// one would wait for someone, what vacuum noted of them has to do.
func readUnlogged(ctx context.Context, conn *pgx.Conn, out *target.Examples) error {
	query := func(size string) string {
		return `WITH u AS MATERIALIZED (
			SELECT c.oid, c.relpages, format('%I.%I', n.nspname, c.relname) AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
			WHERE c.relkind = 'r' AND c.relpersistence = 'u' AND ` + userSchema + ` ORDER BY c.oid ` + rowsLimit + `)
			` + examples + `u WHERE ` + size + ` > 0`
	}
	err := conn.QueryRow(ctx, query("pg_relation_size(oid)")).Scan(&out.Count, &out.Names)
	if hasCode(err, "55P03") {
		err = conn.QueryRow(ctx, query("relpages")).Scan(&out.Count, &out.Names)
	}
	return err
}

// readKeyless finds tables whose rows nothing identifies: logical replication
// refuses or loses their updates. What a publication holds is asked of the
// catalogues; a partition is published with its root.
func readKeyless(ctx context.Context, conn *pgx.Conn, version target.Version, d *target.DatabaseInside) error {
	schemas := "false"
	if version.Major() >= 15 {
		schemas = "t.relnamespace IN (SELECT n.pnnspid FROM pg_publication_namespace n JOIN p ON p.oid = n.pnpubid)"
	}
	query := `
		WITH p AS MATERIALIZED (SELECT oid, puballtables FROM pg_publication WHERE pubupdate OR pubdelete),
		r AS MATERIALIZED (SELECT prrelid FROM pg_publication_rel JOIN p ON p.oid = prpubid),
		k AS (SELECT indrelid, bool_or(indisprimary) AS is_primary, bool_or(indisreplident) AS is_identity
		      FROM pg_index WHERE indisvalid AND (indisprimary OR indisreplident) GROUP BY indrelid),
		t AS MATERIALIZED (
		  SELECT c.oid, c.relnamespace, c.relispartition, format('%I.%I', n.nspname, c.relname) AS name
		  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN k ON k.indrelid = c.oid
		  WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND ` + userSchema + `
		    AND NOT (c.relreplident = 'f' OR c.relreplident = 'd' AND coalesce(k.is_primary, false)
		             OR c.relreplident = 'i' AND coalesce(k.is_identity, false))),
		s AS (SELECT name FROM t WHERE EXISTS (SELECT FROM p WHERE puballtables) OR oid IN (SELECT prrelid FROM r) OR ` + schemas + `
		      OR EXISTS (SELECT FROM r) AND relispartition AND pg_partition_root(oid) IN (SELECT prrelid FROM r))
		SELECT * FROM (` + examples + `t) AS a, (` + examples + `s) AS b`
	return conn.QueryRow(ctx, query).Scan(&d.WithoutKey.Count, &d.WithoutKey.Names, &d.KeylessPublish.Count, &d.KeylessPublish.Names)
}

// A catalogue of large objects can be long, so that counting ends early.
const largeObjectsQuery = `SELECT count(*) FROM (SELECT FROM pg_largeobject_metadata LIMIT 10001) AS few`

// installedQuery leaves out the language that every database has.
const installedQuery = `
	SELECT e.extname::text, e.extversion, EXISTS (
	  SELECT FROM pg_depend d JOIN pg_proc p ON p.oid = d.objid JOIN pg_language l ON l.oid = p.prolang
	  WHERE d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
	    AND d.classid = 'pg_proc'::regclass AND l.lanname = 'c')
	FROM pg_extension e WHERE e.extname <> 'plpgsql' ORDER BY 1 ` + rowsLimit

// collationsQuery compares collations that something depends on.
const collationsQuery = `
	WITH used AS MATERIALIZED (SELECT DISTINCT refobjid FROM pg_depend WHERE refclassid = 'pg_collation'::regclass)
	SELECT format('%I.%I', n.nspname, c.collname), c.collversion, pg_collation_actual_version(c.oid)
	FROM pg_collation c JOIN used ON used.refobjid = c.oid JOIN pg_namespace n ON n.oid = c.collnamespace
	WHERE c.collversion IS NOT NULL AND c.collversion <> pg_collation_actual_version(c.oid) ORDER BY 1 ` + rowsLimit

const invalidIndexesQuery = `
	WITH i AS (
	  SELECT format('%I.%I', n.nspname, c.relname) AS name
	  FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
	  WHERE NOT x.indisvalid AND c.relpersistence <> 't'
	    AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.index_relid = c.oid))
	` + examples + `i`

const agesQuery = `
	WITH t AS MATERIALIZED (
	  SELECT format('%I.%I', n.nspname, c.relname) AS name, age(c.relfrozenxid) AS x, mxid_age(c.relminmxid) AS m
	  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'm', 't') AND c.relfrozenxid <> '0'),
	x AS (SELECT name, x FROM t ORDER BY x DESC LIMIT 1), m AS (SELECT name, m FROM t ORDER BY m DESC LIMIT 1)
	SELECT x.name, x.x, m.name, m.m FROM x, m`
