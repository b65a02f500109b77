package app

import (
	"testing"
	"time"

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
