package backup

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/target"
)

const (
	testSize = 1 << 20
	testSys  = 7001
)

// walSegment makes plausible bytes: page headers that fit and something
// between them.
func walSegment(seg target.Segment, sys target.SystemID, length int) []byte {
	b := make([]byte, seg.Size)
	le := binary.LittleEndian
	for off := 0; off < len(b); off += walPage {
		p := b[off:]
		le.PutUint16(p, 0xD110)
		le.PutUint32(p[4:], uint32(seg.Timeline))
		le.PutUint64(p[8:], uint64(seg.Start())+uint64(off))
		for i := 40; i < walPage; i++ {
			p[i] = byte(i*7+off>>13) | 1
		}
	}
	le.PutUint16(b[2:], 2)
	le.PutUint64(b[24:], uint64(sys))
	le.PutUint32(b[32:], uint32(seg.Size))
	le.PutUint32(b[36:], walPage)
	clear(b[length:])
	return b
}

func testSegment(tl target.Timeline, n uint64) target.Segment {
	return target.Segment{Timeline: tl, Number: n, Size: testSize}
}

// testLog stores timeline 1 from segment 3 to the middle of 6, then timeline 2
// from there to the middle of 8.
func testLog(t testing.TB) (*Log, *folder) {
	t.Helper()
	f := newFolder(t)
	l := &Log{Repo: f, Target: "shop"}
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	whole := func(tl target.Timeline, from, until uint64) {
		x := logIndex{Format: indexFormat, SegmentSize: testSize}
		for n := from; n < until; n++ {
			seg := testSegment(tl, n)
			b := walSegment(seg, testSys, testSize)
			sum := sha256.Sum256(b)
			put(t, f, l.name(seg.Name()), b)
			x.put(SegmentInfo{Name: seg.Name(), End: seg.End(), SHA256: hex.EncodeToString(sum[:]), From: at, To: at.Add(time.Second)})
		}
		b, err := x.encode()
		if err != nil {
			t.Fatal(err)
		}
		put(t, f, l.name(indexName(testSegment(tl, from).Name())), b)
	}
	part := func(tl target.Timeline, n uint64, length int) {
		seg := testSegment(tl, n)
		put(t, f, l.name(seg.Name()+partialSuffix), walSegment(seg, testSys, testSize)[:length])
	}
	whole(1, 3, 6)
	part(1, 6, testSize/2)
	put(t, f, l.name("00000002.history"), []byte("1\t0/680000\tno recovery target specified\n"))
	whole(2, 6, 8)
	part(2, 8, testSize/2)
	position(t, l, target.Position{Timeline: 2, LSN: testSegment(2, 8).Start() + testSize/2})
	return l, f
}

func position(t testing.TB, l *Log, p target.Position) {
	t.Helper()
	b, err := json.Marshal(LogPosition{SystemID: testSys, SegmentSize: testSize, Position: p})
	if err != nil {
		t.Fatal(err)
	}
	put(t, l.Repo.(*folder), l.name("position"), b)
}

func put(t testing.TB, f *folder, name string, b []byte) {
	t.Helper()
	if err := f.PutSealed(context.Background(), name, b); err != nil {
		t.Fatal(err)
	}
}

func TestFetch(t *testing.T) {
	name := func(tl target.Timeline, n uint64) string { return testSegment(tl, n).Name() }
	remove := func(names ...string) func(t *testing.T, l *Log, f *folder) {
		return func(t *testing.T, l *Log, f *folder) {
			for _, n := range names {
				if err := os.Remove(f.path(l.name(n))); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	write := func(n string, b []byte) func(t *testing.T, l *Log, f *folder) {
		return func(t *testing.T, l *Log, f *folder) { put(t, f, l.name(n), b) }
	}
	flipped := walSegment(testSegment(1, 4), testSys, testSize)
	flipped[5000] ^= 1
	x1, x2 := indexName(name(1, 3)), indexName(name(2, 6))
	for _, c := range []struct {
		name   string
		change func(t *testing.T, l *Log, f *folder)
		ask    string
		want   error
	}{
		{"whole", nil, name(1, 4), nil},
		{"partial at the end", nil, name(2, 8), nil},
		{"partial of the old timeline", nil, name(1, 6), nil},
		{"history", nil, "00000002.history", nil},
		{"past the end", nil, name(2, 9), ErrEndOfLog},
		{"past the old timeline's end", nil, name(1, 7), ErrEndOfLog},
		{"a timeline to come", nil, name(3, 8), ErrEndOfLog},
		{"the history of a timeline to come", nil, "00000003.history", ErrEndOfLog},
		{"the history of the first timeline", nil, "00000001.history", ErrEndOfLog},
		{"before the beginning", nil, name(1, 2), ErrLogBroken},
		{"segment missing", remove(name(1, 4)), name(1, 4), ErrLogBroken},
		{"last whole segment missing", remove(name(2, 7)), name(2, 7), ErrLogBroken},
		{"segment and index missing", remove(name(2, 7), x2), name(2, 7), ErrLogBroken},
		{"segment of the old timeline and index missing", remove(name(1, 5), x1), name(1, 5), ErrLogBroken},
		{"newest partial missing", remove(name(2, 8) + partialSuffix), name(2, 8), ErrLogBroken},
		{"old timeline's partial missing", remove(name(1, 6) + partialSuffix), name(1, 6), ErrLogBroken},
		{"partial shorter than promised", write(name(2, 8)+partialSuffix, walSegment(testSegment(2, 8), testSys, testSize)[:testSize/4]), name(2, 8), ErrLogBroken},
		{"old timeline's partial too short", write(name(1, 6)+partialSuffix, walSegment(testSegment(1, 6), testSys, testSize)[:testSize/4]), name(1, 6), ErrLogBroken},
		{"partial instead of the whole", func(t *testing.T, l *Log, f *folder) {
			remove(name(1, 4))(t, l, f)
			write(name(1, 4)+partialSuffix, walSegment(testSegment(1, 4), testSys, testSize)[:testSize/2])(t, l, f)
		}, name(1, 4), ErrLogBroken},
		{"cannot be decrypted", write(name(1, 4), []byte("damaged")), name(1, 4), ErrLogBroken},
		{"partial cannot be decrypted", write(name(2, 8)+partialSuffix, []byte("damaged")), name(2, 8), ErrLogBroken},
		{"another hash", write(name(1, 4), flipped), name(1, 4), ErrLogBroken},
		{"too short", write(name(1, 4), flipped[:testSize/2]), name(1, 4), ErrLogBroken},
		{"another segment's bytes", write(name(1, 4), walSegment(testSegment(1, 5), testSys, testSize)), name(1, 4), ErrLogBroken},
		{"another timeline's bytes", write(name(1, 4), walSegment(testSegment(2, 4), testSys, testSize)), name(1, 4), ErrLogBroken},
		{"another cluster's bytes", write(name(2, 8)+partialSuffix, walSegment(testSegment(2, 8), 9, testSize)), name(2, 8), ErrLogBroken},
		{"index missing", remove(x2), name(2, 7), ErrLogBroken},
		{"old index missing", remove(x1), name(1, 4), ErrLogBroken},
		{"index damaged", write(x2, []byte("damaged")), name(2, 7), ErrLogBroken},
		{"index is nonsense", write(x2, []byte("{}")), name(2, 7), ErrLogBroken},
		{"history missing", remove("00000002.history"), "00000002.history", ErrLogBroken},
		{"history empty", write("00000002.history", nil), "00000002.history", ErrLogBroken},
		{"history nonsense", write("00000002.history", []byte("x")), "00000002.history", ErrLogBroken},
		{"position missing", remove("position"), name(2, 9), ErrLogBroken},
		{"position damaged", write("position", []byte("damaged")), name(2, 9), ErrLogBroken},
		{"position nonsense", write("position", []byte("{}")), name(2, 9), ErrLogBroken},
		{"stored but not yet indexed", func(t *testing.T, l *Log, f *folder) {
			write(name(2, 8), walSegment(testSegment(2, 8), testSys, testSize))(t, l, f)
		}, name(2, 8), nil},
		{"a later one stored first", func(t *testing.T, l *Log, f *folder) {
			write(name(2, 9), walSegment(testSegment(2, 9), testSys, testSize))(t, l, f)
		}, name(2, 8), nil},
		{"later ones show that it is missing", func(t *testing.T, l *Log, f *folder) {
			remove(name(2, 8)+partialSuffix)(t, l, f)
			position(t, l, target.Position{Timeline: 2, LSN: testSegment(2, 8).Start()})
			write(name(2, 12), walSegment(testSegment(2, 12), testSys, testSize))(t, l, f)
		}, name(2, 8), ErrLogBroken},
		{"deleted by retention", func(t *testing.T, l *Log, f *folder) {
			if err := l.Delete(context.Background(), []string{name(1, 3), name(1, 4)}); err != nil {
				t.Fatal(err)
			}
		}, name(1, 4), ErrLogBroken},
		{"kept by retention", func(t *testing.T, l *Log, f *folder) {
			if err := l.Delete(context.Background(), []string{name(1, 3), name(1, 4)}); err != nil {
				t.Fatal(err)
			}
		}, name(1, 5), nil},
		{"nothing stored", func(t *testing.T, l *Log, f *folder) {
			f.dir = t.TempDir()
		}, name(1, 5), ErrEndOfLog},
		{"not a name", nil, "00000001000000000000000A.00000028.backup", ErrEndOfLog},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, f := testLog(t)
			if c.change != nil {
				c.change(t, l, f)
			}
			b, err := l.Fetch(context.Background(), c.ask)
			if !errors.Is(err, c.want) || c.want == nil && err != nil {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if errors.Is(err, ErrEndOfLog) && errors.Is(err, ErrLogBroken) {
				t.Fatalf("both: %v", err)
			}
			if err == nil && !strings.HasSuffix(c.ask, historySuffix) && len(b) != testSize {
				t.Fatalf("%d bytes", len(b))
			}
		})
	}
}

func TestSegmentsShowsWhatIsMissing(t *testing.T) {
	l, f := testLog(t)
	missing, lost, torn := testSegment(1, 4).Name(), testSegment(2, 6).Name(), testSegment(1, 6).Name()
	if err := os.Remove(f.path(l.name(missing))); err != nil {
		t.Fatal(err)
	}
	put(t, f, l.name(indexName(lost)), []byte("damaged"))
	segs, err := l.Segments(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range segs {
		got = append(got, fmt.Sprintf("%s %t %t %t", s.Name[7:8]+":"+s.Name[23:], s.Stored, s.Indexed, s.Partial))
	}
	want := "1:3 true true false,1:4 false true false,1:5 true true false,1:6 true false true,2:6 true false false,2:7 true false false,2:8 true false true"
	if s := strings.Join(got, ","); s != want {
		t.Fatalf("got  %s\nwant %s", s, want)
	}
	for _, s := range segs {
		if s.Name == torn && s.End != testSegment(1, 6).Start()+testSize/2 {
			t.Fatalf("%+v", s)
		}
	}
}

func TestDeleteCutShort(t *testing.T) {
	l, f := testLog(t)
	ctx := t.Context()
	names := []string{testSegment(1, 3).Name(), testSegment(1, 4).Name(), testSegment(1, 5).Name(), testSegment(1, 6).Name()}
	stop := errors.New("cut short")
	for i := 0; ; i++ {
		cut := &cutting{folder: f, left: i, err: stop}
		err := (&Log{Repo: cut, Target: "shop"}).Delete(ctx, names)
		segs, err2 := l.Segments(ctx)
		if err2 != nil {
			t.Fatal(err2)
		}
		for _, s := range segs {
			if !s.Stored || s.Indexed == s.Partial {
				t.Fatalf("after %d steps %+v looks like damage", i, s)
			}
		}
		if err == nil {
			if len(segs) != 3 {
				t.Fatalf("%d segments left", len(segs))
			}
			break
		}
		if !errors.Is(err, stop) {
			t.Fatal(err)
		}
	}
	if err := l.Delete(ctx, []string{testSegment(2, 8).Name()}); err == nil {
		t.Fatal("the segment being written was deleted")
	}
}

// cutting fails every change after a number of them.
type cutting struct {
	*folder
	left int
	err  error
}

func (c *cutting) PutSealed(ctx context.Context, name string, b []byte) error {
	if c.left--; c.left < 0 {
		return c.err
	}
	return c.folder.PutSealed(ctx, name, b)
}

func (c *cutting) DeleteSealed(ctx context.Context, name string) error {
	if c.left--; c.left < 0 {
		return c.err
	}
	return c.folder.DeleteSealed(ctx, name)
}

func FuzzParseIndex(f *testing.F) {
	seg := testSegment(1, 3)
	x := logIndex{Format: indexFormat, SegmentSize: testSize, Segments: []SegmentInfo{{Name: seg.Name(), End: seg.End(), SHA256: strings.Repeat("0", 64)}}}
	b, err := x.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seg.Name()[:16], b)
	f.Add("", []byte("{}"))
	f.Fuzz(func(t *testing.T, log string, b []byte) {
		x, err := parseIndex(log, b)
		if err != nil {
			return
		}
		for _, s := range x.Segments {
			if got, ok := x.find(s.Name); !ok || got.Name != s.Name || !strings.HasPrefix(s.Name, log) {
				t.Fatalf("%q in %s", s.Name, b)
			}
		}
	})
}
