package target

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"testing"
)

// FuzzWalkLog: whatever the bytes, the walk ends, and never past them.
func FuzzWalkLog(f *testing.F) {
	page := make([]byte, 2*logPage)
	page[0], page[1], page[2] = 0x0f, 0xd1, 2
	f.Add(page, uint64(0))
	f.Fuzz(func(t *testing.T, b []byte, from uint64) {
		from %= 1 << 20
		read := func(n uint64) ([]byte, error) {
			if n > 1 {
				return nil, nil
			}
			return b, nil
		}
		n := 0
		end, err := WalkLog(LSN(from), 1<<20, read, func(r LogRecord) bool {
			_, _ = r.EndOfTransaction()
			_, _, _ = r.MakesTablespace()
			n++
			return n < 100000
		})
		if err != nil || end < LSN(from) || end > 3<<20 {
			t.Fatalf("%s, %v", end, err)
		}
	})
}

// logBuilder writes log as PostgreSQL does: pages with headers, records that
// run on over pages.
type logBuilder struct {
	b        []byte
	start    LSN // of the segment
	previous LSN
}

func newLog(start LSN) *logBuilder {
	l := &logBuilder{start: start}
	l.header(0, 0)
	return l
}

func (l *logBuilder) at() LSN { return l.start + LSN(len(l.b)) }

// header begins a page.
func (l *logBuilder) header(flags uint16, rest uint32) {
	size := shortPageHeader
	if len(l.b) == 0 {
		size, flags = longPageHeader, flags|pageLongHeader
	}
	h := make([]byte, size)
	le := binary.LittleEndian
	le.PutUint16(h, 0xD110)
	le.PutUint16(h[2:], flags)
	le.PutUint32(h[4:], 1)
	le.PutUint64(h[8:], uint64(l.at()))
	le.PutUint32(h[16:], rest)
	l.b = append(l.b, h...)
}

// record writes one of n bytes of data and returns where it begins.
func (l *logBuilder) record(n int) LSN {
	for len(l.b)%8 != 0 {
		l.b = append(l.b, 0)
	}
	if len(l.b)%logPage == 0 {
		l.header(0, 0)
	}
	start := l.at()
	le := binary.LittleEndian
	r := make([]byte, recordHeader+n)
	for i := range n {
		r[recordHeader+i] = byte(i)
	}
	le.PutUint32(r, uint32(len(r)))
	le.PutUint64(r[8:], uint64(l.previous))
	table := crc32.MakeTable(crc32.Castagnoli)
	le.PutUint32(r[20:], crc32.Update(crc32.Checksum(r[recordHeader:], table), table, r[:20]))
	for len(r) > 0 {
		if len(l.b)%logPage == 0 {
			l.header(pageContinues, uint32(len(r)))
		}
		k := min(len(r), logPage-len(l.b)%logPage)
		l.b, r = append(l.b, r[:k]...), r[k:]
	}
	l.previous = start
	return start
}

// cut keeps what was written up to a position, and zeros behind it.
func (l *logBuilder) cut(at LSN) *logBuilder {
	l.b = l.b[:at-l.start]
	return l
}

func (l *logBuilder) read(n uint64) ([]byte, error) {
	if n != uint64(l.start)>>20 {
		return nil, nil
	}
	return append(bytes.Clone(l.b), make([]byte, 1<<20-len(l.b))...), nil
}

func TestCutOff(t *testing.T) {
	const start = LSN(5 << 20)
	walk := func(l *logBuilder) LSN {
		end, err := WalkLog(start, 1<<20, l.read, func(LogRecord) bool { return true })
		if err != nil {
			t.Fatal(err)
		}
		return end
	}
	for name, x := range map[string]struct {
		make func(l *logBuilder) LSN // returns up to where the log is said to go
		want bool
	}{
		"nothing after":                {func(l *logBuilder) LSN { return l.at() }, true},
		"only the length is there":     {func(l *logBuilder) LSN { at := l.record(500); l.cut(at + 8); return at + 8 }, true},
		"the middle of a record":       {func(l *logBuilder) LSN { at := l.record(500); l.cut(at + 100); return at + 100 }, true},
		"over three pages, cut off":    {func(l *logBuilder) LSN { at := l.record(20000); l.cut(at + 15000); return at + 15000 }, true},
		"cut off at a page's end":      {func(l *logBuilder) LSN { l.record(20000); l.cut(start + 2*logPage); return start + 2*logPage }, true},
		"in the next page's header":    {func(l *logBuilder) LSN { l.record(20000); l.cut(start + 2*logPage + 8); return start + 2*logPage + 8 }, true},
		"a whole record that is bad":   {func(l *logBuilder) LSN { at := l.record(500); l.b[at-start+100] ^= 1; return l.at() }, false},
		"a bad one, and more":          {func(l *logBuilder) LSN { at := l.record(500); l.b[at-start+100] ^= 1; l.record(80); return l.at() }, false},
		"a hole of zeros":              {func(l *logBuilder) LSN { return l.at() + 4096 }, false},
		"a bad record over pages":      {func(l *logBuilder) LSN { at := l.record(20000); l.b[at-start+100] ^= 1; return l.at() }, false},
		"a page of something else":     {func(l *logBuilder) LSN { l.record(20000); clear(l.b[logPage : 2*logPage]); return l.at() - 2000 }, false},
		"a length that makes no sense": {func(l *logBuilder) LSN { at := l.record(500); l.b[at-start+3] = 0xFF; return at + 100 }, false},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLog(start)
			l.record(100)
			l.record(200)
			good := walk(l)
			to := x.make(l)
			if end := walk(l); end != good {
				t.Fatalf("the walk went on to %s, past %s", end, good)
			}
			if got, err := CutOff(good, to, 1<<20, l.read); err != nil || got != x.want {
				t.Errorf("%t, %v", got, err)
			}
		})
	}
}

// A crash may cut a record off; the server then goes on at the next page, and
// says so in its header.
func TestWalkLogGoesOnAfterARecordThatWasGivenUp(t *testing.T) {
	const start = LSN(5 << 20)
	l := newLog(start)
	last := l.record(100)
	l.record(20000)
	l.cut(start + logPage) // the rest was never written
	l.header(pageOverwrites, 0)
	l.previous = last
	l.record(40)
	want := l.record(60)
	var starts []LSN
	end, err := WalkLog(start, 1<<20, l.read, func(r LogRecord) bool { starts = append(starts, r.Start); return true })
	if err != nil || len(starts) != 3 || starts[2] != want || end != l.at() {
		t.Fatalf("records at %v, end %s (want %s), %v", starts, end, l.at(), err)
	}
	// Without the mark it is the log's end.
	binary.LittleEndian.PutUint16(l.b[logPage+2:], 0)
	if end, err = WalkLog(start, 1<<20, l.read, func(LogRecord) bool { return true }); err != nil || end > start+logPage {
		t.Fatalf("end %s, %v", end, err)
	}
}
