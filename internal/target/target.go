// Package target holds the value types that every room shares when it speaks
// of a database server in Refloat's care: identity, version, positions in the
// log, files of a base backup, facts of an inspection. It does no I/O.
package target

import (
	"encoding/binary"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// ID names a target. It appears in object names, so it is restricted to
// lower-case letters, digits and inner hyphens, 1 to 40 characters.
type ID string

var idPattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$`)

// ParseID checks s and returns it as an ID.
func ParseID(s string) (ID, error) {
	if !idPattern.MatchString(s) {
		return "", fmt.Errorf("target name %q: use 1 to 40 lower-case letters, digits and inner hyphens", s)
	}
	return ID(s), nil
}

// LSN is a byte position in PostgreSQL's write-ahead log
// (PostgreSQL docs, "WAL Internals").
type LSN uint64

// String renders the LSN as PostgreSQL does, for example "16/B374D848".
func (l LSN) String() string { return fmt.Sprintf("%X/%X", uint32(l>>32), uint32(l)) }

// ParseLSN reads PostgreSQL's textual form, two hexadecimal halves.
func ParseLSN(s string) (LSN, error) {
	hi, lo, ok := strings.Cut(s, "/")
	if ok && len(hi) >= 1 && len(hi) <= 8 && len(lo) >= 1 && len(lo) <= 8 {
		h, err1 := strconv.ParseUint(hi, 16, 32)
		l, err2 := strconv.ParseUint(lo, 16, 32)
		if err1 == nil && err2 == nil {
			return LSN(h<<32 | l), nil
		}
	}
	return 0, fmt.Errorf("LSN %q: want two hexadecimal numbers like 16/B374D848", s)
}

// MarshalText renders the LSN in JSON and YAML.
func (l LSN) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (l *LSN) UnmarshalText(b []byte) (err error) {
	*l, err = ParseLSN(string(b))
	return err
}

// Timeline identifies one history of a cluster; each promotion starts another.
type Timeline uint32

// HistoryName is the name of the timeline's history file, "00000002.history".
func (t Timeline) HistoryName() string { return fmt.Sprintf("%08X.history", uint32(t)) }

// Position is a place in the log of one timeline.
type Position struct {
	Timeline Timeline `json:"timeline"`
	LSN      LSN      `json:"lsn"`
}

// String renders the position as "timeline:LSN".
func (p Position) String() string { return fmt.Sprintf("%d:%s", p.Timeline, p.LSN) }

// Version is PostgreSQL's server_version_num, for example 150018.
type Version int

// Major is the major version, for example 15.
func (v Version) Major() int { return int(v) / 10000 }

// String renders the version as "15.18".
func (v Version) String() string { return fmt.Sprintf("%d.%d", int(v)/10000, int(v)%10000) }

// SystemID is the cluster's unique identifier from pg_control. It is written
// as a decimal string, since JSON numbers lose its low bits.
type SystemID uint64

// String renders the identifier in decimal, as pg_controldata does.
func (s SystemID) String() string { return strconv.FormatUint(uint64(s), 10) }

// MarshalText renders the identifier in JSON.
func (s SystemID) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (s *SystemID) UnmarshalText(b []byte) error {
	n, err := strconv.ParseUint(string(b), 10, 64)
	if err != nil {
		return fmt.Errorf("system identifier %q: %w", b, err)
	}
	*s = SystemID(n)
	return nil
}

// PageSize is the size of a database page in bytes. Refloat refuses a server
// built with another block size.
const PageSize = 8192

// Segment is one WAL segment file.
type Segment struct {
	Timeline Timeline
	Number   uint64 // log position divided by Size
	Size     int64  // bytes; wal_segment_size, a power of two from 1 MiB to 1 GiB
}

// SegmentAt is the segment that holds the byte at p.
func SegmentAt(p Position, size int64) Segment {
	return Segment{Timeline: p.Timeline, Number: uint64(p.LSN) / uint64(size), Size: size}
}

// Name is the segment's file name: 8 hexadecimal digits each for timeline,
// log and segment within the log.
func (s Segment) Name() string {
	perLog := uint64(0x100000000) / uint64(s.Size)
	return fmt.Sprintf("%08X%08X%08X", uint32(s.Timeline), s.Number/perLog, s.Number%perLog)
}

// Start is the position of the segment's first byte.
func (s Segment) Start() LSN { return LSN(s.Number * uint64(s.Size)) }

// End is the position just after the segment's last byte.
func (s Segment) End() LSN { return LSN((s.Number + 1) * uint64(s.Size)) }

// Next is the segment after s on the same timeline.
func (s Segment) Next() Segment { s.Number++; return s }

var segmentName = regexp.MustCompile(`^[0-9A-F]{24}$`)

// ParseSegmentName reads a WAL file name for segments of the given size.
func ParseSegmentName(name string, size int64) (Segment, error) {
	if !segmentName.MatchString(name) || !ValidSegmentSize(size) {
		return Segment{}, fmt.Errorf("WAL segment name %q (segment size %d): want 24 upper-case hexadecimal digits", name, size)
	}
	n := func(s string) uint64 { v, _ := strconv.ParseUint(s, 16, 32); return v } // the pattern guarantees digits
	perLog := uint64(0x100000000) / uint64(size)
	if n(name[16:]) >= perLog || n(name[:8]) == 0 {
		return Segment{}, fmt.Errorf("WAL segment name %q does not fit a segment size of %d bytes", name, size)
	}
	return Segment{Timeline: Timeline(n(name[:8])), Number: n(name[8:16])*perLog + n(name[16:]), Size: size}, nil
}

// ValidSegmentSize reports whether size is one that initdb accepts.
func ValidSegmentSize(size int64) bool {
	return size >= 1<<20 && size <= 1<<30 && size&(size-1) == 0
}

// Switch is one line of a timeline history file: Timeline was left at LSN.
type Switch struct {
	Timeline Timeline
	LSN      LSN
	Reason   string
}

// ParseHistory reads a timeline history file (PostgreSQL's timeline.c): the
// ancestors of a timeline, oldest first, each with the position at which it
// was left.
func ParseHistory(content []byte) ([]Switch, error) {
	var out []Switch
	for i, line := range strings.Split(string(content), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.SplitN(line, "\t", 3)
		if len(f) < 2 {
			f = strings.Fields(line)
		}
		if len(f) < 2 {
			return nil, fmt.Errorf("timeline history line %d: %q has no position", i+1, line)
		}
		tl, err := strconv.ParseUint(strings.TrimSpace(f[0]), 10, 32)
		if err != nil || tl == 0 {
			return nil, fmt.Errorf("timeline history line %d: %q is no timeline", i+1, f[0])
		}
		lsn, err := ParseLSN(strings.TrimSpace(f[1]))
		if err != nil {
			return nil, fmt.Errorf("timeline history line %d: %w", i+1, err)
		}
		s := Switch{Timeline: Timeline(tl), LSN: lsn}
		if len(f) == 3 {
			s.Reason = f[2]
		}
		if n := len(out); n > 0 && (out[n-1].Timeline >= s.Timeline || out[n-1].LSN > s.LSN) {
			return nil, fmt.Errorf("timeline history line %d: timelines or positions go backwards", i+1)
		}
		out = append(out, s)
	}
	return out, nil
}

// FirstPage reads the long header of a WAL segment's first page
// (XLogLongPageHeaderData): which timeline, position, system and segment size
// the bytes say that they are.
func FirstPage(b []byte) (tl Timeline, addr LSN, sys SystemID, segSize int64, err error) {
	const longHeader, infoLong = 40, 0x0002
	if len(b) < longHeader {
		return 0, 0, 0, 0, fmt.Errorf("WAL segment of %d bytes is shorter than its header", len(b))
	}
	le := binary.LittleEndian
	if le.Uint16(b)&0xFF00 != 0xD100 || le.Uint16(b[2:])&infoLong == 0 {
		return 0, 0, 0, 0, fmt.Errorf("not a WAL segment: first page has magic %#04x, flags %#04x", le.Uint16(b), le.Uint16(b[2:]))
	}
	return Timeline(le.Uint32(b[4:])), LSN(le.Uint64(b[8:])), SystemID(le.Uint64(b[24:])), int64(le.Uint32(b[32:])), nil
}
