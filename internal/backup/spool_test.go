package backup

import (
	"bytes"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/target"
)

func TestValidLength(t *testing.T) {
	seg := testSegment(1, 3)
	for _, c := range []struct {
		name string
		make func() []byte
		want int64
	}{
		{"whole", func() []byte { return walSegment(seg, testSys, testSize) }, testSize - walAlign},
		{"padded in the last page", func() []byte { return walSegment(seg, testSys, testSize-1000) }, testSize - 1000},
		{"empty", func() []byte { return nil }, 0},
		{"zeros", func() []byte { return make([]byte, testSize) }, 0},
		{"beginning", func() []byte { return walSegment(seg, testSys, testSize)[:20000] }, 20000},
		{"padded", func() []byte { return walSegment(seg, testSys, 20000) }, 20000},
		{"hole", func() []byte {
			b := walSegment(seg, testSys, testSize)
			clear(b[5*walPage : 6*walPage])
			return b
		}, 5 * walPage},
		{"tail of an older use", func() []byte {
			b := walSegment(seg, testSys, testSize)
			copy(b[3*walPage:], walSegment(testSegment(1, 2), testSys, testSize)[3*walPage:])
			return b
		}, 3 * walPage},
		{"another cluster", func() []byte { return walSegment(seg, 9, testSize) }, 0},
		{"another segment", func() []byte { return walSegment(testSegment(1, 4), testSys, testSize) }, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, complete, err := validLength(bytes.NewReader(c.make()), seg, testSys)
			if err != nil || got != c.want || complete != (c.want > testSize-walPage) {
				t.Fatalf("%d, %t, %v; want %d", got, complete, err, c.want)
			}
		})
	}
}

func TestFollow(t *testing.T) {
	pos := func(tl target.Timeline, lsn target.LSN) target.Position {
		return target.Position{Timeline: tl, LSN: lsn}
	}
	sw := func(tl target.Timeline, lsn target.LSN) target.Switch { return target.Switch{Timeline: tl, LSN: lsn} }
	for _, c := range []struct {
		name       string
		have       target.Position
		server     target.Position
		line, held []target.Switch
		want       target.Position
		forked     bool
		err        error
	}{
		{"same timeline", pos(1, 500), pos(1, 900), nil, nil, pos(1, 500), false, nil},
		{"server behind", pos(1, 500), pos(1, 400), nil, nil, pos(0, 0), false, ErrServerBehind},
		{"former primary", pos(2, 500), pos(1, 900), nil, nil, pos(0, 0), false, ErrServerBehind},
		{"promoted, rest to come", pos(1, 500), pos(2, 900), []target.Switch{sw(1, 600)}, nil, pos(1, 500), false, nil},
		{"promoted, all here", pos(1, 600), pos(2, 900), []target.Switch{sw(1, 600)}, nil, pos(2, 600), false, nil},
		{"promoted, we are ahead", pos(1, 700), pos(2, 900), []target.Switch{sw(1, 600)}, nil, pos(2, 600), true, nil},
		{"promoted twice", pos(1, 600), pos(3, 900), []target.Switch{sw(1, 600), sw(2, 800)}, nil, pos(2, 600), false, nil},
		{"second promotion", pos(2, 800), pos(3, 900), []target.Switch{sw(1, 600), sw(2, 800)}, []target.Switch{sw(1, 600)}, pos(3, 800), false, nil},
		{"another branch", pos(2, 800), pos(3, 900), []target.Switch{sw(1, 500)}, []target.Switch{sw(1, 600)}, pos(3, 500), true, nil},
		{"strangers", pos(3, 800), pos(5, 900), []target.Switch{sw(4, 500)}, []target.Switch{sw(2, 600)}, pos(0, 0), false, ErrWrongCluster},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, forked, err := follow(c.have, target.LogIdentity{Timeline: c.server.Timeline, Flushed: c.server.LSN}, c.line, c.held)
			if got != c.want || forked != c.forked || !errors.Is(err, c.err) || c.err == nil && err != nil {
				t.Fatalf("%v, %t, %v", got, forked, err)
			}
		})
	}
}

func TestServerClock(t *testing.T) {
	start := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	var c serverClock
	if !c.at(100).IsZero() {
		t.Fatal("a time from nothing")
	}
	for i := range 1000 { // 10 ms apart, 10 bytes each
		c.observe(target.LSN(10*i), start.Add(time.Duration(i)*10*time.Millisecond))
	}
	c.observe(5, start.Add(time.Hour)) // out of order
	if n := len(c.seen); n > 250 {
		t.Fatalf("%d moments", n)
	}
	for _, p := range []target.LSN{0, 555, 5000, 9990} {
		exact := start.Add(time.Duration(p/10) * 10 * time.Millisecond)
		if got := c.at(p); got.After(exact) || exact.Sub(got) > 2*clockGrain {
			t.Fatalf("at %d: %s, want at most %s", p, got, exact)
		}
	}
	if got := c.at(9990); got != start.Add(9990*time.Millisecond) {
		t.Fatalf("the newest is %s", got)
	}
	c.observe(9990, start.Add(time.Minute)) // nothing new was written
	if got := c.at(9990); got != start.Add(time.Minute) {
		t.Fatalf("idle: %s", got)
	}
	c.forget(9980)
	if got := c.at(9990); len(c.seen) > 2 || got != start.Add(time.Minute) {
		t.Fatalf("%d moments, %s", len(c.seen), got)
	}
}

func TestJudgeSlot(t *testing.T) {
	for _, c := range []struct {
		held, bound, before int64
		relieved            bool
		want                slotAction
	}{
		{40, 100, 0, false, slotFine},
		{60, 100, 0, false, slotWarn},
		{101, 100, 0, false, slotRelieve},
		{101, 100, 120, true, slotRelieve},
		{101, 100, 101, true, slotGiveUp},
		{1 << 40, -1, 0, true, slotFine},
	} {
		if got := judgeSlot(target.Slot{Exists: true, Retained: c.held}, c.bound, c.relieved, c.before); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
	if judgeSlot(target.Slot{Retained: 1 << 40}, 1, true, 0) != slotFine {
		t.Error("a slot that is not there")
	}
}

// TestPaddedSpoolKeepsWhatIsThere: a segment begun while commits did not wait
// is filled with zeros when they do, so that no sync waits for its length.
func TestPaddedSpoolKeepsWhatIsThere(t *testing.T) {
	dir := t.TempDir()
	seg := target.SegmentAt(target.Position{Timeline: 1, LSN: 1 << 24}, 1<<20)
	begun := bytes.Repeat([]byte("log "), 3000)
	for _, padded := range []bool{false, true} {
		s, err := openSpool(dir, padded)
		if err != nil {
			t.Fatal(err)
		}
		f, err := s.create(seg)
		if err != nil {
			t.Fatal(err)
		}
		if !padded {
			err = f.write(0, begun)
		}
		if err = errors.Join(err, f.sync(), f.close()); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(s.path(seg, false))
		want := len(begun)
		if padded {
			want = int(seg.Size)
		}
		if err != nil || len(got) != want || !bytes.Equal(got[:len(begun)], begun) || len(bytes.Trim(got[len(begun):], "\x00")) > 0 {
			t.Fatalf("padded %v: %d bytes, %v", padded, len(got), err)
		}
	}
}
