package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/refloat-db/refloat/internal/target"
)

const (
	statusEvery   = 5 * time.Second // well under the shortest sensible wal_sender_timeout
	streamSilence = time.Minute     // without even an answer to a status: the connection is given up
	streamBuffer  = 4 << 20         // socket receive buffer, bytes
	logHeaderSize = 25              // of an XLogData message
	keepaliveSize = 18
	statusSize    = 34
)

// closeReplication ends a connection without waiting long for the server.
func closeReplication(conn *pgconn.PgConn) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_ = conn.Close(ctx) // the connection is of no more use, however it ends
}

// StreamLog implements backup.LogSource: it delivers the log from req.From
// until the timeline ends (nil), ctx ends or something breaks. Progress is
// reported from a goroutine of its own, so that a handler that is slow to
// write never makes the server give up on us.
func (c *Cluster) StreamLog(ctx context.Context, req target.LogRequest, h target.LogHandler) (target.LogEnd, error) {
	conn, err := c.connectReplication(ctx, req.Application)
	if err != nil {
		return target.LogEnd{}, err
	}
	if tcp, ok := conn.Conn().(*net.TCPConn); ok {
		_ = tcp.SetReadBuffer(streamBuffer) // only a wish
	}
	start := fmt.Sprintf("START_REPLICATION SLOT %s PHYSICAL %s TIMELINE %d", quoteName(req.Slot), req.From.LSN, req.From.Timeline)
	if req.Slot == "" {
		start = fmt.Sprintf("START_REPLICATION PHYSICAL %s TIMELINE %d", req.From.LSN, req.From.Timeline)
	}
	s := &logStream{conn: conn, h: h, wake: make(chan struct{}, 1), silence: min(streamSilence, c.stall)}
	defer closeReplication(conn)
	streaming, err := s.start(ctx, start)
	if err != nil {
		return target.LogEnd{}, streamError(ctx, req, err)
	}
	if streaming {
		if err := s.run(ctx); err != nil {
			return target.LogEnd{}, streamError(ctx, req, err)
		}
	}
	end, err := s.end(ctx)
	if err != nil {
		return target.LogEnd{}, streamError(ctx, req, err)
	}
	return end, nil
}

// streamError names what was asked for and tells removed log apart.
func streamError(ctx context.Context, req target.LogRequest, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return fmt.Errorf("stream the log from %s: %w", req.From, cause)
	}
	if logRemoved(err) {
		return fmt.Errorf("stream the log from %s: %w: %w", req.From, target.ErrLogRemoved, err)
	}
	return fmt.Errorf("stream the log from %s: %w", req.From, err)
}

// logRemoved recognises the server's words for log that it no longer has:
// a segment that was removed, and a slot that was invalidated.
func logRemoved(err error) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return false
	}
	const undefinedFile, prerequisite = "58P01", "55000"
	return pg.Code == undefinedFile ||
		pg.Code == prerequisite && (strings.Contains(pg.Message, "can no longer get changes") || strings.Contains(pg.Message, "cannot read from replication slot") || strings.Contains(pg.Message, "invalidated"))
}

func quoteName(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }

// logStream is one running START_REPLICATION.
type logStream struct {
	conn *pgconn.PgConn
	h    target.LogHandler
	wake chan struct{} // a status should go out now
	sent atomic.Uint64 // flushed position last reported

	silence time.Duration // longest that is believed
	waiting atomic.Int64  // since when a message is waited for, Unix nanoseconds; 0 while one is handled

	sending sync.Mutex // one status at a time
	status  [5 + statusSize]byte
}

// start sends the command; false when the timeline ends right there and the
// server sends no log at all.
func (s *logStream) start(ctx context.Context, command string) (bool, error) {
	stop := context.AfterFunc(ctx, func() { _ = s.conn.Conn().Close() })
	defer stop()
	s.conn.Frontend().SendQuery(&pgproto3.Query{String: command})
	if err := s.conn.Frontend().Flush(); err != nil {
		return false, err
	}
	for {
		msg, err := s.receive()
		if err != nil {
			return false, err
		}
		switch msg.(type) {
		case *pgproto3.CopyBothResponse:
			return true, nil
		case *pgproto3.RowDescription:
			return false, nil // the position of the next timeline follows
		case *pgproto3.ReadyForQuery:
			return false, errors.New("the server did not start streaming")
		}
	}
}

// receive reads one message; an error from the server becomes an error.
func (s *logStream) receive() (pgproto3.BackendMessage, error) {
	s.waiting.Store(time.Now().UnixNano())
	msg, err := s.conn.ReceiveMessage(context.Background()) // ctx closes the connection
	s.waiting.Store(0)
	if err != nil {
		return nil, err
	}
	if e, ok := msg.(*pgproto3.ErrorResponse); ok {
		return nil, pgconn.ErrorResponseToPgError(e)
	}
	return msg, nil
}

// run reads log until the server ends the timeline.
func (s *logStream) run(parent context.Context) error {
	ctx, cancel := context.WithCancelCause(parent)
	stop := context.AfterFunc(ctx, func() { _ = s.conn.Conn().Close() })
	var reporter sync.WaitGroup
	quit := make(chan struct{})
	reporter.Add(1)
	go func() {
		defer reporter.Done()
		if err := s.report(quit); err != nil {
			cancel(err)
		}
	}()
	err := s.read()
	close(quit)
	reporter.Wait()
	stop()
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	cancel(nil)
	return err
}

func (s *logStream) read() error {
	for {
		msg, err := s.receive()
		if err != nil {
			return err
		}
		switch m := msg.(type) {
		case *pgproto3.CopyData:
			if err := s.handle(m.Data); err != nil {
				return err
			}
		case *pgproto3.CopyDone:
			return nil
		}
	}
}

// handle takes one message of the stream.
func (s *logStream) handle(b []byte) error {
	be := binary.BigEndian
	switch {
	case len(b) >= logHeaderSize && b[0] == pglogrepl.XLogDataByteID:
		lsn, end := target.LSN(be.Uint64(b[1:])), target.LSN(be.Uint64(b[9:]))
		if err := s.h.Write(lsn, b[logHeaderSize:], end, serverTime(be.Uint64(b[17:]))); err != nil {
			return err
		}
		if _, flushed := s.h.Progress(); uint64(flushed) != s.sent.Load() {
			return s.send(0) // at once: a commit may wait for it
		}
		return nil
	case len(b) >= keepaliveSize && b[0] == pglogrepl.PrimaryKeepaliveMessageByteID:
		if b[17] != 0 {
			s.nudge()
		}
		return s.h.Idle(target.LSN(be.Uint64(b[1:])), serverTime(be.Uint64(b[9:])))
	case len(b) == 0:
		return errors.New("the server sent an empty message")
	}
	return fmt.Errorf("the server sent an unknown message %q of %d bytes", b[0], len(b))
}

func (s *logStream) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// report tells the server of progress until quit. On its timer it asks the
// server for a keep-alive in return, so that its time and the end of its log
// are known while nothing is written, and a silence means that it is stopped.
func (s *logStream) report(quit <-chan struct{}) error {
	timer := time.NewTicker(statusEvery)
	defer timer.Stop()
	for {
		ask := byte(0)
		select {
		case <-quit:
			return nil
		case now := <-timer.C:
			ask = 1
			if since := s.waiting.Load(); since != 0 && now.UnixNano()-since > int64(s.silence) {
				return fmt.Errorf("%w: nothing arrived for %s, though it was asked; is it stopped?", target.ErrStalled, s.silence)
			}
		case <-s.h.Wake():
		case <-s.wake:
		}
		if err := s.send(ask); err != nil {
			select {
			case <-quit:
				return nil
			default:
				return err
			}
		}
	}
}

// send reports progress now; ask 1 asks for a keep-alive in return.
func (s *logStream) send(ask byte) error {
	s.sending.Lock()
	defer s.sending.Unlock()
	written, flushed := s.h.Progress()
	encodeStatus(s.status[:], written, flushed, time.Now(), ask)
	// Written past pgconn's buffer, which the reading side may be using to say
	// goodbye after an error; it is empty while streaming.
	if _, err := s.conn.Conn().Write(s.status[:]); err != nil {
		return fmt.Errorf("report progress: %w", err)
	}
	s.sent.Store(uint64(flushed))
	return nil
}

// encodeStatus makes a CopyData message with a standby status update
// (PostgreSQL docs, "Streaming Replication Protocol"). Nothing is ever applied
// here, so the flushed position stands for the applied one too: with
// synchronous_commit = remote_apply commits must not hang.
func encodeStatus(msg []byte, written, flushed target.LSN, now time.Time, ask byte) {
	be := binary.BigEndian
	msg[0] = 'd'
	be.PutUint32(msg[1:], 4+statusSize)
	b := msg[5:]
	b[0] = pglogrepl.StandbyStatusUpdateByteID
	be.PutUint64(b[1:], uint64(written))
	be.PutUint64(b[9:], uint64(flushed))
	be.PutUint64(b[17:], uint64(flushed))
	be.PutUint64(b[25:], uint64(now.UnixMicro()-postgresEpoch))
	b[33] = ask
}

// postgresEpoch is 2000-01-01 UTC in microseconds since 1970.
const postgresEpoch = 946684800 * 1000000

func serverTime(micros uint64) time.Time {
	return time.UnixMicro(int64(micros) + postgresEpoch).UTC()
}

// end answers the server's CopyDone and reads where the next timeline begins.
func (s *logStream) end(ctx context.Context) (target.LogEnd, error) {
	stop := context.AfterFunc(ctx, func() { _ = s.conn.Conn().Close() })
	defer stop()
	s.conn.Frontend().Send(&pgproto3.CopyDone{})
	if err := s.conn.Frontend().Flush(); err != nil {
		return target.LogEnd{}, err
	}
	var out target.LogEnd
	for {
		msg, err := s.receive()
		if err != nil {
			return target.LogEnd{}, err
		}
		switch m := msg.(type) {
		case *pgproto3.DataRow:
			if len(m.Values) != 2 {
				return target.LogEnd{}, errors.New("end of timeline: unexpected answer")
			}
			tl, err := strconv.ParseUint(string(m.Values[0]), 10, 32)
			if err != nil {
				return target.LogEnd{}, fmt.Errorf("end of timeline: %w", err)
			}
			lsn, err := target.ParseLSN(string(m.Values[1]))
			if err != nil {
				return target.LogEnd{}, fmt.Errorf("end of timeline: %w", err)
			}
			out.Next = target.Position{Timeline: target.Timeline(tl), LSN: lsn}
		case *pgproto3.CommandComplete:
			if out.Next.Timeline == 0 {
				// A server that shuts down ends the stream the same way.
				return target.LogEnd{}, errors.New("the server ended the stream")
			}
			return out, nil
		}
	}
}
