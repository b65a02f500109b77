package app

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/monitor"
	"github.com/refloat-db/refloat/internal/status"
	"github.com/refloat-db/refloat/internal/store/sqlite"
	"github.com/refloat-db/refloat/internal/target"
)

// A look that a slow server left half answered ends no alarm and loses no
// samples; a gauge that is gone from a full look is forgotten.
func TestHeadroomKeepsWhatALookCouldNotRead(t *testing.T) {
	at := time.Date(2026, 3, 1, 2, 0, 0, 0, time.UTC)
	full := func(n int) target.Headroom {
		return target.Headroom{At: at.Add(time.Duration(n) * time.Minute), Gauges: []target.Gauge{{Code: "sequence", Object: "shop:t.id", Used: 97, Limit: 100}}}
	}
	slow := func(n int) target.Headroom {
		return target.Headroom{At: at.Add(time.Duration(n) * time.Minute), Unknown: map[string]string{"sequences of shop": "timeout"}}
	}
	var k headroom
	for n := range 3 {
		k = k.add(full(n))
	}
	k = k.add(slow(3)).add(slow(4))
	if got := k.shortages(k.Last.At); len(got) != 1 || !got[0].Grave || len(k.Series["sequence/shop:t.id"]) != 3 || len(k.Unseen) != 1 {
		t.Errorf("after looks without an answer: %v, %+v", got, k)
	}
	if again := k.add(full(5)); len(again.Series["sequence/shop:t.id"]) != 4 || len(again.Unseen) != 0 {
		t.Errorf("seen again: %+v", again)
	}
	if late := k.add(slow(48 * 60)); len(late.shortages(late.Last.At)) != 0 {
		t.Errorf("told for ever: %+v", late)
	}
	none := full(6)
	none.Gauges, none.Unknown = nil, map[string]string{"disk": "cannot be read from this machine", "sequences of other": "timeout"}
	if gone := k.add(none); len(gone.shortages(gone.Last.At)) != 0 {
		t.Errorf("dropped, yet told: %+v", gone)
	}
}

// What a server raised before it was started anew ends when it no longer holds,
// one by one, whatever else is still short.
func TestHeadroomEndsAlarmsOfTheServerBefore(t *testing.T) {
	ctx := t.Context()
	state, err := sqlite.Open(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = state.Close() })
	look := func(w *watch, used map[string]float64) {
		w.Headroom = func(context.Context) (target.Headroom, error) {
			h := target.Headroom{At: time.Now()}
			for object, n := range used {
				h.Gauges = append(h.Gauges, target.Gauge{Code: "sequence", Object: object, Used: n, Limit: 100})
			}
			return h, nil
		}
		w.headroomOnce(ctx)
	}
	begin := func() *watch {
		return newWatch(Care{Target: "shop"}, state, slog.New(slog.DiscardHandler), func(context.Context, string, string, any) {}, nil)
	}
	look(begin(), map[string]float64{"a": 97, "b": 98, "c": 85})
	again := begin()
	for _, used := range []map[string]float64{{"a": 10, "b": 98, "c": 99}, {"a": 10, "b": 98, "c": 99}} {
		look(again, used)
		all, err := state.Alarms(ctx, "shop")
		up := map[string]string{}
		for _, a := range all {
			up[a.Key] = a.Code
		}
		if err != nil || len(all) != 2 || up["sequence/b"] != status.AlarmHeadroomGone || up["sequence/c"] != status.AlarmHeadroomGone {
			t.Fatalf("%v %+v", err, all)
		}
	}
}

// A standby that falls behind, or goes, is told until it follows again, through a
// restart, and whatever could not be looked at meanwhile.
func TestStandbysAreHeldToWhatIsPromised(t *testing.T) {
	ctx := t.Context()
	state, err := sqlite.Open(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = state.Close() })
	begin := func() *watch {
		return newWatch(Care{Target: "shop", Replication: monitor.Replication{Lag: time.Minute, Standbys: 1}}, state, slog.New(slog.DiscardHandler), func(context.Context, string, string, any) {}, nil)
	}
	w := begin()
	for i, x := range []struct {
		standbys []target.Standby
		unknown  string
		restart  bool
		want     []string
	}{
		{standbys: []target.Standby{{Name: "b", State: "streaming"}}},
		{standbys: []target.Standby{{Name: "b", State: "streaming", Lag: time.Hour}}, want: []string{"replication-lag/b"}},
		{unknown: "no answer", want: []string{"replication-lag/b"}},
		{want: []string{"standby-missing/"}},
		{unknown: "no answer", restart: true, want: []string{"standby-missing/"}},
		{standbys: []target.Standby{{Name: "b", State: "streaming"}}},
	} {
		if x.restart {
			w = begin()
		}
		w.Headroom = func(context.Context) (target.Headroom, error) {
			h := target.Headroom{At: time.Now(), Standbys: x.standbys}
			if x.unknown != "" {
				h.Unknown = map[string]string{"standbys": x.unknown}
			}
			return h, nil
		}
		w.headroomOnce(ctx)
		all, err := state.Alarms(ctx, "shop")
		var got []string
		for _, a := range all {
			got = append(got, a.Code+"/"+a.Key)
		}
		if err != nil || !slices.Equal(got, x.want) {
			t.Fatalf("look %d: %v, want %v (%v)", i, got, x.want, err)
		}
	}
}

// forgetful cannot read what it kept.
type forgetful struct{ *notes }

func (forgetful) Kept(context.Context, target.ID, string, any) (time.Time, error) {
	return time.Time{}, errors.New("disk I/O error")
}

// A store that cannot be read hides nothing that runs out.
func TestHeadroomWithoutItsStore(t *testing.T) {
	n := &notes{alarms: map[string]status.Alarm{}}
	w := newWatch(Care{Target: "shop"}, forgetful{n}, slog.New(slog.DiscardHandler), func(context.Context, string, string, any) {}, nil)
	w.Headroom = func(context.Context) (target.Headroom, error) {
		return target.Headroom{At: time.Now(), Gauges: []target.Gauge{{Code: "sequence", Object: "shop:t.id", Used: 97, Limit: 100}}}, nil
	}
	for range 2 {
		w.headroomOnce(t.Context())
	}
	if !n.up(status.AlarmHeadroomGone) || len(w.room.Series["sequence/shop:t.id"]) != 2 {
		t.Errorf("%+v", w.room)
	}
}
