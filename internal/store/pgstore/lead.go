package pgstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Lease is which node leads, as one look saw it. The fence grows each time that
// the lead changes hands; what is written under an older one is refused.
type Lease struct {
	Fence    int64
	Beat     int64  // counts renewals
	Node     string // empty when nobody leads
	Instance string // which start of the node
	// Held says that the session through which the leader renews is there. It
	// ends with the leader's process, at once.
	Held bool
}

// ErrTaken means that the lease is no longer as it was seen.
var ErrTaken = errors.New("the lead has changed hands or was renewed meanwhile")

const (
	seatWithin = time.Second // one look or renewal, with its connecting
	// The lock that a leader's session holds is (leadLock, fence).
	leadLock = 0x7265666c
)

// Seat is the session of one node through which it watches the lead, takes it
// and renews it. Not for use by two goroutines at once.
type Seat struct {
	s       *Store
	config  *pgx.ConnConfig
	conn    *pgx.Conn
	session int   // counts connections
	holds   int64 // fence whose lock this connection holds
}

// Seat makes a seat; it connects when it is first used.
func (s *Store) Seat() *Seat { return &Seat{s: s, config: s.pool.Config().ConnConfig.Copy()} }

// Session counts the connections so far: what one of them saw is no longer known
// to hold on the next.
func (x *Seat) Session() int { return x.session }

// do runs f on the session, made anew where it is broken. A session that ended
// since it was used last is replaced at once.
func (x *Seat) do(ctx context.Context, limit time.Duration, f func(context.Context, *pgx.Conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := x.try(ctx, f)
	if err != nil && broken(err) && ctx.Err() == nil {
		err = x.try(ctx, f)
	}
	return told(err)
}

func (x *Seat) try(ctx context.Context, f func(context.Context, *pgx.Conn) error) error {
	if x.conn == nil || x.conn.IsClosed() {
		conn, err := pgx.ConnectConfig(ctx, x.config)
		if err != nil {
			return err
		}
		if err := fit(ctx, conn, false); err != nil {
			return errors.Join(err, conn.Close(ctx))
		}
		x.conn, x.holds = conn, 0
		x.session++
	}
	err := f(ctx, x.conn)
	var pg *pgconn.PgError
	if err != nil && (broken(err) || !errors.As(err, &pg) && !errors.Is(err, ErrTaken) && !errors.Is(err, ErrFenced)) {
		x.drop()
	}
	return err
}

func (x *Seat) drop() {
	if x.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = x.conn.Close(ctx) // nothing is lost with it
	x.conn = nil
}

// Close ends the session; a lead that it holds is not released by that.
func (x *Seat) Close() { x.drop() }

// Look sees who leads.
func (x *Seat) Look(ctx context.Context) (Lease, error) {
	var l Lease
	err := x.do(ctx, seatWithin, func(ctx context.Context, c *pgx.Conn) (err error) {
		l, err = look(ctx, c)
		return err
	})
	if err != nil {
		return Lease{}, fmt.Errorf("look who leads: %w", err)
	}
	return l, nil
}

func look(ctx context.Context, c interface {
	QueryRow(context.Context, string, ...any) pgx.Row
}) (Lease, error) {
	var l Lease
	err := c.QueryRow(ctx, `SELECT fence, beat, node, instance, EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted
			AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
			AND classid = $1::bigint::oid AND objid = (fence % 2147483648)::oid AND objsubid = 2)
		FROM refloat.lease`, int64(leadLock)).Scan(&l.Fence, &l.Beat, &l.Node, &l.Instance, &l.Held)
	return l, err
}

// Claim takes the lead if the lease is still as it was seen, and returns the new
// fence. Sessions of the node that led before are ended first: what it was
// writing is undone, and what it writes from now on is refused.
func (x *Seat) Claim(ctx context.Context, seen Lease) (int64, error) {
	o := x.s.o
	var fence int64
	err := x.do(ctx, 2*seatWithin, func(ctx context.Context, c *pgx.Conn) error {
		now, err := look(ctx, c)
		if err != nil {
			return err
		}
		if now.Fence != seen.Fence || now.Beat != seen.Beat {
			return ErrTaken
		}
		if before := sessionName(Options{Node: seen.Node, Instance: seen.Instance}); seen.Node != "" && before != x.s.sessions {
			if _, err := c.Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
				WHERE application_name = $1 AND usename = current_user AND datname = current_database() AND pid <> pg_backend_pid()`, before); err != nil {
				return fmt.Errorf("end the sessions of %s: %w", seen.Node, err)
			}
		}
		// The fence is unique: changing it waits until no transaction of the
		// leader before shares the row.
		err = c.QueryRow(ctx, `UPDATE refloat.lease SET fence = fence + 1, beat = 0, node = $1, instance = $2, since = now(), renewed = now()
			WHERE fence = $3 AND beat = $4 RETURNING fence`, o.Node, o.Instance, seen.Fence, seen.Beat).Scan(&fence)
		if errors.Is(err, pgx.ErrNoRows) {
			return ErrTaken
		}
		if err != nil {
			return err
		}
		return x.hold(ctx, c, fence)
	})
	if err != nil {
		return 0, fmt.Errorf("take the lead: %w", err)
	}
	return fence, nil
}

// hold takes the lock that shows that this session is there.
func (x *Seat) hold(ctx context.Context, c *pgx.Conn, fence int64) error {
	if x.holds == fence {
		return nil
	}
	var held bool
	if err := c.QueryRow(ctx, `SELECT pg_try_advisory_lock($1::int, ($2::bigint % 2147483648)::int)`, leadLock, fence).Scan(&held); err != nil {
		return err
	}
	if held { // else a session of ours before this one has not ended yet
		x.holds = fence
	}
	return nil
}

// Renew says that this node still leads; ErrFenced when it does not.
func (x *Seat) Renew(ctx context.Context, fence int64) error {
	err := x.do(ctx, seatWithin, func(ctx context.Context, c *pgx.Conn) error {
		tag, err := c.Exec(ctx, `UPDATE refloat.lease SET beat = beat + 1, renewed = now() WHERE fence = $1`, fence)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return ErrFenced
		}
		return x.hold(ctx, c, fence)
	})
	if err != nil {
		return fmt.Errorf("renew the lead: %w", err)
	}
	return nil
}

// Release gives the lead up, so that another node takes it at its next look.
func (x *Seat) Release(ctx context.Context, fence int64) error {
	err := x.do(ctx, seatWithin, func(ctx context.Context, c *pgx.Conn) error {
		if _, err := c.Exec(ctx, `UPDATE refloat.lease SET node = '', instance = '', beat = beat + 1 WHERE fence = $1`, fence); err != nil {
			return err
		}
		_, err := c.Exec(ctx, `SELECT pg_advisory_unlock_all()`)
		x.holds = 0
		return err
	})
	if err != nil {
		return fmt.Errorf("give the lead up: %w", err)
	}
	return nil
}

// Leads is nil while fence is the current one: what is not written, but sent, is
// sent only then.
func (s *Store) Leads(ctx context.Context, fence int64) error {
	_, err := s.pool.Exec(ctx, mustLead, fence)
	return told(err)
}

// Node is one that shares the state.
type Node struct {
	Name, Version string
	Seen          time.Time // by the database server's clock
	Silent        time.Duration
	Leads         bool
}

// Present notes that this node is there; gone that it was stopped in order.
func (x *Seat) Present(ctx context.Context, version string) error {
	return x.do(ctx, seatWithin, func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, `INSERT INTO refloat.node (name, instance, version, seen) VALUES ($1, $2, $3, now())
			ON CONFLICT (name) DO UPDATE SET instance = excluded.instance, version = excluded.version, seen = excluded.seen`, x.s.o.Node, x.s.o.Instance, version)
		return err
	})
}

// Gone notes that this node was stopped in order: nobody misses it.
func (x *Seat) Gone(ctx context.Context) error {
	return x.do(ctx, seatWithin, func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, `DELETE FROM refloat.node WHERE name = $1 AND instance = $2`, x.s.o.Node, x.s.o.Instance)
		return err
	})
}

// leadFresh is how old the last renewal of one who leads may be for a passing
// reader, who cannot watch it for a while.
const leadFresh = 5 * time.Second

// Nodes lists those that share the state and were not stopped in order, by name.
func (s *Store) Nodes(ctx context.Context) ([]Node, error) {
	out, err := list(ctx, s, func(row pgx.CollectableRow) (Node, error) {
		var n Node
		var silent float64
		err := row.Scan(&n.Name, &n.Version, &n.Seen, &silent, &n.Leads)
		n.Seen, n.Silent = n.Seen.UTC(), time.Duration(silent*float64(time.Second))
		return n, err
	}, `SELECT n.name, n.version, n.seen, extract(epoch FROM now() - n.seen)::float8, l.node = n.name AND l.renewed > now() - make_interval(secs => $1)
		FROM refloat.node n CROSS JOIN refloat.lease l WHERE n.seen > now() - interval '7 days' ORDER BY n.name`, leadFresh.Seconds())
	if err != nil {
		return nil, fmt.Errorf("list nodes: %w", err)
	}
	return out, nil
}

// Queue opens sessions for the queue of due work: its tables are in our schema,
// which is the search path. A session is refused once the lead is lost, and those
// that are open are ended by who takes it over. The caller closes it.
func (s *Store) Queue(ctx context.Context) (*pgxpool.Pool, error) {
	config := s.pool.Config()
	config.MaxConns = 4
	config.ConnConfig.RuntimeParams["search_path"] = "refloat"
	config.AfterConnect = func(ctx context.Context, c *pgx.Conn) error {
		if err := fit(ctx, c, false); err != nil {
			return err
		}
		_, err := c.Exec(ctx, mustLead, s.fence)
		return told(err)
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("open the queue: %w", err)
	}
	return pool, nil
}

// Node is what this process is called among those that share the state.
func (s *Store) Node() string { return s.o.Node }

// Instance tells this start of it from others.
func (s *Store) Instance() string { return s.o.Instance }
