// Package storetest is the suite that every store must pass.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/access"
	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/journal"
	"github.com/refloat-db/refloat/internal/status"
	"github.com/refloat-db/refloat/internal/target"
)

// Store is what a store must be.
type Store interface {
	journal.Log
	status.Memory
	Save(ctx context.Context, all ...alert.Record) error
	OpenRecords(ctx context.Context, kind string) ([]alert.Record, error)
	RecentRecords(ctx context.Context, kind string, limit int) ([]alert.Record, error)
	OneRecord(ctx context.Context, kind, id string) (alert.Record, error)
	Forget(ctx context.Context, kind string, before time.Time) (int, error)
	PutAttachment(ctx context.Context, data []byte) (string, error)
	Attachment(ctx context.Context, hash string) ([]byte, error)
	access.Store
	Changed(ctx context.Context) <-chan struct{}
	Close() error
}

// Run runs the suite. Open is called twice with the same test to see that
// what was written is still there after reopening; the first is closed before.
func Run(t *testing.T, open func(t *testing.T) (first Store, reopen func() Store)) {
	for name, f := range map[string]func(*testing.T, Store, func() Store){
		"journal": testJournal, "journal of many writers": testManyWriters, "marks": testMarks, "beats": testBeats,
		"measurements": testMeasurements, "facts": testFacts, "alarms": testAlarms, "paging": testPaging, "scopes": testScopes, "nobody's act is lost": testActs, "attachments": testAttachments,
		"targets are apart": testApart, "a change is told": testChanged,
		"accounts": testAccounts, "accounts of many": testAccountsOfMany, "passes": testPasses,
	} {
		t.Run(name, func(t *testing.T) {
			s, reopen := open(t)
			f(t, s, func() Store {
				must(t, s.Close())
				return reopen()
			})
		})
	}
}

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func testJournal(t *testing.T, s Store, reopen func() Store) {
	ctx := context.Background()
	if r, err := s.Verify(ctx); err != nil || r.Entries != 0 || len(r.Findings) != 0 {
		t.Fatalf("an empty journal: %+v %v", r, err)
	}
	for i := range 5 {
		e, err := s.Append(ctx, journal.Event{Time: noon.Add(time.Duration(i)), Actor: "server", Subject: "target/a", Kind: "k", Body: map[string]any{"n": i, "s": "ü<>&"}})
		must(t, err)
		if e.Seq != int64(i+1) {
			t.Fatalf("entry %d has number %d", i+1, e.Seq)
		}
	}
	if _, err := s.Append(ctx, journal.Event{Actor: "x"}); !errors.Is(err, journal.ErrEvent) {
		t.Errorf("an event without time: %v", err)
	}
	s = reopen()
	got, err := s.Read(ctx, 2, 2)
	must(t, err)
	if len(got) != 2 || got[0].Seq != 3 || got[1].Seq != 4 || journal.HashOf(got[1]) != got[1].Hash {
		t.Errorf("read: %+v", got)
	}
	if got, err := s.Read(ctx, 5, 10); err != nil || len(got) != 0 {
		t.Errorf("read at the end: %+v %v", got, err)
	}
	r, err := s.Verify(ctx)
	must(t, err)
	if r.Entries != 5 || len(r.Findings) != 0 {
		t.Errorf("verify: %+v", r)
	}
	if r, err := s.Verify(ctx, journal.Head{Seq: 4, Hash: "00"}); err != nil || len(r.Findings) != 1 {
		t.Errorf("an anchor that does not fit: %+v %v", r, err)
	}
}

func testManyWriters(t *testing.T, s Store, _ func() Store) {
	ctx := context.Background()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 5 {
				if _, err := s.Append(ctx, journal.Event{Time: noon, Actor: fmt.Sprint(i), Subject: "s", Kind: "k"}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if r, err := s.Verify(ctx); err != nil || r.Entries != 40 || len(r.Findings) != 0 {
		t.Errorf("%+v %v", r, err)
	}
}

func testMarks(t *testing.T, s Store, reopen func() Store) {
	ctx := context.Background()
	if _, err := s.Acknowledged(ctx, "a"); !errors.Is(err, status.ErrNothing) {
		t.Errorf("before the first: %v", err)
	}
	mark := func(tl target.Timeline, lsn target.LSN, sec int) status.LogMark {
		at := noon.Add(time.Duration(sec) * time.Second)
		return status.LogMark{Position: target.Position{Timeline: tl, LSN: lsn}, ServerTime: at, At: at.Add(time.Millisecond)}
	}
	const high = target.LSN(0xF0000000_00000000) // above the signed range
	steps := []struct{ put, want status.LogMark }{
		{mark(1, 100, 1), mark(1, 100, 1)},
		{mark(1, 90, 2), mark(1, 100, 1)},  // behind
		{mark(1, 100, 3), mark(1, 100, 3)}, // same place, later: an idle server
		{mark(1, 300, 4), mark(1, 300, 4)},
		{mark(2, 200, 5), mark(2, 200, 5)}, // a promotion goes back in position
		{mark(1, 900, 6), mark(2, 200, 5)},
		{mark(2, high, 7), mark(2, high, 7)},
		{mark(2, 201, 8), mark(2, high, 7)},
	}
	for i, st := range steps {
		must(t, s.Acknowledge(ctx, "a", st.put))
		if got, err := s.Acknowledged(ctx, "a"); err != nil || got != st.want {
			t.Errorf("step %d: %+v %v, want %+v", i, got, err, st.want)
		}
	}
	if got, err := reopen().Acknowledged(ctx, "a"); err != nil || got != steps[len(steps)-1].want {
		t.Errorf("after reopening: %+v %v", got, err)
	}
}

func testBeats(t *testing.T, s Store, reopen func() Store) {
	ctx := context.Background()
	if _, err := s.LastBeat(ctx, "a"); !errors.Is(err, status.ErrNothing) {
		t.Errorf("before the first: %v", err)
	}
	b := target.Beat{Seq: 1, At: noon.Add(123456789), Prev: "", Hash: "aa"}
	must(t, s.PutBeat(ctx, "a", b))
	b.Seq, b.Prev, b.Hash = 2, "aa", "bb"
	must(t, s.PutBeat(ctx, "a", b))
	if got, err := reopen().LastBeat(ctx, "a"); err != nil || got != b {
		t.Errorf("%+v %v", got, err)
	}
}

func testMeasurements(t *testing.T, s Store, _ func() Store) {
	ctx := context.Background()
	for i := range 130 {
		must(t, s.Measured(ctx, "a", status.Measurement{Operation: "restore", At: noon.Add(time.Duration(i) * time.Minute), Took: time.Duration(i), Bytes: int64(i)}))
	}
	must(t, s.Measured(ctx, "a", status.Measurement{Operation: "backup", At: noon, Took: time.Hour}))
	got, err := s.Measurements(ctx, "a", "restore", 3)
	must(t, err)
	if len(got) != 3 || got[0].Took != 129 || got[2].Bytes != 127 || got[0].Operation != "restore" {
		t.Errorf("%+v", got)
	}
	if all, err := s.Measurements(ctx, "a", "restore", 1000); err != nil || len(all) != 100 {
		t.Errorf("%d kept, %v", len(all), err)
	}
	if b, err := s.Measurements(ctx, "a", "backup", 5); err != nil || len(b) != 1 || !b[0].At.Equal(noon) {
		t.Errorf("%+v %v", b, err)
	}
}

func testFacts(t *testing.T, s Store, reopen func() Store) {
	ctx := context.Background()
	var out map[string]int
	if _, err := s.Kept(ctx, "a", "slot", &out); !errors.Is(err, status.ErrNothing) {
		t.Errorf("before the first: %v", err)
	}
	must(t, s.Keep(ctx, "a", "slot", noon, map[string]int{"n": 1}))
	must(t, s.Keep(ctx, "a", "slot", noon.Add(time.Second), map[string]int{"n": 2}))
	at, err := reopen().Kept(ctx, "a", "slot", &out)
	if err != nil || out["n"] != 2 || !at.Equal(noon.Add(time.Second)) {
		t.Errorf("%v %v %v", out, at, err)
	}
}

func testAlarms(t *testing.T, s Store, reopen func() Store) {
	ctx := context.Background()
	a := status.Alarm{Code: status.AlarmGap, Key: "1:0/5", Detail: "lost", Next: "nothing", Raised: noon}
	for i, want := range []bool{true, false} {
		if fresh, err := s.Raise(ctx, "a", a); err != nil || fresh != want {
			t.Errorf("raise %d: %v %v", i, fresh, err)
		}
		a.Detail, a.Raised = "lost more", noon.Add(time.Hour)
	}
	b := status.Alarm{Code: status.AlarmGap, Key: "1:0/9", Raised: noon.Add(time.Minute)}
	if fresh, err := s.Raise(ctx, "a", b); err != nil || !fresh {
		t.Errorf("another key: %v %v", fresh, err)
	}
	must1(t, s, status.Alarm{Code: status.AlarmBackup, Raised: noon.Add(time.Second)})
	s = reopen()
	got, err := s.Alarms(ctx, "a")
	must(t, err)
	if len(got) != 3 || got[0].Detail != "lost more" || !got[0].Raised.Equal(noon) || got[1].Code != status.AlarmBackup {
		t.Errorf("%+v", got)
	}
	for _, c := range []struct {
		key  string
		want int
	}{{"1:0/5", 1}, {"1:0/5", 0}, {"*", 1}, {"*", 0}} {
		if n, err := s.Clear(ctx, "a", status.AlarmGap, c.key, noon); err != nil || n != c.want {
			t.Errorf("clear %s: %d %v", c.key, n, err)
		}
	}
	if fresh, err := s.Raise(ctx, "a", a); err != nil || !fresh {
		t.Errorf("raised again after being cleared: %v %v", fresh, err)
	}
}

func must1(t *testing.T, s Store, a status.Alarm) {
	t.Helper()
	_, err := s.Raise(context.Background(), "a", a)
	must(t, err)
}

func testApart(t *testing.T, s Store, _ func() Store) {
	ctx := context.Background()
	must(t, s.Acknowledge(ctx, "a", status.LogMark{Position: target.Position{Timeline: 1, LSN: 1}, ServerTime: noon, At: noon}))
	must(t, s.PutBeat(ctx, "a", target.Beat{Seq: 1, At: noon}))
	must(t, s.Keep(ctx, "a", "f", noon, 1))
	must1(t, s, status.Alarm{Code: "c", Raised: noon})
	_, err1 := s.Acknowledged(ctx, "b")
	_, err2 := s.LastBeat(ctx, "b")
	var n int
	_, err3 := s.Kept(ctx, "b", "f", &n)
	for _, err := range []error{err1, err2, err3} {
		if !errors.Is(err, status.ErrNothing) {
			t.Errorf("another target sees it: %v", err)
		}
	}
	if got, err := s.Alarms(ctx, "b"); err != nil || len(got) != 0 {
		t.Errorf("another target's alarms: %v %v", got, err)
	}
}

func testPaging(t *testing.T, s Store, reopen func() Store) {
	ctx := context.Background()
	put := func(kind, id string, open bool, at time.Time, value string) alert.Record {
		t.Helper()
		r, err := alert.NewRecord(kind, id, "a", open, at, value)
		must(t, err)
		return r
	}
	must(t, s.Save(ctx))
	must(t, s.Save(ctx, put("alert", "2", true, noon.Add(time.Second), "two"), put("alert", "1", true, noon, "one"), put("chain", "1", true, noon, "chain")))
	must(t, s.Save(ctx, put("alert", "1", false, noon, "one, over")))
	s = reopen()
	open, err := s.OpenRecords(ctx, "alert")
	must(t, err)
	if len(open) != 1 || open[0].ID != "2" || !open[0].At.Equal(noon.Add(time.Second)) || open[0].Target != "a" {
		t.Fatalf("open: %+v", open)
	}
	recent, err := s.RecentRecords(ctx, "alert", 10)
	must(t, err)
	if len(recent) != 2 || recent[0].ID != "2" || recent[1].Open {
		t.Fatalf("recent: %+v", recent)
	}
	one, err := s.OneRecord(ctx, "alert", "1")
	must(t, err)
	var text string
	must(t, one.Read(&text))
	if text != "one, over" {
		t.Fatalf("read %q", text)
	}
	if _, err := s.OneRecord(ctx, "alert", "3"); !errors.Is(err, status.ErrNothing) {
		t.Fatalf("a record that is not there: %v", err)
	}
	// All or none.
	broken := put("alert", "5", true, noon, "x")
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if err := s.Save(cancelled, broken); err == nil {
		t.Fatal("a cancelled save passed")
	}
	if all, err := s.RecentRecords(ctx, "alert", 10); err != nil || len(all) != 2 {
		t.Fatalf("%+v %v", all, err)
	}
	// Only what is older, of that kind.
	if n, err := s.Forget(ctx, "alert", noon.Add(time.Second)); err != nil || n != 1 {
		t.Fatalf("forgot %d: %v", n, err)
	}
	left, err := s.RecentRecords(ctx, "alert", 10)
	must(t, err)
	chain, err := s.RecentRecords(ctx, "chain", 10)
	must(t, err)
	if len(left) != 1 || left[0].ID != "2" || len(chain) != 1 {
		t.Fatalf("left: %+v %+v", left, chain)
	}
}
