package postgres

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/refloat-db/refloat/internal/target"
)

// Identity asks the server which one it is, and what is on it. It reads only.
// What the role may not see says why; the error is that of Inspect.
func (c *Cluster) Identity(ctx context.Context) (target.Identity, error) {
	s, err := c.Inspect(ctx)
	if err != nil {
		return target.Identity{}, err
	}
	id := target.Identity{Server: s}
	conn, err := c.connect(ctx, "")
	if err != nil {
		return id, err
	}
	defer closeQuietly(conn)
	if _, err := conn.Exec(ctx, "SET statement_timeout = '5s'; SET search_path = pg_catalog"); err != nil {
		return id, fmt.Errorf("identify the server: %w", err)
	}
	id.Host = asked(ctx, conn, "SELECT coalesce(host(inet_server_addr()), 'its local socket')", func(s *string) any { return s })
	if !s.InRecovery {
		// Right after a promotion the control file still names the timeline before.
		var file string
		if err := conn.QueryRow(ctx, "SELECT pg_walfile_name(pg_current_wal_lsn())").Scan(&file); err == nil {
			if n, err := strconv.ParseUint(file[:min(8, len(file))], 16, 32); err == nil && n > 0 {
				id.Timeline = target.Timeline(n)
			}
		}
	}
	id.Commit = lastCommit(ctx, conn, s)
	id.MayPromote = asked(ctx, conn, "SELECT has_function_privilege('pg_promote(boolean, integer)', 'EXECUTE')", func(b *bool) any { return b })
	id.WritesRefused = asked(ctx, conn, "SELECT current_setting('default_transaction_read_only')::boolean", func(b *bool) any { return b })
	id.Clients = clients(ctx, conn)
	return id, nil
}

func asked[T any](ctx context.Context, conn *pgx.Conn, query string, into func(*T) any) target.Known[T] {
	var v T
	if err := conn.QueryRow(ctx, query).Scan(into(&v)); err != nil {
		return target.Unseen[T](strings.Join(strings.Fields(err.Error()), " "))
	}
	return target.Seen(v)
}

// lastCommit is when the newest transaction ended: as track_commit_timestamp
// keeps it, or as a standby replayed it.
func lastCommit(ctx context.Context, conn *pgx.Conn, s target.Server) target.Known[time.Time] {
	var at *time.Time
	var err error
	switch {
	case s.InRecovery:
		err = conn.QueryRow(ctx, "SELECT pg_last_xact_replay_timestamp()").Scan(&at)
	case s.Settings["track_commit_timestamp"] == "on":
		err = conn.QueryRow(ctx, "SELECT timestamp FROM pg_last_committed_xact()").Scan(&at)
	default:
		return target.Unseen[time.Time]("the server does not keep it (track_commit_timestamp is off)")
	}
	if err != nil {
		return target.Unseen[time.Time](strings.Join(strings.Fields(err.Error()), " "))
	}
	if at == nil {
		return target.Unseen[time.Time]("nothing was committed since it started")
	}
	return target.Seen(at.UTC())
}

// clients counts the connections of others by application and role.
func clients(ctx context.Context, conn *pgx.Conn) target.Known[[]target.Clients] {
	const query = `SELECT coalesce(application_name, ''), coalesce(usename::text, ''), count(*)::int, (count(*) FILTER (WHERE state = 'active'))::int
		FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND coalesce(application_name, '') NOT LIKE 'refloat%'
		GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2`
	rows, err := conn.Query(ctx, query)
	if err == nil {
		var all []target.Clients
		all, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (x target.Clients, err error) {
			return x, row.Scan(&x.Application, &x.Role, &x.Count, &x.Active)
		})
		if err == nil {
			if all == nil {
				all = []target.Clients{}
			}
			return target.Seen(all)
		}
	}
	return target.Unseen[[]target.Clients](strings.Join(strings.Fields(err.Error()), " "))
}

// ErrNotPromoted means that a standby did not take over.
var ErrNotPromoted = errors.New("the standby was not promoted")

// Promote ends the recovery of a standby (pg_promote) and waits until it takes
// writes. A server that takes writes already is refused.
func (c *Cluster) Promote(ctx context.Context, within time.Duration) error {
	conn, err := c.connect(ctx, "")
	if err != nil {
		return err
	}
	defer closeQuietly(conn)
	var standby, done bool
	if err := conn.QueryRow(ctx, "SELECT pg_catalog.pg_is_in_recovery()").Scan(&standby); err != nil {
		return fmt.Errorf("ask whether it is a standby: %w", err)
	}
	if !standby {
		return fmt.Errorf("%w: it takes writes already", ErrNotPromoted)
	}
	if err := conn.QueryRow(ctx, "SELECT pg_catalog.pg_promote(true, $1)", max(1, int(within.Seconds()))).Scan(&done); err != nil {
		return fmt.Errorf("promote the standby: %w", err)
	}
	if !done {
		return fmt.Errorf("%w within %s: its log says why", ErrNotPromoted, within)
	}
	return nil
}

// ControlData reads the control file of a data directory on this machine with
// the pg_controldata beside the server's other programs. The directory's server
// need not run.
func ControlData(ctx context.Context, binDir, dir string) (target.ControlData, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(binDir, "pg_controldata"), "-D", dir)
	cmd.Env = []string{"LC_ALL=C", "TZ=UTC", "PATH=" + binDir}
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, strings.TrimSpace(string(exit.Stderr)))
		}
		return target.ControlData{}, fmt.Errorf("pg_controldata of %s: %w", dir, err)
	}
	return parseControlData(string(out))
}

func parseControlData(text string) (target.ControlData, error) {
	var c target.ControlData
	var errs []error
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimSpace(value)
		var err error
		switch strings.TrimSpace(name) {
		case "Database system identifier":
			err = c.SystemID.UnmarshalText([]byte(value))
		case "Database cluster state":
			c.State = value
		case "Latest checkpoint location":
			c.Position.LSN, err = target.ParseLSN(value)
		case "Latest checkpoint's TimeLineID":
			_, err = fmt.Sscan(value, &c.Position.Timeline)
		case "Time of latest checkpoint":
			if c.Checkpoint, err = time.Parse("Mon Jan _2 15:04:05 2006", value); err != nil {
				c.Checkpoint, err = time.Parse("Mon 02 Jan 2006 03:04:05 PM MST", value)
			}
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	}
	if c.SystemID == 0 {
		errs = append(errs, errors.New("it has no system identifier"))
	}
	if err := errors.Join(errs...); err != nil {
		return c, fmt.Errorf("read pg_controldata: %w", err)
	}
	return c, nil
}

// Host is the first host and port of the connection string: a name, an address,
// or the folder of a socket.
func (c *Cluster) Host() (string, int) { return c.config.Host, int(c.config.Port) }
