package target

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"
)

// Log pages and records, as PostgreSQL's xlog_internal.h and xlogrecord.h
// describe them. Nothing here depends on the server's version from 14 to 18.
const (
	logPage         = 8192
	shortPageHeader = 24
	longPageHeader  = 40
	pageContinues   = 0x0001 // the page begins with the rest of a record
	pageLongHeader  = 0x0002
	pageOverwrites  = 0x0008 // the record that went on here was given up: XLP_FIRST_IS_OVERWRITE_CONTRECORD
	recordHeader    = 24
	maxRecord       = 1 << 30 // PostgreSQL allows 1020 MiB

	managerLog        = 0 // RM_XLOG_ID
	managerTx         = 1 // RM_XACT_ID
	managerTablespace = 5 // RM_TBLSPC_ID
	logSwitch         = 0x40

	blockData     = 255 // XLR_BLOCK_ID_DATA_SHORT and so on
	blockDataLong = 254
	blockOrigin   = 253
	blockTopXID   = 252
)

// LogRecord is one whole record of the log whose checksum is right.
type LogRecord struct {
	Start   LSN
	End     LSN // of its bytes; the next record begins at the next multiple of 8
	XID     uint32
	Manager uint8  // resource manager
	Info    uint8  // the manager's own bits
	body    []byte // after the record's header
}

// errNoRecord ends a walk: the bytes that follow are no whole record.
var errNoRecord = errors.New("no record")

// WalkLog visits the whole records of one timeline's log from a position on
// until visit returns false or no whole, valid record follows. read returns a
// segment's bytes, or nil when it is not there. from is the start of a record,
// or of a segment: then the first record that begins in it is the first.
//
// It returns the end of the last valid record, which is where PostgreSQL's own
// recovery would end (from when there is none). An error comes from read only.
func WalkLog(from LSN, segmentSize int64, read func(number uint64) ([]byte, error), visit func(LogRecord) bool) (LSN, error) {
	if !ValidSegmentSize(segmentSize) {
		return from, fmt.Errorf("walk the log: segment size %d", segmentSize)
	}
	w := &logWalker{size: uint64(segmentSize), read: read}
	at, end := from, from
	if uint64(from)%w.size == 0 {
		first, err := w.firstRecord(from)
		if errors.Is(err, errNoRecord) {
			return end, nil
		}
		if err != nil {
			return end, err
		}
		at = first
	}
	var previous LSN
	for {
		r, err := w.record(at)
		if errors.Is(err, errNoRecord) && w.givenUp != 0 {
			// A crash cut the record off, and the server went on at the next page.
			at, w.givenUp = w.skipHeader(w.givenUp), 0
			continue
		}
		if errors.Is(err, errNoRecord) {
			return end, nil
		}
		if err != nil {
			return end, err
		}
		if previous != 0 && r.previous != previous {
			return end, nil // left over from an earlier use of the file
		}
		previous, end = at, r.End
		if !visit(r.LogRecord) {
			return end, nil
		}
		if at = LSN((uint64(r.End) + 7) &^ 7); r.Manager == managerLog && r.Info&0xF0 == logSwitch {
			at = LSN((uint64(at) + w.size - 1) / w.size * w.size)
			end = at
		}
		at = w.skipHeader(at)
	}
}

// CutOff reports whether the bytes between the end of the last whole record and
// a later position are nothing but the beginning of one record, whose rest was
// not written yet: nothing that was acknowledged can be in them. A record that
// is whole and wrong, or bytes that are none of a record, are no such thing.
func CutOff(end, to LSN, segmentSize int64, read func(number uint64) ([]byte, error)) (bool, error) {
	if !ValidSegmentSize(segmentSize) {
		return false, fmt.Errorf("look at the log's end: segment size %d", segmentSize)
	}
	w := &logWalker{size: uint64(segmentSize), read: read}
	at := w.skipHeader((end + 7) &^ 7)
	if at+4 > to { // not even the record's length
		return true, nil
	}
	p, err := w.page(at)
	if err != nil {
		return false, noneIsNo(err)
	}
	rest := uint64(binary.LittleEndian.Uint32(p[at%logPage:]))
	if rest < recordHeader || rest > maxRecord {
		return false, nil
	}
	for {
		room := uint64(logPage - at%logPage)
		if at+LSN(min(room, rest)) >= to {
			return at+LSN(min(room, rest)) > to || rest > room, nil
		}
		if rest <= room {
			return false, nil // it is whole, and yet nobody could read it
		}
		rest -= room
		page := at + LSN(room)
		if at = w.skipHeader(page); at >= to {
			return true, nil
		}
		if p, err = w.page(page); err != nil {
			return false, noneIsNo(err)
		}
		if binary.LittleEndian.Uint16(p[2:])&pageContinues == 0 || uint64(binary.LittleEndian.Uint32(p[16:])) != rest {
			return false, nil
		}
	}
}

func noneIsNo(err error) error {
	if errors.Is(err, errNoRecord) {
		return nil
	}
	return err
}

type logWalker struct {
	size    uint64
	read    func(uint64) ([]byte, error)
	number  uint64
	segment []byte
	givenUp LSN // the page at which the record that was read last turned out to be given up; 0 for none
}

// page returns the page that holds lsn, when its header says that it is that.
func (w *logWalker) page(lsn LSN) ([]byte, error) {
	number := uint64(lsn) / w.size
	if w.segment == nil || w.number != number {
		b, err := w.read(number)
		if err != nil {
			return nil, err
		}
		w.number, w.segment = number, b
	}
	off := uint64(lsn) % w.size / logPage * logPage
	if off+logPage > uint64(len(w.segment)) {
		return nil, errNoRecord
	}
	p := w.segment[off : off+logPage]
	if binary.LittleEndian.Uint16(p)&0xFF00 != 0xD100 || LSN(binary.LittleEndian.Uint64(p[8:])) != lsn/logPage*logPage {
		return nil, errNoRecord
	}
	return p, nil
}

func headerSize(page []byte) int {
	if binary.LittleEndian.Uint16(page[2:])&pageLongHeader != 0 {
		return longPageHeader
	}
	return shortPageHeader
}

// skipHeader moves a position at the start of a page behind the page's header.
func (w *logWalker) skipHeader(at LSN) LSN {
	if at%logPage != 0 {
		return at
	}
	if uint64(at)%w.size == 0 {
		return at + longPageHeader
	}
	return at + shortPageHeader
}

// firstRecord is where the first record begins that begins in a segment.
func (w *logWalker) firstRecord(start LSN) (LSN, error) {
	at := start
	for {
		p, err := w.page(at)
		if err != nil {
			return 0, err
		}
		head := LSN(headerSize(p))
		if binary.LittleEndian.Uint16(p[2:])&pageContinues == 0 {
			return at + head, nil
		}
		rest := LSN(binary.LittleEndian.Uint32(p[16:]))
		if rest <= logPage-head {
			return w.skipHeader((at + head + rest + 7) &^ 7), nil
		}
		at += logPage
	}
}

// take copies n bytes of a record from lsn on, leaving out page headers, and
// returns the position behind them. inside: the record began before lsn.
func (w *logWalker) take(at LSN, into []byte, inside bool) (LSN, error) {
	for len(into) > 0 {
		p, err := w.page(at)
		if err != nil {
			return at, err
		}
		if at%logPage == 0 {
			// A record that begins here is no rest of one.
			if flags := binary.LittleEndian.Uint16(p[2:]); inside && flags&pageContinues == 0 {
				if flags&pageOverwrites != 0 {
					w.givenUp = at
				}
				return at, errNoRecord
			}
			at += LSN(headerSize(p))
		}
		inside = true
		n := copy(into, p[at%logPage:])
		into, at = into[n:], at+LSN(n)
	}
	return at, nil
}

type walkedRecord struct {
	LogRecord
	previous LSN
}

func (w *logWalker) record(at LSN) (walkedRecord, error) {
	var head [recordHeader]byte
	after, err := w.take(at, head[:], false)
	if err != nil {
		return walkedRecord{}, err
	}
	le := binary.LittleEndian
	length := le.Uint32(head[:])
	if length < recordHeader || length > maxRecord {
		return walkedRecord{}, errNoRecord
	}
	body, end, err := w.body(after, int(length-recordHeader))
	if err != nil {
		return walkedRecord{}, err
	}
	table := crc32.MakeTable(crc32.Castagnoli)
	if sum := crc32.Update(crc32.Checksum(body, table), table, head[:20]); sum != le.Uint32(head[20:]) {
		return walkedRecord{}, errNoRecord
	}
	return walkedRecord{
		LogRecord: LogRecord{Start: at, End: end, XID: le.Uint32(head[4:]), Info: head[16], Manager: head[17], body: body},
		previous:  LSN(le.Uint64(head[8:])),
	}, nil
}

// body reads n bytes. A length that garbage claims must not cost memory, so it
// grows with what is really there.
func (w *logWalker) body(at LSN, n int) ([]byte, LSN, error) {
	out := make([]byte, 0, min(n, 64<<10))
	for len(out) < n {
		k := min(n-len(out), 64<<10)
		out = append(out, make([]byte, k)...)
		var err error
		if at, err = w.take(at, out[len(out)-k:], true); err != nil {
			return nil, at, err
		}
	}
	return out, at, nil
}

// main is the record's main data, for records that name no pages.
func (r LogRecord) main() ([]byte, bool) {
	b := r.body
	for len(b) > 0 {
		switch {
		case b[0] == blockData && len(b) >= 2 && len(b) >= 2+int(b[1]):
			return b[2 : 2+int(b[1])], true
		case b[0] == blockDataLong && len(b) >= 5:
			n := binary.LittleEndian.Uint32(b[1:])
			if uint64(len(b)) < 5+uint64(n) {
				return nil, false
			}
			return b[5 : 5+n], true
		case b[0] == blockOrigin && len(b) >= 3:
			b = b[3:]
		case b[0] == blockTopXID && len(b) >= 5:
			b = b[5:]
		default:
			return nil, false
		}
	}
	return nil, false
}

// EndOfTransaction is when a transaction was committed or aborted, by the
// server's clock; false for every other record. PostgreSQL compares these
// times with recovery_target_time.
func (r LogRecord) EndOfTransaction() (time.Time, bool) {
	if r.Manager != managerTx {
		return time.Time{}, false
	}
	switch r.Info & 0x70 {
	case 0x00, 0x20, 0x30, 0x40: // commit, abort, and both of prepared transactions
	default:
		return time.Time{}, false
	}
	m, ok := r.main()
	if !ok || len(m) < 8 {
		return time.Time{}, false
	}
	epoch := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // PostgreSQL counts microseconds from here
	return epoch.Add(time.Duration(int64(binary.LittleEndian.Uint64(m))) * time.Microsecond), true
}

// MakesTablespace is the tablespace that the record's replay makes, at its
// original location; false for every other record.
func (r LogRecord) MakesTablespace() (oid uint32, location string, is bool) {
	if r.Manager != managerTablespace || r.Info&0xF0 != 0 {
		return 0, "", false
	}
	m, ok := r.main()
	if !ok || len(m) < 5 {
		return 0, "", false
	}
	path, _, _ := bytes.Cut(m[4:], []byte{0})
	return binary.LittleEndian.Uint32(m), string(path), true
}
