package targettest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// DSN is a connection URL for a database, as superuser.
func (c *Cluster) DSN(database string) string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/%s?sslmode=disable", c.Port, database)
}

// Exec runs SQL, one or more statements, in database "postgres".
func (c *Cluster) Exec(t testing.TB, sql string) { t.Helper(); c.ExecIn(t, "postgres", sql) }

// ExecIn runs SQL in a database.
func (c *Cluster) ExecIn(t testing.TB, database, sql string) {
	t.Helper()
	if _, err := c.simple(database, sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// Query returns the first column of the last statement's first row as text,
// "" when there is no row or the value is null.
func (c *Cluster) Query(t testing.TB, sql string) string {
	t.Helper()
	return c.QueryIn(t, "postgres", sql)
}

// QueryIn is Query in a database.
func (c *Cluster) QueryIn(t testing.TB, database, sql string) string {
	t.Helper()
	v, err := c.simple(database, sql)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

// TryQuery is Query that returns the error instead of failing the test.
func (c *Cluster) TryQuery(sql string) (string, error) { return c.simple("postgres", sql) }

func (c *Cluster) simple(database, sql string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, c.DSN(database))
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close(ctx) }()
	res, err := conn.PgConn().Exec(ctx, sql).ReadAll()
	if err != nil || len(res) == 0 || len(res[len(res)-1].Rows) == 0 {
		return "", err
	}
	return string(res[len(res)-1].Rows[0][0]), nil
}
