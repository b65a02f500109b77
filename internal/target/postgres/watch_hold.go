package postgres

import (
	"bytes"
	"context"
	"net"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/refloat-db/refloat/internal/target"
)

// holdMost is how long an unanswered session is kept before another is wanted.
const holdMost = 30 * time.Second

// Hold keeps one session and asks through it at once, then every so often. What
// breaks the session is told the moment it breaks, since somebody always reads.
func (w *Watch) Hold(ctx context.Context, every time.Duration, patience func() time.Duration, tell func(target.Look)) {
	began := time.Now()
	limited, p := watchProgress(ctx, 3*patience())
	conn, err := w.dial(limited, p)
	p.stop()
	if err != nil {
		if ctx.Err() == nil {
			l := lookOf(err, p)
			l.At, l.Took = began, time.Since(began)
			tell(l)
		}
		return
	}
	raw, err := conn.Hijack()
	if err != nil {
		tell(target.Look{At: began, Took: time.Since(began), Sees: target.Blind, Detail: "a session cannot be held: " + err.Error()})
		hangUp(conn)
		return
	}
	s := &heldSession{conn: raw.Conn, front: raw.Frontend, every: every, patience: patience, tell: tell, answers: make(chan heldAnswer, 1), quit: make(chan struct{})}
	s.run(ctx)
}

// ownProcesses is how many of lookSQL's count are the server's own at least:
// checkpointer, background writer, log writer.
const ownProcesses = 3

// heldAnswer is what one question, or the end of the session, came to.
type heldAnswer struct {
	row   []string
	err   error // the server's complaint, or why the session ended
	ended bool
}

type heldSession struct {
	conn     net.Conn
	front    *pgproto3.Frontend
	every    time.Duration
	patience func() time.Duration
	tell     func(target.Look)
	answers  chan heldAnswer
	quit     chan struct{}
}

func (s *heldSession) run(ctx context.Context) {
	read := make(chan struct{})
	go func() {
		defer close(read)
		s.read()
	}()
	defer func() {
		close(s.quit)
		_ = s.conn.Close() // the reader ends with it
		<-read
	}()
	tick := time.NewTicker(s.every)
	defer tick.Stop()
	if !s.once(ctx) {
		return
	}
	for {
		select {
		case <-ctx.Done():
			s.goodbye()
			return
		case a := <-s.answers: // unasked: the session has ended
			s.report(time.Now(), a)
			return
		case <-tick.C:
			if !s.once(ctx) {
				return
			}
		}
	}
}

// goodbye ends the session politely; the server would notice anyway.
func (s *heldSession) goodbye() {
	bye, err := (&pgproto3.Terminate{}).Encode(nil)
	if err != nil {
		return
	}
	_ = s.conn.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = s.conn.Write(bye)
}

// once asks and waits for the answer; false when the session is over.
func (s *heldSession) once(ctx context.Context) bool {
	began := time.Now()
	s.front.SendQuery(&pgproto3.Query{String: lookSQL})
	_ = s.conn.SetWriteDeadline(began.Add(s.patience())) // else the write itself could hang
	if err := s.front.Flush(); err != nil {
		s.report(began, heldAnswer{err: err, ended: true})
		return false
	}
	late := time.NewTimer(s.patience())
	defer late.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case a := <-s.answers:
			s.report(began, a)
			return !a.ended
		case <-late.C:
			if ctx.Err() != nil {
				return false
			}
			s.tell(target.Look{At: began, Took: time.Since(began), Sees: target.Silent, Detail: "an open session gets no answer"})
			if time.Since(began) > holdMost {
				return false
			}
			late.Reset(time.Second)
		}
	}
}

func (s *heldSession) report(began time.Time, a heldAnswer) {
	var l target.Look
	if a.err != nil {
		l = lookOf(a.err, nil)
	} else {
		l = readLook(a.row, 0)
		if l.Sees == target.Serving && l.Room > 0 && l.Used-ownProcesses >= l.Room {
			// A suspicion only: the server's own processes are in the count. A fresh
			// session tells.
			l.Sees = target.Full
		}
	}
	l.At, l.Took = began, time.Since(began)
	s.tell(l)
}

// read reads all that the server sends until the session ends.
func (s *heldSession) read() {
	var a heldAnswer
	for {
		msg, err := s.front.Receive()
		if err != nil {
			if a.err == nil {
				a.err = err
			}
			a.ended = true
			s.send(a)
			return
		}
		switch m := msg.(type) {
		case *pgproto3.DataRow:
			a.row = make([]string, len(m.Values))
			for i, v := range m.Values {
				a.row[i] = string(bytes.Clone(v))
			}
		case *pgproto3.ErrorResponse:
			a.err = pgconn.ErrorResponseToPgError(m)
		case *pgproto3.ReadyForQuery:
			if m.TxStatus != 'I' { // the question failed half-way
				s.front.SendQuery(&pgproto3.Query{String: "ROLLBACK"})
				if err := s.front.Flush(); err != nil {
					a.ended = true
				}
				s.skip()
			}
			s.send(a)
			a = heldAnswer{}
		}
	}
}

// skip reads up to the end of the ROLLBACK.
func (s *heldSession) skip() {
	for {
		msg, err := s.front.Receive()
		if err != nil {
			return // the next read says so again
		}
		if _, ready := msg.(*pgproto3.ReadyForQuery); ready {
			return
		}
	}
}

func (s *heldSession) send(a heldAnswer) {
	select {
	case s.answers <- a:
	case <-s.quit:
	}
}
