package postgres

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/refloat-db/refloat/internal/target"
)

// Bounds of the gathering for an audit: it must be felt by nobody.
const (
	factsTimeout   = 20 * time.Second // all of it
	insideTimeout  = 10 * time.Second // what is inside the databases
	factsStatement = 2 * time.Second  // each question, on the server
	factsAtOnce    = 4                // connections to databases at a time
)

// Facts looks at the server for an audit. It asks catalogues and statistics
// only, with short limits on the server, over one ordinary connection, one for
// each database that allows connections, and one for replication. What the
// role may not see says so (docs/postgres-roles.md says what each right adds).
// Errors: as Inspect.
func (c *Cluster) Facts(ctx context.Context) (target.ServerFacts, error) {
	ctx, cancel := context.WithTimeout(ctx, factsTimeout)
	defer cancel()
	var f target.ServerFacts
	conn, err := c.connect(ctx, "")
	if err != nil {
		return f, fmt.Errorf("look at the server: %w", err)
	}
	defer closeQuietly(conn)
	f.Connection = target.Seen(connectionOf(conn.PgConn()))
	if f.Settings, err = readSettings(ctx, conn); err != nil { // before some are set for this connection
		return f, fmt.Errorf("look at the server: settings: %w", err)
	}
	if err := gentle(ctx, conn); err != nil {
		return f, fmt.Errorf("look at the server: %w", err)
	}
	if f.Server, err = c.inspectOn(ctx, conn); err != nil {
		return f, err
	}
	f.Server.Settings = nil // the same as above, and more than may be shown
	g := gathering{conn: conn, server: f.Server, settings: f.Settings}
	if err := conn.QueryRow(ctx, "SELECT pg_has_role('pg_read_all_stats', 'USAGE'), quote_ident(current_user)").Scan(&g.stats, &g.role); err != nil {
		return f, fmt.Errorf("look at the server: rights: %w", err)
	}
	f.Databases = ask(ctx, g, "", g.databases)
	replica := f.Server // its own, since the other questions read theirs meanwhile
	var replicaErr error
	var both sync.WaitGroup
	both.Go(func() { c.lookInside(ctx, f.Databases.Value, replica.Version) })
	both.Go(func() { f.Replication, replicaErr = c.inspectReplication(ctx, &replica) })
	g.fill(ctx, &f)
	both.Wait()
	if replicaErr != nil {
		return f, replicaErr
	}
	f.Server = replica
	if conn.IsClosed() && ctx.Err() == nil { // else what was seen in time is kept
		return f, errors.New("look at the server: it ended the connection")
	}
	return f, nil
}

// gentle makes a connection write nothing, and neither compute nor wait for
// long.
func gentle(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, fmt.Sprintf("SET statement_timeout = %d; SET lock_timeout = 300; SET default_transaction_read_only = on; SET search_path = pg_catalog", factsStatement.Milliseconds()))
	if err != nil {
		return fmt.Errorf("prepare the connection: %w", err)
	}
	return nil
}

// gathering is what the questions on the ordinary connection share.
type gathering struct {
	conn     *pgx.Conn
	server   target.Server
	settings map[string]target.Setting
	stats    bool   // sees the statistics of other roles
	role     string // quoted
}

func (g gathering) fill(ctx context.Context, f *target.ServerFacts) {
	monitor := "GRANT pg_monitor TO " + g.role
	here := " TO " + g.role + " in the database that Refloat signs in to"
	f.Scoped = ask(ctx, g, "", g.scoped)
	f.FileErrors = ask(ctx, g, "GRANT SELECT ON pg_file_settings"+here+", and GRANT EXECUTE ON FUNCTION pg_show_all_file_settings()", g.fileErrors)
	f.HBA = ask(ctx, g, "GRANT SELECT ON pg_hba_file_rules"+here+", and GRANT EXECUTE ON FUNCTION pg_hba_file_rules()", g.hba)
	f.Archiver = ask(ctx, g, "", g.archiver)
	f.ArchiveQueue = ask(ctx, g, monitor, g.archiveQueue)
	f.WAL = ask(ctx, g, monitor, g.wal)
	f.Slots = ask(ctx, g, "", g.slots)
	f.Prepared = ask(ctx, g, "", g.prepared)
	f.Connections = ask(ctx, g, "", g.connections)
	f.Roles = ask(ctx, g, "", g.roles)
	// These views show empty columns instead of an error.
	f.Senders, f.Transactions, f.Standby = hidden[[]target.Sender](monitor), hidden[[]target.Transaction](monitor), hidden[target.StandbyFacts](monitor)
	if g.stats {
		f.Senders = ask(ctx, g, monitor, g.senders)
		f.Transactions = ask(ctx, g, monitor, g.transactions)
		f.Standby = ask(ctx, g, monitor, g.standby)
	}
	if !g.server.InRecovery {
		f.Standby = target.Unseen[target.StandbyFacts]("the server is not a standby")
	}
}

func hidden[T any](right string) target.Known[T] {
	return target.Unseen[T]("the role may not look: " + right)
}

// ask puts one question. An answer that does not come is a reason, since the
// other questions have their own.
func ask[T any](ctx context.Context, g gathering, right string, read func(context.Context) (T, error)) target.Known[T] {
	v, err := read(ctx)
	switch {
	case err == nil:
		return target.Seen(v)
	case hasCode(err, "42501") && right != "":
		return hidden[T](right)
	}
	return target.Unseen[T](whyUnseen(err))
}

// whyUnseen says in one line why a question was not answered.
func whyUnseen(err error) string {
	switch {
	case hasCode(err, "57014"):
		return "the server did not answer in " + factsStatement.String()
	case hasCode(err, "55P03"):
		return "someone holds a lock on it"
	case errors.Is(err, context.DeadlineExceeded):
		return "there was no time left"
	}
	return strings.Join(strings.Fields(err.Error()), " ")
}

// connectionOf says how a connection reaches the server.
func connectionOf(conn *pgconn.PgConn) target.Connection {
	var out target.Connection
	_, out.TLS = conn.Conn().(*tls.Conn)
	remote := conn.Conn().RemoteAddr()
	if out.Address = remote.String(); remote.Network() == "unix" {
		out.Local = true
		return out
	}
	host, _, err := net.SplitHostPort(out.Address)
	if err != nil {
		return out
	}
	addr, err := netip.ParseAddr(host)
	out.Local = err == nil && addr.IsLoopback()
	return out
}

// lookInside looks into each database that allows connections, a few at a time.
func (c *Cluster) lookInside(ctx context.Context, all []target.DatabaseFacts, version target.Version) {
	ctx, cancel := context.WithTimeout(ctx, insideTimeout)
	defer cancel()
	var wait sync.WaitGroup
	free := make(chan struct{}, factsAtOnce)
	for i := range all {
		d := &all[i]
		if !d.AllowsConn {
			d.Inside = target.Unseen[target.DatabaseInside]("the database allows no connections")
			continue
		}
		free <- struct{}{}
		wait.Go(func() {
			defer func() { <-free }()
			inside, err := c.inside(ctx, d.Name, version)
			if d.Inside = target.Seen(inside); err != nil {
				d.Inside = target.Unseen[target.DatabaseInside](whyNotInside(d.Name, err))
			}
		})
	}
	wait.Wait()
}

func whyNotInside(database string, err error) string {
	switch {
	case hasCode(err, "42501"):
		return "the role may not enter it: GRANT CONNECT ON DATABASE " + quoteName(database)
	case hasCode(err, "28000"):
		return "the role may not enter it: pg_hba.conf has no line for it"
	}
	return whyUnseen(err)
}
