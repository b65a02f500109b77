// Package postgres reads a live PostgreSQL server: its settings, its files
// for a base backup, its log. It satisfies the interfaces of the rooms that
// consume it without importing them.
package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/refloat-db/refloat/internal/secret"
)

// connectTimeout bounds every attempt to connect.
const connectTimeout = 10 * time.Second

// Cluster is a PostgreSQL server in our care. It holds no connection: each
// operation opens what it needs, so that a restarted server is no trouble. Safe
// for concurrent use.
type Cluster struct {
	config *pgx.ConnConfig
}

// New parses a connection string (URL or keywords). It does not connect.
func New(dsn secret.Value) (*Cluster, error) {
	config, err := pgx.ParseConfig(dsn.Reveal())
	if err != nil {
		return nil, fmt.Errorf("connection string of the server: %w", err) // pgx redacts the password
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTimeout
	}
	return &Cluster{config: config}, nil
}

// connect opens an ordinary connection to a database, "" for the one in the
// connection string.
func (c *Cluster) connect(ctx context.Context, database string) (*pgx.Conn, error) {
	config := c.config.Copy()
	if database != "" {
		config.Database = database
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "refloat"
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect to the server: %w", err)
	}
	return conn, nil
}

// connectReplication opens a physical replication connection. application is
// the name by which synchronous_standby_names knows it.
func (c *Cluster) connectReplication(ctx context.Context, application string) (*pgconn.PgConn, error) {
	config := c.config.Config.Copy()
	config.RuntimeParams["replication"] = "yes"
	if application == "" {
		application = "refloat"
	}
	config.RuntimeParams["application_name"] = application
	conn, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect to the server for replication: %w", err)
	}
	return conn, nil
}

func closeQuietly(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_ = conn.Close(ctx) // the connection is of no more use, however it ends
}
