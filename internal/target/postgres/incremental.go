package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/refloat-db/refloat/internal/target"
)

// The file format of PostgreSQL 17's incremental backups
// (backup/basebackup_incremental.h): three words, the block numbers, padding
// to a whole page when there are any, and the pages.
const (
	incrementalMagic = 0xd3ae1f0d
	incrementalFixed = 12
	incrementalMajor = 17
)

// readIncremental reads what comes before the pages of an incremental file of
// the given size. A relation's file holds at most limit blocks.
func readIncremental(r io.Reader, size int64, limit uint32) (target.Incremental, error) {
	var fixed [incrementalFixed]byte
	if size < incrementalFixed {
		return target.Incremental{}, fmt.Errorf("an incremental file of %d bytes has no header", size)
	}
	if _, err := io.ReadFull(r, fixed[:]); err != nil {
		return target.Incremental{}, fmt.Errorf("header of the incremental file: %w", err)
	}
	le := binary.LittleEndian
	if magic := le.Uint32(fixed[:]); magic != incrementalMagic {
		return target.Incremental{}, fmt.Errorf("the incremental file begins with %#08x instead of %#08x", magic, uint32(incrementalMagic))
	}
	count := int64(le.Uint32(fixed[4:]))
	header := incrementalFixed + 4*count
	if count > 0 {
		header = (header + target.PageSize - 1) / target.PageSize * target.PageSize
	}
	if count > int64(limit) || size != header+count*target.PageSize {
		return target.Incremental{}, fmt.Errorf("the incremental file of %d bytes says that it holds %d pages", size, count)
	}
	raw := make([]byte, header-incrementalFixed)
	if _, err := io.ReadFull(r, raw); err != nil {
		return target.Incremental{}, fmt.Errorf("block numbers of the incremental file: %w", err)
	}
	inc := target.Incremental{TruncationBlocks: le.Uint32(fixed[8:]), Blocks: make([]uint32, count)}
	if inc.TruncationBlocks > limit {
		return target.Incremental{}, fmt.Errorf("the incremental file says that it has %d blocks; a file has at most %d", inc.TruncationBlocks, limit)
	}
	for i := range inc.Blocks {
		inc.Blocks[i] = le.Uint32(raw[4*i:])
		if inc.Blocks[i] >= limit {
			return target.Incremental{}, fmt.Errorf("the incremental file has block %d; a file has at most %d", inc.Blocks[i], limit)
		}
		if i > 0 && inc.Blocks[i] <= inc.Blocks[i-1] {
			return target.Incremental{}, errors.New("the incremental file's block numbers do not ascend")
		}
	}
	return inc, nil
}

// uploadManifest gives the server the manifest of the backup to build on.
func uploadManifest(ctx context.Context, conn *pgconn.PgConn, open func() (io.ReadCloser, error)) error {
	r, err := open()
	if err != nil {
		return fmt.Errorf("open the manifest to build on: %w", err)
	}
	defer func() { _ = r.Close() }() // only read
	front := conn.Frontend()
	front.SendQuery(&pgproto3.Query{String: "UPLOAD_MANIFEST"})
	if err := front.Flush(); err != nil {
		return err
	}
	for sent := false; ; {
		msg, err := conn.ReceiveMessage(ctx)
		if err != nil {
			return fmt.Errorf("upload the manifest to build on: %w", err)
		}
		switch m := msg.(type) {
		case *pgproto3.CopyInResponse:
			sent = true
			if err := sendCopy(front, r); err != nil {
				return fmt.Errorf("upload the manifest to build on: %w", err)
			}
		case *pgproto3.ErrorResponse:
			return fmt.Errorf("upload the manifest to build on: %w", pgconn.ErrorResponseToPgError(m))
		case *pgproto3.ReadyForQuery:
			if !sent {
				return errors.New("the server did not ask for the manifest to build on")
			}
			return nil
		}
	}
}

func sendCopy(front *pgproto3.Frontend, r io.Reader) error {
	buf := make([]byte, 64<<10)
	for {
		n, err := io.ReadFull(r, buf)
		if n > 0 {
			front.Send(&pgproto3.CopyData{Data: buf[:n]})
			if err := front.Flush(); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			front.Send(&pgproto3.CopyDone{})
			return front.Flush()
		case err != nil:
			return err
		}
	}
}

// refusesIncremental recognises a server that cannot say what changed, as
// opposed to one that cannot make a backup at all. Nothing of a backup has
// come yet when it is asked.
func refusesIncremental(err error) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || len(pg.Code) != 5 {
		return false
	}
	switch pg.Code[:2] {
	case "08", "28", "53", "57": // connection, authorisation, resources, operator's intervention
		return false
	}
	return pg.Code != "42501" // insufficient_privilege
}
