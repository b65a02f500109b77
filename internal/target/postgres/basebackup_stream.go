package postgres

import (
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/refloat-db/refloat/internal/target"
)

const dataCorrupted = "XX001" // SQLSTATE

// messages is where the server's messages come from.
type messages interface {
	Receive() (pgproto3.BackendMessage, error)
}

// streamStart is what the server says before the first archive.
type streamStart struct {
	position    target.Position
	tablespaces []target.Tablespace
	size        int64 // bytes; 0 when not estimated
}

// backupStream reads the answer to BASE_BACKUP (PostgreSQL docs, "Streaming
// Replication Protocol"): two result sets, the archives, the manifest, a
// third result set.
type backupStream struct {
	msgs     messages
	legacy   bool // PostgreSQL 14: a CopyOut for each archive, without types of messages
	manifest bool // whether a manifest was asked for; the legacy form does not say what a CopyOut is
	begin    func(streamStart) error
	pipe     *backupPipe
	verdicts *pageVerdicts
	log      *slog.Logger

	sets     int // result sets seen
	inSet    bool
	rows     [][]string
	start    streamStart
	begun    bool
	order    []archive // legacy: archives to come
	copying  bool
	inside   bool // an archive has begun
	done     bool // a CopyDone that ends all archives has come
	manifSet bool
	end      target.Position
}

// run reads until the server is ready for the next command, and returns where
// the backup ends.
func (s *backupStream) run() (target.Position, error) {
	for {
		msg, err := s.msgs.Receive()
		if err != nil {
			return s.end, err
		}
		if _, ready := msg.(*pgproto3.ReadyForQuery); ready {
			return s.finish()
		}
		if err := s.take(msg); err != nil {
			return s.end, err
		}
	}
}

func (s *backupStream) finish() (target.Position, error) {
	switch {
	case s.sets != 3 || s.copying:
		return s.end, errors.New("the server ended the backup before all of it was sent")
	case s.manifest && !s.manifSet:
		return s.end, errors.New("the server sent no manifest")
	}
	return s.end, nil
}

func (s *backupStream) take(msg pgproto3.BackendMessage) error {
	switch m := msg.(type) {
	case *pgproto3.RowDescription:
		s.inSet, s.rows = true, nil
	case *pgproto3.DataRow:
		row := make([]string, len(m.Values))
		for i, v := range m.Values {
			row[i] = string(v)
		}
		s.rows = append(s.rows, row)
	case *pgproto3.CommandComplete:
		if s.inSet {
			s.inSet = false
			s.sets++
			return s.resultSet()
		}
	case *pgproto3.CopyOutResponse:
		return s.copyBegins()
	case *pgproto3.CopyData:
		if !s.copying {
			return errors.New("the server sent data out of turn")
		}
		if s.legacy {
			return s.pipe.write(m.Data)
		}
		return s.typed(m.Data)
	case *pgproto3.CopyDone:
		s.copying = false
		s.done = !s.legacy || len(s.order) == 0
	case *pgproto3.NoticeResponse:
		if !s.verdicts.warn(m.Message) {
			s.log.Warn("the server warns during the base backup", "message", m.Message, "code", m.Code)
		}
	case *pgproto3.ErrorResponse:
		err := pgconn.ErrorResponseToPgError(m)
		if m.Code == dataCorrupted && s.sets == 3 {
			s.verdicts.failed(m.Message) // all was sent: damaged pages are findings, not a lost backup
			return nil
		}
		return err
	}
	return nil
}

// resultSet takes the start, the tablespaces or the end.
func (s *backupStream) resultSet() error {
	var err error
	switch s.sets {
	case 1:
		s.start.position, err = positionRow(s.rows)
	case 2:
		if err = s.tablespaces(); err == nil {
			s.begun = true
			err = s.begin(s.start)
		}
	case 3:
		if !s.done {
			return errors.New("the server named the end of the backup before sending it")
		}
		s.end, err = positionRow(s.rows)
	default:
		return errors.New("the server sent an unknown result")
	}
	return err
}

func positionRow(rows [][]string) (target.Position, error) {
	if len(rows) != 1 || len(rows[0]) < 2 {
		return target.Position{}, errors.New("the server did not say the backup's position")
	}
	lsn, err := target.ParseLSN(rows[0][0])
	if err != nil {
		return target.Position{}, err
	}
	tl, err := strconv.ParseUint(rows[0][1], 10, 32)
	if err != nil || tl == 0 {
		return target.Position{}, fmt.Errorf("timeline %q of the backup", rows[0][1])
	}
	return target.Position{Timeline: target.Timeline(tl), LSN: lsn}, nil
}

// tablespaces reads the rows OID, location, size in KiB; the data directory's
// row has no OID.
func (s *backupStream) tablespaces() error {
	for _, r := range s.rows {
		if len(r) < 3 {
			return errors.New("the server's list of tablespaces has too few columns")
		}
		size := int64(-1)
		if r[2] != "" {
			kib, err := strconv.ParseInt(r[2], 10, 64)
			if err != nil || kib < 0 || kib > 1<<50 {
				return fmt.Errorf("size %q of a tablespace", r[2])
			}
			size = kib << 10
			s.start.size += size
		}
		a := archive{}
		if r[0] != "" {
			oid, err := strconv.ParseUint(r[0], 10, 32)
			if err != nil || oid == 0 {
				return fmt.Errorf("OID %q of a tablespace", r[0])
			}
			a.oid = uint32(oid)
			s.start.tablespaces = append(s.start.tablespaces, target.Tablespace{OID: a.oid, Location: r[1], Size: size})
		}
		s.order = append(s.order, a)
	}
	if s.legacy && s.manifest {
		s.order = append(s.order, archive{manifest: true})
	}
	return nil
}

func (s *backupStream) copyBegins() error {
	if !s.begun || s.copying || s.done {
		return errors.New("the server began to send data out of turn")
	}
	s.copying = true
	if !s.legacy {
		return nil
	}
	if len(s.order) == 0 {
		return errors.New("the server sent more archives than it announced")
	}
	a := s.order[0]
	s.order = s.order[1:]
	s.manifSet = a.manifest
	return s.pipe.begin(a)
}

// typed takes one message of the archive stream of PostgreSQL 15 and later.
func (s *backupStream) typed(b []byte) error {
	if len(b) == 0 {
		return errors.New("the server sent an empty message")
	}
	kind, b := b[0], b[1:]
	switch kind {
	case 'd':
		if !s.inside {
			return errors.New("the server sent data before an archive")
		}
		return s.pipe.write(b)
	case 'n':
		a, err := s.named(b)
		if err != nil {
			return err
		}
		s.inside = true
		return s.pipe.begin(a)
	case 'm':
		if s.manifSet {
			return errors.New("the server sent two manifests")
		}
		s.inside, s.manifSet = true, true
		return s.pipe.begin(archive{manifest: true})
	case 'p':
		return nil // progress: we count what arrives
	}
	return fmt.Errorf("the server sent an unknown message %q", kind)
}

// named reads an archive's name, "base.tar" or "OID.tar", and location.
func (s *backupStream) named(b []byte) (archive, error) {
	name, _, ok := strings.Cut(string(b), "\x00")
	if !ok || s.manifSet {
		return archive{}, errors.New("the server began an archive in an unknown way")
	}
	if name == "base.tar" {
		return archive{}, nil
	}
	oid, err := strconv.ParseUint(strings.TrimSuffix(name, ".tar"), 10, 32)
	if err == nil {
		for _, t := range s.start.tablespaces {
			if t.OID == uint32(oid) {
				return archive{oid: t.OID}, nil
			}
		}
	}
	return archive{}, fmt.Errorf("the server sent archive %q, which it did not announce", name)
}
