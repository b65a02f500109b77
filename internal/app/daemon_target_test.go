package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/refloat-db/refloat/internal/backup"
	"github.com/refloat-db/refloat/internal/status"
	"github.com/refloat-db/refloat/internal/target"
)

// notes is a store and a journal that only remember.
type notes struct {
	mu     sync.Mutex
	marks  []status.LogMark
	beats  []target.Beat
	alarms map[string]status.Alarm
	asked  []string
	events []string
}

func (n *notes) Acknowledge(_ context.Context, _ target.ID, m status.LogMark) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.marks = append(n.marks, m)
	return nil
}

func (n *notes) PutBeat(_ context.Context, _ target.ID, b target.Beat) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.beats = append(n.beats, b)
	return nil
}

func (n *notes) Keep(context.Context, target.ID, string, time.Time, any) error { return nil }

func (n *notes) Kept(context.Context, target.ID, string, any) (time.Time, error) {
	return time.Time{}, status.ErrNothing
}

func (n *notes) Raise(_ context.Context, _ target.ID, a status.Alarm) (bool, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	_, up := n.alarms[a.Code]
	n.alarms[a.Code] = a
	return !up, nil
}

func (n *notes) Clear(_ context.Context, _ target.ID, code, _ string, _ time.Time) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, up := n.alarms[code]; !up {
		return 0, nil
	}
	delete(n.alarms, code)
	return 1, nil
}

func (n *notes) Alarms(context.Context, target.ID) ([]status.Alarm, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Collect(maps.Values(n.alarms)), nil
}

func (n *notes) up(code string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	_, up := n.alarms[code]
	return up
}

func (n *notes) count(of func(*notes) int) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return of(n)
}

func (n *notes) detail(code string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.alarms[code].Detail
}

func (n *notes) happened(kind string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Contains(n.events, kind)
}

func (n *notes) requests() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.asked)
}

// fakeTarget is a server and a receiver whose behaviour a test sets.
type fakeTarget struct {
	mu        sync.Mutex
	down      bool // nothing answers
	slot      target.Slot
	hang      bool // the heartbeat hangs
	receives  int
	gaveUp    int
	receiving bool
	beat      int64
	gap       chan backup.Gap
	needs     string // why a base backup is due
}

func (f *fakeTarget) set(change func(*fakeTarget)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

func (f *fakeTarget) get(what func(*fakeTarget) int) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return what(f)
}

func (f *fakeTarget) care() Care {
	return Care{
		Target: "shop", SlotBound: 100,
		Receive: func(ctx context.Context, e LogEvents) error {
			f.set(func(f *fakeTarget) { f.receives++; f.receiving = true })
			defer f.set(func(f *fakeTarget) { f.receiving = false })
			for lsn := target.LSN(1); ; lsn++ {
				if f.get(func(f *fakeTarget) int { return b2i(f.down) }) == 1 {
					return errors.New("connection refused")
				}
				e.Acknowledged(status.LogMark{Position: target.Position{Timeline: 1, LSN: lsn}, ServerTime: time.Now(), At: time.Now()})
				select {
				case <-ctx.Done():
					return nil
				case g := <-f.gap:
					f.set(func(f *fakeTarget) { f.needs = causeGap + g.From.String() }) // it is in the repository first
					e.Gap(g)
				case <-time.After(100 * time.Millisecond):
				}
			}
		},
		Slot: func(context.Context) (SlotView, error) {
			f.mu.Lock()
			defer f.mu.Unlock()
			if f.down {
				return SlotView{}, errors.New("connection refused")
			}
			return SlotView{Slot: f.slot, Server: 1 << 20}, nil
		},
		GiveUp: func(context.Context, target.Slot) error {
			f.mu.Lock()
			defer f.mu.Unlock()
			if f.receiving {
				return errors.New("the slot is active")
			}
			f.gaveUp++
			f.needs = "gap 1:0/1"
			f.slot.Retained = 0
			return nil
		},
		Beat: func(ctx context.Context) (target.Beat, error) {
			if f.get(func(f *fakeTarget) int { return b2i(f.hang) }) == 1 {
				<-ctx.Done()
				return target.Beat{}, ctx.Err()
			}
			f.mu.Lock()
			defer f.mu.Unlock()
			if f.down {
				return target.Beat{}, errors.New("connection refused")
			}
			f.beat++
			return target.Beat{Seq: f.beat, At: time.Now()}, nil
		},
		Backup: func(context.Context) (backup.Backup, error) { return backup.Backup{}, nil },
		NeedsBackup: func(context.Context) (string, error) {
			f.mu.Lock()
			defer f.mu.Unlock()
			return f.needs, nil
		},
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// inBubble runs a watch in virtual time.
func inBubble(t *testing.T, f *fakeTarget, change func(*Care), test func(w *watch, n *notes)) {
	t.Helper()
	inBubbleWith(t, f, change, func(*watch) {}, test)
}

// inBubbleWith lets a test prepare the watch before it starts.
func inBubbleWith(t *testing.T, f *fakeTarget, change func(*Care), prepare func(*watch), test func(w *watch, n *notes)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f.slot = target.Slot{Name: "refloat_shop", Exists: true, Active: true}
		f.gap = make(chan backup.Gap)
		c := f.care()
		if change != nil {
			change(&c)
		}
		n := &notes{alarms: map[string]status.Alarm{}}
		w := newWatch(c, n, slog.New(slog.DiscardHandler), func(_ context.Context, _, kind string, _ any) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.events = append(n.events, kind)
		}, func(_ context.Context, _ target.ID, kind, reason string) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.asked = append(n.asked, kind+": "+reason)
		})
		prepare(w)
		end := w.start(t.Context())
		defer func() {
			stop, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			if err := end(stop); err != nil {
				t.Error(err)
			}
		}()
		test(w, n)
	})
}

func TestWatchKeepsWitnessAndBeat(t *testing.T) {
	inBubble(t, &fakeTarget{}, nil, func(w *watch, n *notes) {
		time.Sleep(10500 * time.Millisecond)
		n.mu.Lock()
		defer n.mu.Unlock()
		if len(n.beats) != 11 || len(n.marks) < 10 || len(n.marks) > 12 {
			t.Errorf("%d beats, %d marks in ten seconds", len(n.beats), len(n.marks))
		}
		for i := 1; i < len(n.marks); i++ {
			if n.marks[i].Position.LSN <= n.marks[i-1].Position.LSN {
				t.Error("marks go back")
			}
		}
		if !w.streaming() || len(n.alarms) != 0 {
			t.Errorf("streaming %v, alarms %v", w.streaming(), n.alarms)
		}
	})
}

func TestStopKeepsTheLastMark(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeTarget{slot: target.Slot{Exists: true}}
		n := &notes{alarms: map[string]status.Alarm{}}
		c := f.care()
		last := status.LogMark{Position: target.Position{Timeline: 1, LSN: 999}}
		c.Receive = func(ctx context.Context, e LogEvents) error {
			<-ctx.Done()
			last.At = time.Now()
			e.Acknowledged(last) // the partial segment, stored on the way out
			return nil
		}
		w := newWatch(c, n, slog.New(slog.DiscardHandler), func(context.Context, string, string, any) {}, func(context.Context, target.ID, string, string) {})
		end := w.start(t.Context())
		time.Sleep(300 * time.Millisecond)
		if err := end(context.Background()); err != nil {
			t.Fatal(err)
		}
		if len(n.marks) != 1 || n.marks[0] != last {
			t.Errorf("%+v", n.marks)
		}
	})
}

func TestWatchAlarmsWhenTheTargetIsGoneAndClears(t *testing.T) {
	f := &fakeTarget{}
	inBubble(t, f, nil, func(w *watch, n *notes) {
		time.Sleep(5 * time.Second)
		f.set(func(f *fakeTarget) { f.down = true })
		time.Sleep(25 * time.Second)
		if n.up(status.AlarmHeartbeat) || n.up(status.AlarmLogStopped) {
			t.Error("an alarm within 25 s")
		}
		time.Sleep(45 * time.Second)
		if !n.up(status.AlarmHeartbeat) || !n.up(status.AlarmLogStopped) {
			t.Error("no alarms after 70 s")
		}
		if d := n.detail(status.AlarmLogStopped); !strings.Contains(d, "connection refused") {
			t.Error(d)
		}
		if w.streaming() {
			t.Error("still streaming")
		}
		tries := f.get(func(f *fakeTarget) int { return f.receives })
		if tries < 3 || tries > 10 {
			t.Errorf("%d tries to receive in 70 s", tries)
		}
		f.set(func(f *fakeTarget) { f.down = false })
		time.Sleep(35 * time.Second)
		if n.up(status.AlarmHeartbeat) || n.up(status.AlarmLogStopped) || !w.streaming() {
			t.Error("alarms after it came back")
		}
	})
}

func TestAHangingServerIsNoticed(t *testing.T) {
	f := &fakeTarget{hang: true}
	inBubble(t, f, nil, func(_ *watch, n *notes) {
		time.Sleep(45 * time.Second)
		if !n.up(status.AlarmHeartbeat) {
			t.Error("no alarm")
		}
		if n.up(status.AlarmLogStopped) || n.count(func(n *notes) int { return len(n.marks) }) < 40 {
			t.Error("the hanging heartbeat held the log up")
		}
	})
}

func TestGapTakesABackup(t *testing.T) {
	f := &fakeTarget{}
	inBubble(t, f, nil, func(_ *watch, n *notes) {
		f.gap <- backup.Gap{From: target.Position{Timeline: 1, LSN: 5}, To: target.Position{Timeline: 1, LSN: 9}, Reason: "removed"}
		time.Sleep(time.Second)
		if got := n.requests(); len(got) == 0 || got[0] != "backup: gap 1:0/5" || !n.up(status.AlarmGap) || !n.happened("log.gap") {
			t.Errorf("%v", got)
		}
		f.set(func(f *fakeTarget) { f.needs = "" }) // someone took one
		time.Sleep(6 * time.Minute)
		if n.up(status.AlarmGap) {
			t.Error("the alarm is still up after a backup made up for the gap")
		}
	})
}

func TestSlotPastItsBoundIsGivenUpOnce(t *testing.T) {
	f := &fakeTarget{}
	inBubble(t, f, nil, func(w *watch, n *notes) {
		time.Sleep(6 * time.Second)
		f.set(func(f *fakeTarget) { f.slot.Retained = 100 })
		time.Sleep(6 * time.Second)
		if f.get(func(f *fakeTarget) int { return f.gaveUp }) != 0 {
			t.Error("given up at the bound, not past it")
		}
		f.set(func(f *fakeTarget) { f.slot.Retained = 101 })
		time.Sleep(30 * time.Second)
		if got := f.get(func(f *fakeTarget) int { return f.gaveUp }); got != 1 {
			t.Errorf("given up %d times", got)
		}
		if got := n.requests(); len(got) != 1 || !strings.HasPrefix(got[0], "backup: slot given up") || !n.up(status.AlarmSlotGone) {
			t.Errorf("%v", got)
		}
		if !w.streaming() || f.get(func(f *fakeTarget) int { return f.receives }) != 2 {
			t.Error("the receiver was not started again")
		}
	})
}

func TestNoBoundNeverGivesUp(t *testing.T) {
	if PastBound(target.Slot{Exists: true, Retained: 1 << 50}, 0) || PastBound(target.Slot{Retained: 5}, 1) || !PastBound(target.Slot{Exists: true, Retained: 2}, 1) {
		t.Error("PastBound")
	}
}

func TestNeededBackupIsAskedFor(t *testing.T) {
	var done atomic.Bool
	inBubble(t, &fakeTarget{}, func(c *Care) {
		c.NeedsBackup = func(context.Context) (string, error) {
			if done.Load() {
				return "", nil
			}
			return "first", nil
		}
	}, func(_ *watch, n *notes) {
		time.Sleep(time.Second)
		if got := n.requests(); !slices.Equal(got, []string{"backup: first"}) {
			t.Errorf("%v", got)
		}
		done.Store(true)
		time.Sleep(12 * time.Minute)
		if got := n.requests(); len(got) != 1 {
			t.Errorf("%v", got)
		}
	})
}

func TestAPanickingReceiverIsStartedAgain(t *testing.T) {
	var tries atomic.Int32
	inBubble(t, &fakeTarget{}, func(c *Care) {
		c.Receive = func(context.Context, LogEvents) error { panic(fmt.Sprint("try ", tries.Add(1))) }
	}, func(*watch, *notes) {
		time.Sleep(20 * time.Second)
		if tries.Load() < 3 {
			t.Errorf("%d tries", tries.Load())
		}
	})
}

func TestNeedsBackup(t *testing.T) {
	at := func(tl target.Timeline, lsn target.LSN) target.Position {
		return target.Position{Timeline: tl, LSN: lsn}
	}
	b := []backup.Backup{{Start: at(1, 100)}, {Start: at(2, 500)}}
	cases := map[string]struct {
		backups []backup.Backup
		gaps    []backup.Gap
		want    string
	}{
		"nothing":             {nil, nil, "first"},
		"nothing but a gap":   {nil, []backup.Gap{{From: at(1, 1), To: at(1, 2)}}, "first"},
		"no gap":              {b, nil, ""},
		"gap before":          {b, []backup.Gap{{From: at(2, 300), To: at(2, 500)}}, ""},
		"gap after":           {b, []backup.Gap{{From: at(2, 600), To: at(2, 700)}}, "gap 2:0/258"},
		"gap over the start":  {b, []backup.Gap{{From: at(2, 400), To: at(2, 501)}}, "gap 2:0/190"},
		"gap, older timeline": {b, []backup.Gap{{From: at(1, 600), To: at(1, 700)}}, ""},
		"gap, newer timeline": {b, []backup.Gap{{From: at(3, 10), To: at(3, 20)}}, "gap 3:0/A"},
	}
	for name, c := range cases {
		if got := NeedsBackup(c.backups, c.gaps); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// A trouble of the log that ended while no server ran is not up for ever.
func TestATroubleOfTheServerBeforeIsCleared(t *testing.T) {
	inBubble(t, &fakeTarget{}, nil, func(w *watch, n *notes) {
		if _, err := n.Raise(t.Context(), w.Target, status.Alarm{Code: status.AlarmLog}); err != nil {
			t.Fatal(err)
		}
		w.trouble(t.Context(), nil)
		if n.up(status.AlarmLog) {
			t.Error("the alarm is still up")
		}
	})
}
