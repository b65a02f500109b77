// Package pgstore keeps Refloat's own state in a PostgreSQL database, in a
// schema named refloat, so that several nodes share it. Restoring never needs
// it. Writes are durable when they return: a server that would acknowledge them
// earlier is refused.
package pgstore

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/refloat-db/refloat/internal/secret"
)

// Errors that callers tell apart.
var (
	ErrNoState    = errors.New("no Refloat server has kept anything in this database")
	ErrNewer      = errors.New("the state was written by a newer Refloat")
	ErrNotDurable = errors.New("this PostgreSQL server does not keep what it acknowledges")
	ErrUnfit      = errors.New("this PostgreSQL server cannot hold our state")
	errReadOnly   = errors.New("the state is open for reading only")
)

//go:embed migrations/*.sql
var migrations embed.FS

const (
	connectWithin = 3 * time.Second
	// idleWithin ends a transaction whose client hangs in the middle: what it
	// holds would keep another node from going on.
	idleWithin     = 1500 * time.Millisecond
	maxConnections = 12
	oldestServer   = 14
)

// Options say where the state is.
type Options struct {
	URL        string       // postgres://role@host/database, without a password
	Password   secret.Value // empty for none
	RootCAFile string       // certificates that the server's is checked against; empty for the system's
	// Key authenticates the journal's end; asked for once, when it is needed. The
	// database does not hold it.
	Key func() ([]byte, error)
	// Node and Instance name this process among those that share the state; what
	// the database server shows of its sessions. Empty for a passing reader.
	Node, Instance string
	ReadOnly       bool // writing methods fail, and nothing is made
}

// Store is open state. It implements journal.Log and status.Memory, is safe for
// concurrent use, and other processes may have the same state open.
type Store struct {
	pool     *pgxpool.Pool
	o        Options
	key      func() ([]byte, error)
	fence    int64           // every write needs that this is still the fence; 0 for none
	over     <-chan struct{} // closed when a leader's time is over; nil for no leader
	changes  *changes
	closing  *sync.Once
	sessions string // application_name of this process
}

// Open connects, checks that the server keeps what it acknowledges, and makes or
// brings up to date the tables; with ReadOnly it only looks, and returns
// ErrNoState when there are none.
func Open(ctx context.Context, o Options) (*Store, error) {
	config, err := poolConfig(o)
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("open the store: %w", err)
	}
	s := &Store{pool: pool, o: o, key: sync.OnceValues(o.Key), closing: &sync.Once{}, sessions: config.ConnConfig.RuntimeParams["application_name"]}
	s.changes = newChanges(config.ConnConfig.Copy())
	if err := s.prepare(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open the store: %w", err), s.Close())
	}
	return s, nil
}

func poolConfig(o Options) (*pgxpool.Config, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return nil, errors.New("the store's url wants the form postgres://role@host:5432/database") // it may hold a password, so it is not shown
	}
	q := u.Query()
	if q.Get("sslmode") == "" && leavesHost(u.Host+","+q.Get("host")) {
		q.Set("sslmode", "verify-full")
	}
	if o.RootCAFile != "" && q.Get("sslrootcert") == "" {
		q.Set("sslrootcert", o.RootCAFile)
	}
	u.RawQuery = q.Encode()
	config, err := pgxpool.ParseConfig(u.String())
	if err != nil {
		return nil, fmt.Errorf("the store's url: %w", err)
	}
	c := config.ConnConfig
	if !o.Password.IsZero() {
		c.Password = o.Password.Reveal()
	}
	if q.Get("connect_timeout") == "" {
		c.ConnectTimeout = connectWithin
	}
	c.RuntimeParams["application_name"] = sessionName(o)
	c.RuntimeParams["idle_in_transaction_session_timeout"] = strconv.FormatInt(idleWithin.Milliseconds(), 10)
	if o.ReadOnly {
		c.RuntimeParams["default_transaction_read_only"] = "on"
	}
	config.MaxConns, config.MaxConnIdleTime, config.PingTimeout = maxConnections, 5*time.Minute, connectWithin
	config.AfterConnect = func(ctx context.Context, c *pgx.Conn) error { return fit(ctx, c, o.ReadOnly) }
	return config, nil
}

// sessionName is what the database server shows of our sessions: who takes the
// lead over ends those of the node before by it.
func sessionName(o Options) string {
	if o.Node == "" {
		return "refloat"
	}
	return fmt.Sprintf("refloat %.36s %.16s", o.Node, o.Instance)
}

// leavesHost reports whether any of the hosts, joined by commas, is reached over
// a network.
func leavesHost(hosts string) bool {
	for h := range strings.SplitSeq(hosts, ",") {
		if a, err := netip.ParseAddrPort(h); err == nil {
			h = a.Addr().String()
		} else if name, port, has := strings.Cut(h, ":"); has && !strings.Contains(port, ":") {
			h = name
		}
		if h = strings.Trim(h, "[]"); h == "" || h == "localhost" || strings.HasPrefix(h, "/") || strings.HasPrefix(h, "@") {
			continue
		}
		if a, err := netip.ParseAddr(h); err != nil || !a.IsLoopback() {
			return true
		}
	}
	return false
}

// fit refuses a session in which a write that returns may be lost.
func fit(ctx context.Context, c *pgx.Conn, readOnly bool) error {
	var commit, sync, encoding string
	var version int
	var standby bool
	if err := c.QueryRow(ctx, `SELECT current_setting('synchronous_commit'), current_setting('fsync'), current_setting('server_encoding'),
		current_setting('server_version_num')::int, pg_is_in_recovery()`).Scan(&commit, &sync, &encoding, &version, &standby); err != nil {
		return err
	}
	switch {
	case commit == "off":
		return fmt.Errorf("%w: synchronous_commit is off; set it to on for the store's role: ALTER ROLE … SET synchronous_commit = on", ErrNotDurable)
	case sync == "off":
		return fmt.Errorf("%w: fsync is off; set it to on, or use another server", ErrNotDurable)
	case encoding != "UTF8":
		return fmt.Errorf("%w: the database's encoding is %s; create one with ENCODING 'UTF8'", ErrUnfit, encoding)
	case version/10000 < oldestServer:
		return fmt.Errorf("%w: it is PostgreSQL %d; %d or newer is needed", ErrUnfit, version/10000, oldestServer)
	case standby && !readOnly:
		return fmt.Errorf("%w: it is a standby; name the primary, or all with target_session_attrs=read-write", ErrUnfit)
	}
	return nil
}

// Close closes every session; idempotent.
func (s *Store) Close() error {
	s.closing.Do(func() {
		s.changes.close()
		s.pool.Close()
	})
	return nil
}

func (s *Store) prepare(ctx context.Context) error {
	var schema bool
	if err := s.pool.QueryRow(ctx, `SELECT to_regnamespace('refloat') IS NOT NULL`).Scan(&schema); err != nil {
		return err
	}
	if s.o.ReadOnly {
		return s.upToDate(ctx)
	}
	if !schema { // asked first: IF NOT EXISTS wants the right to create even when it exists
		if _, err := s.pool.Exec(ctx, `CREATE SCHEMA IF NOT EXISTS refloat`); err != nil {
			return fmt.Errorf("make the schema refloat: %w (or let an administrator run what refloat init --store-grants prints)", err)
		}
	}
	return s.migrate(ctx)
}

const versionTable = "refloat.schema_version"

func (s *Store) provider() (*goose.Provider, func(), error) {
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, nil, err
	}
	// Two nodes that start at once migrate one after the other.
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 60), lock.WithUnlockTimeout(1, 5))
	if err != nil {
		return nil, nil, err
	}
	db := stdlib.OpenDBFromPool(s.pool)
	p, err := goose.NewProvider(goose.DialectPostgres, db, sub, goose.WithDisableGlobalRegistry(true), goose.WithTableName(versionTable), goose.WithSessionLocker(locker))
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return p, func() { _ = db.Close() }, nil // the pool stays open
}

func (s *Store) migrate(ctx context.Context) error {
	p, done, err := s.provider()
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	defer done()
	have, err := s.version(ctx)
	if err != nil && !errors.Is(err, ErrNoState) {
		return err
	}
	switch known := latest(p); {
	case have > known:
		return fmt.Errorf("%w: version %d, this program knows %d; use the newer program", ErrNewer, have, known)
	case have == known:
		return nil
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

// version is that of the tables; ErrNoState when there are none.
func (s *Store) version(ctx context.Context) (int64, error) {
	var there bool
	if err := s.pool.QueryRow(ctx, `SELECT to_regclass($1) IS NOT NULL`, versionTable).Scan(&there); err != nil {
		return 0, fmt.Errorf("read version: %w", err)
	}
	if !there {
		return 0, fmt.Errorf("%w: start refloat server", ErrNoState)
	}
	var have *int64
	if err := s.pool.QueryRow(ctx, `SELECT max(version_id) FROM `+versionTable+` WHERE is_applied`).Scan(&have); err != nil {
		return 0, fmt.Errorf("read version: %w", err)
	}
	if have == nil {
		return 0, fmt.Errorf("%w: start refloat server", ErrNoState)
	}
	return *have, nil
}

// upToDate asks without goose, which would try to make its table.
func (s *Store) upToDate(ctx context.Context) error {
	p, done, err := s.provider()
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	defer done()
	have, err := s.version(ctx)
	if err != nil {
		return err
	}
	switch known := latest(p); {
	case have > known:
		return fmt.Errorf("%w: version %d, this program knows %d; use the newer program", ErrNewer, have, known)
	case have < known:
		return fmt.Errorf("state of version %d, this program wants %d; start refloat server once to bring it up to date", have, known)
	}
	return nil
}

func latest(p *goose.Provider) int64 {
	var n int64
	for _, s := range p.ListSources() {
		n = max(n, s.Version)
	}
	return n
}
