// Package postgres reads a live PostgreSQL server: its settings, its files
// for a base backup, its log. It satisfies the interfaces of the rooms that
// consume it without importing them.
package postgres

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/refloat-db/refloat/internal/secret"
)

// connectTimeout bounds an attempt to connect when nothing else is said.
const connectTimeout = 10 * time.Second

// readBuffer is how much a replication connection reads at a time, bytes.
const readBuffer = 256 << 10

// Options say how to reach a server.
type Options struct {
	DSN            string        // URL or keywords, without a password
	Password       secret.Value  // from a file or the environment; empty for none
	RootCAFile     string        // certificates that the server's is checked against; empty for the system's
	Application    string        // application_name; default "refloat"
	ConnectTimeout time.Duration // default: the DSN's, or 10 s
	StallTimeout   time.Duration // a base backup of which nothing arrives for so long is given up; default 10 min
	Logger         *slog.Logger  // default: discards
}

// Cluster is a PostgreSQL server in our care. It holds no connection: each
// operation opens what it needs, so that a restarted server is no trouble. Safe
// for concurrent use.
type Cluster struct {
	config  *pgx.ConnConfig
	session string // target_session_attrs
	stall   time.Duration
	log     *slog.Logger
}

// ErrPasswordInDSN means that a connection string holds a password.
var ErrPasswordInDSN = errors.New("the DSN holds a password: take it out and give it with password_file or password_env")

// New checks the options. It does not connect. A password inside the DSN is
// refused. A server that is reached over TCP and is not on this host is asked
// for TLS with its name checked (sslmode=verify-full), unless the DSN says
// otherwise.
func New(o Options) (*Cluster, error) {
	given, err := parseDSN(o.DSN)
	if err != nil {
		return nil, err
	}
	dsn := o.DSN
	if o.RootCAFile != "" && given["sslrootcert"] == "" {
		dsn = addSetting(dsn, "sslrootcert", o.RootCAFile)
	}
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("DSN of the server: %w", err)
	}
	if given["sslmode"] == "" && leavesHost(config) {
		if config, err = pgx.ParseConfig(addSetting(dsn, "sslmode", "verify-full")); err != nil {
			return nil, fmt.Errorf("DSN of the server: %w", err)
		}
	}
	if !o.Password.IsZero() {
		config.Password = o.Password.Reveal()
	}
	switch {
	case o.ConnectTimeout > 0:
		config.ConnectTimeout = o.ConnectTimeout
	case given["connect_timeout"] == "":
		config.ConnectTimeout = connectTimeout
	}
	if o.Application != "" {
		config.RuntimeParams["application_name"] = o.Application
	} else if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "refloat"
	}
	c := &Cluster{config: config, session: given["target_session_attrs"], stall: cmp.Or(o.StallTimeout, stallTimeout), log: o.Logger}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	return c, nil
}

// Database is the database that the cluster is signed in to; where none is
// named it is that of the role's name, as in libpq.
func (c *Cluster) Database() string {
	if c.config.Database == "" {
		return c.config.User
	}
	return c.config.Database
}

// leavesHost reports whether any of the hosts is reached over a network.
func leavesHost(config *pgx.ConnConfig) bool {
	hosts := []string{config.Host}
	for _, f := range config.Fallbacks {
		hosts = append(hosts, f.Host)
	}
	for _, h := range hosts {
		if strings.HasPrefix(h, "/") || strings.HasPrefix(h, "@") || h == "localhost" {
			continue
		}
		if a, err := netip.ParseAddr(h); err != nil || !a.IsLoopback() {
			return true
		}
	}
	return false
}

// connect opens an ordinary connection to a database, "" for the one in the
// DSN.
func (c *Cluster) connect(ctx context.Context, database string) (*pgx.Conn, error) {
	config := c.config.Copy()
	if database != "" {
		config.Database = database
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect to the server: %w", err)
	}
	return conn, nil
}

// connectReplication opens a physical replication connection. application is
// the name by which synchronous_standby_names knows it; "" for the usual one.
func (c *Cluster) connectReplication(ctx context.Context, application string) (*pgconn.PgConn, error) {
	config := c.config.Config.Copy()
	config.RuntimeParams["replication"] = "yes"
	if application != "" {
		config.RuntimeParams["application_name"] = application
	}
	config.BuildFrontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend {
		return pgproto3.NewFrontend(bufio.NewReaderSize(r, readBuffer), w)
	}
	config.ValidateConnect = validateReplication(c.session)
	conn, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect to the server for replication: %w", err)
	}
	return conn, nil
}

// validateReplication is target_session_attrs for a replication connection,
// which takes simple queries only, so that the driver's own checks fail there.
func validateReplication(session string) pgconn.ValidateConnectFunc {
	setting, want := "", ""
	switch session {
	case "read-write":
		setting, want = "transaction_read_only", "off"
	case "read-only":
		setting, want = "transaction_read_only", "on"
	case "primary":
		setting, want = "in_hot_standby", "off"
	case "standby":
		setting, want = "in_hot_standby", "on"
	default:
		return nil
	}
	return func(ctx context.Context, conn *pgconn.PgConn) error {
		got, err := showSetting(ctx, conn, setting)
		if err == nil && got != want {
			err = fmt.Errorf("the server is not %s", session)
		}
		return err
	}
}

func closeQuietly(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_ = conn.Close(ctx) // the connection is of no more use, however it ends
}
