package postgres

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/refloat-db/refloat/internal/target"
)

// lookOf says what an error of a look means for the server. p tells how far the
// connection came; nil for a session that was open.
func lookOf(err error, p *progress) target.Look {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return target.Look{Sees: seesOf(pg), Detail: strings.TrimSpace(pg.Message)}
	}
	var unknown x509.UnknownAuthorityError
	var verify *tls.CertificateVerificationError
	var dns *net.DNSError
	switch {
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.ENOBUFS), errors.Is(err, syscall.EADDRNOTAVAIL):
		return target.Look{Sees: target.Blind, Detail: "this machine has no connection to spare"}
	case errors.Is(err, syscall.ECONNREFUSED):
		return target.Look{Sees: target.Refused, Detail: "nobody listens there"}
	case errors.Is(err, syscall.ENOENT):
		return target.Look{Sees: target.Refused, Detail: "its socket is not there"}
	case errors.As(err, &dns):
		return target.Look{Sees: target.Unreachable, Detail: "its name cannot be resolved"}
	case errors.As(err, &verify), errors.As(err, &unknown):
		return target.Look{Sees: target.Denied, Detail: "its certificate is not to be trusted"}
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTDOWN), errors.Is(err, syscall.ETIMEDOUT):
		return target.Look{Sees: target.Unreachable, Detail: "no way to the host"}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled), isTimeout(err):
		if p != nil && !p.connected() {
			return target.Look{Sees: target.Unreachable, Detail: "the host does not answer"}
		}
		return target.Look{Sees: target.Silent}
	case strings.Contains(err.Error(), "read only connection"):
		return target.Look{Sees: target.ReadOnly, Detail: "the DSN asks for a server that takes writes"}
	}
	return target.Look{Sees: target.Broken}
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

// seesOf reads the server's error code (PostgreSQL docs, Appendix A).
func seesOf(pg *pgconn.PgError) target.Sees {
	switch pg.Code {
	case "57P03": // cannot_connect_now
		if strings.Contains(pg.Message, "shutting down") {
			return target.Stopping
		}
		return target.Starting
	case "57P01", "57P02": // admin_shutdown, crash_shutdown: the end of an open session
		return target.Stopping
	case "53300": // too_many_connections
		return target.Full
	case "53100": // disk_full
		return target.DiskFull
	case "25006": // read_only_sql_transaction
		return target.ReadOnly
	case "28000", "28P01", "3D000", "42501":
		return target.Denied
	case "57014": // query_canceled: somebody's time limit, not the server's trouble
		return target.Silent
	}
	return target.Failing
}

// WriteLook says what the outcome of a beat means for the server: the look of a
// write. A missing table or grant is no trouble of the server: Blind.
func WriteLook(began time.Time, took time.Duration, err error) target.Look {
	l := target.Look{Sees: target.Serving}
	var pg *pgconn.PgError
	switch {
	case err == nil:
	case errors.Is(err, target.ErrReadOnly):
		l.Sees = target.ReadOnly
	case errors.As(err, &pg) && seesOf(pg) == target.DiskFull:
		l.Sees, l.Detail = target.DiskFull, strings.TrimSpace(pg.Message)
	case errors.Is(err, context.DeadlineExceeded):
		l.Sees = target.WriteHangs
	default:
		l.Sees = target.Blind
	}
	l.At, l.Took, l.Write = began, took, true
	return l
}

// progress ends a context when patience passes without a sign of life.
type progress struct {
	patience time.Duration
	cancel   context.CancelFunc
	began    time.Time
	dialled  atomic.Bool
	last     atomic.Int64 // nanoseconds since began

	mu    sync.Mutex
	timer *time.Timer // nil once stopped
}

func watchProgress(ctx context.Context, patience time.Duration) (context.Context, *progress) {
	ctx, cancel := context.WithCancel(ctx)
	p := &progress{patience: patience, cancel: cancel, began: time.Now()}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.timer = time.AfterFunc(patience, p.check)
	return ctx, p
}

func (p *progress) check() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.timer == nil {
		return
	}
	quiet := time.Since(p.began) - time.Duration(p.last.Load())
	if quiet >= p.patience || time.Since(p.began) >= 3*p.patience {
		p.timer = nil
		p.cancel()
		return
	}
	p.timer.Reset(p.patience - quiet)
}

func (p *progress) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
	p.cancel()
}

func (p *progress) connect() {
	p.dialled.Store(true)
	p.alive()
}

func (p *progress) connected() bool { return p.dialled.Load() }

func (p *progress) alive() { p.last.Store(int64(time.Since(p.began))) }

// progressConn tells of every byte that arrives.
type progressConn struct {
	net.Conn
	p *progress
}

// Read implements net.Conn.
func (c *progressConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.p.alive()
	}
	return n, err
}
